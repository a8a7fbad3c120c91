//! Tensors whose elements lie in the memory of this process.

use std::mem::MaybeUninit;

use burn::backend::{BackendTypes, TensorMetadata};
use burn::tensor::Shape;

use super::HostBackend;

/// A tensor that kernels read and write as slices, if it [is f32 in this process](HostTensor::is_host_f32).
pub(in crate::ops) trait HostTensor: TensorMetadata + Sized {
    /// The backend of the tensor, which computes what the kernels do not.
    type Backend: HostBackend
        + BackendTypes<
            FloatTensorPrimitive = Self,
            IntTensorPrimitive = Self,
            BoolTensorPrimitive = Self,
            Device = Self::Device,
        >;

    /// True if the elements are f32 in the memory of this process.
    fn is_host_f32(&self) -> bool;

    /// Contiguous form of a tensor of f32 in this process: elements in row-major order, from the first on.
    ///
    /// Takes the tensor, so that a buffer that only the caller held can still be written in place.
    fn into_contiguous(self) -> Self;

    /// A tensor of f32 in this process, on the device of this one, whose elements `fill` initialises.
    fn init_like(
        &self,
        shape: Shape,
        fill: impl for<'a> FnOnce(&'a mut [MaybeUninit<f32>]) -> &'a mut [f32],
    ) -> Self;

    /// A tensor of f32 in this process, on the device of this one, with the elements of a vector, which it takes over if the
    /// backend can.
    fn with_values(&self, shape: Shape, values: Vec<f32>) -> Self;

    /// A number from the generator of its device.
    fn next_random_u64(&self) -> u64;

    /// The elements of a contiguous tensor of f32 in this process.
    fn as_slice(&self) -> &[f32];

    /// Mutable slice of a contiguous tensor of f32 in this process; copies first if the buffer is shared.
    fn make_mut(&mut self) -> &mut [f32];

    /// Mutable slice of a contiguous tensor of f32 in this process, if the buffer is unique.
    fn get_mut(&mut self) -> Option<&mut [f32]>;

    /// The elements of a tensor of integers, in row-major order.
    fn to_integers(self) -> Vec<i64>;

    /// The elements of a tensor of booleans, in row-major order.
    fn to_bools(self) -> Vec<bool>;
}

#[cfg(test)]
pub(in crate::ops) mod tests {
    use bert_kernels::output::zeroed;

    use super::*;

    /// `values` on the device of `like`.
    pub(in crate::ops) fn filled<T: HostTensor, const D: usize>(
        like: &T,
        shape: [usize; D],
        values: &[f32],
    ) -> T {
        let mut tensor = like.init_like(Shape::new(shape), zeroed);
        tensor.make_mut().copy_from_slice(values);
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
            #[cfg(feature = "ndarray")]
            mod ndarray {
                use burn::backend::ndarray::NdArrayTensor;

                $(#[test]
                fn $test() {
                    let like = NdArrayTensor::from_data(burn::tensor::TensorData::from([0.0_f32]));
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
        let mut place = std::ptr::null();
        let mut tensor = like.init_like(shape.clone(), |to| {
            let to = zeroed(to);
            to.copy_from_slice(&values);
            place = to.as_ptr();
            to
        });
        assert!(tensor.is_host_f32());
        assert_eq!(tensor.as_slice().as_ptr(), place, "taken over, not copied");
        assert_eq!((tensor.as_slice(), tensor.shape()), (&values[..], shape));
        tensor.get_mut().expect("the buffer is unique")[0] = 9.0;
        let mut other = tensor.clone();
        assert!(other.get_mut().is_none());
        other.make_mut()[1] = 8.0;
        assert_eq!(tensor.as_slice()[..2], [9.0, 2.0]);
        assert_eq!(other.as_slice()[..2], [9.0, 8.0]);
        assert!(other.get_mut().is_some(), "the copy is unique");
        let tensor = like.with_values(Shape::new([3, 2]), values.to_vec());
        assert_eq!(
            (tensor.as_slice(), tensor.shape()),
            (&values[..], Shape::new([3, 2]))
        );
        let empty = like.init_like(Shape::new([0, 4]), zeroed);
        assert!(empty.as_slice().is_empty());
    }

    for_each_backend!(slices_are_what_was_written);
}
