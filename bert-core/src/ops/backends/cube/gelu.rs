//! Exact GELU of a product with its bias.

use burn::backend::TensorMetadata;
use burn::backend::cubecl::dtype_to_storage_type;
use burn::tensor::{DType, Shape};
use burn_cubecl::tensor::CubeTensor;
use cubecl::prelude::*;

use super::groups::{groups, sums_of_groups};
use super::parts::{cube_for_each, empty, in_rows, rows_and_width, units};

/// `gelu(product + bias)`.
pub(super) fn bias_gelu(product: CubeTensor, bias: CubeTensor) -> CubeTensor {
    let [product, bias] = [product, bias].map(in_rows);
    let (rows, width) = rows_and_width(&product);
    let units = units(&product, width);
    let output = empty(&product, product.shape(), product.dtype);
    let dtype = dtype_to_storage_type(product.dtype);
    bias_gelu_kernel::launch(
        &output.client,
        cube_for_each((rows * width).div_ceil(units)),
        CubeDim::new_1d(units as u32),
        product.into_tensor_arg(),
        bias.into_tensor_arg(),
        output.clone().into_tensor_arg(),
        rows * width,
        width,
        dtype,
    );
    output
}

/// The normal distribution function.
#[cube]
fn distribution<F: Float>(x: F) -> F {
    (F::new(1.0) + (x * F::new(0.707_106_77)).erf()) * F::new(0.5)
}

/// The normal density.
#[cube]
fn density<F: Float>(x: F) -> F {
    (x * x * F::new(-0.5)).exp() * F::new(0.398_942_3)
}

#[cube(launch)]
fn bias_gelu_kernel<F: Float>(
    product: &Tensor<F>,
    bias: &Tensor<F>,
    output: &mut Tensor<F>,
    size: usize,
    width: usize,
    #[define(F)] _dtype: ElemType,
) {
    let place = ABSOLUTE_POS;
    if place >= size {
        terminate!();
    }
    let x = f32::cast_from(product[place]) + f32::cast_from(bias[place % width]);
    output[place] = F::cast_from(x * distribution::<f32>(x));
}

/// Gradients of [`bias_gelu`]: of the product and of the bias.
pub(super) fn bias_gelu_backward(
    product: CubeTensor,
    bias: CubeTensor,
    grad: CubeTensor,
) -> (CubeTensor, CubeTensor) {
    let [product, bias, grad] = [product, bias, grad].map(in_rows);
    let (rows, width) = rows_and_width(&product);
    let units = units(&product, width);
    let groups = groups(rows);
    let blocks = width.div_ceil(units);
    let of_product = empty(&product, product.shape(), product.dtype);
    let partial = empty(&product, Shape::new([groups, 1, width]), DType::F32);
    let dtype = dtype_to_storage_type(product.dtype);
    bias_gelu_backward_kernel::launch(
        &of_product.client,
        cube_for_each(groups * blocks),
        CubeDim::new_1d(units as u32),
        product.into_tensor_arg(),
        bias.clone().into_tensor_arg(),
        grad.into_tensor_arg(),
        of_product.clone().into_tensor_arg(),
        partial.clone().into_tensor_arg(),
        rows,
        width,
        groups,
        blocks,
        units,
        dtype,
    );
    let [of_bias, _, _] = sums_of_groups(partial, &bias, 1);
    (of_product, of_bias)
}

#[cube(launch)]
fn bias_gelu_backward_kernel<F: Float>(
    product: &Tensor<F>,
    bias: &Tensor<F>,
    grad: &Tensor<F>,
    of_product: &mut Tensor<F>,
    partial: &mut Tensor<f32>,
    rows: usize,
    width: usize,
    groups: usize,
    blocks: usize,
    #[comptime] units: usize,
    #[define(F)] _dtype: ElemType,
) {
    let group = CUBE_POS / blocks;
    let column = (CUBE_POS % blocks) * units + UNIT_POS as usize;
    if group >= groups || column >= width {
        terminate!();
    }
    let added = f32::cast_from(bias[column]);
    let mut sum = f32::new(0.0);
    let mut row = group;
    while row < rows {
        let place = row * width + column;
        let x = f32::cast_from(product[place]) + added;
        let slope = distribution::<f32>(x) + x * density::<f32>(x);
        let outgoing = f32::cast_from(grad[place]) * slope;
        of_product[place] = F::cast_from(outgoing);
        sum += outgoing;
        row += groups;
    }
    partial[group * width + column] = sum;
}
