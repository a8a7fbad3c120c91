//! Operations of the optimizer: updates by Adam, the norm of gradients and its clipping.

use burn::backend::tensor::FloatTensor;
use burn::backend::{Backend, Dispatch, backend_extension};
use burn::tensor::Tensor;

use super::tensors::dispatch;
use super::{AdamStep, adam, scale};

/// Operations on flat parameters, gradients and moments; they have no gradients of their own.
#[backend_extension(
    Autodiff,
    Flex: cfg(feature = "flex"),
    NdArray: cfg(feature = "ndarray"),
    LibTorch: cfg(feature = "tch"),
    Cube: cfg(any(feature = "wgpu", feature = "cuda", feature = "rocm", feature = "cpu")),
    Remote: cfg(feature = "remote")
)]
pub trait OptimizerOps: Backend {
    /// The new value after a step of Adam, or without a rate its direction; then the new means of the gradient and of its
    /// square. All are flat and of one size.
    fn adam_update(
        value: FloatTensor<Self>,
        gradient: FloatTensor<Self>,
        first: FloatTensor<Self>,
        second: FloatTensor<Self>,
        step: AdamStep,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
        adam::update::<Self>(value, gradient, first, second, step)
    }

    /// The sum of the squares of all elements, `[1]`.
    fn sum_of_squares(input: FloatTensor<Self>) -> FloatTensor<Self> {
        scale::sum_of_squares::<Self>(input)
    }

    /// A flat `input` multiplied by `factor`, `[1]`.
    fn scale_by(input: FloatTensor<Self>, factor: FloatTensor<Self>) -> FloatTensor<Self> {
        Self::float_mul(input, factor)
    }
}

/// The new value after a step of Adam, or without a rate its direction; then the new means of the gradient and of its square.
///
/// # Shapes
///
/// - all: `[size]`
pub(crate) fn adam_update(
    value: Tensor<1>,
    gradient: Tensor<1>,
    first: Tensor<1>,
    second: Tensor<1>,
    step: AdamStep,
) -> [Tensor<1>; 3] {
    let tensors = [value, gradient, first, second].map(Tensor::into_dispatch);
    let [value, gradient, first, second] = tensors;
    let (output, first, second) = Dispatch::adam_update(value, gradient, first, second, step);
    [output, first, second].map(Tensor::from_dispatch)
}

/// The sum of the squares of all elements.
///
/// # Shapes
///
/// - input: `[size]`
/// - output: `[1]`
pub(crate) fn sum_of_squares(input: Tensor<1>) -> Tensor<1> {
    dispatch!(OptimizerOps::sum_of_squares(input))
}

/// `input · factor`, without a number leaving the device.
///
/// # Shapes
///
/// - input, output: `[size]`
/// - factor: `[1]`
pub(crate) fn scale_by(input: Tensor<1>, factor: Tensor<1>) -> Tensor<1> {
    dispatch!(OptimizerOps::scale_by(input, factor))
}
