//! Which backend runs which body of [`BertOps`]: all that adding a backend takes besides its label
//! in [`device`](crate::device).

#[cfg(feature = "kernels")]
use std::sync::Arc;

use burn::backend::autodiff::{Autodiff, checkpoint::strategy::CheckpointStrategy};
#[cfg(feature = "flex")]
use burn::backend::flex::FlexTensor;
#[cfg(feature = "tch")]
use burn::backend::libtorch::TchTensor;
#[cfg(feature = "ndarray")]
use burn::backend::ndarray::NdArrayTensor;
use burn::backend::tensor::{BoolTensor, FloatTensor, IntTensor};
use burn::backend::{AutodiffBackend, Backend};
use burn::tensor::Shape;

#[cfg(feature = "kernels")]
use super::PackedWeight;
use super::{
    Activation, AttentionBias, AttentionForm, AttentionInputs, AttentionLayout, BertOps, GateForm,
    GradientOps, OptimizerOps, PackedTokens, PackedWeightOps, ResidualForm, RotaryColumns,
    activation, attention, cross_entropy, dropout, gate, linear, lookup, norm, residual, rotary,
    softmax,
};
#[cfg(feature = "kernels")]
use super::{AttentionGradients, AttentionOutput, AttentionState};

#[cfg(any(feature = "wgpu", feature = "cuda", feature = "rocm", feature = "cpu"))]
mod cube;

#[cfg(feature = "flex")]
mod flex;
#[cfg(feature = "kernels")]
mod host;
#[cfg(feature = "tch")]
pub(super) mod libtorch;
#[cfg(feature = "ndarray")]
mod ndarray;

/// Operations by the functions of one name in a module: their tensors, then their other arguments.
#[allow(unused_macros, reason = "which backends are compiled in varies")]
macro_rules! operations {
    ($tensor:ty, $module:ident: $(
        $name:ident($($argument:ident),+ $(; $($other:ident: $type:ty),+)?) -> $output:ty;
    )+) => {$(
        fn $name($($argument: $tensor,)+ $($($other: $type),+)?) -> $output {
            $module::$name($($argument,)+ $($($other),+)?)
        }
    )+};
}

/// The operations of [`host`], over tensors that may be in the memory of this process.
#[cfg(feature = "kernels")]
macro_rules! host_operations {
    ($tensor:ty) => {
        fn self_attention(
            inputs: AttentionInputs<Self>,
            mask_pad: $tensor,
            form: AttentionForm,
        ) -> $tensor {
            host::self_attention(inputs, mask_pad, form)
        }

        fn packed_attention(
            inputs: AttentionInputs<Self>,
            tokens: PackedTokens<Self>,
            form: AttentionForm,
        ) -> $tensor {
            host::packed_attention(inputs, tokens, form)
        }

        operations! { $tensor, host:
            masked_softmax(scores, mask_pad; scale: f64) -> $tensor;
            normalize(input, gamma, beta; epsilon: f64) -> $tensor;
            add_normalize(input, residual, gamma, beta; epsilon: f64) -> $tensor;
            project(input, weight, bias) -> $tensor;
            project_unbiased(input, weight) -> $tensor;
            lookup(table, ids) -> $tensor;
            project_gelu(input, weight, bias) -> $tensor;
            project_table(input, table, bias) -> $tensor;
            cross_entropy(logits, labels, weights) -> ($tensor, $tensor);
            dropout_mask(like; shape: Shape, probability: f64) -> $tensor;
            activate(input; activation: super::Activation) -> $tensor;
            rotate(input, cos, sin; columns: super::RotaryColumns) -> $tensor;
            gate(input; form: super::GateForm) -> $tensor;
            gate_apart(gate, other; activation: super::Activation) -> $tensor;
        }
    };
}

/// The operations of the optimizer and with packed weights of [`host`], for a backend with tensors of the type `$tensor`.
#[cfg(feature = "kernels")]
macro_rules! host_optimizer_and_packed_weights {
    ($backend:ty, $tensor:ty) => {
        impl OptimizerOps for $backend {
            operations! { $tensor, host:
                adam_update(value, gradient, first, second; step: super::AdamStep)
                    -> ($tensor, $tensor, $tensor);
                sum_of_squares(input) -> $tensor;
                scale_by(input, factor) -> $tensor;
            }
        }

        impl PackedWeightOps for $backend {
            operations! { $tensor, host:
                project_packed(input, bias; weight: Arc<PackedWeight>, activation: super::Activation)
                    -> $tensor;
                feed_forward_packed(input, first, second; weights: [Arc<PackedWeight>; 2],
                    activation: super::Activation) -> $tensor;
                project_packed_gated(input, of_gate, of_other; weights: [Arc<PackedWeight>; 2],
                    activation: super::Activation) -> $tensor;
                project_packed_thrice(input, first, second, third; weights: [Arc<PackedWeight>; 3])
                    -> ($tensor, $tensor, $tensor);
            }
        }
    };
}

