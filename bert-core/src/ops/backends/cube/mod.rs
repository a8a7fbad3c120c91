//! Kernels of our own for the backends on CubeCL.
//!
//! [`CubeKernels`] has them as operations that Burn's fusion takes as they are, between those that it joins; the bodies, on
//! [`CubeBackend`], launch a kernel or two each. Kernels compute in f32 whatever their tensors hold, sum over a cube in
//! workgroup memory, so that the size of subgroups does not matter, and check their accesses.

use burn::backend::fusion::custom::TensorSpec;
use burn::backend::tensor::{BoolTensor, Device, FloatTensor, IntTensor};
use burn::backend::{Backend, backend_extension};
use burn::tensor::{DType, Distribution, FloatDType, Shape};
use burn_cubecl::CubeBackend;
use burn_cubecl::kernel::into_contiguous;

use crate::ops::adam::{AdamOutputMetadata, AdamTensorsMetadata};
use crate::ops::attention::heads::split;
use crate::ops::{
    AdamOutput, AdamStep, AdamTensors, AttentionForm, CrossEntropy, EightTensors, ResidualForm,
};

mod attention;
mod cross_entropy;
mod dropout;
mod gelu;
mod groups;
mod lookup;
mod norm;
mod ops;
mod optimizer;
mod parts;
mod sigmoid;
mod softmax;

/// Sums of squares that are added up side by side.
const SQUARES: usize = 256;

/// Numbers by which dropout chooses, `[2]`, from the generator of the device.
fn seed<B: Backend>(device: &Device<B>) -> FloatTensor<B> {
    let uniform = Distribution::Uniform(0.0, 1.0);
    B::float_random(Shape::new([2]), uniform, device, FloatDType::F32)
}

/// A tensor for kernels that take numbers of dropout and drop nothing.
fn unread<B: Backend>(device: &Device<B>) -> FloatTensor<B> {
    B::float_empty(Shape::new([2]), device, FloatDType::F32)
}

/// `[rows, 2]` of f32 for `[..., any, width]`.
fn statistics(scores: &TensorSpec) -> TensorSpec {
    let width = scores.shape[scores.shape.num_dims() - 1];
    let rows = scores.shape.num_elements() / width.max(1);
    TensorSpec::new(Shape::new([rows, 2]), DType::F32)
}

/// Shapes of an updated parameter and its moments.
fn updated(AdamTensorsMetadata { value, .. }: &AdamTensorsMetadata) -> AdamOutputMetadata {
    AdamOutputMetadata {
        output: value.clone(),
        first: value.clone(),
        second: value.clone(),
    }
}

/// `[size]` of the type of `like`.
fn flat(size: usize, like: &TensorSpec) -> TensorSpec {
    TensorSpec::new(Shape::new([size]), like.dtype)
}

/// `[batch, seq, width]` for ids, `[batch, seq]`, of rows of a table.
fn embedded(table: &TensorSpec, ids: &TensorSpec) -> TensorSpec {
    let [[_, width], [batch, seq]] = [table, ids].map(|tensor| tensor.shape.dims::<2>());
    TensorSpec::new(Shape::new([batch, seq, width]), table.dtype)
}

/// `[rows, width]` for gradients of rows, `[..., any, width]`.
fn table(rows: usize, grad: &TensorSpec) -> TensorSpec {
    let width = grad.shape[grad.shape.num_dims() - 1];
    TensorSpec::new(Shape::new([rows, width]), grad.dtype)
}

/// `[batch, heads, seq, head_size]` of `[batch, seq, heads · head_size]`.
fn shape_of_heads(shape: &Shape, heads: usize) -> Shape {
    let [batch, seq, width] = shape.dims::<3>();
    Shape::new([batch, heads, seq, width / heads])
}

/// Operations with kernels, by the functions of one name in this module's parts, which have their shapes.
#[allow(
    clippy::type_complexity,
    reason = "fusion counts the outputs of a tuple that it sees"
)]
#[backend_extension(Cube, Fusion)]
trait CubeKernels: Backend {
    #[fusion(meta = |input, _, _, _| input.clone())]
    fn normalize_rows(
        input: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        beta: FloatTensor<Self>,
        epsilon: f64,
    ) -> FloatTensor<Self>;

