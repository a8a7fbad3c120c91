//! Flex's tensors as slices for the kernels of [`host`](super::host), and what Flex alone runs.

use std::mem::MaybeUninit;
use std::sync::Arc;

use burn::backend::flex::FlexTensor;
use burn::backend::ops::FloatTensorOps;
use burn::backend::{Flex, TensorMetadata};
use burn::tensor::{DType, Distribution, FloatDType, Shape, TensorData};

use super::HeldWeight;
use super::host::{HostTensor, are_here, project_panels};
use super::linear;

mod int8;

pub(super) use int8::Int8Weight;
pub(crate) use int8::instructions as int8_instructions;
use int8::project_int8;

impl HostTensor for FlexTensor {
    type Backend = Flex;

    fn is_here(&self) -> bool {
        self.dtype() == DType::F32
    }

    fn dense(self) -> Self {
        self.to_contiguous()
    }

    /// `FlexTensor::zeros` and `empty` of 0.22.1 copy theirs to another place once more.
    fn zeros_like_this(&self, shape: Shape) -> Self {
        tensor(vec![0.0; shape.num_elements()], shape)
    }

    #[expect(unsafe_code, reason = "a vector takes over what was written into it")]
    unsafe fn written_like_this(
        &self,
        shape: Shape,
        write: impl FnOnce(&mut [MaybeUninit<f32>]),
    ) -> Self {
        let size = shape.num_elements();
        let mut values = Vec::with_capacity(size);
        write(&mut values.spare_capacity_mut()[..size]);
        // SAFETY: the capacity is at least `size`, and the caller's `write` has written that many elements.
        unsafe { values.set_len(size) };
        tensor(values, shape)
    }

    fn draw(&self) -> u64 {
        let uniform = Flex::float_random(
            Shape::new([1]),
            Distribution::Uniform(0.0, 1.0),
            &self.device(),
            FloatDType::F64,
        );
        uniform.storage::<f64>()[0].to_bits()
    }

    fn floats(&self) -> &[f32] {
        self.storage()
    }

    fn floats_mut(&mut self) -> &mut [f32] {
        self.storage_mut()
    }

    fn floats_if_alone(&mut self) -> Option<&mut [f32]> {
        self.try_storage_mut()
    }

    fn indices(self) -> Vec<usize> {
        let dense = self.dense();
        match dense.dtype() {
            DType::I32 => dense.storage::<i32>().iter().map(|&i| i as usize).collect(),
            _ => dense.storage::<i64>().iter().map(|&i| i as usize).collect(),
        }
    }

    fn truths(self) -> Vec<bool> {
        let dense = self.dense();
        dense
            .storage::<u8>()
            .iter()
            .map(|&truth| truth != 0)
            .collect()
    }
}

/// [`BertOps::project_held`](super::BertOps::project_held).
pub(super) fn project_held(
    input: FlexTensor,
    bias: FlexTensor,
    weight: Arc<HeldWeight>,
    gelu: bool,
) -> FlexTensor {
    if !are_here([&input, &bias]) {
        return linear::project_data::<Flex>(input, bias, weight.floats(), gelu);
    }
    match &*weight {
        HeldWeight::Int8(weight) => project_int8(input, bias, weight, gelu),
        HeldWeight::Panels(weight) => project_panels(input, bias, weight, gelu),
    }
}

/// A tensor that takes `values` over.
fn tensor(values: Vec<f32>, shape: Shape) -> FlexTensor {
    FlexTensor::from_data(TensorData::new(values, shape))
}