/// The gradients of [`host`], over tensors that may be in the memory of this process.
#[cfg(feature = "kernels")]
macro_rules! host_gradients {
    ($tensor:ty) => {
        fn attention_with_state(
            inputs: AttentionInputs<Self>,
            layout: AttentionLayout<Self>,
            form: AttentionForm,
        ) -> AttentionOutput<Self> {
            host::attention_with_state::<$tensor>(inputs, layout, form)
        }

        fn attention_backward(
            inputs: AttentionInputs<Self>,
            state: AttentionState<Self>,
            layout: AttentionLayout<Self>,
            grad: $tensor,
            form: AttentionForm,
            with_bias: bool,
        ) -> AttentionGradients<Self> {
            host::attention_backward(inputs, state, layout, grad, form, with_bias)
        }

        operations! { $tensor, host:
            softmax_backward(probabilities, grad; scale: f64) -> $tensor;
            normalize_backward(input, gamma, grad; epsilon: f64)
                -> ($tensor, $tensor, $tensor);
            project_input_backward(weight, grad) -> $tensor;
            project_weight_backward(input, grad) -> $tensor;
            project_bias_backward(grad) -> $tensor;
            lookup_backward(table, ids, grad) -> $tensor;
            project_table_backward(table, grad) -> $tensor;
            cross_entropy_backward(logits, labels, weights, grad) -> $tensor;
            activate_backward(input, grad; activation: super::Activation) -> $tensor;
            rotate_backward(grad, cos, sin; columns: super::RotaryColumns) -> $tensor;
            gate_backward(input, grad; form: super::GateForm) -> $tensor;
            gate_apart_backward(gate, other, grad; activation: super::Activation)
                -> ($tensor, $tensor);
        }
    };
}

/// Attention through the backend's fused kernel.
#[allow(unused_macros, reason = "which backends are compiled in varies")]
macro_rules! fused_attention {
    () => {
        fn attend_by_head(
            query: FloatTensor<Self>,
            key: FloatTensor<Self>,
            value: FloatTensor<Self>,
            mask_pad: BoolTensor<Self>,
        ) -> FloatTensor<Self> {
            attention::composed::fused::<Self>(query, key, value, mask_pad)
        }
    };
}

#[cfg(feature = "flex")]
impl BertOps for burn::backend::Flex {
    fused_attention!();

    host_operations!(FlexTensor);
}

#[cfg(feature = "flex")]
impl GradientOps for burn::backend::Flex {
    host_gradients!(FlexTensor);
}

#[cfg(feature = "flex")]
host_optimizer_and_packed_weights!(burn::backend::Flex, FlexTensor);

#[cfg(feature = "ndarray")]
impl BertOps for burn::backend::NdArray {
    host_operations!(NdArrayTensor);
}

#[cfg(feature = "ndarray")]
impl GradientOps for burn::backend::NdArray {
    host_gradients!(NdArrayTensor);
}

#[cfg(feature = "ndarray")]
host_optimizer_and_packed_weights!(burn::backend::NdArray, NdArrayTensor);

#[cfg(feature = "tch")]
impl BertOps for burn::backend::LibTorch {
    operations! { TchTensor, libtorch:
        attend_by_head(query, key, value, mask_pad) -> TchTensor;
    }
    host_operations!(TchTensor);
}

#[cfg(feature = "tch")]
impl GradientOps for burn::backend::LibTorch {
    host_gradients!(TchTensor);
}

#[cfg(feature = "tch")]
host_optimizer_and_packed_weights!(burn::backend::LibTorch, TchTensor);

#[cfg(any(feature = "wgpu", feature = "cuda", feature = "rocm", feature = "cpu"))]
impl PackedWeightOps for burn::backend::Cube {}

// Every default body is made of operations that the server knows.
#[cfg(feature = "remote")]
impl BertOps for burn::backend::Remote {}

#[cfg(feature = "remote")]
impl GradientOps for burn::backend::Remote {}

#[cfg(feature = "remote")]
impl OptimizerOps for burn::backend::Remote {}

#[cfg(feature = "remote")]
impl PackedWeightOps for burn::backend::Remote {}

impl<B: Backend, C: CheckpointStrategy> OptimizerOps for Autodiff<B, C> {}

impl<B: GradientOps, C: CheckpointStrategy> PackedWeightOps for Autodiff<B, C> {}

impl<B: GradientOps, C: CheckpointStrategy> BertOps for Autodiff<B, C> {
    fn self_attention(
        inputs: AttentionInputs<Self>,
        mask_pad: BoolTensor<Self>,
        form: AttentionForm,
    ) -> FloatTensor<Self> {
        let layout = AttentionLayout::<B>::Padded { mask_pad };
        attention::node::attention::<B, C>(inputs, layout, form)
    }

