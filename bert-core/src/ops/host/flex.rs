//! Tensors of the Flex backend as slices.

use burn::backend::TensorMetadata;
use burn::backend::flex::FlexTensor;
use burn::tensor::{DType, Shape, TensorData};
use rayon::prelude::*;

use super::{PIECE, vectorized};

/// `tensor` with its elements in row-major order and nothing else in its buffer.
///
/// Takes the tensor, so that what only the caller held can still be written in place.
pub(super) fn dense(tensor: FlexTensor) -> FlexTensor {
    tensor.to_contiguous()
}

/// Whether all are f32, which is what the kernels are written for.
pub(super) fn are_f32<const N: usize>(tensors: [&FlexTensor; N]) -> bool {
    tensors.iter().all(|tensor| tensor.dtype() == DType::F32)
}

/// A tensor that takes `values` over.
pub(super) fn tensor(values: Vec<f32>, shape: Shape) -> FlexTensor {
    FlexTensor::from_data(TensorData::new(values, shape))
}

/// A tensor of zeros. `FlexTensor::zeros` and `empty` of 0.22.1 copy theirs to another place once more.
pub(super) fn zeros(shape: Shape) -> FlexTensor {
    tensor(vec![0.0; shape.num_elements()], shape)
}

/// The size of the last dimension and of all before it together.
pub(super) fn rows_and_width(tensor: &FlexTensor) -> (usize, usize) {
    let shape = tensor.shape();
    let width = shape[shape.num_dims() - 1];
    (shape.num_elements() / width.max(1), width)
}

/// `function` of every element, written over `input` where nobody else holds it.
pub(super) fn map(input: FlexTensor, function: impl Fn(f32) -> f32 + Sync) -> FlexTensor {
    let mut input = dense(input);
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