    #[fusion(meta = |input, gamma, _, _| (input.clone(), gamma.clone(), gamma.clone()))]
    fn normalize_rows_backward(
        input: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        grad: FloatTensor<Self>,
        epsilon: f64,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>);

    #[fusion(meta = |projected, _, _, _, _, _, _| (projected.clone(), projected.clone()))]
    fn drop_add_normalize(
        projected: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        residual: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        beta: FloatTensor<Self>,
        seed: FloatTensor<Self>,
        form: ResidualForm,
    ) -> (FloatTensor<Self>, FloatTensor<Self>);

    #[fusion(meta = |sum, gamma, _, _, _| {
        (sum.clone(), gamma.clone(), sum.clone(), gamma.clone(), gamma.clone())
    })]
    fn drop_add_normalize_backward(
        sum: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        grad: FloatTensor<Self>,
        seed: FloatTensor<Self>,
        form: ResidualForm,
    ) -> (
        FloatTensor<Self>,
        FloatTensor<Self>,
        FloatTensor<Self>,
        FloatTensor<Self>,
        FloatTensor<Self>,
    );

    #[fusion(meta = |product, _| product.clone())]
    fn bias_gelu(product: FloatTensor<Self>, bias: FloatTensor<Self>) -> FloatTensor<Self>;

    #[fusion(meta = |product, bias, _| (product.clone(), bias.clone()))]
    fn bias_gelu_backward(
        product: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        grad: FloatTensor<Self>,
    ) -> (FloatTensor<Self>, FloatTensor<Self>);

    #[fusion(meta = |scores, _, _, _| (scores.clone(), statistics(scores)))]
    fn softmax_rows(
        scores: FloatTensor<Self>,
        mask: BoolTensor<Self>,
        seed: FloatTensor<Self>,
        form: AttentionForm,
    ) -> (FloatTensor<Self>, FloatTensor<Self>);

    #[fusion(meta = |scores, _, _, _, _, _| (scores.clone(), scores.clone()))]
    fn softmax_rows_backward(
        scores: FloatTensor<Self>,
        of_kept: FloatTensor<Self>,
        mask: BoolTensor<Self>,
        statistics: FloatTensor<Self>,
        seed: FloatTensor<Self>,
        form: AttentionForm,
    ) -> (FloatTensor<Self>, FloatTensor<Self>);

    #[fusion(meta = |like, _, shape, _| TensorSpec::new(shape.clone(), like.dtype))]
    fn seeded_dropout_mask(
        like: FloatTensor<Self>,
        seed: FloatTensor<Self>,
        shape: Shape,
        probability: f64,
    ) -> FloatTensor<Self>;

    #[fusion(meta = |logits, _, _| (flat(1, logits), flat(CrossEntropy::TOTALS, logits)))]
    fn cross_entropy_rows(
        logits: FloatTensor<Self>,
        labels: IntTensor<Self>,
        weights: FloatTensor<Self>,
    ) -> (FloatTensor<Self>, FloatTensor<Self>);

    #[fusion(meta = |logits, _, _, _| logits.clone())]
    fn cross_entropy_rows_backward(
        logits: FloatTensor<Self>,
        labels: IntTensor<Self>,
        weights: FloatTensor<Self>,
        grad: FloatTensor<Self>,
    ) -> FloatTensor<Self>;

    #[fusion(meta = |input, _, _| input.clone())]
    fn drop_elements(
        input: FloatTensor<Self>,
        seed: FloatTensor<Self>,
        probability: f64,
    ) -> FloatTensor<Self>;

    #[fusion(meta = |words, ids, _, _, _, _| embedded(words, ids))]
    fn embed_rows(
        words: FloatTensor<Self>,
        ids: IntTensor<Self>,
        segments: FloatTensor<Self>,
        segment_ids: IntTensor<Self>,
        positions: FloatTensor<Self>,
        first: usize,
    ) -> FloatTensor<Self>;

    #[fusion(meta = |_, grad, rows| table(*rows, grad))]
    fn lookup_rows_backward(
        ids: IntTensor<Self>,
        grad: FloatTensor<Self>,
        rows: usize,
    ) -> FloatTensor<Self>;

    #[fusion(meta = |grad, rows, _| table(*rows, grad))]
    fn rows_in_order_backward_kernel(
        grad: FloatTensor<Self>,
        rows: usize,
        first: usize,
    ) -> FloatTensor<Self>;

    #[fusion(meta = |parameter, _, _| updated(parameter))]
    fn adam_of_one(
        #[extension_type] parameter: AdamTensors<Self>,
        factor: FloatTensor<Self>,
        step: AdamStep,
    ) -> AdamOutput<Self>;

    #[fusion(meta = |a, b, c, d, _, _| (updated(a), updated(b), updated(c), updated(d)))]
    fn adam_of_four(
        #[extension_type] a: AdamTensors<Self>,
        #[extension_type] b: AdamTensors<Self>,
        #[extension_type] c: AdamTensors<Self>,
        #[extension_type] d: AdamTensors<Self>,
        factor: FloatTensor<Self>,
        step: AdamStep,
    ) -> (
        AdamOutput<Self>,
        AdamOutput<Self>,
        AdamOutput<Self>,
        AdamOutput<Self>,
    );

    #[fusion(meta = |input| flat(SQUARES, input))]
    fn squares_kernel(input: FloatTensor<Self>) -> FloatTensor<Self>;

    #[fusion(meta = |sums, _, _| sums.clone())]
    fn add_squares_kernel(
        sums: FloatTensor<Self>,
        #[extension_type] inputs: EightTensors<Self>,
        count: usize,
    ) -> FloatTensor<Self>;

    #[fusion(meta = |sums, _, _| (flat(1, sums), flat(1, sums)))]
    fn clipping_kernel(
        sums: FloatTensor<Self>,
        maximum: f64,
        epsilon: f64,
    ) -> (FloatTensor<Self>, FloatTensor<Self>);

    /// `[batch, seq, heads · head_size]` to `[batch, heads, seq, head_size]`, in one piece: products copy it otherwise, each for
    /// itself.
    #[fusion(dtype = input, shape = shape_of_heads(input, *heads))]
    fn heads_apart(input: FloatTensor<Self>, heads: usize) -> FloatTensor<Self>;
}

