//! Linear layers with weights in 8 bits: rows are quantised as they come, multiplied in whole numbers and scaled back.
//!
//! Every row has a scale of its own, so that a row's result does not depend on its batch, and sums of whole numbers do not
//! depend on their order: all instructions give the same. A few elements of a row that are far beyond the others are
//! multiplied in floats.

use std::mem::MaybeUninit;

use activations::Outlier;
use tile_shape::{MATRIX_ROWS, VECTOR_ROWS};
use weights::{GROUP, Group, PANEL};

use crate::activation::{Activation, Function, with_function};
use crate::output::OutputSlot;
use crate::parallel::{for_each_row_block, par_fill_columns};
use crate::simd::vectorized;

pub use activations::QuantizedRows;
pub use feed_forward::feed_forward;
pub use weights::QuantizedMatrix;

mod activations;
#[cfg(all(target_arch = "x86_64", target_os = "linux"))]
mod amx;
mod feed_forward;
mod portable;
mod tile_shape;
#[cfg(target_arch = "x86_64")]
mod vnni;
mod weights;

/// Multiplications from which a product is worth spreading over threads.
const MIN_PARALLEL: usize = 1 << 20;

/// Most rows that a thread works on at a time.
const MAX_BLOCK_ROWS: usize = 384;

/// The instructions that multiply 8-bit numbers faster than floats, if this processor has some.
pub fn instructions() -> Option<&'static str> {
    #[cfg(all(target_arch = "x86_64", target_os = "linux"))]
    if amx::is_available() {
        return Some("AMX");
    }
    #[cfg(target_arch = "x86_64")]
    if vnni::is_available() {
        return Some("AVX-512 VNNI");
    }
    None
}

/// `activation(input · weight + bias)`, the rows of `input` quantised too; several layers may read them.
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
    input: &QuantizedRows,
    weight: &QuantizedMatrix,
    bias: &[f32],
    activation: Activation,
    output: &'a mut [MaybeUninit<f32>],
) -> &'a mut [f32] {
    with_function!(activation, function => product(input, weight, bias, output, function))
}

/// [`linear`] with any activation.
#[expect(unsafe_code, reason = "the output is not cleared beforehand")]
fn product<'a>(
    rows: &QuantizedRows,
    weight: &QuantizedMatrix,
    bias: &[f32],
    output: &'a mut [MaybeUninit<f32>],
    activation: impl Function,
) -> &'a mut [f32] {
    let [depth, columns] = weight.shape();
    let [count, _] = rows.shape();
    assert_eq!(
        output.len(),
        count * columns,
        "the product fills its output"
    );
    assert_eq!(rows.shape(), [count, depth], "the matrices fit together");
    assert_eq!(bias.len(), columns, "the bias has a number for each column");
    let tile_rows = rows.rows_per_tile();
    let from = (rows, weight, bias, activation);
    if count * columns * depth < MIN_PARALLEL {
        block(from, (0, 0), (output, columns));
    } else if count < 2 * tile_rows * rayon::current_num_threads() {
        // Few rows have not enough tiles for all threads.
        return par_fill_columns(columns, PANEL, output, |first, width, part| {
            block(from, (0, first / PANEL), (part, width));
        });
    } else {
        let tiles = (tile_rows, MAX_BLOCK_ROWS / tile_rows);
        for_each_row_block(columns, tiles, output, |first, part| {
            block(from, (first, 0), (part, columns));
        });
    }
    // SAFETY: `block` has written every column of every row, of which the output has whole ones alone.
    unsafe { output.assume_init_mut() }
}

/// Writes the rows of `output`, each `width` columns, from a row and from a panel on.
fn block(
    (rows, weight, bias, activation): (&QuantizedRows, &QuantizedMatrix, &[f32], impl Function),
    (first_row, first_panel): (usize, usize),
    (output, width): (&mut [impl OutputSlot], usize),
) {
    let tile_rows = rows.rows_per_tile();
    let mut sums = [[0; PANEL]; MATRIX_ROWS];
    for at in (0..width).step_by(PANEL) {
        let columns = PANEL.min(width - at);
        let panel = weight.panel(first_panel + at / PANEL);
        let bias = &bias[first_panel * PANEL + at..][..columns];
        for (tile, to) in output.chunks_mut(tile_rows * width).enumerate() {
            let first_row = first_row + tile * tile_rows;
            let count = to.len() / width;
            sum_tile(rows, first_row, count, &panel.groups, &mut sums);
            vectorized(
                #[inline(always)]
                || {
                    for (offset, (to, sums)) in to.chunks_exact_mut(width).zip(&sums).enumerate() {
                        let (scale, zero) = rows.scale_and_zero(first_row + offset);
                        let beside = of_outliers(rows.outliers(first_row + offset), &panel.groups);
                        // Without an index, which would be checked: a loop that may end early has its last vectors one by one.
                        let places = to[at..][..columns].iter_mut().zip(bias);
                        let weights = panel.sums.iter().zip(&panel.scales);
                        let sums = sums.iter().zip(&beside).zip(weights);
                        for ((to, bias), ((sum, beside), (column_sum, weight_scale))) in
                            places.zip(sums)
                        {
                            let sum = (sum - zero * column_sum) as f32;
                            let product = sum * (scale * weight_scale) + beside * weight_scale;
                            to.put(activation.value(product + bias));
                        }
                    }
                },
            );
        }
    }
}

