//! Operations of the backend by its kernels.

use burn::backend::ops::FloatTensorOps;
use burn::backend::tensor::{BoolTensor, FloatTensor, IntTensor};
use burn::backend::{Cube, TensorMetadata};
use burn::tensor::Shape;

use super::sigmoid::sigmoid;
use super::{CubeKernels, attention, seed, unread};
use crate::ops::activation;
use crate::ops::attention::composed;
use crate::ops::{
    Activation, AdamOutput, AdamStep, AdamTensors, AttentionForm, AttentionGradients,
    AttentionInputs, AttentionLayout, AttentionOutput, AttentionState, BertOps, EightTensors,
    GradientOps, OptimizerOps, ResidualForm,
};

impl BertOps for Cube {
    fn attend_by_head(
        query: FloatTensor<Self>,
        key: FloatTensor<Self>,
        value: FloatTensor<Self>,
        mask_pad: BoolTensor<Self>,
    ) -> FloatTensor<Self> {
        let [_, _, seq, _] = key.shape().dims::<4>();
        match attention::holds_scores(seq) {
            true => composed::by_head::<Self>(query, key, value, mask_pad),
            false => composed::fused::<Self>(query, key, value, mask_pad),
        }
    }

    fn self_attention(
        inputs: AttentionInputs<Self>,
        mask_pad: BoolTensor<Self>,
        form: AttentionForm,
    ) -> FloatTensor<Self> {
        attention::of_rows(inputs, mask_pad, form)
    }

    fn masked_softmax(
        scores: FloatTensor<Self>,
        mask_pad: BoolTensor<Self>,
        scale: f64,
    ) -> FloatTensor<Self> {
        let [_, heads, _, _] = scores.shape().dims::<4>();
        let form = AttentionForm {
            scale,
            ..AttentionForm::new(heads, 1)
        };
        let numbers = unread::<Self>(&scores.device());
        Self::softmax_rows(scores, mask_pad, numbers, form).0
    }

    fn normalize(
        input: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        beta: FloatTensor<Self>,
        epsilon: f64,
    ) -> FloatTensor<Self> {
        Self::normalize_rows(input, gamma, beta, epsilon)
    }

    fn project_add_normalize(
        input: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        residual: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        beta: FloatTensor<Self>,
        form: ResidualForm,
    ) -> FloatTensor<Self> {
        let projected = Self::project_unbiased(input, weight);
        let [_, output, _] =
            <Self as GradientOps>::drop_add_normalize(projected, bias, residual, gamma, beta, form);
        output
    }

    fn project_gelu(
        input: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
    ) -> FloatTensor<Self> {
        <Self as CubeKernels>::bias_gelu(Self::project_unbiased(input, weight), bias)
    }

    fn cross_entropy(
        logits: FloatTensor<Self>,
        labels: IntTensor<Self>,
        weights: FloatTensor<Self>,
    ) -> (FloatTensor<Self>, FloatTensor<Self>) {
        Self::cross_entropy_rows(logits, labels, weights)
    }

    fn embed(
        words: FloatTensor<Self>,
        ids: IntTensor<Self>,
        segments: FloatTensor<Self>,
        segment_ids: IntTensor<Self>,
        positions: FloatTensor<Self>,
        first: usize,
    ) -> FloatTensor<Self> {
        Self::embed_rows(words, ids, segments, segment_ids, positions, first)
    }

    fn dropout(input: FloatTensor<Self>, probability: f64) -> FloatTensor<Self> {
        let seed = seed::<Self>(&input.device());
        Self::drop_elements(input, seed, probability)
    }

    fn activate(input: FloatTensor<Self>, activation: Activation) -> FloatTensor<Self> {
        match activation {
            Activation::Swish(slope) => activation::swish::<Self>(input, slope, sigmoid::<Self>),
            other => activation::forward::<Self>(input, other),
        }
    }

    fn dropout_mask(like: FloatTensor<Self>, shape: Shape, probability: f64) -> FloatTensor<Self> {
        let seed = seed::<Self>(&like.device());
        Self::seeded_dropout_mask(like, seed, shape, probability)
    }
}

impl GradientOps for Cube {
    const FUSED_EPILOGUES: bool = true;

    fn drop_add_normalize(
        projected: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        residual: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        beta: FloatTensor<Self>,
        form: ResidualForm,
    ) -> [FloatTensor<Self>; 3] {
        let seed = match form.dropout > 0.0 {
            true => seed::<Self>(&projected.device()),
            false => unread::<Self>(&projected.device()),
        };
        let (sum, output) = <Self as CubeKernels>::drop_add_normalize(
            projected,
            bias,
            residual,
            gamma,
            beta,
            seed.clone(),
            form,
        );
        [sum, output, seed]
    }

    fn drop_add_normalize_backward(
        sum: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        grad: FloatTensor<Self>,
        seed: FloatTensor<Self>,
        form: ResidualForm,
    ) -> [FloatTensor<Self>; 5] {
        <Self as CubeKernels>::drop_add_normalize_backward(sum, gamma, grad, seed, form).into()
    }