impl CubeKernels for CubeBackend {
    fn normalize_rows(
        input: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        beta: FloatTensor<Self>,
        epsilon: f64,
    ) -> FloatTensor<Self> {
        norm::normalize(input, gamma, beta, epsilon)
    }

    fn normalize_rows_backward(
        input: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        grad: FloatTensor<Self>,
        epsilon: f64,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
        norm::normalize_backward(input, gamma, grad, epsilon)
    }

    fn drop_add_normalize(
        projected: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        residual: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        beta: FloatTensor<Self>,
        seed: FloatTensor<Self>,
        form: ResidualForm,
    ) -> (FloatTensor<Self>, FloatTensor<Self>) {
        norm::drop_add_normalize(projected, bias, residual, gamma, beta, seed, form)
    }

    fn drop_add_normalize_backward(
        sum: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        grad: FloatTensor<Self>,
        seed: FloatTensor<Self>,
        form: ResidualForm,
    ) -> (
        FloatTensor<Self>,
        FloatTensor<Self>,
        FloatTensor<Self>,
        FloatTensor<Self>,
        FloatTensor<Self>,
    ) {
        norm::drop_add_normalize_backward(sum, gamma, grad, seed, form)
    }

    fn bias_gelu(product: FloatTensor<Self>, bias: FloatTensor<Self>) -> FloatTensor<Self> {
        gelu::bias_gelu(product, bias)
    }

