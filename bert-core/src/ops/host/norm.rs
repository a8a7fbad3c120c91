//! LayerNorm and its gradients.

use burn::backend::ops::{FloatTensorOps, ModuleOps};
use burn::tensor::Shape;
use rayon::prelude::*;

use super::math::{add, sum, sum_pairs};
use super::tensor::{HostTensor, are_here, rows_and_width};
use super::{made_in_pieces, over_pieces, rows_per_piece, vectorized};
use crate::ops::norm;

/// [`BertOps::normalize`](crate::ops::BertOps::normalize).
pub(in crate::ops) fn normalize<T: HostTensor>(input: T, gamma: T, beta: T, epsilon: f64) -> T {
    let (_, width) = rows_and_width(&input);
    if !are_here([&input, &gamma, &beta]) || width == 0 {
        return T::Backend::layer_norm(input, gamma, Some(beta), epsilon);
    }
    let [input, gamma, beta] = [input, gamma, beta].map(T::dense);
    let (gamma, beta) = (gamma.floats(), beta.floats());
    let piece = rows_per_piece(width) * width;
    let inputs = input.floats();
    made_in_pieces(&input, input.shape(), piece, |at, outputs| {
        vectorized(
            #[inline(always)]
            || {
                let rows = inputs[at * piece..].chunks_exact(width);
                for (output, input) in outputs.chunks_exact_mut(width).zip(rows) {
                    output.copy_from_slice(input);
                    normalize_row(output, gamma, beta, epsilon);
                }
            },
        );
    })
}

/// [`BertOps::add_normalize`](crate::ops::BertOps::add_normalize), over `input` itself.
pub(in crate::ops) fn add_normalize<T: HostTensor>(
    input: T,
    residual: T,
    gamma: T,
    beta: T,
    epsilon: f64,
) -> T {
    let (_, width) = rows_and_width(&input);
    if !are_here([&input, &residual, &gamma, &beta]) || width == 0 {
        return normalize(T::Backend::float_add(input, residual), gamma, beta, epsilon);
    }
    let [mut input, residual, gamma, beta] = [input, residual, gamma, beta].map(T::dense);
    let (gamma, beta) = (gamma.floats(), beta.floats());
    let piece = rows_per_piece(width) * width;
    let residuals = residual.floats();
    over_pieces(input.floats_mut(), piece, |at, inputs| {
        vectorized(
            #[inline(always)]
            || {
                let rows = residuals[at * piece..].chunks_exact(width);
                for (values, residual) in inputs.chunks_exact_mut(width).zip(rows) {
                    for (value, &residual) in values.iter_mut().zip(residual) {
                        *value += residual;
                    }
                    normalize_row(values, gamma, beta, epsilon);
                }
            },
        );
    });
    input
}

/// [`BertOps::normalize_backward`](crate::ops::BertOps::normalize_backward): the gradients of the input, which take the place
/// of `grad`, and of the parameters.
pub(in crate::ops) fn normalize_backward<T: HostTensor>(
    input: T,
    gamma: T,
    grad: T,
    epsilon: f64,
) -> (T, T, T) {
    let (_, width) = rows_and_width(&input);
    if !are_here([&input, &gamma, &grad]) || width == 0 {
        return norm::backward::<T::Backend>(input, gamma, grad, epsilon);
    }
    let [input, gamma, mut grad] = [input, gamma, grad].map(T::dense);
    let gamma = gamma.floats();
    let piece = rows_per_piece(width) * width;
    let partial: Vec<(Vec<f32>, Vec<f32>)> = grad
        .floats_mut()
        .par_chunks_mut(piece)
        .zip(input.floats().par_chunks(piece))
        .map(|(grads, inputs)| {
            let (mut of_gamma, mut of_beta) = (vec![0.0; width], vec![0.0; width]);
            vectorized(
                #[inline(always)]
                || {
                    let rows = inputs.chunks_exact(width);
                    for (grad, input) in grads.chunks_exact_mut(width).zip(rows) {
                        backward_row(grad, input, gamma, epsilon, &mut of_gamma, &mut of_beta);
                    }
                },
            );
            (of_gamma, of_beta)
        })
        .collect();

    let [mut of_gamma, mut of_beta] = [(); 2].map(|()| grad.zeros_like_this(Shape::new([width])));
    for (gamma, beta) in &partial {
        add(of_gamma.floats_mut(), gamma);
        add(of_beta.floats_mut(), beta);
    }
    (grad, of_gamma, of_beta)
}

#[inline(always)]
fn normalize_row(row: &mut [f32], gamma: &[f32], beta: &[f32], epsilon: f64) {
    let (mean, inverse) = moments(row, epsilon as f32);
    for (value, (&gamma, &beta)) in row.iter_mut().zip(gamma.iter().zip(beta)) {
        *value = (*value - mean) * inverse * gamma + beta;
    }
}

#[inline(always)]
fn backward_row(
    grad: &mut [f32],
    input: &[f32],
    gamma: &[f32],
    epsilon: f64,
    of_gamma: &mut [f32],
    of_beta: &mut [f32],
) {
    let count = input.len() as f32;
    let (mean, inverse) = moments(input, epsilon as f32);
    let parameters = of_gamma.iter_mut().zip(of_beta.iter_mut());
    for ((grad, &x), ((of_gamma, of_beta), &gamma)) in
        grad.iter_mut().zip(input).zip(parameters.zip(gamma))
    {
        *of_gamma += *grad * ((x - mean) * inverse);
        *of_beta += *grad;
        *grad *= gamma;
    }
    let shift = sum(grad, |grad| grad) / count;
    let along = sum_pairs(grad, input, |grad, x| grad * ((x - mean) * inverse)) / count;
    for (grad, &x) in grad.iter_mut().zip(input) {
        *grad = inverse * (*grad - shift - (x - mean) * inverse * along);
    }
}

/// Mean and `1 / √(variance + epsilon)`; the variance from centred values, against cancellation.
#[inline(always)]
fn moments(row: &[f32], epsilon: f32) -> (f32, f32) {
    let count = row.len() as f32;
    let mean = sum(row, |x| x) / count;
    let variance = sum(row, |x| (x - mean) * (x - mean)) / count;
    (mean, 1.0 / (variance + epsilon).sqrt())
}