    fn bias_gelu(product: FloatTensor<Self>, bias: FloatTensor<Self>) -> FloatTensor<Self> {
        <Self as CubeKernels>::bias_gelu(product, bias)
    }

    fn bias_gelu_backward(
        product: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        grad: FloatTensor<Self>,
    ) -> [FloatTensor<Self>; 2] {
        <Self as CubeKernels>::bias_gelu_backward(product, bias, grad).into()
    }

    fn attention_with_state(
        inputs: AttentionInputs<Self>,
        layout: AttentionLayout<Self>,
        form: AttentionForm,
    ) -> AttentionOutput<Self> {
        attention::with_state(inputs, layout, form)
    }

    fn attention_backward(
        inputs: AttentionInputs<Self>,
        state: AttentionState<Self>,
        layout: AttentionLayout<Self>,
        grad: FloatTensor<Self>,
        form: AttentionForm,
        with_bias: bool,
    ) -> AttentionGradients<Self> {
        attention::backward(inputs, state, layout, grad, form, with_bias)
    }

    fn normalize_backward(
        input: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        grad: FloatTensor<Self>,
        epsilon: f64,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
        Self::normalize_rows_backward(input, gamma, grad, epsilon)
    }

    fn cross_entropy_backward(
        logits: FloatTensor<Self>,
        labels: IntTensor<Self>,
        weights: FloatTensor<Self>,
        grad: FloatTensor<Self>,
    ) -> FloatTensor<Self> {
        Self::cross_entropy_rows_backward(logits, labels, weights, grad)
    }

    fn activate_backward(
        input: FloatTensor<Self>,
        grad: FloatTensor<Self>,
        activation: Activation,
    ) -> FloatTensor<Self> {
        match activation {
            Activation::Swish(slope) => {
                activation::swish_backward::<Self>(input, grad, slope, sigmoid::<Self>)
            }
            other => activation::backward::<Self>(input, grad, other),
        }
    }

    fn dropout_with_state(input: FloatTensor<Self>, probability: f64) -> [FloatTensor<Self>; 2] {
        let seed = seed::<Self>(&input.device());
        let output = Self::drop_elements(input, seed.clone(), probability);
        [output, seed]
    }

    fn dropout_backward(
        grad: FloatTensor<Self>,
        seed: FloatTensor<Self>,
        probability: f64,
    ) -> FloatTensor<Self> {
        Self::drop_elements(grad, seed, probability)
    }

    fn lookup_backward(
        table: FloatTensor<Self>,
        ids: IntTensor<Self>,
        grad: FloatTensor<Self>,
    ) -> FloatTensor<Self> {
        let [rows, _] = table.shape().dims::<2>();
        Self::lookup_rows_backward(ids, grad, rows)
    }

    fn rows_in_order_backward(
        grad: FloatTensor<Self>,
        rows: usize,
        first: usize,
    ) -> FloatTensor<Self> {
        Self::rows_in_order_backward_kernel(grad, rows, first)
    }
}

impl OptimizerOps for Cube {
    fn adam_update(
        value: FloatTensor<Self>,
        gradient: FloatTensor<Self>,
        first: FloatTensor<Self>,
        second: FloatTensor<Self>,
        step: AdamStep,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
        let (device, dtype) = (gradient.device(), gradient.dtype().into());
        let factor = Self::float_ones(Shape::new([1]), &device, dtype);
        Self::scaled_adam_update(value, gradient, first, second, factor, step)
    }

    fn scaled_adam_update(
        value: FloatTensor<Self>,
        gradient: FloatTensor<Self>,
        first: FloatTensor<Self>,
        second: FloatTensor<Self>,
        factor: FloatTensor<Self>,
        step: AdamStep,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
        let parameter = AdamTensors {
            value,
            gradient,
            first,
            second,
        };
        let AdamOutput {
            output,
            first,
            second,
        } = Self::adam_of_one(parameter, factor, step);
        (output, first, second)
    }

    fn scaled_adam_update_of_four(
        a: AdamTensors<Self>,
        b: AdamTensors<Self>,
        c: AdamTensors<Self>,
        d: AdamTensors<Self>,
        factor: FloatTensor<Self>,
        step: AdamStep,
    ) -> (
        AdamOutput<Self>,
        AdamOutput<Self>,
        AdamOutput<Self>,
        AdamOutput<Self>,
    ) {
        Self::adam_of_four(a, b, c, d, factor, step)
    }

    fn squares(input: FloatTensor<Self>) -> FloatTensor<Self> {
        Self::squares_kernel(input)
    }

    fn add_squares(
        sums: FloatTensor<Self>,
        inputs: EightTensors<Self>,
        count: usize,
    ) -> FloatTensor<Self> {
        Self::add_squares_kernel(sums, inputs, count)
    }

    fn clipping(
        sums: FloatTensor<Self>,
        maximum: f64,
        epsilon: f64,
    ) -> (FloatTensor<Self>, FloatTensor<Self>) {
        Self::clipping_kernel(sums, maximum, epsilon)
    }
}
