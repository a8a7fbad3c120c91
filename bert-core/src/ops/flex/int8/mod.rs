//! Linear layers with weights in 8 bits: rows are quantised as they come, multiplied in whole numbers and scaled back.
//!
//! Every row has a scale of its own, so that what a row becomes does not depend on the batch that it is in, and sums of whole
//! numbers do not depend on their order.

use crate::ops::host::{Place, by_columns, by_rows, vectorized};
use rows::Rows;
use tile::{MOST_ROWS, tile};
use weight::PANEL;

pub(in crate::ops) use project::project_int8;
pub(crate) use tile::instructions;
pub(in crate::ops) use weight::Int8Weight;

#[cfg(all(target_arch = "x86_64", target_os = "linux"))]
mod amx;
mod project;
mod rows;
mod tile;
mod weight;

/// Multiplications from which a product is worth spreading over threads.
const WORTH_SPREADING: usize = 1 << 20;

/// Most rows that a thread works on at a time.
const LARGEST: usize = 384;

/// `activation(input · weight + bias)`, rows one after another.
///
/// # Shapes
///
/// - input: `[rows, depth]`
/// - weight: `[depth, columns]`
/// - bias: `[columns]`
/// - to: `[rows, columns]`, all of which is written
pub(super) fn product(
    input: &[f32],
    weight: &Int8Weight,
    bias: &[f32],
    to: &mut [impl Place],
    activation: impl Fn(f32) -> f32 + Sync,
) {
    let [depth, columns] = weight.shape();
    let count = to.len() / columns.max(1);
    let rows = Rows::quantize(input, depth);
    let tall = rows.of_a_tile();
    let from = (&rows, weight, bias, &activation);
    if count * columns * depth < WORTH_SPREADING {
        block(from, (0, 0), (to, columns));
    } else if count < 2 * tall * rayon::current_num_threads() {
        // Few rows have not enough tiles for all threads.
        by_columns(columns, PANEL, to, |first, width, to| {
            block(from, (0, first / PANEL), (to, width));
        });
    } else {
        by_rows(columns, (tall, LARGEST / tall), to, |first, to| {
            block(from, (first, 0), (to, columns));
        });
    }
}

/// The rows of `to`, each `width` columns, from a row and from a panel on.
fn block(
    (rows, weight, bias, activation): (&Rows, &Int8Weight, &[f32], &impl Fn(f32) -> f32),
    (first_row, first_panel): (usize, usize),
    (to, width): (&mut [impl Place], usize),
) {
    let tall = rows.of_a_tile();
    let mut sums = [[0; PANEL]; MOST_ROWS];
    for at in (0..width).step_by(PANEL) {
        let columns = PANEL.min(width - at);
        let panel = weight.panel(first_panel + at / PANEL);
        let bias = &bias[first_panel * PANEL + at..][..columns];
        for (tile_at, to) in to.chunks_mut(tall * width).enumerate() {
            let first_row = first_row + tile_at * tall;
            let count = to.len() / width;
            tile(rows, first_row, count, &panel.groups, &mut sums);
            vectorized(
                #[inline(always)]
                || {
                    for (offset, (to, sums)) in to.chunks_exact_mut(width).zip(&sums).enumerate() {
                        let (scale, zero) = rows.scale_and_zero(first_row + offset);
                        // Without an index, which would be checked: a loop that may end early has its last vectors one by one.
                        let places = to[at..][..columns].iter_mut().zip(bias);
                        let weights = panel.sums.iter().zip(&panel.scales);
                        let sums = sums.iter().zip(weights);
                        for ((to, bias), (sum, (of_column, of_weight))) in places.zip(sums) {
                            let sum = sum - zero * of_column;
                            to.put(activation(sum as f32 * (scale * of_weight) + bias));
                        }
                    }
                },
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(count: usize, step: usize) -> Vec<f32> {
        (0..count)
            .map(|at| (at * step % 241) as f32 / 120.0 - 1.0)
            .collect()
    }

    #[test]
    fn products_equal_those_of_what_the_numbers_stand_for() {
        // One tile, several with a last one that is not full, by columns on several threads, by rows on several threads, and
        // those whose depth suits a matrix unit.
        for (count, depth, columns) in [
            (1, 5, 3),
            (13, 64, 130),
            (16, 400, 700),
            (300, 130, 128),
            (100, 128, 130),
            (300, 128, 130),
        ] {
            let input = numbers(count * depth, 7);
            let weight = Int8Weight::quantize(&numbers(depth * columns, 5), columns).unwrap();
            let bias = numbers(columns, 3);
            let mut found = vec![0.0; count * columns];
            product(&input, &weight, &bias, &mut found, |x| 2.0 * x);
            let (left, right) = (Rows::quantize(&input, depth).floats(), weight.floats());
            for (at, found) in found.iter().enumerate() {
                let (row, column) = (at / columns, at % columns);
                let sum: f64 = (0..depth)
                    .map(|k| {
                        f64::from(left[row * depth + k]) * f64::from(right[k * columns + column])
                    })
                    .sum();
                let expected = 2.0 * (sum + f64::from(bias[column]));
                assert!(
                    (f64::from(*found) - expected).abs() < 1e-4,
                    "{row} {column}"
                );
            }
        }
    }

    #[test]
    fn a_row_does_not_depend_on_the_others() {
        // Alone it is not one of the many rows that a matrix unit takes.
        let (count, depth, columns) = (100, 128, 200);
        let weight = Int8Weight::quantize(&numbers(depth * columns, 5), columns).unwrap();
        let input = numbers(count * depth, 11);
        let bias = vec![0.5; columns];
        let mut all = vec![0.0; count * columns];
        product(&input, &weight, &bias, &mut all, |x| x);
        for (row, expected) in all.chunks_exact(columns).enumerate() {
            let alone = &input[row * depth..][..depth];
            let mut found = vec![0.0; columns];
            product(alone, &weight, &bias, &mut found, |x| x);
            assert_eq!(found, expected);
        }
    }
}
