//! LayerNorm and its gradients.

use std::mem::MaybeUninit;

use rayon::prelude::*;

use crate::parallel::{for_each_chunk, par_fill_chunks, row_chunk_len};
use crate::simd::math::{add, sum, sum_pairs};
use crate::simd::vectorized;

/// LayerNorm of every row.
///
/// # Shapes
///
/// - input, output: `[rows, width]`
/// - gamma, beta: `[width]`
pub fn forward<'a>(
    input: &[f32],
    gamma: &[f32],
    beta: &[f32],
    epsilon: f64,
    output: &'a mut [MaybeUninit<f32>],
) -> &'a mut [f32] {
    let width = gamma.len();
    assert_eq!(input.len(), output.len(), "input and output have one size");
    let length = row_chunk_len(width);
    par_fill_chunks(output, length, |at, output| {
        vectorized(
            #[inline(always)]
            || {
                let rows = input[at * length..].chunks_exact(width);
                for (output, input) in output.chunks_exact_mut(width).zip(rows) {
                    output.copy_from_slice(input);
                    normalize_row(output, gamma, beta, epsilon);
                }
            },
        );
    })
}

/// LayerNorm of `values + residual`, in place of `values`.
///
/// # Shapes
///
/// - values, residual: `[rows, width]`
/// - gamma, beta: `[width]`
pub fn add_forward(
    values: &mut [f32],
    residual: &[f32],
    gamma: &[f32],
    beta: &[f32],
    epsilon: f64,
) {
    let width = gamma.len();
    assert_eq!(values.len(), residual.len(), "both summands have one size");
    let length = row_chunk_len(width);
    for_each_chunk(values, length, |at, values| {
        vectorized(
            #[inline(always)]
            || {
                let rows = residual[at * length..].chunks_exact(width);
                for (values, residual) in values.chunks_exact_mut(width).zip(rows) {
                    for (value, &residual) in values.iter_mut().zip(residual) {
                        *value += residual;
                    }
                    normalize_row(values, gamma, beta, epsilon);
                }
            },
        );
    });
}