    fn packed_attention(
        inputs: AttentionInputs<Self>,
        tokens: PackedTokens<Self>,
        form: AttentionForm,
    ) -> FloatTensor<Self> {
        // A bias of its own for each sequence, which packed attention does not take.
        if let AttentionBias::Relative(_) = inputs.bias {
            return attention::composed::packed(inputs, &AttentionLayout::Packed(tokens), form);
        }
        let layout = AttentionLayout::<B>::Packed(PackedTokens {
            lengths: tokens.lengths,
            groups: tokens.groups,
            places: tokens.places,
            slots: tokens.slots,
            padding: tokens.padding,
        });
        attention::node::attention::<B, C>(inputs, layout, form)
    }

    fn masked_softmax(
        scores: FloatTensor<Self>,
        mask_pad: BoolTensor<Self>,
        scale: f64,
    ) -> FloatTensor<Self> {
        softmax::masked_autodiff::<B, C>(scores, mask_pad, scale)
    }

    fn normalize(
        input: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        beta: FloatTensor<Self>,
        epsilon: f64,
    ) -> FloatTensor<Self> {
        norm::normalize_autodiff::<B, C>(input, gamma, beta, epsilon)
    }

    fn project(
        input: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
    ) -> FloatTensor<Self> {
        linear::project_autodiff::<B, C>(input, weight, bias)
    }

    fn project_unbiased(input: FloatTensor<Self>, weight: FloatTensor<Self>) -> FloatTensor<Self> {
        linear::unbiased_autodiff::<B, C>(input, weight)
    }

    fn project_table(
        input: FloatTensor<Self>,
        table: FloatTensor<Self>,
        bias: FloatTensor<Self>,
    ) -> FloatTensor<Self> {
        linear::table_autodiff::<B, C>(input, table, bias)
    }

    fn lookup(table: FloatTensor<Self>, ids: IntTensor<Self>) -> FloatTensor<Self> {
        lookup::autodiff::<B, C>(table, ids)
    }

    fn embed(
        words: FloatTensor<Self>,
        ids: IntTensor<Self>,
        segments: FloatTensor<Self>,
        segment_ids: IntTensor<Self>,
        positions: FloatTensor<Self>,
        first: usize,
    ) -> FloatTensor<Self> {
        let tables = [words, segments, positions];
        lookup::embed_autodiff::<B, C>(tables, ids, segment_ids, first)
    }

    fn rows_in_order(table: FloatTensor<Self>, first: usize, count: usize) -> FloatTensor<Self> {
        lookup::in_order_autodiff::<B, C>(table, first, count)
    }

    fn cross_entropy(
        logits: FloatTensor<Self>,
        labels: IntTensor<Self>,
        weights: FloatTensor<Self>,
    ) -> (FloatTensor<Self>, FloatTensor<Self>) {
        let weights = weights.into_primitive();
        let (sum, totals) = cross_entropy::autodiff::<B, C>(logits, labels, weights);
        (sum, Self::from_inner(totals))
    }

    fn dropout(input: FloatTensor<Self>, probability: f64) -> FloatTensor<Self> {
        dropout::autodiff::<B, C>(input, probability)
    }

    fn dropout_mask(like: FloatTensor<Self>, shape: Shape, probability: f64) -> FloatTensor<Self> {
        Self::from_inner(B::dropout_mask(like.into_primitive(), shape, probability))
    }

    fn activate(input: FloatTensor<Self>, activation: Activation) -> FloatTensor<Self> {
        activation::autodiff::<B, C>(input, activation)
    }

    fn project_gelu(
        input: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
    ) -> FloatTensor<Self> {
        activation::project_autodiff::<B, C>(input, weight, bias)
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
        residual::autodiff::<B, C>(input, weight, bias, residual, gamma, beta, form)
    }

    fn rotate(
        input: FloatTensor<Self>,
        cos: FloatTensor<Self>,
        sin: FloatTensor<Self>,
        columns: RotaryColumns,
    ) -> FloatTensor<Self> {
        let (cos, sin) = (cos.into_primitive(), sin.into_primitive());
        rotary::autodiff::<B, C>(input, cos, sin, columns)
    }

    fn gate(input: FloatTensor<Self>, form: GateForm) -> FloatTensor<Self> {
        gate::autodiff::<B, C>(input, form)
    }

    fn gate_apart(
        gate: FloatTensor<Self>,
        other: FloatTensor<Self>,
        activation: Activation,
    ) -> FloatTensor<Self> {
        gate::apart_autodiff::<B, C>(gate, other, activation)
    }
}
