//! Linear layers with weights in bf16, the upper 16 bits of a float: rows are rounded as they come, and their products with the
//! weights summed up in f32.
//!
//! Products of two such numbers are exact in f32, so only the order of a sum depends on the instructions: matrix unit (AMX),
//! AVX-512 BF16 and plain loops agree to a few units in the last place of the largest partial sum. On one processor a row's sums
//! are the same in every batch. The first two take numbers below the smallest normal one (1.2e-38) for 0.

use std::mem::MaybeUninit;

use activations::RoundedRows;
use tile_shape::{MATRIX_ROWS, VECTOR_ROWS, rows_per_block, rows_per_tile};
use weights::{Block, PANEL};

use crate::activation::{Activation, Function, with_function};
use crate::matmul::Matrix;
use crate::output::OutputSlot;
use crate::parallel::{for_each_row_block, par_fill_columns};
use crate::simd::vectorized;

pub use feed_forward::feed_forward;
pub use weights::Bf16Matrix;

mod activations;
#[cfg(all(target_arch = "x86_64", target_os = "linux"))]
mod amx;
#[cfg(target_arch = "x86_64")]
mod avx512;
mod feed_forward;
mod number;
mod portable;
mod tile_shape;
mod weights;

/// Multiplications from which a product is worth spreading over threads.
const MIN_PARALLEL: usize = 1 << 20;

/// Sums of a tile of rows with a panel.
#[repr(align(64))]
struct Sums([[f32; PANEL]; MATRIX_ROWS]);

/// The instructions of this processor that multiply bf16 faster than floats; `None` if it has none.
pub fn instructions() -> Option<&'static str> {
    #[cfg(all(target_arch = "x86_64", target_os = "linux"))]
    if amx::is_available() {
        return Some("AMX");
    }
    #[cfg(target_arch = "x86_64")]
    if avx512::is_available() {
        return Some("AVX-512 BF16");
    }
    None
}

/// `activation(input · weight + bias)`, the rows of `input` rounded to bf16, sums and all that follows them in f32.
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
    weight: &Bf16Matrix,
    bias: &[f32],
    activation: Activation,
    output: &'a mut [MaybeUninit<f32>],
) -> &'a mut [f32] {
    let [rows, _] = input.shape();
    let tile_rows = rows_per_tile(rows, has_matrix_unit());
    linear_in_tiles(tile_rows, (input, weight, bias), activation, output)
}

/// `left · right`, both rounded to bf16, sums in f32.
///
/// # Shapes
///
/// - left: `[rows, depth]`
/// - right: `[depth, columns]`
/// - output: `[rows, columns]`
///
/// # Panics
///
/// Panics if the shapes do not fit together.
pub fn matmul<'a>(
    left: Matrix<'_>,
    right: Matrix<'_>,
    output: &'a mut [MaybeUninit<f32>],
) -> &'a mut [f32] {
    let [_, columns] = right.shape();
    let bias = vec![0.0; columns];
    affine(left, right, &bias, Activation::Identity, output)
}

/// `activation(left · right + bias)`, the product being that of [`matmul`].
///
/// # Shapes
///
/// - left: `[rows, depth]`
/// - right: `[depth, columns]`
/// - bias: `[columns]`
/// - output: `[rows, columns]`
///
/// # Panics
///
/// Panics if the shapes do not fit together.
pub fn affine<'a>(
    left: Matrix<'_>,
    right: Matrix<'_>,
    bias: &[f32],
    activation: Activation,
    output: &'a mut [MaybeUninit<f32>],
) -> &'a mut [f32] {
    linear(
        left,
        &Bf16Matrix::round_matrix(right),
        bias,
        activation,
        output,
    )
}

/// [`linear`] in tiles of a number of rows.
fn linear_in_tiles<'a>(
    tile_rows: usize,
    operands: (Matrix<'_>, &Bf16Matrix, &[f32]),
    activation: Activation,
    output: &'a mut [MaybeUninit<f32>],
) -> &'a mut [f32] {
    with_function!(activation, function => product(tile_rows, operands, function, output))
}

