//! Tensors whose elements lie in the memory of this process.

use burn::backend::{BackendTypes, TensorMetadata};
use burn::tensor::Shape;

use crate::ops::BertOps;

/// A tensor that kernels read and write as slices, if [`is_here`](HostTensor::is_here) says so.
pub(in crate::ops) trait HostTensor: TensorMetadata + Sized {
    /// Whose tensor it is; its default bodies serve what is elsewhere or of another type.
    type Backend: BertOps + BackendTypes<FloatTensorPrimitive = Self, Device = Self::Device>;

    /// Whether its elements are f32 and in the memory of this process.
    fn is_here(&self) -> bool;

    /// The same with its elements in row-major order and nothing else in its buffer.
    ///
    /// Takes the tensor, so that what only the caller held can still be written in place.
    fn dense(self) -> Self;

    /// A tensor of zeros that is here, on the device of this one.
    fn zeros_like_this(&self, shape: Shape) -> Self;

    /// A number from the generator of its device.
    fn draw(&self) -> u64;

    /// The elements of a dense tensor that is here.
    fn floats(&self) -> &[f32];

    /// The same, in a copy if others hold the buffer.
    fn floats_mut(&mut self) -> &mut [f32];
}

/// Whether all are here.
pub(in crate::ops) fn are_here<T: HostTensor, const N: usize>(tensors: [&T; N]) -> bool {
    tensors.into_iter().all(T::is_here)
}

/// The size of the last dimension and of all before it together.
pub(in crate::ops) fn rows_and_width(tensor: &impl TensorMetadata) -> (usize, usize) {
    let shape = tensor.shape();
    let width = shape[shape.num_dims() - 1];
    (shape.num_elements() / width.max(1), width)
}
