//! Linear layers: a product, then what follows it in one pass over its rows.

use burn::backend::flex::FlexTensor;
use burn::backend::ops::ModuleOps;
use burn::backend::{Flex, TensorMetadata};
use burn::tensor::Shape;

use super::gelu::{exact, gelu_erf};
use super::product::{Matrix, product};
use super::tensor;
use crate::ops::host::{
    HostTensor, are_here, over_pieces, rows_and_width, rows_per_piece, vectorized,
};

/// [`BertOps::project`](crate::ops::BertOps::project).
pub(in crate::ops) fn project(
    input: FlexTensor,
    weight: FlexTensor,
    bias: FlexTensor,
) -> FlexTensor {
    if !are_here([&input, &weight, &bias]) {
        return Flex::linear(input, weight, Some(bias));
    }
    affine(
        input,
        weight,
        bias,
        #[inline(always)]
        |x| x,
    )
}

/// [`BertOps::project_gelu`](crate::ops::BertOps::project_gelu).
pub(in crate::ops) fn project_gelu(
    input: FlexTensor,
    weight: FlexTensor,
    bias: FlexTensor,
) -> FlexTensor {
    if !are_here([&input, &weight, &bias]) {
        return gelu_erf(Flex::linear(input, weight, Some(bias)));
    }
    affine(input, weight, bias, exact)
}

/// `activation(input · weight + bias)`.
fn affine(
    input: FlexTensor,
    weight: FlexTensor,
    bias: FlexTensor,
    activation: impl Fn(f32) -> f32 + Sync,
) -> FlexTensor {
    let shape = with_width(&input, rows_and_width(&weight).1);
    let [input, weight, bias] = [input, weight, bias].map(HostTensor::dense);
    let mut output = product(flat(&input), flat(&weight));
    let bias = bias.storage::<f32>();
    let width = bias.len().max(1);
    over_pieces(&mut output, rows_per_piece(width) * width, |_, values| {
        vectorized(
            #[inline(always)]
            || {
                for row in values.chunks_exact_mut(width) {
                    for (value, &bias) in row.iter_mut().zip(bias) {
                        *value = activation(*value + bias);
                    }
                }
            },
        );
    });
    tensor(output, shape)
}

/// [`BertOps::project_input_backward`](crate::ops::BertOps::project_input_backward).
pub(in crate::ops) fn project_input_backward(weight: FlexTensor, grad: FlexTensor) -> FlexTensor {
    if !are_here([&weight, &grad]) {
        return Flex::linear_x_backward(weight, grad);
    }
    let [depth, _] = weight.shape().dims::<2>();
    let shape = with_width(&grad, depth);
    let [weight, grad] = [weight, grad].map(HostTensor::dense);
    tensor(product(flat(&grad), flat(&weight).transposed()), shape)
}

/// [`BertOps::project_weight_backward`](crate::ops::BertOps::project_weight_backward).
pub(in crate::ops) fn project_weight_backward(input: FlexTensor, grad: FlexTensor) -> FlexTensor {
    if !are_here([&input, &grad]) {
        return Flex::linear_weight_backward(input, grad);
    }
    let shape = Shape::new([rows_and_width(&input).1, rows_and_width(&grad).1]);
    let [input, grad] = [input, grad].map(HostTensor::dense);
    tensor(product(flat(&input).transposed(), flat(&grad)), shape)
}

/// All rows of all batches.
fn flat(tensor: &FlexTensor) -> Matrix<'_> {
    let (rows, width) = rows_and_width(tensor);
    Matrix::of_rows(tensor.storage::<f32>(), rows, width)
}

/// The shape of `tensor` with another last dimension.
pub(super) fn with_width(tensor: &FlexTensor, width: usize) -> Shape {
    let mut shape = tensor.shape();
    let last = shape.num_dims() - 1;
    shape[last] = width;
    shape
}
