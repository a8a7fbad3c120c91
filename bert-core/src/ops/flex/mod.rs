//! What Flex runs in place of the default bodies, besides the kernels of [`host`](super::host).

use burn::backend::flex::FlexTensor;
use burn::backend::ops::FloatTensorOps;
use burn::backend::{Flex, TensorMetadata};
use burn::tensor::{DType, Distribution, FloatDType, Shape, TensorData};
use rayon::prelude::*;

use super::host::{HostTensor, PIECE, vectorized};

mod attention;
mod cross_entropy;
mod few_rows;
mod gelu;
mod int8;
mod panels;
mod product;
mod project;
mod softmax;
mod spread;
mod tile;

pub(super) use attention::{packed_attention, self_attention};
pub(super) use cross_entropy::{cross_entropy, cross_entropy_backward};
pub(super) use gelu::{gelu_erf, gelu_erf_backward};
pub use int8::Int8Weight;
pub(crate) use int8::is_fast as int8_is_fast;
pub(super) use int8::project_int8;
pub(super) use project::{project, project_gelu, project_input_backward, project_weight_backward};
pub(super) use softmax::{masked_softmax, softmax_backward};

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
        zeros(shape)
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
}

/// A tensor that takes `values` over.
pub(super) fn tensor(values: Vec<f32>, shape: Shape) -> FlexTensor {
    FlexTensor::from_data(TensorData::new(values, shape))
}

/// A tensor of zeros.
pub(super) fn zeros(shape: Shape) -> FlexTensor {
    tensor(vec![0.0; shape.num_elements()], shape)
}

/// `function` of every element, written over `input` where nobody else holds it.
pub(super) fn map(input: FlexTensor, function: impl Fn(f32) -> f32 + Sync) -> FlexTensor {
    let mut input = input.dense();
    if let Some(values) = input.try_storage_mut::<f32>() {
        values.par_chunks_mut(PIECE).for_each(|piece| {
            vectorized(
                #[inline(always)]
                || {
                    for value in piece {
                        *value = function(*value);
                    }
                },
            );
        });
        return input;
    }
    let mut output = zeros(input.shape());
    output
        .storage_mut::<f32>()
        .par_chunks_mut(PIECE)
        .zip(input.storage::<f32>().par_chunks(PIECE))
        .for_each(|(to, from)| {
            vectorized(
                #[inline(always)]
                || {
                    for (to, &from) in to.iter_mut().zip(from) {
                        *to = function(from);
                    }
                },
            );
        });
    output
}