#[expect(unsafe_code, reason = "the output is not cleared beforehand")]
fn product<'a>(
    tile_rows: usize,
    (input, weight, bias): (Matrix<'_>, &Bf16Matrix, &[f32]),
    activation: impl Function,
    output: &'a mut [MaybeUninit<f32>],
) -> &'a mut [f32] {
    let [depth, columns] = weight.shape();
    let [count, _] = input.shape();
    assert_eq!(
        output.len(),
        count * columns,
        "the product fills its output"
    );
    assert_eq!(input.shape(), [count, depth], "the matrices fit together");
    assert_eq!(bias.len(), columns, "the bias has a number for each column");
    let layer = (weight, bias, activation);
    if count * columns * depth < MIN_PARALLEL {
        let rows = RoundedRows::round(input, tile_rows);
        block(&rows, layer, 0, (output, columns));
    } else if count < 2 * tile_rows * rayon::current_num_threads() {
        // Few rows have not enough tiles for all threads.
        let rows = RoundedRows::par_round(input, tile_rows);
        return par_fill_columns(columns, PANEL, output, |first, width, part| {
            block(&rows, layer, first / PANEL, (part, width));
        });
    } else {
        let rows = rows_per_block(depth, tile_rows != VECTOR_ROWS);
        let tiles = (tile_rows, rows / tile_rows);
        for_each_row_block(columns, tiles, output, |first, part| {
            // By the thread that multiplies them, in whose cache they stay.
            let input = input.row_range(first, part.len() / columns);
            let rows = RoundedRows::round(input, tile_rows);
            block(&rows, layer, 0, (part, columns));
        });
    }
    // SAFETY: `block` has written every column of every row, of which the output has whole ones alone.
    unsafe { output.assume_init_mut() }
}

/// Writes all rows, each `width` columns from a panel on.
fn block(
    rows: &RoundedRows,
    (weight, bias, activation): (&Bf16Matrix, &[f32], impl Function),
    first_panel: usize,
    (output, width): (&mut [impl OutputSlot], usize),
) {
    let tile_rows = rows.rows_per_tile();
    let mut sums = Sums([[0.0; PANEL]; MATRIX_ROWS]);
    for at in (0..width).step_by(PANEL) {
        let columns = PANEL.min(width - at);
        let panel = weight.panel(first_panel + at / PANEL);
        let bias = &bias[first_panel * PANEL + at..][..columns];
        for (tile, to) in output.chunks_mut(tile_rows * width).enumerate() {
            let count = to.len() / width;
            sum_tile(rows, tile, count, panel, &mut sums);
            vectorized(
                #[inline(always)]
                || {
                    for (to, sums) in to.chunks_exact_mut(width).zip(&sums.0) {
                        // Without an index, which would be checked: a loop that may end early has its last vectors one by one.
                        let places = to[at..][..columns].iter_mut();
                        for ((to, bias), sum) in places.zip(bias).zip(sums) {
                            to.put(activation.value(sum + bias));
                        }
                    }
                },
            );
        }
    }
}

/// True if there is a matrix unit.
fn has_matrix_unit() -> bool {
    #[cfg(all(target_arch = "x86_64", target_os = "linux"))]
    return amx::is_available();
    #[cfg(not(all(target_arch = "x86_64", target_os = "linux")))]
    false
}

/// The sums of a tile, of which `count` rows count, with a panel.
fn sum_tile(rows: &RoundedRows, tile: usize, count: usize, panel: &[Block], sums: &mut Sums) {
    let lines = rows.tile(tile);
    #[cfg(all(target_arch = "x86_64", target_os = "linux"))]
    match rows.rows_per_tile() {
        MATRIX_ROWS => return amx::sums(lines, count, panel, sums),
        tile_shape::FEW_ROWS => return amx::sums_of_few(lines, panel, sums),
        _ => {}
    }
    let sums = sums.0.first_chunk_mut().expect("more than six");
    match count {
        1 => accumulate_rows::<1>(lines, panel, sums),
        2 => accumulate_rows::<2>(lines, panel, sums),
        3 => accumulate_rows::<3>(lines, panel, sums),
        4 => accumulate_rows::<4>(lines, panel, sums),
        5 => accumulate_rows::<5>(lines, panel, sums),
        _ => accumulate_rows::<VECTOR_ROWS>(lines, panel, sums),
    }
}

