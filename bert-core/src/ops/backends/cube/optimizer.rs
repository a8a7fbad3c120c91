//! Updates by Adam and the norm of gradients.

use burn::backend::TensorMetadata;
use burn::backend::cubecl::dtype_to_storage_type;
use burn::tensor::Shape;
use burn_cubecl::CubeBackend;
use burn_cubecl::tensor::CubeTensor;
use cubecl::prelude::*;

use super::SQUARES;
use super::parts::{cube_for_each, empty, in_rows, sum_of_cube, to_write_over, units};
use crate::ops::{AdamOutput, AdamStep, AdamTensors};

/// Buffers of a launch besides those of parameters: one of all, and what the runtime adds.
const OTHER_BUFFERS: u32 = 3;

/// Parameters of which a launch takes as many `buffers` each: some drivers bind few at once.
fn at_once(tensor: &CubeTensor, buffers: u32) -> usize {
    let bound = tensor.client.properties().hardware.max_bindings;
    (bound.saturating_sub(OTHER_BUFFERS) / buffers).max(1) as usize
}

/// [`OptimizerOps::scaled_adam_update`](crate::ops::OptimizerOps::scaled_adam_update) of several parameters: the outputs in place
/// of the gradients, the moments in place.
pub(super) fn adam_updates<const N: usize>(
    parameters: [AdamTensors<CubeBackend>; N],
    factor: CubeTensor,
    step: AdamStep,
) -> [AdamOutput<CubeBackend>; N] {
    let parameters = parameters.map(|parameter| AdamTensors {
        value: in_rows(parameter.value),
        gradient: to_write_over(parameter.gradient),
        first: to_write_over(parameter.first),
        second: to_write_over(parameter.second),
    });
    for parameters in parameters.chunks(at_once(&factor, 4)) {
        launch_adam(parameters, &factor, step);
    }
    parameters.map(|parameter| AdamOutput {
        output: parameter.gradient,
        first: parameter.first,
        second: parameter.second,
    })
}

fn launch_adam(parameters: &[AdamTensors<CubeBackend>], factor: &CubeTensor, step: AdamStep) {
    let sizes = parameters
        .iter()
        .map(|parameter| parameter.gradient.shape().num_elements());
    let size = sizes.max().unwrap_or(0);
    let units = units(factor, size);
    let arguments = parameters.iter().map(|parameter| {
        let argument = |tensor: &CubeTensor| tensor.clone().into_tensor_arg();
        ParameterLaunch::new(
            argument(&parameter.value),
            argument(&parameter.gradient),
            argument(&parameter.first),
            argument(&parameter.second),
            parameter.gradient.shape().num_elements(),
        )
    });
    let numbers = NumbersLaunch::new(
        step.beta1 as f32,
        (1.0 - step.beta1) as f32,
        step.beta2 as f32,
        (1.0 - step.beta2) as f32,
        (1.0 / step.correction1) as f32,
        (1.0 / step.correction2.sqrt()) as f32,
        step.epsilon as f32,
        step.decay as f32,
        step.rate.unwrap_or(0.0) as f32,
    );
    adam_kernel::launch(
        &factor.client,
        cube_for_each(size.div_ceil(units)),
        CubeDim::new_1d(units as u32),
        arguments.collect(),
        factor.clone().into_tensor_arg(),
        numbers,
        step.rate.is_none(),
        dtype_to_storage_type(factor.dtype),
    );
}

/// Tensors of a parameter.
#[derive(CubeType, CubeLaunch)]
struct Parameter<F: Float> {
    value: OwnedTensor<F>,
    gradient: OwnedTensor<F>,
    first: OwnedTensor<F>,
    second: OwnedTensor<F>,
    size: usize,
}

/// Numbers of a step.
#[derive(CubeType, CubeLaunch)]
struct Numbers {
    beta1: f32,
    rest1: f32,
    beta2: f32,
    rest2: f32,
    correction1: f32,
    root_correction2: f32,
    epsilon: f32,
    decay: f32,
    rate: f32,
}

#[cube(launch)]
fn adam_kernel<F: Float>(
    parameters: &mut Sequence<Parameter<F>>,
    factor: &Tensor<F>,
    numbers: Numbers,
    #[comptime] directs: bool,
    #[define(F)] _dtype: ElemType,
) {
    let place = ABSOLUTE_POS;
    #[unroll]
    for index in 0..parameters.len() {
        let parameter = parameters.index_mut(index);
        if place < parameter.size {
            let before = f32::cast_from(parameter.value[place]);
            let slope = f32::cast_from(parameter.gradient[place]) * f32::cast_from(factor[0]);
            let first = f32::cast_from(parameter.first[place]);
            let second = f32::cast_from(parameter.second[place]);
            let mean = numbers.beta1 * first + numbers.rest1 * slope;
            let square = numbers.beta2 * second + numbers.rest2 * slope * slope;
            parameter.first[place] = F::cast_from(mean);
            parameter.second[place] = F::cast_from(square);
            let denominator = square.sqrt() * numbers.root_correction2 + numbers.epsilon;
            let direction = mean * numbers.correction1 / denominator + numbers.decay * before;
            if comptime![directs] {
                parameter.gradient[place] = F::cast_from(direction);
            } else {
                parameter.gradient[place] = F::cast_from(before - numbers.rate * direction);
            }
        }
    }
}

