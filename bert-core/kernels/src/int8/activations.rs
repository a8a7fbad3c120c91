//! Activations in 8 bits, quantised row by row.

use bytemuck::cast_slice_mut;
use rayon::prelude::*;

use super::weights::GROUP;
use crate::parallel::{CHUNK_LEN, rows_per_chunk};
use crate::simd::math::{maximum, minimum, sum};
use crate::simd::vectorized;

/// The largest number.
const LARGEST: f32 = 255.0;

/// Added to a float of moderate size, it leaves the nearest whole number, ties to even, in the low bits of the sum.
const TO_WHOLE: f32 = 12_582_912.0; // 1.5 · 2²³

/// Quantisation scale and zero point of a row.
type Scale = (f32, i32);

/// Rows as `(number − zero) · scale`, numbers from 0 to 255; each row has a scale and a zero of its own.
pub(super) struct QuantizedRows {
    /// Numbers in groups of four, filled up with zeros at the end of a row, and with rows of zeros to whole tiles.
    groups: Vec<i32>,
    groups_per_row: usize,
    rows_per_tile: usize,
    scales: Vec<Scale>,
    #[cfg(test)]
    depth: usize,
}

impl QuantizedRows {
    /// The nearest numbers to `values`, rows of `depth` one after another, filled up to whole tiles.
    pub(super) fn quantize(values: &[f32], depth: usize, rows_per_tile: usize) -> Self {
        let count = values.len() / depth.max(1);
        let groups_per_row = depth.div_ceil(GROUP);
        let mut groups = vec![0; count.next_multiple_of(rows_per_tile) * groups_per_row];
        let mut scales = vec![(0.0, 0); count];
        let one = |(groups, (scale, values)): (&mut [i32], (&mut Scale, &[f32]))| {
            *scale = quantize_row(values, cast_slice_mut(groups));
        };
        if values.len() <= CHUNK_LEN {
            let rows = scales.iter_mut().zip(values.chunks(depth.max(1)));
            groups
                .chunks_mut(groups_per_row.max(1))
                .zip(rows)
                .for_each(one);
        } else {
            let rows = scales.par_iter_mut().zip(values.par_chunks(depth));
            groups
                .par_chunks_mut(groups_per_row)
                .zip(rows)
                .with_min_len(rows_per_chunk(depth))
                .for_each(one);
        }
        Self {
            groups,
            groups_per_row,
            rows_per_tile,
            scales,
            #[cfg(test)]
            depth,
        }
    }

    /// The groups of some rows from one on, all within a tile.
    pub(super) fn rows(&self, first: usize, count: usize) -> &[i32] {
        &self.groups[first * self.groups_per_row..][..count * self.groups_per_row]
    }

    /// Rows of a tile.
    pub(super) fn rows_per_tile(&self) -> usize {
        self.rows_per_tile
    }

    /// Scale and zero point of a row.
    pub(super) fn scale_and_zero(&self, row: usize) -> Scale {
        self.scales[row]
    }

    #[cfg(test)]
    pub(super) fn dequantize(&self) -> Vec<f32> {
        let one = |row: usize| {
            let (scale, zero) = self.scales[row];
            let numbers: &[u8] = bytemuck::cast_slice(self.rows(row, 1));
            numbers[..self.depth]
                .iter()
                .map(move |&number| (i32::from(number) - zero) as f32 * scale)
                .collect::<Vec<_>>()
        };
        (0..self.scales.len()).flat_map(one).collect()
    }
}

/// Writes the numbers of a row, and gives its scale and zero. 0 has a number, so that it stays 0; a row with a value that is
/// not finite becomes NaN, as it would in a product of floats.
fn quantize_row(values: &[f32], to: &mut [u8]) -> Scale {
    vectorized(
        #[inline(always)]
        || {
            // One after the other: a loop that does all three compiles to vectors of four.
            let least = minimum(values).min(0.0);
            let most = maximum(values).max(0.0);
            let check = sum(values, |value| 0.0 * value);
            let range = most - least;
            if range.is_nan() || range <= 0.0 || check != 0.0 {
                return (check, 0);
            }
            let inverse = LARGEST / range;
            let zero = (-least * inverse).round_ties_even();
            for (to, &value) in to.iter_mut().zip(values) {
                let number = (value * inverse + zero).clamp(0.0, LARGEST);
                *to = (number + TO_WHOLE).to_bits() as u8;
            }
            (range / LARGEST, zero as i32)
        },
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_come_back_within_half_a_step_and_zero_stays() {
        let depth = 45;
        let values: Vec<f32> = (0..4 * depth)
            .map(|at| match at / depth {
                0 => at as f32 * 0.37, // none is negative
                1 => -(at as f32),     // none is positive
                2 => 0.0,
                _ => ((at * 53) % 97) as f32 / 7.0 - 3.0,
            })
            .collect();
        let rows = QuantizedRows::quantize(&values, depth, 6);
        for (at, (found, value)) in rows.dequantize().iter().zip(&values).enumerate() {
            let (scale, _) = rows.scale_and_zero(at / depth);
            // The zero is rounded too.
            assert!(
                (found - value).abs() <= 1.001 * scale,
                "{at}: {found} {value}"
            );
            assert!(*value != 0.0 || *found == 0.0, "{at}");
        }
    }

    #[test]
    fn a_row_that_is_not_finite_becomes_nan() {
        let rows = QuantizedRows::quantize(&[1.0, f32::NAN, 1.0, f32::INFINITY, 1.0, 2.0], 2, 6);
        assert!(rows.scale_and_zero(0).0.is_nan());
        assert!(rows.scale_and_zero(1).0.is_nan());
        assert!(rows.scale_and_zero(2).0.is_finite());
    }
}
