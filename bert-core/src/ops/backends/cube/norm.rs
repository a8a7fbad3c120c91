//! LayerNorm, with what comes before it at the end of both halves of a block: bias, dropout, residual.

use burn::backend::TensorMetadata;
use burn::backend::cubecl::dtype_to_storage_type;
use burn::tensor::{DType, Shape};
use burn_cubecl::tensor::CubeTensor;
use cubecl::prelude::*;

use super::groups::{groups, sums_of_groups};
use super::parts::{
    cube_for_each, dropout_numbers, empty, in_rows, keep_factor, rows_and_width, sum_of_cube,
    to_write_over, units,
};
use crate::ops::ResidualForm;

/// [`BertOps::normalize`](crate::ops::BertOps::normalize).
pub(super) fn normalize(
    input: CubeTensor,
    gamma: CubeTensor,
    beta: CubeTensor,
    epsilon: f64,
) -> CubeTensor {
    let [input, gamma, beta] = [input, gamma, beta].map(in_rows);
    let (rows, width) = rows_and_width(&input);
    let units = units(&input, width);
    let output = empty(&input, input.shape(), input.dtype);
    let dtype = dtype_to_storage_type(input.dtype);
    normalize_kernel::launch(
        &output.client,
        cube_for_each(rows),
        CubeDim::new_1d(units as u32),
        input.into_tensor_arg(),
        gamma.into_tensor_arg(),
        beta.into_tensor_arg(),
        output.clone().into_tensor_arg(),
        rows,
        width,
        epsilon as f32,
        units,
        dtype,
    );
    output
}

#[cube(launch)]
fn normalize_kernel<F: Float>(
    input: &Tensor<F>,
    gamma: &Tensor<F>,
    beta: &Tensor<F>,
    output: &mut Tensor<F>,
    rows: usize,
    width: usize,
    epsilon: f32,
    #[comptime] units: usize,
    #[define(F)] _dtype: ElemType,
) {
    let row = CUBE_POS;
    if row >= rows {
        terminate!();
    }
    let first = row * width;
    let (mean, scale) = statistics::<F>(input, first, width, epsilon, units);
    let mut column = UNIT_POS as usize;
    while column < width {
        let normal = (f32::cast_from(input[first + column]) - mean) * scale;
        let scaled = normal * f32::cast_from(gamma[column]) + f32::cast_from(beta[column]);
        output[first + column] = F::cast_from(scaled);
        column += units;
    }
}

/// Mean and inverse deviation of a row.
#[cube]
fn statistics<F: Float>(
    input: &Tensor<F>,
    first: usize,
    width: usize,
    epsilon: f32,
    #[comptime] units: usize,
) -> (f32, f32) {
    let count = f32::cast_from(width as u32);
    let mut sum = f32::new(0.0);
    let mut column = UNIT_POS as usize;
    while column < width {
        sum += f32::cast_from(input[first + column]);
        column += units;
    }
    let mean = sum_of_cube(sum, units) / count;
    let mut squares = f32::new(0.0);
    let mut column = UNIT_POS as usize;
    while column < width {
        let centred = f32::cast_from(input[first + column]) - mean;
        squares += centred * centred;
        column += units;
    }
    let variance = sum_of_cube(squares, units) / count;
    (mean, f32::new(1.0) / (variance + epsilon).sqrt())
}

/// `residual + dropout(projected + bias)`, in place of `projected`, and its LayerNorm; `seed` is read if there is dropout.
pub(super) fn drop_add_normalize(
    projected: CubeTensor,
    bias: CubeTensor,
    residual: CubeTensor,
    gamma: CubeTensor,
    beta: CubeTensor,
    seed: CubeTensor,
    form: ResidualForm,
) -> (CubeTensor, CubeTensor) {
    let sum = to_write_over(projected);
    let [bias, residual, gamma, beta] = [bias, residual, gamma, beta].map(in_rows);
    let (rows, width) = rows_and_width(&sum);
    let units = units(&sum, width);
    let (threshold, factor) = dropout_numbers(form.dropout);
    let output = empty(&sum, sum.shape(), sum.dtype);
    let dtype = dtype_to_storage_type(sum.dtype);
    drop_add_normalize_kernel::launch(
        &output.client,
        cube_for_each(rows),
        CubeDim::new_1d(units as u32),
        sum.clone().into_tensor_arg(),
        bias.into_tensor_arg(),
        residual.into_tensor_arg(),
        gamma.into_tensor_arg(),
        beta.into_tensor_arg(),
        seed.into_tensor_arg(),
        output.clone().into_tensor_arg(),
        rows,
        width,
        form.epsilon as f32,
        threshold,
        factor,
        units,
        form.dropout > 0.0,
        dtype,
    );
    (sum, output)
}

