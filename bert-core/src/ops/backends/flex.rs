//! Flex's tensors as slices.

use std::mem::MaybeUninit;

use bert_kernels::output::init_vec;
use burn::backend::flex::FlexTensor;
use burn::backend::ops::FloatTensorOps;
use burn::backend::{Flex, TensorMetadata};
use burn::tensor::{DType, Distribution, FloatDType, Shape, TensorData};

use super::host::{HostBackend, HostTensor};

impl HostBackend for Flex {}

impl HostTensor for FlexTensor {
    type Backend = Flex;

    fn is_host_f32(&self) -> bool {
        self.dtype() == DType::F32
    }

    fn into_contiguous(self) -> Self {
        self.to_contiguous()
    }

    /// `FlexTensor::zeros` and `empty` of 0.22.1 copy theirs to another place once more.
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
        let uniform = Flex::float_random(
            Shape::new([1]),
            Distribution::Uniform(0.0, 1.0),
            &self.device(),
            FloatDType::F64,
        );
        uniform.storage::<f64>()[0].to_bits()
    }

    fn as_slice(&self) -> &[f32] {
        self.storage()
    }

    fn make_mut(&mut self) -> &mut [f32] {
        self.storage_mut()
    }

    fn get_mut(&mut self) -> Option<&mut [f32]> {
        self.try_storage_mut()
    }

    fn to_integers(self) -> Vec<i64> {
        let tensor = self.to_contiguous();
        match tensor.dtype() {
            DType::I32 => tensor.storage::<i32>().iter().map(|&i| i.into()).collect(),
            _ => tensor.storage::<i64>().to_vec(),
        }
    }

    fn to_bools(self) -> Vec<bool> {
        let tensor = self.to_contiguous();
        tensor.storage::<u8>().iter().map(|&bit| bit != 0).collect()
    }
}
