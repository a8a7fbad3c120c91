//! NdArray's tensors as slices.

use std::mem::MaybeUninit;

use bert_kernels::output::init_vec;
use burn::backend::ndarray::NdArrayTensor;
use burn::backend::ops::FloatTensorOps;
use burn::backend::{NdArray, TensorMetadata};
use burn::tensor::{DType, Distribution, FloatDType, Shape, TensorData};

use super::host::{HostBackend, HostTensor};

impl HostBackend for NdArray {}

impl HostTensor for NdArrayTensor {
    type Backend = NdArray;

    fn is_host_f32(&self) -> bool {
        matches!(self, Self::F32(_))
    }

    fn into_contiguous(self) -> Self {
        match self {
            Self::F32(storage) if !storage.view().is_standard_layout() => {
                let array = storage.view().as_standard_layout().into_owned();
                Self::from(array.into_shared())
            }
            tensor => tensor,
        }
    }

    fn init_like(
        &self,
        shape: Shape,
        fill: impl for<'a> FnOnce(&'a mut [MaybeUninit<f32>]) -> &'a mut [f32],
    ) -> Self {
        let values = init_vec(shape.num_elements(), fill);
        self.with_values(shape, values)
    }

    fn with_values(&self, shape: Shape, values: Vec<f32>) -> Self {
        Self::from_data(TensorData::new(values, shape))
    }

    fn next_random_u64(&self) -> u64 {
        let uniform = NdArray::float_random(
            Shape::new([1]),
            Distribution::Uniform(0.0, 1.0),
            &self.device(),
            FloatDType::F64,
        );
        match uniform {
            Self::F64(storage) => storage.view()[[0].as_slice()].to_bits(),
            other => unreachable!("f64 was asked for, not {:?}", other.dtype()),
        }
    }

    fn as_slice(&self) -> &[f32] {
        match self {
            Self::F32(storage) => storage.view().to_slice().expect("a contiguous tensor"),
            other => not_f32(other.dtype()),
        }
    }

    fn make_mut(&mut self) -> &mut [f32] {
        match self {
            Self::F32(storage) => {
                let array = storage.ensure_owned();
                array.as_slice_mut().expect("a contiguous tensor")
            }
            other => not_f32(other.dtype()),
        }
    }

    fn get_mut(&mut self) -> Option<&mut [f32]> {
        match self {
            Self::F32(storage) if !storage.is_unique() => None,
            tensor => Some(tensor.make_mut()),
        }
    }

    fn to_integers(self) -> Vec<i64> {
        match self {
            Self::I32(storage) => storage.view().iter().map(|&i| i.into()).collect(),
            Self::I64(storage) => storage.view().iter().copied().collect(),
            other => panic!("integers of 32 or 64 bits, not {:?}", other.dtype()),
        }
    }

    fn to_bools(self) -> Vec<bool> {
        match self {
            Self::Bool(storage) => storage.view().iter().copied().collect(),
            other => panic!("booleans, not {:?}", other.dtype()),
        }
    }
}

fn not_f32(dtype: DType) -> ! {
    panic!("a tensor of f32, not {dtype:?}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers() -> NdArrayTensor {
        NdArrayTensor::from_data(TensorData::from([[0.0_f32, 1.0, 2.0], [3.0, 4.0, 5.0]]))
    }

    #[test]
    fn slices_follow_the_rows_of_any_view() {
        let columns = NdArray::float_transpose(numbers());
        assert_eq!(
            columns.into_contiguous().as_slice(),
            [0.0, 3.0, 1.0, 4.0, 2.0, 5.0]
        );
        let last = NdArray::float_slice(numbers(), &[burn::tensor::s![1..2]]);
        assert_eq!(last.into_contiguous().as_slice(), [3.0, 4.0, 5.0]);
    }

    #[test]
    fn integers_and_booleans_come_out_in_row_major_order() {
        for (found, expected) in [
            (
                NdArrayTensor::from_data(TensorData::from([[1_i32, 2], [3, 4]])),
                4,
            ),
            (
                NdArrayTensor::from_data(TensorData::from([[1_i64, 2], [3, 4]])),
                4,
            ),
        ] {
            assert_eq!(found.to_integers(), (1..=expected).collect::<Vec<_>>());
        }
        let bools = NdArrayTensor::from_data(TensorData::from([[true, false], [false, true]]));
        assert_eq!(bools.to_bools(), [true, false, false, true]);
    }

    #[test]
    #[should_panic(expected = "a contiguous tensor")]
    fn a_view_must_be_made_contiguous() {
        let _ = NdArray::float_transpose(numbers()).as_slice();
    }

    #[test]
    #[should_panic(expected = "a tensor of f32")]
    fn integers_are_no_floats() {
        let _ = NdArrayTensor::from_data(TensorData::from([1_i64])).as_slice();
    }
}