#[cube(launch)]
fn drop_add_normalize_kernel<F: Float>(
    sum: &mut Tensor<F>,
    bias: &Tensor<F>,
    residual: &Tensor<F>,
    gamma: &Tensor<F>,
    beta: &Tensor<F>,
    seed: &Tensor<f32>,
    output: &mut Tensor<F>,
    rows: usize,
    width: usize,
    epsilon: f32,
    threshold: u32,
    factor: f32,
    #[comptime] units: usize,
    #[comptime] drops: bool,
    #[define(F)] _dtype: ElemType,
) {
    let row = CUBE_POS;
    if row >= rows {
        terminate!();
    }
    let first = row * width;
    let count = f32::cast_from(width as u32);
    let mut total = f32::new(0.0);
    let mut column = UNIT_POS as usize;
    while column < width {
        let place = first + column;
        let mut value = f32::cast_from(sum[place]) + f32::cast_from(bias[column]);
        if comptime![drops] {
            value *= keep_factor(place, seed, threshold, factor);
        }
        let added = F::cast_from(value + f32::cast_from(residual[place]));
        sum[place] = added;
        total += f32::cast_from(added);
        column += units;
    }
    let mean = sum_of_cube(total, units) / count;
    let mut squares = f32::new(0.0);
    let mut column = UNIT_POS as usize;
    while column < width {
        let centred = f32::cast_from(sum[first + column]) - mean;
        squares += centred * centred;
        column += units;
    }
    let variance = sum_of_cube(squares, units) / count;
    let scale = f32::new(1.0) / (variance + epsilon).sqrt();
    let mut column = UNIT_POS as usize;
    while column < width {
        let normal = (f32::cast_from(sum[first + column]) - mean) * scale;
        let scaled = normal * f32::cast_from(gamma[column]) + f32::cast_from(beta[column]);
        output[first + column] = F::cast_from(scaled);
        column += units;
    }
}

/// Gradients of [`normalize`]: of its input, `gamma` and `beta`.
pub(super) fn normalize_backward(
    input: CubeTensor,
    gamma: CubeTensor,
    grad: CubeTensor,
    epsilon: f64,
) -> (CubeTensor, CubeTensor, CubeTensor) {
    let form = ResidualForm {
        epsilon,
        dropout: 0.0,
    };
    let seed = gamma.clone();
    let (of_input, _, [of_gamma, of_beta, _]) = backward(input, gamma, grad, seed, form, false);
    (of_input, of_gamma, of_beta)
}

/// Gradients of [`drop_add_normalize`]: of `projected`, `bias`, `residual`, `gamma` and `beta`.
pub(super) fn drop_add_normalize_backward(
    sum: CubeTensor,
    gamma: CubeTensor,
    grad: CubeTensor,
    seed: CubeTensor,
    form: ResidualForm,
) -> (CubeTensor, CubeTensor, CubeTensor, CubeTensor, CubeTensor) {
    let (of_sum, of_projected, [of_gamma, of_beta, of_bias]) =
        backward(sum, gamma, grad, seed, form, true);
    (of_projected, of_bias, of_sum, of_gamma, of_beta)
}

