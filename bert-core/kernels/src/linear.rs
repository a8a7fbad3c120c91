//! Linear layers: a matrix product, then bias and activation in one pass over its rows.

use std::mem::MaybeUninit;

use rayon::prelude::*;

use crate::activation::{Activation, Function, with_function};
use crate::matmul::{Matrix, PackedMatrix, matmul};
use crate::parallel::{for_each_chunk, row_chunk_len};
use crate::simd::math::add;
use crate::simd::vectorized;

/// A weight's shape `[depth, columns]`, and the bias that is added to the product.
pub(crate) type LayerShape<'a> = ([usize; 2], &'a [f32]);

/// Checks that two layers fit to an input `[rows, depth]`, to each other, and to an output of so many elements.
///
/// # Panics
///
/// Panics unless they do.
pub(crate) fn assert_feed_forward_fits(
    [rows, depth]: [usize; 2],
    [(first, of_first), (second, of_second)]: [LayerShape<'_>; 2],
    output: usize,
) {
    let [width, columns] = second;
    assert_eq!(first, [depth, width], "the matrices fit together");
    assert_eq!(output, rows * columns, "the product fills its output");
    for (bias, columns) in [(of_first, width), (of_second, columns)] {
        assert_eq!(bias.len(), columns, "the bias has a number for each column");
    }
}

/// `activation(input · weight + bias)`.
///
/// # Shapes
///
/// - input: `[rows, depth]`
/// - weight: `[depth, columns]`
/// - bias: `[columns]`
/// - output: `[rows, columns]`
///
/// # Panics
///
/// Panics if the shapes do not fit together.
pub fn linear<'a>(
    input: Matrix<'_>,
    weight: Matrix<'_>,
    bias: &[f32],
    activation: Activation,
    output: &'a mut [MaybeUninit<f32>],
) -> &'a mut [f32] {
    let output = matmul(input, weight, output);
    for_each_chunk(output, row_chunk_len(bias.len()), |_, values| {
        add_bias(values, bias, activation);
    });
    output
}

/// [`linear`] by a packed weight, bias and activation by the thread that has computed the rows.
///
/// # Shapes
///
/// - input: `[rows, depth]`
/// - weight: `[depth, columns]`
/// - bias: `[columns]`
/// - output: `[rows, columns]`
///
/// # Panics
///
/// Panics if the shapes do not fit together.
pub fn packed_linear<'a>(
    input: &[f32],
    weight: &PackedMatrix,
    bias: &[f32],
    activation: Activation,
    output: &'a mut [MaybeUninit<f32>],
) -> &'a mut [f32] {
    weight.multiply(input, output, |values, first, width| {
        add_bias(values, &bias[first..][..width], activation);
    })
}

/// Adds `bias` to every row of `values`, and applies the activation.
fn add_bias(values: &mut [f32], bias: &[f32], activation: Activation) {
    with_function!(activation, function => vectorized(
        #[inline(always)]
        || {
            for row in values.chunks_exact_mut(bias.len().max(1)) {
                for (value, &bias) in row.iter_mut().zip(bias) {
                    *value = function.value(*value + bias);
                }
            }
        },
    ));
}

/// Gradient of the bias: the sums of the columns of `grad`, added up chunk by chunk.
///
/// # Shapes
///
/// - grad: `[rows, columns]`
/// - output: `[columns]`, which is overwritten
pub fn bias_backward(grad: &[f32], output: &mut [f32]) {
    let width = output.len();
    output.fill(0.0);
    let chunk_sums = |rows: &[f32]| {
        let mut sums = vec![0.0; width];
        vectorized(
            #[inline(always)]
            || rows.chunks_exact(width).for_each(|row| add(&mut sums, row)),
        );
        sums
    };
    let chunks = grad.par_chunks(row_chunk_len(width));
    let chunks: Vec<Vec<f32>> = chunks.map(chunk_sums).collect();
    for sums in &chunks {
        add(output, sums);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::init_vec;
    use crate::testing::{self, assert_close, numbers};

    fn reference(input: &[f32], weight: &[f32], bias: &[f32], activation: Activation) -> Vec<f64> {
        let columns = bias.len();
        let depth = weight.len() / columns;
        let products = testing::matmul(input, weight, columns, depth);
        let with_bias = products.iter().enumerate().map(|(at, product)| {
            let x = product + f64::from(bias[at % columns]);
            testing::activation(activation, x).0
        });
        with_bias.collect()
    }

    #[test]
    #[cfg_attr(miri, ignore = "intrinsics")]
    fn linear_layers_equal_their_definition() {
        // Few rows with and without a panel of their own, many, and several chunks.
        for (rows, depth, columns) in [(3, 24, 64), (3, 24, 40), (140, 24, 40), (70, 80, 500)] {
            let input = numbers(rows * depth, 7);
            let weight = numbers(depth * columns, 11);
            let bias = numbers(columns, 13);
            for activation in testing::ACTIVATIONS {
                let expected = reference(&input, &weight, &bias, activation);
                let (left, right) = (
                    Matrix::new(&input, rows, depth),
                    Matrix::new(&weight, depth, columns),
                );
                let found = init_vec(rows * columns, |to| {
                    linear(left, right, &bias, activation, to)
                });
                assert_close(&found, &expected, 1e-5);
            }
        }
    }

    #[test]
    fn linear_layers_by_packed_weights_equal_their_definition() {
        // On one thread, by columns and by rows, with and without part of a panel, and deeper than a K-block.
        let sizes = [
            (1, 5, 7),
            (3, 900, 64),
            (10, 560, 400),
            (60, 280, 130),
            (302, 96, 80),
        ];
        let sizes = if cfg!(miri) { &sizes[..1] } else { &sizes };
        for &(rows, depth, columns) in sizes {
            let input = numbers(rows * depth, 7);
            let weight: Vec<f32> = (numbers(depth * columns, 11).iter())
                .map(|value| value / depth as f32)
                .collect();
            let bias = numbers(columns, 13);
            let packed = PackedMatrix::pack(&weight, columns);
            assert_eq!(packed.shape(), [depth, columns]);
            assert_eq!(packed.unpack(), weight);
            for activation in testing::ACTIVATIONS {
                let found = init_vec(rows * columns, |to| {
                    packed_linear(&input, &packed, &bias, activation, to)
                });
                let expected = reference(&input, &weight, &bias, activation);
                assert_close(&found, &expected, 2e-6);
            }
        }
        let packed = PackedMatrix::pack(&[1.0, 2.0, 3.0, 4.0], 2);
        let none = init_vec(0, |to| {
            packed_linear(&[], &packed, &[0.0; 2], Activation::Gelu, to)
        });
        assert!(none.is_empty());
        let packed = PackedMatrix::pack(&[], 0);
        let none = init_vec(0, |to| {
            packed_linear(&[], &packed, &[], Activation::Identity, to)
        });
        assert!(none.is_empty());
    }

    #[test]
    fn the_gradient_of_the_bias_sums_columns() {
        for (rows, columns) in [(0, 3), (1, 1), testing::size((700, 50), (7, 5))] {
            let grad = numbers(rows * columns, 7);
            let mut found = vec![9.0; columns];
            bias_backward(&grad, &mut found);
            let column = |at: usize| grad.iter().skip(at).step_by(columns);
            let sums = (0..columns).map(|at| column(at).map(|&x| f64::from(x)).sum());
            assert_close(&found, &sums.collect::<Vec<_>>(), 1e-5);
        }
        bias_backward(&[], &mut []);
    }
}
