//! Feed-forward layers with weights in bf16.

use std::mem::MaybeUninit;

use super::activations::RoundedRows;
use super::number::rounded;
use super::tile_shape::{MATRIX_ROWS, STEP, VECTOR_ROWS, rows_per_block, rows_per_tile};
use super::weights::{Bf16Matrix, PANEL};
use super::{Sums, block, has_matrix_unit, linear_in_tiles, sum_tile};
use crate::activation::{Activation, Function, Identity, with_function};
use crate::linear::assert_feed_forward_fits;
use crate::matmul::Matrix;
use crate::output::init_vec;
use crate::parallel::for_each_row_block;
use crate::simd::vectorized;

/// `second(activation(first(input)))`, what [`linear`](super::linear) gives twice, without the rows between in f32: those of a
/// block stay in the cache of the thread that computes it.
///
/// # Shapes
///
/// - input: `[rows, depth]`
/// - first: `[depth, width]`, and its bias `[width]`
/// - second: `[width, columns]`, and its bias `[columns]`
/// - output: `[rows, columns]`
///
/// # Panics
///
/// Panics if the shapes do not fit together.
pub fn feed_forward<'a>(
    input: Matrix<'_>,
    [first, second]: [(&Bf16Matrix, &[f32]); 2],
    activation: Activation,
    output: &'a mut [MaybeUninit<f32>],
) -> &'a mut [f32] {
    let [rows, _] = input.shape();
    let tile_rows = rows_per_tile(rows, has_matrix_unit());
    feed_forward_in_tiles(tile_rows, input, [first, second], activation, output)
}

/// [`feed_forward`] in tiles of a number of rows.
#[expect(unsafe_code, reason = "the output is not cleared beforehand")]
fn feed_forward_in_tiles<'a>(
    tile_rows: usize,
    input: Matrix<'_>,
    [first, second]: [(&Bf16Matrix, &[f32]); 2],
    activation: Activation,
    output: &'a mut [MaybeUninit<f32>],
) -> &'a mut [f32] {
    let [count, depth] = input.shape();
    let [width, columns] = second.0.shape();
    let shapes = [first, second].map(|(weight, bias)| (weight.shape(), bias));
    assert_feed_forward_fits(input.shape(), shapes, output.len());
    if count < 2 * tile_rows * rayon::current_num_threads() {
        let operands = (input, first.0, first.1);
        let widened = init_vec(count * width, |to| {
            linear_in_tiles(tile_rows, operands, activation, to)
        });
        let operands = (Matrix::new(&widened, count, width), second.0, second.1);
        return linear_in_tiles(tile_rows, operands, Activation::Identity, output);
    }
    let last = (second.0, second.1, Identity);
    let tiles = rows_per_block(width.max(depth), tile_rows != VECTOR_ROWS) / tile_rows;
    for_each_row_block(columns, (tile_rows, tiles.max(1)), output, |row, part| {
        let input = input.row_range(row, part.len() / columns);
        let rounded = RoundedRows::round(input, tile_rows);
        let count = input.shape()[0];
        let widened = with_function!(activation, function => {
            widened_rows(&rounded, count, first, function)
        });
        block(&widened, last, 0, (part, columns));
    });
    // SAFETY: `block` has written every column of every row, of which the output has whole ones alone.
    unsafe { output.assume_init_mut() }
}

/// The activation of a linear layer of some rows, rounded for the next layer.
fn widened_rows(
    rows: &RoundedRows,
    count: usize,
    (weight, bias): (&Bf16Matrix, &[f32]),
    function: impl Function,
) -> RoundedRows {
    let tile_rows = rows.rows_per_tile();
    let [_, width] = weight.shape();
    let mut widened = RoundedRows::zeros([count, width], tile_rows);
    let mut sums = Sums([[0.0; PANEL]; MATRIX_ROWS]);
    for (at, bias) in bias.chunks(PANEL).enumerate() {
        let panel = weight.panel(at);
        for tile in 0..count.div_ceil(tile_rows) {
            let count = tile_rows.min(count - tile * tile_rows);
            sum_tile(rows, tile, count, panel, &mut sums);
            vectorized(
                #[inline(always)]
                || {
                    for (row, sums) in sums.0[..count].iter().enumerate() {
                        let steps = sums.chunks_exact(STEP).zip(bias.chunks(STEP));
                        for (step, (sums, bias)) in steps.enumerate() {
                            let line = widened.line_mut(tile, row, at * PANEL / STEP + step);
                            for (to, (sum, bias)) in line.0.iter_mut().zip(sums.iter().zip(bias)) {
                                *to = rounded(function.value(sum + bias));
                            }
                        }
                    }
                },
            );
        }
    }
    widened
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{ACTIVATIONS, numbers};

    #[test]
    fn a_feed_forward_layer_is_two_linear_ones() {
        // Few rows; several blocks, with parts of steps, of panels and of tiles.
        let sizes = [(3, 40, 70, 5), (300, 70, 200, 130), (1500, 64, 700, 64)];
        let sizes = if cfg!(miri) { &sizes[..1] } else { &sizes };
        let cases = sizes
            .iter()
            .flat_map(|size| ACTIVATIONS.map(|activation| (size, activation)));
        for (&(rows, depth, width, columns), activation) in cases {
            let input = numbers(rows * depth, 7);
            let input = Matrix::new(&input, rows, depth);
            let first = Bf16Matrix::round(&numbers(depth * width, 11), width);
            let second = Bf16Matrix::round(&numbers(width * columns, 11), columns);
            let biases = [numbers(width, 13), numbers(columns, 17)];
            let layers = [(&first, &biases[0][..]), (&second, &biases[1][..])];
            for tile_rows in [rows_per_tile(rows, has_matrix_unit()), VECTOR_ROWS] {
                let found = init_vec(rows * columns, |to| {
                    feed_forward_in_tiles(tile_rows, input, layers, activation, to)
                });
                let widened = init_vec(rows * width, |to| {
                    let operands = (input, layers[0].0, layers[0].1);
                    linear_in_tiles(tile_rows, operands, activation, to)
                });
                let expected = init_vec(rows * columns, |to| {
                    let widened = Matrix::new(&widened, rows, width);
                    let operands = (widened, layers[1].0, layers[1].1);
                    linear_in_tiles(tile_rows, operands, Activation::Identity, to)
                });
                assert_eq!(found, expected, "{rows} rows in tiles of {tile_rows}");
                if tile_rows == rows_per_tile(rows, has_matrix_unit()) {
                    let chosen = init_vec(rows * columns, |to| {
                        feed_forward(input, layers, activation, to)
                    });
                    assert_eq!(chosen, expected);
                }
            }
        }
    }
}