/// The products of a row's outliers with the numbers of a panel.
#[inline(always)]
fn of_outliers(outliers: &[Outlier], groups: &[Group]) -> [f32; PANEL] {
    let mut sums = [0.0; PANEL];
    for outlier in outliers {
        let group = &groups[outlier.column / GROUP].0;
        for (sum, weights) in sums.iter_mut().zip(group) {
            *sum += outlier.value * f32::from(weights[outlier.column % GROUP]);
        }
    }
    sums
}

/// True if there is a matrix unit, and rows of `groups` groups fill its tiles.
fn has_matrix_unit(groups: usize) -> bool {
    #[cfg(all(target_arch = "x86_64", target_os = "linux"))]
    return amx::supports_depth(groups);
    #[cfg(not(all(target_arch = "x86_64", target_os = "linux")))]
    {
        let _ = groups;
        false
    }
}

/// The sums of `count` rows from `first` on, at most a tile of them, with a panel.
fn sum_tile(
    rows: &QuantizedRows,
    first: usize,
    count: usize,
    panel: &[Group],
    sums: &mut [[i32; PANEL]; MATRIX_ROWS],
) {
    #[cfg(all(target_arch = "x86_64", target_os = "linux"))]
    if rows.rows_per_tile() == MATRIX_ROWS {
        return amx::sums(rows.rows(first, MATRIX_ROWS), panel, sums);
    }
    let row = |offset: usize| rows.rows(first + offset, 1);
    let sums = sums.first_chunk_mut().expect("more than six");
    match count {
        1 => accumulate_rows([row(0)], panel, sums),
        2 => accumulate_rows([row(0), row(1)], panel, sums),
        3 => accumulate_rows([row(0), row(1), row(2)], panel, sums),
        4 => accumulate_rows([row(0), row(1), row(2), row(3)], panel, sums),
        5 => accumulate_rows([row(0), row(1), row(2), row(3), row(4)], panel, sums),
        _ => accumulate_rows(
            [row(0), row(1), row(2), row(3), row(4), row(5)],
            panel,
            sums,
        ),
    }
}

