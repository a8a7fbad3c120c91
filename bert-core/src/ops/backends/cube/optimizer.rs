//! Updates by Adam and the norm of gradients.

use burn::backend::TensorMetadata;
use burn::backend::cubecl::dtype_to_storage_type;
use burn_cubecl::tensor::CubeTensor;
use cubecl::prelude::*;

use super::parts::{cube_for_each, in_rows, sum_of_cube, to_write_over, units};
use crate::ops::AdamStep;

/// [`OptimizerOps::adam_update`](crate::ops::OptimizerOps::adam_update): the output in place of the gradient, the moments in
/// place.
pub(super) fn adam_update(
    value: CubeTensor,
    gradient: CubeTensor,
    first: CubeTensor,
    second: CubeTensor,
    factor: CubeTensor,
    step: AdamStep,
) -> (CubeTensor, CubeTensor, CubeTensor) {
    let [output, first, second] = [gradient, first, second].map(to_write_over);
    let value = in_rows(value);
    let size = output.shape().num_elements();
    let units = units(&output, size);
    adam_kernel::launch(
        &output.client.clone(),
        cube_for_each(size.div_ceil(units)),
        CubeDim::new_1d(units as u32),
        value.into_tensor_arg(),
        output.clone().into_tensor_arg(),
        first.clone().into_tensor_arg(),
        second.clone().into_tensor_arg(),
        factor.into_tensor_arg(),
        size,
        step.beta1 as f32,
        (1.0 - step.beta1) as f32,
        step.beta2 as f32,
        (1.0 - step.beta2) as f32,
        (1.0 / step.correction1) as f32,
        (1.0 / step.correction2.sqrt()) as f32,
        step.epsilon as f32,
        step.decay as f32,
        step.rate.unwrap_or(0.0) as f32,
        step.rate.is_none(),
        dtype_to_storage_type(output.dtype),
    );
    (output, first, second)
}

#[cube(launch)]
fn adam_kernel<F: Float>(
    value: &Tensor<F>,
    gradient: &mut Tensor<F>,
    first: &mut Tensor<F>,
    second: &mut Tensor<F>,
    factor: &Tensor<F>,
    size: usize,
    beta1: f32,
    rest1: f32,
    beta2: f32,
    rest2: f32,
    correction1: f32,
    root_correction2: f32,
    epsilon: f32,
    decay: f32,
    rate: f32,
    #[comptime] directs: bool,
    #[define(F)] _dtype: ElemType,
) {
    let place = ABSOLUTE_POS;
    if place >= size {
        terminate!();
    }
    let before = f32::cast_from(value[place]);
    let slope = f32::cast_from(gradient[place]) * f32::cast_from(factor[0]);
    let mean = beta1 * f32::cast_from(first[place]) + rest1 * slope;
    let square = beta2 * f32::cast_from(second[place]) + rest2 * slope * slope;
    first[place] = F::cast_from(mean);
    second[place] = F::cast_from(square);
    let denominator = square.sqrt() * root_correction2 + epsilon;
    let direction = mean * correction1 / denominator + decay * before;
    if comptime![directs] {
        gradient[place] = F::cast_from(direction);
    } else {
        gradient[place] = F::cast_from(before - rate * direction);
    }
}

/// `sums` with the squares of `input` added, each to one of them; in place.
pub(super) fn add_squares(sums: CubeTensor, input: CubeTensor) -> CubeTensor {
    let sums = to_write_over(sums);
    let input = in_rows(input);
    let size = input.shape().num_elements();
    let units = units(&input, size);
    let cubes = size.div_ceil(units).clamp(1, sums.shape().num_elements());
    add_squares_kernel::launch(
        &sums.client.clone(),
        cube_for_each(cubes),
        CubeDim::new_1d(units as u32),
        input.clone().into_tensor_arg(),
        sums.clone().into_tensor_arg(),
        size,
        cubes,
        units,
        dtype_to_storage_type(input.dtype),
    );
    sums
}

/// [`add_squares`] of four tensors.
pub(super) fn add_squares_of_four(sums: CubeTensor, inputs: [CubeTensor; 4]) -> CubeTensor {
    let sums = to_write_over(sums);
    let inputs = inputs.map(in_rows);
    let sizes = inputs.each_ref().map(|input| input.shape().num_elements());
    let size = sizes.into_iter().max().unwrap_or(0);
    let units = units(&sums, size);
    let cubes = size.div_ceil(units).clamp(1, sums.shape().num_elements());
    let dtype = dtype_to_storage_type(sums.dtype);
    let [first, second, third, fourth] = inputs.map(CubeTensor::into_tensor_arg);
    add_squares_of_four_kernel::launch(
        &sums.client.clone(),
        cube_for_each(cubes),
        CubeDim::new_1d(units as u32),
        first,
        second,
        third,
        fourth,
        sums.clone().into_tensor_arg(),
        sizes[0],
        sizes[1],
        sizes[2],
        sizes[3],
        cubes,
        units,
        dtype,
    );
    sums
}

/// The squares of the elements that a unit has of a tensor.
#[cube]
fn squares<F: Float>(
    input: &Tensor<F>,
    size: usize,
    cubes: usize,
    #[comptime] units: usize,
) -> f32 {
    let mut sum = f32::new(0.0);
    let mut place = CUBE_POS * units + UNIT_POS as usize;
    while place < size {
        let value = f32::cast_from(input[place]);
        sum += value * value;
        place += cubes * units;
    }
    sum
}

#[cube(launch)]
fn add_squares_of_four_kernel<F: Float>(
    first: &Tensor<F>,
    second: &Tensor<F>,
    third: &Tensor<F>,
    fourth: &Tensor<F>,
    sums: &mut Tensor<F>,
    size_of_first: usize,
    size_of_second: usize,
    size_of_third: usize,
    size_of_fourth: usize,
    cubes: usize,
    #[comptime] units: usize,
    #[define(F)] _dtype: ElemType,
) {
    if CUBE_POS >= cubes {
        terminate!();
    }
    let sum = squares::<F>(first, size_of_first, cubes, units)
        + squares::<F>(second, size_of_second, cubes, units)
        + squares::<F>(third, size_of_third, cubes, units)
        + squares::<F>(fourth, size_of_fourth, cubes, units);
    let total = sum_of_cube(sum, units);
    if UNIT_POS == 0 {
        sums[CUBE_POS] = F::cast_from(f32::cast_from(sums[CUBE_POS]) + total);
    }
}

#[cube(launch)]
fn add_squares_kernel<F: Float>(
    input: &Tensor<F>,
    sums: &mut Tensor<F>,
    size: usize,
    cubes: usize,
    #[comptime] units: usize,
    #[define(F)] _dtype: ElemType,
) {
    if CUBE_POS >= cubes {
        terminate!();
    }
    let total = sum_of_cube(squares::<F>(input, size, cubes, units), units);
    if UNIT_POS == 0 {
        sums[CUBE_POS] = F::cast_from(f32::cast_from(sums[CUBE_POS]) + total);
    }
}