    fn bias_gelu_backward(
        product: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        grad: FloatTensor<Self>,
    ) -> (FloatTensor<Self>, FloatTensor<Self>) {
        gelu::bias_gelu_backward(product, bias, grad)
    }

    fn softmax_rows(
        scores: FloatTensor<Self>,
        mask: BoolTensor<Self>,
        seed: FloatTensor<Self>,
        form: AttentionForm,
    ) -> (FloatTensor<Self>, FloatTensor<Self>) {
        softmax::softmax(scores, mask, seed, form)
    }

    fn softmax_rows_backward(
        scores: FloatTensor<Self>,
        of_kept: FloatTensor<Self>,
        mask: BoolTensor<Self>,
        statistics: FloatTensor<Self>,
        seed: FloatTensor<Self>,
        form: AttentionForm,
    ) -> (FloatTensor<Self>, FloatTensor<Self>) {
        softmax::softmax_backward(scores, of_kept, mask, statistics, seed, form)
    }

    fn seeded_dropout_mask(
        like: FloatTensor<Self>,
        seed: FloatTensor<Self>,
        shape: Shape,
        probability: f64,
    ) -> FloatTensor<Self> {
        dropout::mask(like, seed, shape, probability)
    }

    fn cross_entropy_rows(
        logits: FloatTensor<Self>,
        labels: IntTensor<Self>,
        weights: FloatTensor<Self>,
    ) -> (FloatTensor<Self>, FloatTensor<Self>) {
        cross_entropy::cross_entropy(logits, labels, weights)
    }

    fn cross_entropy_rows_backward(
        logits: FloatTensor<Self>,
        labels: IntTensor<Self>,
        weights: FloatTensor<Self>,
        grad: FloatTensor<Self>,
    ) -> FloatTensor<Self> {
        cross_entropy::cross_entropy_backward(logits, labels, weights, grad)
    }

    fn drop_elements(
        input: FloatTensor<Self>,
        seed: FloatTensor<Self>,
        probability: f64,
    ) -> FloatTensor<Self> {
        dropout::drop(input, seed, probability)
    }

    fn embed_rows(
        words: FloatTensor<Self>,
        ids: IntTensor<Self>,
        segments: FloatTensor<Self>,
        segment_ids: IntTensor<Self>,
        positions: FloatTensor<Self>,
        first: usize,
    ) -> FloatTensor<Self> {
        lookup::embed([words, segments, positions], [ids, segment_ids], first)
    }

    fn lookup_rows_backward(
        ids: IntTensor<Self>,
        grad: FloatTensor<Self>,
        rows: usize,
    ) -> FloatTensor<Self> {
        lookup::lookup_backward(ids, grad, rows)
    }

    fn rows_in_order_backward_kernel(
        grad: FloatTensor<Self>,
        rows: usize,
        first: usize,
    ) -> FloatTensor<Self> {
        lookup::rows_in_order_backward(grad, rows, first)
    }

    fn adam_of_one(
        parameter: AdamTensors<Self>,
        factor: FloatTensor<Self>,
        step: AdamStep,
    ) -> AdamOutput<Self> {
        let [output] = optimizer::adam_updates([parameter], factor, step);
        output
    }

    fn adam_of_four(
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
        optimizer::adam_updates([a, b, c, d], factor, step).into()
    }

    fn squares_kernel(input: FloatTensor<Self>) -> FloatTensor<Self> {
        optimizer::squares(input)
    }

    fn add_squares_kernel(
        sums: FloatTensor<Self>,
        inputs: EightTensors<Self>,
        count: usize,
    ) -> FloatTensor<Self> {
        optimizer::add_squares(sums, inputs.into_array().into_iter().take(count))
    }

    fn clipping_kernel(
        sums: FloatTensor<Self>,
        maximum: f64,
        epsilon: f64,
    ) -> (FloatTensor<Self>, FloatTensor<Self>) {
        optimizer::clipping(sums, maximum, epsilon)
    }

    fn heads_apart(input: FloatTensor<Self>, heads: usize) -> FloatTensor<Self> {
        into_contiguous(split::<Self>(input, heads))
    }
}