/// The sums of up to six rows by the best vector instructions of this processor.
fn accumulate_rows<const R: usize>(
    rows: [&[i32]; R],
    panel: &[Group],
    sums: &mut [[i32; PANEL]; VECTOR_ROWS],
) {
    #[cfg(target_arch = "x86_64")]
    if vnni::is_available() {
        return vnni::sums(rows, panel, sums);
    }
    portable::sums(rows, panel, sums);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::activation::Gelu;
    use crate::output::init_vec;
    use crate::testing::{assert_close, matmul};

    fn numbers(count: usize, step: usize) -> Vec<f32> {
        (0..count)
            .map(|at| (at * step % 241) as f32 / 120.0 - 1.0)
            .collect()
    }

    #[derive(Clone, Copy)]
    struct Double;

    impl Function for Double {
        fn value(self, x: f32) -> f32 {
            2.0 * x
        }

        fn value_and_slope(self, x: f32) -> (f32, f32) {
            (2.0 * x, 2.0)
        }
    }

    #[test]
    fn products_equal_those_of_the_dequantised_matrices() {
        // One tile, several with a last one that is not full, by columns on several threads, by rows on several threads, and
        // those whose depth suits a matrix unit.
        let sizes = [
            (1, 5, 3),
            (13, 64, 130),
            (16, 400, 700),
            (300, 130, 128),
            (100, 128, 130),
            (300, 128, 130),
        ];
        let sizes = if cfg!(miri) { &sizes[..1] } else { &sizes };
        for &(count, depth, columns) in sizes {
            let mut input = numbers(count * depth, 7);
            for row in input.chunks_exact_mut(depth).step_by(2) {
                row[depth / 2] = 30.0; // kept in floats
            }
            let weight = QuantizedMatrix::quantize(&numbers(depth * columns, 5), columns).unwrap();
            let bias = numbers(columns, 3);
            let rows = QuantizedRows::quantize(&input, depth);
            assert_eq!(rows.outliers(0).len(), 1);
            let found = init_vec(count * columns, |to| {
                product(&rows, &weight, &bias, to, Double)
            });
            let products = matmul(&rows.dequantize(), &weight.dequantize(), columns, depth);
            let expected: Vec<f64> = (products.iter().enumerate())
                .map(|(at, sum)| 2.0 * (sum + f64::from(bias[at % columns])))
                .collect();
            assert_close(&found, &expected, 1e-5);

            let affine = init_vec(count * columns, |to| {
                linear(&rows, &weight, &bias, Activation::Identity, to)
            });
            let activated = init_vec(count * columns, |to| {
                linear(&rows, &weight, &bias, Activation::Gelu, to)
            });
            for ((found, affine), activated) in found.iter().zip(affine).zip(activated) {
                assert_eq!(*found, 2.0 * affine);
                assert_eq!(activated, Gelu.value(affine));
            }
        }
    }

    #[test]
    fn a_row_does_not_depend_on_the_others() {
        // Alone it is not one of the many rows that a matrix unit takes.
        let (count, depth, columns) = if cfg!(miri) {
            (7, 8, 5)
        } else {
            (100, 128, 200)
        };
        let weight = QuantizedMatrix::quantize(&numbers(depth * columns, 5), columns).unwrap();
        let mut input = numbers(count * depth, 11);
        input[depth + 3] = 40.0;
        let bias = vec![0.5; columns];
        let rows = |input: &[f32]| {
            let input = QuantizedRows::quantize(input, depth);
            let [count, _] = input.shape();
            init_vec(count * columns, |to| {
                linear(&input, &weight, &bias, Activation::Identity, to)
            })
        };
        for (row, expected) in rows(&input).chunks_exact(columns).enumerate() {
            assert_eq!(rows(&input[row * depth..][..depth]), expected);
        }
    }

    #[test]
    fn instructions_of_the_processor_sum_what_plain_loops_sum() {
        // The largest numbers of both signs too: nothing saturates.
        let numbers = |at: usize| [255, 0, (at * 37 % 256) as u8, (at * 11 % 256) as u8];
        let panel: Vec<Group> = (0..50)
            .map(|at| {
                Group(core::array::from_fn(|column| {
                    [
                        -127,
                        127,
                        (at * 5 + column * 3) as i8,
                        if column % 2 == 0 { 127 } else { -127 },
                    ]
                }))
            })
            .collect();
        let rows: Vec<Vec<i32>> = (0..3)
            .map(|row| {
                (0..50)
                    .map(|at| i32::from_ne_bytes(numbers(at * 3 + row)))
                    .collect()
            })
            .collect();
        let rows = [&rows[0][..], &rows[1], &rows[2]];
        let (mut plain, mut fast) = ([[7; PANEL]; VECTOR_ROWS], [[7; PANEL]; VECTOR_ROWS]);
        portable::sums(rows, &panel, &mut plain);
        accumulate_rows(rows, &panel, &mut fast);
        assert_eq!(fast, plain);
        #[cfg(all(target_arch = "x86_64", target_os = "linux"))]
        if amx::supports_depth(48) {
            let panel = &panel[..48];
            let numbers: Vec<i32> = (0..MATRIX_ROWS)
                .flat_map(|row| {
                    rows[row % 3][..48]
                        .iter()
                        .map(move |x| x.rotate_left(8 * row as u32))
                })
                .collect();
            let mut found = [[7; PANEL]; MATRIX_ROWS];
            amx::sums(&numbers, panel, &mut found);
            for (numbers, found) in numbers.chunks_exact(48).zip(&found) {
                let mut expected = [[0; PANEL]; VECTOR_ROWS];
                portable::sums([numbers], panel, &mut expected);
                assert_eq!(*found, expected[0]);
            }
        }
        let by_hand: i32 = (0..50)
            .map(|at| {
                let weights = panel[at].0[9].map(i32::from);
                let numbers = numbers(at * 3 + 1).map(i32::from);
                weights.iter().zip(numbers).map(|(a, b)| a * b).sum::<i32>()
            })
            .sum();
        assert_eq!(plain[1][9], by_hand);
        assert_eq!(plain[3], [7; PANEL]); // beyond the rows given
    }
}