/// Sums of the squares of `input`, `[SQUARES]`, which add up to that of all.
pub(super) fn squares(input: CubeTensor) -> CubeTensor {
    let sums = empty(&input, Shape::new([SQUARES]), input.dtype);
    launch_squares(&sums, vec![input], SQUARES, true);
    sums
}

/// `sums` with the squares of `inputs` added, each to one of them; in place.
pub(super) fn add_squares(
    sums: CubeTensor,
    mut inputs: impl Iterator<Item = CubeTensor>,
) -> CubeTensor {
    let sums = to_write_over(sums);
    loop {
        let inputs: Vec<_> = inputs.by_ref().take(at_once(&sums, 1)).collect();
        if inputs.is_empty() {
            return sums;
        }
        let size = largest(&inputs);
        let cubes = size.div_ceil(units(&sums, size)).clamp(1, SQUARES);
        launch_squares(&sums, inputs, cubes, false);
    }
}

/// Elements of the largest of `tensors`.
fn largest(tensors: &[CubeTensor]) -> usize {
    let sizes = tensors.iter().map(|tensor| tensor.shape().num_elements());
    sizes.max().unwrap_or(0)
}

/// Adds the squares of `inputs` to the first `cubes` of `sums`, or writes them there if those are `fresh`.
fn launch_squares(sums: &CubeTensor, inputs: Vec<CubeTensor>, cubes: usize, fresh: bool) {
    let units = units(sums, largest(&inputs));
    let arguments = inputs.into_iter().map(|input| {
        let size = input.shape().num_elements();
        SummedLaunch::new(in_rows(input).into_tensor_arg(), size)
    });
    squares_kernel::launch(
        &sums.client,
        cube_for_each(cubes),
        CubeDim::new_1d(units as u32),
        arguments.collect(),
        sums.clone().into_tensor_arg(),
        cubes,
        units,
        fresh,
        dtype_to_storage_type(sums.dtype),
    );
}

/// A tensor whose squares are added up.
#[derive(CubeType, CubeLaunch)]
struct Summed<F: Float> {
    values: OwnedTensor<F>,
    size: usize,
}

#[cube(launch)]
fn squares_kernel<F: Float>(
    inputs: &Sequence<Summed<F>>,
    sums: &mut Tensor<F>,
    cubes: usize,
    #[comptime] units: usize,
    #[comptime] fresh: bool,
    #[define(F)] _dtype: ElemType,
) {
    if CUBE_POS >= cubes {
        terminate!();
    }
    let mut sum = f32::new(0.0);
    #[unroll]
    for index in 0..inputs.len() {
        let input = inputs.index(index);
        let mut of_input = f32::new(0.0);
        let mut place = CUBE_POS * units + UNIT_POS as usize;
        while place < input.size {
            let value = f32::cast_from(input.values[place]);
            of_input += value * value;
            place += cubes * units;
        }
        sum += of_input;
    }
    let total = sum_of_cube(sum, units);
    if UNIT_POS == 0 {
        if comptime![fresh] {
            sums[CUBE_POS] = F::cast_from(total);
        } else {
            sums[CUBE_POS] = F::cast_from(f32::cast_from(sums[CUBE_POS]) + total);
        }
    }
}

/// [`OptimizerOps::clipping`](crate::ops::OptimizerOps::clipping).
pub(super) fn clipping(sums: CubeTensor, maximum: f64, epsilon: f64) -> (CubeTensor, CubeTensor) {
    let sums = in_rows(sums);
    let size = sums.shape().num_elements();
    let units = units(&sums, size);
    let [norm, factor] = [(); 2].map(|()| empty(&sums, Shape::new([1]), sums.dtype));
    clipping_kernel::launch(
        &sums.client.clone(),
        cube_for_each(1),
        CubeDim::new_1d(units as u32),
        sums.clone().into_tensor_arg(),
        norm.clone().into_tensor_arg(),
        factor.clone().into_tensor_arg(),
        size,
        maximum as f32,
        epsilon as f32,
        units,
        dtype_to_storage_type(sums.dtype),
    );
    (norm, factor)
}

#[cube(launch)]
fn clipping_kernel<F: Float>(
    sums: &Tensor<F>,
    norm: &mut Tensor<F>,
    factor: &mut Tensor<F>,
    size: usize,
    maximum: f32,
    epsilon: f32,
    #[comptime] units: usize,
    #[define(F)] _dtype: ElemType,
) {
    let mut sum = f32::new(0.0);
    let mut place = UNIT_POS as usize;
    while place < size {
        sum += f32::cast_from(sums[place]);
        place += units;
    }
    let length = sum_of_cube(sum, units).sqrt();
    if UNIT_POS == 0 {
        norm[0] = F::cast_from(length);
        factor[0] = F::cast_from(min(maximum / (length + epsilon), f32::new(1.0)));
    }
}
