//! The kernels of [`bert_kernels`] over tensors in the memory of this process: the overrides that Flex, NdArray and LibTorch
//! share.
//!
//! A function here takes the tensors of an operation, gives their elements to a kernel as slices, and makes a tensor of its
//! output. [`place`] alone decides whether the kernel runs.

use bert_kernels::output::zeroed;
use burn::backend::TensorMetadata;
use burn::tensor::Shape;

use crate::ops::{Activation, AdamStep, GradientOps, adam, linear, softmax};

mod attention;
mod dense;
mod elementwise;
mod tensor;
#[cfg(test)]
mod tests;

pub(super) use attention::{
    attention_backward, attention_with_state, packed_attention, self_attention,
};
pub(super) use dense::{
    feed_forward_packed, project, project_bias_backward, project_gelu, project_input_backward,
    project_packed, project_packed_gated, project_packed_thrice, project_table,
    project_table_backward, project_unbiased, project_weight_backward,
};
pub(super) use elementwise::{
    activate, activate_backward, adam_update, add_normalize, cross_entropy, cross_entropy_backward,
    dropout_mask, gate, gate_apart, gate_apart_backward, gate_backward, lookup, lookup_backward,
    masked_softmax, normalize, normalize_backward, rotate, rotate_backward, scale_by,
    softmax_backward, sum_of_squares,
};
pub(super) use tensor::HostTensor;

/// A backend whose tensors may be in the memory of this process.
///
/// The provided methods are what it runs where the kernels do not: the default bodies, unless it has something faster.
pub(in crate::ops) trait HostBackend: GradientOps {
    /// True if the kernels also compute those operations that the backend has kernels of its own for.
    fn prefers_host_kernels() -> bool {
        true
    }

    /// [`BertOps::project`]
    fn own_project(
        input: Self::FloatTensorPrimitive,
        weight: Self::FloatTensorPrimitive,
        bias: Self::FloatTensorPrimitive,
    ) -> Self::FloatTensorPrimitive {
        Self::linear(input, weight, Some(bias))
    }

    /// [`BertOps::project_gelu`]
    fn own_project_gelu(
        input: Self::FloatTensorPrimitive,
        weight: Self::FloatTensorPrimitive,
        bias: Self::FloatTensorPrimitive,
    ) -> Self::FloatTensorPrimitive {
        Self::activate(Self::own_project(input, weight, bias), Activation::Gelu)
    }

    /// [`BertOps::project_table`]
    fn own_project_table(
        input: Self::FloatTensorPrimitive,
        table: Self::FloatTensorPrimitive,
        bias: Self::FloatTensorPrimitive,
    ) -> Self::FloatTensorPrimitive {
        linear::table::<Self>(input, table, bias)
    }

    /// [`GradientOps::softmax_backward`]
    fn own_softmax_backward(
        probabilities: Self::FloatTensorPrimitive,
        grad: Self::FloatTensorPrimitive,
        scale: f64,
    ) -> Self::FloatTensorPrimitive {
        softmax::backward::<Self>(probabilities, grad, scale)
    }

    /// [`BertOps::add_normalize`]
    fn own_add_normalize(
        input: Self::FloatTensorPrimitive,
        residual: Self::FloatTensorPrimitive,
        gamma: Self::FloatTensorPrimitive,
        beta: Self::FloatTensorPrimitive,
        epsilon: f64,
    ) -> Self::FloatTensorPrimitive {
        Self::normalize(Self::float_add(input, residual), gamma, beta, epsilon)
    }

    /// [`OptimizerOps::adam_update`]
    fn own_adam_update(
        value: Self::FloatTensorPrimitive,
        gradient: Self::FloatTensorPrimitive,
        first: Self::FloatTensorPrimitive,
        second: Self::FloatTensorPrimitive,
        step: AdamStep,
    ) -> (
        Self::FloatTensorPrimitive,
        Self::FloatTensorPrimitive,
        Self::FloatTensorPrimitive,
    ) {
        adam::update::<Self>(value, gradient, first, second, step)
    }
}

/// The operands of an operation, by who computes it.
enum Operands<T, const N: usize> {
    /// A kernel: contiguous f32 in the memory of this process.
    Kernel([T; N]),
    /// The backend, as the operands came.
    Backend([T; N]),
}

use Operands::{Backend, Kernel};

/// Condition on which a kernel computes an operation on operands that it can read.
#[derive(Clone, Copy, PartialEq, Eq)]
enum When {
    /// In any case: the backend has nothing as fast.
    Always,
    /// If the backend [prefers it](HostBackend::prefers_host_kernels) to its own.
    Preferred,
    /// Not for this form of the operation.
    Never,
}

impl When {
    /// This, if the kernel has the form of the operation that is asked for.
    fn and(self, has_form: bool) -> Self {
        if has_form { self } else { Self::Never }
    }
}

/// Decides who computes an operation on `operands`, and makes them contiguous for a kernel.
fn place<T: HostTensor, const N: usize>(when: When, operands: [T; N]) -> Operands<T, N> {
    let wanted = match when {
        When::Always => true,
        When::Preferred => T::Backend::prefers_host_kernels(),
        When::Never => false,
    };
    if wanted && operands.iter().all(T::is_host_f32) {
        Kernel(operands.map(T::into_contiguous))
    } else {
        Backend(operands)
    }
}

/// A tensor of zeros like `like`.
fn zeros_like<T: HostTensor>(like: &T, shape: impl Into<Shape>) -> T {
    like.init_like(shape.into(), zeroed)
}

/// The size of the last dimension and of all before it together.
fn rows_and_width(tensor: &impl TensorMetadata) -> (usize, usize) {
    let shape = tensor.shape();
    let width = shape[shape.num_dims() - 1];
    (shape.num_elements() / width.max(1), width)
}

/// The size of the last dimension.
fn width(tensor: &impl TensorMetadata) -> usize {
    rows_and_width(tensor).1
}

/// The shape of `tensor` with another last dimension.
fn with_width(tensor: &impl TensorMetadata, width: usize) -> Shape {
    let mut shape = tensor.shape();
    let last = shape.num_dims() - 1;
    shape[last] = width;
    shape
}