/// Gradients of LayerNorm: that of the input in place of `grad`, and those of the parameters.
///
/// # Shapes
///
/// - input, grad: `[rows, width]`
/// - gamma, grad_gamma, grad_beta: `[width]`; the last two are overwritten
pub fn backward(
    input: &[f32],
    gamma: &[f32],
    grad: &mut [f32],
    epsilon: f64,
    grad_gamma: &mut [f32],
    grad_beta: &mut [f32],
) {
    let width = gamma.len();
    let length = row_chunk_len(width);
    let partial: Vec<(Vec<f32>, Vec<f32>)> = grad
        .par_chunks_mut(length)
        .zip(input.par_chunks(length))
        .map(|(grads, inputs)| {
            let (mut grad_gamma, mut grad_beta) = (vec![0.0; width], vec![0.0; width]);
            vectorized(
                #[inline(always)]
                || {
                    let rows = inputs.chunks_exact(width);
                    for (grad, input) in grads.chunks_exact_mut(width).zip(rows) {
                        let parameters = (&mut grad_gamma[..], &mut grad_beta[..]);
                        backward_row(grad, input, gamma, epsilon, parameters);
                    }
                },
            );
            (grad_gamma, grad_beta)
        })
        .collect();

    grad_gamma.fill(0.0);
    grad_beta.fill(0.0);
    for (gamma, beta) in &partial {
        add(grad_gamma, gamma);
        add(grad_beta, beta);
    }
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
    (grad_gamma, grad_beta): (&mut [f32], &mut [f32]),
) {
    let count = input.len() as f32;
    let (mean, inverse) = moments(input, epsilon as f32);
    let parameters = grad_gamma.iter_mut().zip(grad_beta.iter_mut());
    for ((grad, &x), ((grad_gamma, grad_beta), &gamma)) in
        grad.iter_mut().zip(input).zip(parameters.zip(gamma))
    {
        *grad_gamma += *grad * ((x - mean) * inverse);
        *grad_beta += *grad;
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::init_vec;
    use crate::testing::{assert_close, numbers, size};

    const EPSILON: f64 = 1e-6;

    /// Centred values of a row times `1 / √(variance + epsilon)`, and that factor.
    fn normalized(row: &[f64]) -> (Vec<f64>, f64) {
        let count = row.len() as f64;
        let mean = row.iter().sum::<f64>() / count;
        let variance = row.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / count;
        let inverse = 1.0 / (variance + EPSILON).sqrt();
        (row.iter().map(|x| (x - mean) * inverse).collect(), inverse)
    }

    fn wide(values: &[f32]) -> Vec<f64> {
        values.iter().map(|&x| f64::from(x)).collect()
    }

    fn reference(input: &[f64], gamma: &[f32], beta: &[f32]) -> Vec<f64> {
        let rows = input.chunks_exact(gamma.len()).flat_map(|row| {
            let scaled = normalized(row).0.into_iter().zip(gamma);
            scaled
                .zip(beta)
                .map(|((x, &gamma), &beta)| x * f64::from(gamma) + f64::from(beta))
                .collect::<Vec<_>>()
        });
        rows.collect()
    }

    #[test]
    fn layer_norm_equals_its_definition() {
        // Several chunks, and rows that fill no vector.
        for (rows, width) in [(0, 5), (2, 1), size((500, 36), (3, 36))] {
            let (input, residual) = (numbers(rows * width, 7), numbers(rows * width, 11));
            let (gamma, beta) = (numbers(width, 13), numbers(width, 17));
            let found = init_vec(input.len(), |to| {
                forward(&input, &gamma, &beta, EPSILON, to)
            });
            assert_close(&found, &reference(&wide(&input), &gamma, &beta), 2e-5);

            let sum: Vec<f64> = (input.iter().zip(&residual))
                .map(|(&a, &b)| f64::from(a) + f64::from(b))
                .collect();
            let mut found = input;
            add_forward(&mut found, &residual, &gamma, &beta, EPSILON);
            assert_close(&found, &reference(&sum, &gamma, &beta), 2e-5);
        }
        assert!(init_vec(0, |to| forward(&[], &[], &[], EPSILON, to)).is_empty());
    }

    #[test]
    fn gradients_equal_their_definition() {
        let (rows, width) = size((500, 36), (3, 36));
        let (input, grad) = (numbers(rows * width, 7), numbers(rows * width, 11));
        let gamma = numbers(width, 13);
        let (mut grad_gamma, mut grad_beta) = (vec![0.0; width], vec![0.0; width]);
        let mut grad_input = Vec::new();
        for (input, grad) in wide(&input)
            .chunks_exact(width)
            .zip(wide(&grad).chunks_exact(width))
        {
            let (centred, inverse) = normalized(input);
            let scaled: Vec<f64> = (grad.iter().zip(&gamma))
                .map(|(grad, &gamma)| grad * f64::from(gamma))
                .collect();
            let shift = scaled.iter().sum::<f64>() / width as f64;
            let along = scaled.iter().zip(&centred).map(|(g, x)| g * x).sum::<f64>();
            let along = along / width as f64;
            for at in 0..width {
                grad_gamma[at] += grad[at] * centred[at];
                grad_beta[at] += grad[at];
                grad_input.push(inverse * (scaled[at] - shift - centred[at] * along));
            }
        }
        let mut found = (grad, vec![9.0; width], vec![9.0; width]);
        backward(
            &input,
            &gamma,
            &mut found.0,
            EPSILON,
            &mut found.1,
            &mut found.2,
        );
        assert_close(&found.0, &grad_input, 2e-5);
        assert_close(&found.1, &grad_gamma, 2e-5);
        assert_close(&found.2, &grad_beta, 2e-5);
    }
}