/// Gradients of a sum and of what went into it before dropout, and the sums over rows: of `gamma`, `beta` and, if asked for,
/// a bias.
fn backward(
    sum: CubeTensor,
    gamma: CubeTensor,
    grad: CubeTensor,
    seed: CubeTensor,
    form: ResidualForm,
    with_bias: bool,
) -> (CubeTensor, CubeTensor, [CubeTensor; 3]) {
    let drops = form.dropout > 0.0;
    let [sum, gamma, grad] = [sum, gamma, grad].map(in_rows);
    let (rows, width) = rows_and_width(&sum);
    let units = units(&sum, width);
    let groups = groups(rows);
    let (threshold, factor) = dropout_numbers(form.dropout);
    let of_sum = empty(&sum, sum.shape(), sum.dtype);
    let of_projected = match drops {
        true => empty(&sum, sum.shape(), sum.dtype),
        false => of_sum.clone(),
    };
    let parts = 2 + usize::from(with_bias);
    let partial = empty(&sum, Shape::new([groups, parts, width]), DType::F32);
    let dtype = dtype_to_storage_type(sum.dtype);
    backward_kernel::launch(
        &of_sum.client,
        cube_for_each(groups),
        CubeDim::new_1d(units as u32),
        sum.into_tensor_arg(),
        gamma.clone().into_tensor_arg(),
        grad.into_tensor_arg(),
        seed.into_tensor_arg(),
        of_sum.clone().into_tensor_arg(),
        of_projected.clone().into_tensor_arg(),
        partial.clone().into_tensor_arg(),
        rows,
        width,
        form.epsilon as f32,
        threshold,
        factor,
        groups,
        units,
        width.div_ceil(units),
        drops,
        with_bias,
        dtype,
    );
    let sums = sums_of_groups(partial, &gamma, parts);
    (of_sum, of_projected, sums)
}

#[cube(launch)]
fn backward_kernel<F: Float>(
    sum: &Tensor<F>,
    gamma: &Tensor<F>,
    grad: &Tensor<F>,
    seed: &Tensor<f32>,
    of_sum: &mut Tensor<F>,
    of_projected: &mut Tensor<F>,
    partial: &mut Tensor<f32>,
    rows: usize,
    width: usize,
    epsilon: f32,
    threshold: u32,
    factor: f32,
    groups: usize,
    #[comptime] units: usize,
    #[comptime] columns: usize,
    #[comptime] drops: bool,
    #[comptime] with_bias: bool,
    #[define(F)] _dtype: ElemType,
) {
    let group = CUBE_POS;
    if group >= groups {
        terminate!();
    }
    let count = f32::cast_from(width as u32);
    // Of the columns of this unit.
    let mut of_gamma = Array::<f32>::new(columns);
    let mut of_beta = Array::<f32>::new(columns);
    let mut of_bias = Array::<f32>::new(columns);
    #[unroll]
    for k in 0..columns {
        of_gamma[k] = f32::new(0.0);
        of_beta[k] = f32::new(0.0);
        of_bias[k] = f32::new(0.0);
    }
    let mut row = group;
    while row < rows {
        let first = row * width;
        let (mean, scale) = statistics::<F>(sum, first, width, epsilon, units);
        let mut shifts = f32::new(0.0);
        let mut alongs = f32::new(0.0);
        let mut column = UNIT_POS as usize;
        while column < width {
            let normal = (f32::cast_from(sum[first + column]) - mean) * scale;
            let scaled = f32::cast_from(grad[first + column]) * f32::cast_from(gamma[column]);
            shifts += scaled;
            alongs += scaled * normal;
            column += units;
        }
        let shift = sum_of_cube(shifts, units) / count;
        let along = sum_of_cube(alongs, units) / count;
        #[unroll]
        for k in 0..columns {
            let column = k * units + UNIT_POS as usize;
            if column < width {
                let place = first + column;
                let normal = (f32::cast_from(sum[place]) - mean) * scale;
                let incoming = f32::cast_from(grad[place]);
                let scaled = incoming * f32::cast_from(gamma[column]);
                let outgoing = (scaled - shift - normal * along) * scale;
                of_sum[place] = F::cast_from(outgoing);
                of_gamma[k] += incoming * normal;
                of_beta[k] += incoming;
                if comptime![with_bias] {
                    let mut before = outgoing;
                    if comptime![drops] {
                        before *= keep_factor(place, seed, threshold, factor);
                        of_projected[place] = F::cast_from(before);
                    }
                    of_bias[k] += before;
                }
            }
        }
        row += groups;
    }
    let parts = comptime![if with_bias { 3usize } else { 2usize }];
    let base = group * parts * width;
    #[unroll]
    for k in 0..columns {
        let column = k * units + UNIT_POS as usize;
        if column < width {
            partial[base + column] = of_gamma[k];
            partial[base + width + column] = of_beta[k];
            if comptime![with_bias] {
                partial[base + 2 * width + column] = of_bias[k];
            }
        }
    }
}
