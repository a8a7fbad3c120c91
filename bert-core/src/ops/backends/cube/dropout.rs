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
    launch(mask, seed, probability, false)
}

/// `input` with elements dropped as `seed` chooses, in place.
pub(super) fn drop(input: CubeTensor, seed: CubeTensor, probability: f64) -> CubeTensor {
    launch(to_write_over(input), seed, probability, true)
}

/// The factors in `output`, or with `multiplies` their products with what is there.
fn launch(output: CubeTensor, seed: CubeTensor, probability: f64, multiplies: bool) -> CubeTensor {
    let size = output.shape().num_elements();
    let units = units(&output, size);
    let (threshold, factor) = dropout_numbers(probability);
    dropout_kernel::launch(
        &output.client.clone(),
        cube_for_each(size.div_ceil(units)),
        CubeDim::new_1d(units as u32),
        seed.into_tensor_arg(),
        output.clone().into_tensor_arg(),
        size,
        threshold,
        factor,
        multiplies,
        dtype_to_storage_type(output.dtype),
    );
    output
}

#[cube(launch)]
fn dropout_kernel<F: Float>(
    seed: &Tensor<f32>,
    output: &mut Tensor<F>,
    size: usize,
    threshold: u32,
    factor: f32,
    #[comptime] multiplies: bool,
    #[define(F)] _dtype: ElemType,
) {
    let place = ABSOLUTE_POS;
    if place >= size {
        terminate!();
    }
    let keep = keep_factor(place, seed, threshold, factor);
    if comptime![multiplies] {
        output[place] = F::cast_from(f32::cast_from(output[place]) * keep);
    } else {
        output[place] = F::cast_from(keep);
    }
}
