//! Tensors whose elements lie in the memory of this process.

use std::mem::MaybeUninit;

use burn::backend::{BackendTypes, TensorMetadata};
use burn::tensor::Shape;

use crate::ops::BertOps;

/// A tensor that kernels read and write as slices, if [`is_here`](HostTensor::is_here) says so.
pub(in crate::ops) trait HostTensor: TensorMetadata + Sized {
    /// Whose tensor it is; its default bodies serve what is elsewhere or of another type.
    type Backend: BertOps
        + BackendTypes<
            FloatTensorPrimitive = Self,
            IntTensorPrimitive = Self,
            BoolTensorPrimitive = Self,
            Device = Self::Device,
        >;

    /// True if its elements are f32 and in the memory of this process.
    fn is_here(&self) -> bool;

    /// Contiguous form of the tensor: elements in row-major order and nothing else in its buffer.
    ///
    /// Takes the tensor, so that what only the caller held can still be written in place.
    fn dense(self) -> Self;

    /// A tensor of zeros that is here, on the device of this one.
    fn zeros_like_this(&self, shape: Shape) -> Self;

    /// A tensor that is here, on the device of this one, with the elements that `write` gives it.
    ///
    /// # Safety
    ///
    /// `write` writes every element.
    #[expect(
        unsafe_code,
        reason = "filling with zeros what is written anyway takes as long as a pass over it"
    )]
    unsafe fn written_like_this(
        &self,
        shape: Shape,
        write: impl FnOnce(&mut [MaybeUninit<f32>]),
    ) -> Self;

    /// A number from the generator of its device.
    fn draw(&self) -> u64;

    /// The elements of a dense tensor that is here.
    fn floats(&self) -> &[f32];

    /// Mutable elements of a dense tensor that is here; copies first if the buffer is shared.
    fn floats_mut(&mut self) -> &mut [f32];

    /// Mutable elements of a dense tensor that is here, if the buffer is unique.
    fn floats_if_alone(&mut self) -> Option<&mut [f32]>;

    /// The elements of a tensor of whole numbers that are not negative, in row-major order.
    fn indices(self) -> Vec<usize>;

    /// The elements of a tensor of truth values, in row-major order.
    fn truths(self) -> Vec<bool>;
}

/// True if all tensors are f32 and in the memory of this process.
pub(in crate::ops) fn are_here<T: HostTensor, const N: usize>(tensors: [&T; N]) -> bool {
    tensors.into_iter().all(T::is_here)
}

/// The size of the last dimension and of all before it together.
pub(in crate::ops) fn rows_and_width(tensor: &impl TensorMetadata) -> (usize, usize) {
    let shape = tensor.shape();
    let width = shape[shape.num_dims() - 1];
    (shape.num_elements() / width.max(1), width)
}

/// The shape of `tensor` with another last dimension.
pub(in crate::ops) fn with_width(tensor: &impl TensorMetadata, width: usize) -> Shape {
    let mut shape = tensor.shape();
    let last = shape.num_dims() - 1;
    shape[last] = width;
    shape
}

#[cfg(test)]
pub(in crate::ops) mod tests {
    use super::*;

    /// `values` on the device of `like`.
    pub(in crate::ops) fn filled<T: HostTensor, const D: usize>(
        like: &T,
        shape: [usize; D],
        values: &[f32],
    ) -> T {
        let mut tensor = like.zeros_like_this(Shape::new(shape));
        tensor.floats_mut().copy_from_slice(values);
        tensor
    }

    /// Tests that take a tensor of a backend, for each backend that is compiled in.
    macro_rules! for_each_backend {
        ($($test:ident),+) => {
            #[cfg(feature = "flex")]
            mod flex {
                use burn::backend::flex::FlexTensor;

                $(#[test]
                fn $test() {
                    let like = FlexTensor::from_data(burn::tensor::TensorData::from([0.0_f32]));
                    super::$test(&like);
                })+
            }
            #[cfg(feature = "tch")]
            mod libtorch {
                use burn::backend::libtorch::TchTensor;

                $(#[test]
                fn $test() {
                    super::$test(&TchTensor::new(tch::Tensor::from(0.0_f32)));
                })+
            }
        };
    }
    pub(in crate::ops) use for_each_backend;

    fn slices_are_what_was_written<T: HostTensor>(like: &T) {
        let shape = Shape::new([2, 3]);
        let values = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0];
        #[expect(unsafe_code, reason = "every element is written")]
        // SAFETY: the iterators are of one length, which the comparison below sees.
        let mut tensor = unsafe {
            like.written_like_this(shape.clone(), |to| {
                assert_eq!(to.len(), values.len());
                for (to, value) in to.iter_mut().zip(values) {
                    to.write(value);
                }
            })
        };
        assert!(tensor.is_here());
        assert_eq!((tensor.floats(), tensor.shape()), (&values[..], shape));
        tensor.floats_if_alone().expect("nobody else holds it")[0] = 9.0;
        let mut other = tensor.clone();
        assert!(other.floats_if_alone().is_none());
        other.floats_mut()[1] = 8.0;
        assert_eq!(tensor.floats()[..2], [9.0, 2.0]);
        assert_eq!(other.floats()[..2], [9.0, 8.0]);
        let zeros = like.zeros_like_this(Shape::new([4]));
        assert_eq!(zeros.floats(), [0.0; 4]);
    }

    for_each_backend!(slices_are_what_was_written);
}