/// The sums of the first `R` rows of a tile by the best vector instructions of this processor.
fn accumulate_rows<const R: usize>(
    lines: &[activations::Line],
    panel: &[Block],
    sums: &mut [[f32; PANEL]; VECTOR_ROWS],
) {
    #[cfg(target_arch = "x86_64")]
    if avx512::is_available() {
        return avx512::sums::<R>(lines, panel, sums);
    }
    portable::sums::<R>(lines, panel, sums);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::init_vec;
    use crate::testing::{self, assert_close, size};

    /// Sums of a few hundred numbers below 1 in f32, in any order.
    const BAR: f64 = 3e-6;

    fn numbers(count: usize, step: usize) -> Vec<f32> {
        testing::numbers(count, step)
    }

    /// Weights whose sums stay near 1.
    fn weights(depth: usize, columns: usize) -> Vec<f32> {
        let scale = 1.0 / depth as f32;
        let numbers = numbers(depth * columns, 11).into_iter();
        numbers.map(|value| value * scale).collect()
    }

    fn reference(
        input: &[f32],
        weight: &Bf16Matrix,
        bias: &[f32],
        activation: Activation,
    ) -> Vec<f64> {
        let [depth, columns] = weight.shape();
        let input = Bf16Matrix::round(input, depth).widen();
        let sums = testing::matmul(&input, &weight.widen(), columns, depth);
        let sums = sums.iter().enumerate().map(|(at, sum)| {
            let x = sum + f64::from(bias[at % columns]);
            testing::activation(activation, x).0
        });
        sums.collect()
    }

    #[test]
    fn linear_layers_equal_their_definition_of_rounded_numbers() {
        // One tile, several with a last one that is not full, by columns on several threads, by rows on several threads, and
        // deep ones, with and without a last step that is not full, in tiles of the matrix unit and in more than a block.
        let sizes = [
            (1, 5, 3),
            (13, 64, 130),
            (16, 400, 700),
            (300, 130, 128),
            (100, 128, 130),
            (302, 100, 130),
            (700, 3000, 70),
        ];
        let sizes = if cfg!(miri) { &sizes[..1] } else { &sizes };
        for &(rows, depth, columns) in sizes {
            let input = numbers(rows * depth, 7);
            let weight = Bf16Matrix::round(&weights(depth, columns), columns);
            let bias = numbers(columns, 13);
            for activation in testing::ACTIVATIONS {
                let expected = reference(&input, &weight, &bias, activation);
                let input = Matrix::new(&input, rows, depth);
                let found = init_vec(rows * columns, |to| {
                    linear(input, &weight, &bias, activation, to)
                });
                assert_close(&found, &expected, BAR);
                // Without the matrix unit that this processor may have.
                let operands = (input, &weight, &bias[..]);
                let found = init_vec(rows * columns, |to| {
                    linear_in_tiles(VECTOR_ROWS, operands, activation, to)
                });
                assert_close(&found, &expected, BAR);
            }
        }
        for (weight, bias) in [(Bf16Matrix::round(&[1.0; 4], 2), &[0.0; 2][..]), {
            (Bf16Matrix::round(&[], 0), &[])
        }] {
            let [depth, _] = weight.shape();
            let input = Matrix::new(&[], 0, depth);
            let none = init_vec(0, |to| linear(input, &weight, bias, Activation::Gelu, to));
            assert!(none.is_empty());
        }
    }

    #[test]
    fn products_of_any_orientation_equal_their_definition_of_rounded_numbers() {
        let sizes = [(3, 70, 5), (130, 33, 70), (40, 500, 300), (300, 200, 130)];
        let sizes = if cfg!(miri) { &sizes[..1] } else { &sizes };
        for &(rows, depth, columns) in sizes {
            let left = numbers(rows * depth, 7);
            let right = weights(depth, columns);
            let bias = numbers(columns, 13);
            let rounded = Bf16Matrix::round(&right, columns);
            let expected = reference(&left, &rounded, &bias, Activation::Identity);
            let without_bias =
                reference(&left, &rounded, &vec![0.0; columns], Activation::Identity);
            let turned = [
                testing::transposed(&left, depth),
                testing::transposed(&right, columns),
            ];
            for left in [
                Matrix::new(&left, rows, depth),
                Matrix::new(&turned[0], depth, rows).transposed(),
            ] {
                for right in [
                    Matrix::new(&right, depth, columns),
                    Matrix::new(&turned[1], columns, depth).transposed(),
                ] {
                    let found = init_vec(rows * columns, |to| {
                        affine(left, right, &bias, Activation::Identity, to)
                    });
                    assert_close(&found, &expected, BAR);
                    let found = init_vec(rows * columns, |to| matmul(left, right, to));
                    assert_close(&found, &without_bias, BAR);
                }
            }
        }
    }

    #[test]
    fn a_row_does_not_depend_on_the_others() {
        let (rows, depth, columns) = size((100, 128, 200), (7, 8, 5));
        let weight = Bf16Matrix::round(&weights(depth, columns), columns);
        let (input, bias) = (numbers(rows * depth, 11), vec![0.5; columns]);
        let compute = |input: &[f32]| {
            let input = Matrix::new(input, input.len() / depth, depth);
            init_vec(input.shape()[0] * columns, |to| {
                linear(input, &weight, &bias, Activation::Identity, to)
            })
        };
        for (row, expected) in compute(&input).chunks_exact(columns).enumerate() {
            assert_eq!(compute(&input[row * depth..][..depth]), expected);
        }
    }

    #[test]
    fn values_that_are_not_finite_stay_so() {
        let weight = Bf16Matrix::round(&[1.0; 64], 1);
        let mut input = vec![1.0; 3 * 64];
        (input[7], input[64 + 9]) = (f32::NAN, f32::INFINITY);
        let input = Matrix::new(&input, 3, 64);
        let found = init_vec(3, |to| {
            linear(input, &weight, &[0.0], Activation::Identity, to)
        });
        assert!(found[0].is_nan());
        assert_eq!(found[1..], [f32::INFINITY, 64.0]);
    }

    #[test]
    fn instructions_of_the_processor_sum_what_plain_loops_sum() {
        // Whole numbers, of which every order of a sum is exact.
        let (rows, depth, columns) = (64, 300, 64);
        let whole = |count: usize, step: usize| testing::integers(count, step);
        let weight = Bf16Matrix::round(&whole(depth * columns, 5), columns);
        let values = whole(rows * depth, 7);
        let input = Matrix::new(&values, rows, depth);
        let panel = weight.panel(0);
        let tiles = RoundedRows::round(input, VECTOR_ROWS);
        let expected = testing::matmul(&values, &weight.widen(), columns, depth);
        for tile in 0..rows / VECTOR_ROWS {
            let (mut plain, mut fast) = ([[7.0; PANEL]; VECTOR_ROWS], [[7.0; PANEL]; VECTOR_ROWS]);
            portable::sums::<4>(tiles.tile(tile), panel, &mut plain);
            accumulate_rows::<4>(tiles.tile(tile), panel, &mut fast);
            assert_eq!(fast, plain);
            let found = plain[..4].as_flattened();
            assert_close(
                found,
                &expected[tile * VECTOR_ROWS * columns..][..4 * columns],
                0.0,
            );
            assert_eq!(plain[4..], [[7.0; PANEL]; 2]); // beyond the rows asked for
        }
        #[cfg(all(target_arch = "x86_64", target_os = "linux"))]
        if amx::is_available() {
            let tiles = RoundedRows::round(input, MATRIX_ROWS);
            let mut sums = Sums([[7.0; PANEL]; MATRIX_ROWS]);
            amx::sums(tiles.tile(0), rows, panel, &mut sums);
            assert_close(sums.0.as_flattened(), &expected, 0.0);

            let mut sums = Sums([[7.0; PANEL]; MATRIX_ROWS]);
            amx::sums(tiles.tile(0), 30, panel, &mut sums);
            let expected_half = &expected[..30 * columns];
            assert_close(sums.0[..30].as_flattened(), expected_half, 0.0);

            const FEW_ROWS: usize = tile_shape::FEW_ROWS;
            let tiles = RoundedRows::par_round(input, FEW_ROWS);
            amx::sums_of_few(tiles.tile(1), panel, &mut sums);
            let expected = &expected[FEW_ROWS * columns..][..FEW_ROWS * columns];
            let found = &sums.0[..FEW_ROWS];
            assert_close(found.as_flattened(), expected, 0.0);
        }
    }
}
