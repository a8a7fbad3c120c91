//! Linear layers: a product, then what follows it in one pass over its rows.

use burn::backend::ops::{FloatTensorOps, ModuleOps};
use burn::tensor::Shape;
use rayon::prelude::*;

use super::gelu::exact_gelu;
use super::math::add;
use super::product::{Matrix, product};
use super::tensor::{HostTensor, are_here, rows_and_width, with_width};
use super::{over_pieces, rows_per_piece, vectorized};
use crate::ops::{BertOps, linear};

/// [`BertOps::project`](crate::ops::BertOps::project).
pub(in crate::ops) fn project<T: HostTensor>(input: T, weight: T, bias: T) -> T {
    if !are_here([&input, &weight, &bias]) {
        return T::Backend::linear(input, weight, Some(bias));
    }
    affine(input, weight, bias, false)
}

/// [`BertOps::project_gelu`](crate::ops::BertOps::project_gelu).
pub(in crate::ops) fn project_gelu<T: HostTensor>(input: T, weight: T, bias: T) -> T {
    if !are_here([&input, &weight, &bias]) {
        return T::Backend::gelu_erf(T::Backend::linear(input, weight, Some(bias)));
    }
    affine(input, weight, bias, true)
}

/// `input · weight + bias`, or exact GELU of it.
fn affine<T: HostTensor>(input: T, weight: T, bias: T, gelu: bool) -> T {
    let [input, weight, bias] = [input, weight, bias].map(T::dense);
    affine_by(&input, Matrix::of(&weight), &bias, gelu)
}

/// Like [`affine`] for dense tensors, by a matrix that may be transposed.
fn affine_by<T: HostTensor>(input: &T, weight: Matrix<'_>, bias: &T, gelu: bool) -> T {
    let bias = bias.floats();
    let mut output = product(
        Matrix::of(input),
        weight,
        input,
        with_width(input, bias.len()),
    );
    let width = bias.len().max(1);
    let piece = rows_per_piece(width) * width;
    over_pieces(output.floats_mut(), piece, |_, values| {
        add_bias(values, bias, gelu);
    });
    output
}

/// Adds `bias` to every row of `values`, and takes exact GELU of it if asked to.
pub(super) fn add_bias(values: &mut [f32], bias: &[f32], gelu: bool) {
    if gelu {
        each_with_bias(values, bias, exact_gelu);
    } else {
        each_with_bias(
            values,
            bias,
            #[inline(always)]
            |x| x,
        );
    }
}

fn each_with_bias(values: &mut [f32], bias: &[f32], activation: impl Fn(f32) -> f32) {
    vectorized(
        #[inline(always)]
        || {
            for row in values.chunks_exact_mut(bias.len().max(1)) {
                for (value, &bias) in row.iter_mut().zip(bias) {
                    *value = activation(*value + bias);
                }
            }
        },
    );
}

/// [`BertOps::project_table`](crate::ops::BertOps::project_table).
pub(in crate::ops) fn project_table<T: HostTensor>(input: T, table: T, bias: T) -> T {
    if !are_here([&input, &table, &bias]) {
        return linear::table::<T::Backend>(input, table, bias);
    }
    let [input, table, bias] = [input, table, bias].map(T::dense);
    affine_by(&input, Matrix::of(&table).transposed(), &bias, false)
}

/// [`BertOps::project_table_backward`](crate::ops::BertOps::project_table_backward).
pub(in crate::ops) fn project_table_backward<T: HostTensor>(table: T, grad: T) -> T {
    if !are_here([&table, &grad]) {
        return T::Backend::float_matmul(grad, table);
    }
    let shape = with_width(&grad, rows_and_width(&table).1);
    let [table, grad] = [table, grad].map(T::dense);
    product(Matrix::of(&grad), Matrix::of(&table), &grad, shape)
}

/// [`BertOps::project_input_backward`](crate::ops::BertOps::project_input_backward).
pub(in crate::ops) fn project_input_backward<T: HostTensor>(weight: T, grad: T) -> T {
    if !are_here([&weight, &grad]) {
        return T::Backend::linear_x_backward(weight, grad);
    }
    let [depth, _] = weight.shape().dims::<2>();
    let shape = with_width(&grad, depth);
    let [weight, grad] = [weight, grad].map(T::dense);
    let turned = Matrix::of(&weight).transposed();
    product(Matrix::of(&grad), turned, &grad, shape)
}

/// [`BertOps::project_bias_backward`](crate::ops::BertOps::project_bias_backward): sums of columns, added up piece by piece.
pub(in crate::ops) fn project_bias_backward<T: HostTensor>(grad: T) -> T {
    let (_, width) = rows_and_width(&grad);
    if !are_here([&grad]) || width == 0 {
        return T::Backend::linear_bias_backward(grad);
    }
    let grad = grad.dense();
    let of_piece = |rows: &[f32]| {
        let mut sums = vec![0.0; width];
        vectorized(
            #[inline(always)]
            || rows.chunks_exact(width).for_each(|row| add(&mut sums, row)),
        );
        sums
    };
    let piece = rows_per_piece(width) * width;
    let pieces: Vec<Vec<f32>> = grad.floats().par_chunks(piece).map(of_piece).collect();
    let mut output = grad.zeros_like_this(Shape::new([width]));
    for sums in &pieces {
        add(output.floats_mut(), sums);
    }
    output
}

/// [`BertOps::project_weight_backward`](crate::ops::BertOps::project_weight_backward).
pub(in crate::ops) fn project_weight_backward<T: HostTensor>(input: T, grad: T) -> T {
    if !are_here([&input, &grad]) {
        return T::Backend::linear_weight_backward(input, grad);
    }
    let shape = Shape::new([rows_and_width(&input).1, rows_and_width(&grad).1]);
    let [input, grad] = [input, grad].map(T::dense);
    let turned = Matrix::of(&input).transposed();
    product(turned, Matrix::of(&grad), &grad, shape)
}
