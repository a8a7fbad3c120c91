//! Dropout and its mask, by a hash of the place of each element.

use burn::backend::TensorMetadata;
use burn::backend::cubecl::dtype_to_storage_type;
use burn::tensor::Shape;
use burn_cubecl::tensor::CubeTensor;
use cubecl::prelude::*;

use super::parts::{cube_for_each, dropout_numbers, empty, keep_factor, to_write_over, units};

/// Factors of dropout for a tensor of `shape`, of the type of `like`.
pub(super) fn mask(
    like: CubeTensor,
    seed: CubeTensor,
    shape: Shape,
    probability: f64,
) -> CubeTensor {
    let mask = empty(&like, shape, like.dtype);
    let size = mask.shape().num_elements();
    let units = units(&mask, size);
    let (threshold, factor) = dropout_numbers(probability);
    mask_kernel::launch(
        &mask.client,
        cube_for_each(size.div_ceil(units)),
        CubeDim::new_1d(units as u32),
        seed.into_tensor_arg(),
        mask.clone().into_tensor_arg(),
        size,
        threshold,
        factor,
        dtype_to_storage_type(like.dtype),
    );
    mask
}

#[cube(launch)]
fn mask_kernel<F: Float>(
    seed: &Tensor<f32>,
    mask: &mut Tensor<F>,
    size: usize,
    threshold: u32,
    factor: f32,
    #[define(F)] _dtype: ElemType,
) {
    let place = ABSOLUTE_POS;
    if place >= size {
        terminate!();
    }
    let keep = keep_factor(place, seed, threshold, factor);
    mask[place] = F::cast_from(keep);
}

/// `input` with elements dropped as `seed` chooses, in place.
pub(super) fn drop(input: CubeTensor, seed: CubeTensor, probability: f64) -> CubeTensor {
    let input = to_write_over(input);
    let size = input.shape().num_elements();
    let units = units(&input, size);
    let (threshold, factor) = dropout_numbers(probability);
    drop_kernel::launch(
        &input.client.clone(),
        cube_for_each(size.div_ceil(units)),
        CubeDim::new_1d(units as u32),
        seed.into_tensor_arg(),
        input.clone().into_tensor_arg(),
        size,
        threshold,
        factor,
        dtype_to_storage_type(input.dtype),
    );
    input
}

#[cube(launch)]
fn drop_kernel<F: Float>(
    seed: &Tensor<f32>,
    input: &mut Tensor<F>,
    size: usize,
    threshold: u32,
    factor: f32,
    #[define(F)] _dtype: ElemType,
) {
    let place = ABSOLUTE_POS;
    if place >= size {
        terminate!();
    }
    let keep = keep_factor(place, seed, threshold, factor);
    input[place] = F::cast_from(f32::cast_from(input[place]) * keep);
}
