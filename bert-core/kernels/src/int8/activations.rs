//! Activations in 8 bits, quantised row by row.

use std::borrow::Cow;

use bytemuck::cast_slice_mut;
use rayon::prelude::*;

use super::has_matrix_unit;
use super::tile_shape::rows_per_tile;
use super::weights::GROUP;
use crate::parallel::{CHUNK_LEN, rows_per_chunk};
use crate::simd::math::{maximum, minimum, sum};
use crate::simd::vectorized;

/// The largest number.
const LARGEST: f32 = 255.0;

/// Added to a float of moderate size, it leaves the nearest whole number, ties to even, in the low bits of the sum.
const TO_WHOLE: f32 = 12_582_912.0; // 1.5 · 2²³

/// Most elements of a row that are kept in floats.
const MOST_OUTLIERS: usize = 4;

/// Quantisation of a row.
#[derive(Clone, Default)]
struct Row {
    scale: f32,
    /// Number that stands for 0.
    zero: i32,
    /// Elements that the numbers leave out.
    outliers: Vec<Outlier>,
}

/// An element of a row that is far beyond all others, and is kept as it is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Outlier {
    pub(super) column: usize,
    pub(super) value: f32,
}

/// Rows as `(number − zero) · scale`, numbers from 0 to 255; each row has a scale and a zero of its own, from the range of its
/// elements without outliers, whose numbers stand for 0.
///
/// A few elements beyond a quarter of the range of all others are outliers: without them the steps are at most half as wide
/// (LLM.int8, Dettmers et al. 2022 §3.2, which has whole columns in floats).
pub struct QuantizedRows {
    /// Numbers in groups of four, filled up with zeros at the end of a row, and with rows of zeros to whole tiles.
    groups: Vec<i32>,
    groups_per_row: usize,
    rows_per_tile: usize,
    rows: Vec<Row>,
    depth: usize,
}

impl QuantizedRows {
    /// The nearest numbers to `values`, rows of `depth` one after another.
    pub fn quantize(values: &[f32], depth: usize) -> Self {
        let count = values.len() / depth.max(1);
        let has_matrix_unit = has_matrix_unit(depth.div_ceil(GROUP));
        Self::in_tiles(values, depth, rows_per_tile(count, has_matrix_unit))
    }

    /// [`quantize`](Self::quantize), filled up to whole tiles of this many rows.
    pub(super) fn in_tiles(values: &[f32], depth: usize, rows_per_tile: usize) -> Self {
        Self::of(values, depth, rows_per_tile, values.len() > CHUNK_LEN)
    }

    /// [`in_tiles`](Self::in_tiles) by this thread alone.
    pub(super) fn by_this_thread(values: &[f32], depth: usize, rows_per_tile: usize) -> Self {
        Self::of(values, depth, rows_per_tile, false)
    }

    fn of(values: &[f32], depth: usize, rows_per_tile: usize, by_all_threads: bool) -> Self {
        let count = values.len() / depth.max(1);
        let groups_per_row = depth.div_ceil(GROUP);
        let mut groups = vec![0; count.next_multiple_of(rows_per_tile) * groups_per_row];
        let mut rows = vec![Row::default(); count];
        let one = |(groups, (row, values)): (&mut [i32], (&mut Row, &[f32]))| {
            *row = quantize_row(values, cast_slice_mut(groups));
        };
        if by_all_threads {
            let rows = rows.par_iter_mut().zip(values.par_chunks(depth));
            groups
                .par_chunks_mut(groups_per_row)
                .zip(rows)
                .with_min_len(rows_per_chunk(depth))
                .for_each(one);
        } else {
            let rows = rows.iter_mut().zip(values.chunks(depth.max(1)));
            groups
                .chunks_mut(groups_per_row.max(1))
                .zip(rows)
                .for_each(one);
        }
        Self {
            groups,
            groups_per_row,
            rows_per_tile,
            rows,
            depth,
        }
    }

    /// `[rows, depth]`
    pub fn shape(&self) -> [usize; 2] {
        [self.rows.len(), self.depth]
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
    pub(super) fn scale_and_zero(&self, row: usize) -> (f32, i32) {
        let Row { scale, zero, .. } = self.rows[row];
        (scale, zero)
    }

    /// Elements of a row that its numbers leave out.
    pub(super) fn outliers(&self, row: usize) -> &[Outlier] {
        &self.rows[row].outliers
    }

    #[cfg(test)]
    pub(super) fn dequantize(&self) -> Vec<f32> {
        let one = |row: usize| {
            let (scale, zero) = self.scale_and_zero(row);
            let numbers: &[u8] = bytemuck::cast_slice(self.rows(row, 1));
            let mut values: Vec<_> = numbers[..self.depth]
                .iter()
                .map(move |&number| (i32::from(number) - zero) as f32 * scale)
                .collect();
            for outlier in &self.rows[row].outliers {
                values[outlier.column] += outlier.value;
            }
            values
        };
        (0..self.rows.len()).flat_map(one).collect()
    }
}

/// Writes the numbers of a row, and gives what they stand for. 0 has a number, so that it stays 0; a row with a value that is
/// not finite becomes NaN, as it would in a product of floats.
fn quantize_row(values: &[f32], to: &mut [u8]) -> Row {
    let mut values = Cow::Borrowed(values);
    let mut row = Row::default();
    let (mut least, mut most, check) = range_of(&values);
    let is_flat = |least: f32, most: f32| (most - least).is_nan() || most - least <= 0.0;
    if is_flat(least, most) || check != 0.0 {
        row.scale = check;
        return row;
    }
    while take_outliers(&mut values, (most - least) / 4.0, &mut row.outliers) {
        (least, most, _) = range_of(&values);
        if is_flat(least, most) {
            return row;
        }
    }
    let range = most - least;
    let inverse = LARGEST / range;
    let zero = (-least * inverse).round_ties_even();
    vectorized(
        #[inline(always)]
        || {
            for (to, &value) in to.iter_mut().zip(&*values) {
                let number = (value * inverse + zero).clamp(0.0, LARGEST);
                *to = (number + TO_WHOLE).to_bits() as u8;
            }
        },
    );
    (row.scale, row.zero) = (range / LARGEST, zero as i32);
    row
}

/// The least and the largest value, or 0; and a number that is NaN if a value is not finite, else 0.
fn range_of(values: &[f32]) -> (f32, f32, f32) {
    vectorized(
        #[inline(always)]
        || {
            // One after the other: a loop that does all three compiles to vectors of four.
            let least = minimum(values).min(0.0);
            let most = maximum(values).max(0.0);
            (least, most, sum(values, |value| 0.0 * value))
        },
    )
}

/// Moves the values beyond `limit` to `outliers`, if there are any and not too many; true if it did.
fn take_outliers(values: &mut Cow<'_, [f32]>, limit: f32, outliers: &mut Vec<Outlier>) -> bool {
    let count = vectorized(
        #[inline(always)]
        || sum(values, |value| f32::from(u8::from(value.abs() > limit))),
    );
    let most = MOST_OUTLIERS - outliers.len();
    if count == 0.0 || count > most as f32 {
        return false;
    }
    for (column, value) in values.to_mut().iter_mut().enumerate() {
        if value.abs() > limit {
            let value = std::mem::take(value);
            outliers.push(Outlier { column, value });
        }
    }
    true
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
        let rows = QuantizedRows::in_tiles(&values, depth, 6);
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
    fn outliers_stay_as_they_are_and_leave_the_others_their_steps() {
        let depth = 200;
        let plain: Vec<f32> = (0..depth)
            .map(|at| ((at * 53) % 97) as f32 / 97.0 - 0.5)
            .collect();
        let with = |places: &[(usize, f32)]| {
            let mut values = plain.clone();
            for &(column, value) in places {
                values[column] = value;
            }
            values
        };
        for (places, kept) in [
            (&[][..], 0),
            (&[(7, 30.0)], 1),
            // The second is far beyond the others only once the first is taken out.
            (&[(7, -100.0), (150, 9.0)], 2),
            (&[(0, 50.0), (1, 51.0), (2, -52.0), (199, 53.0)], 4),
            // Too many for floats.
            (
                &[(0, 50.0), (1, 51.0), (2, -52.0), (3, 52.5), (199, 53.0)],
                0,
            ),
        ] {
            let values = with(places);
            let rows = QuantizedRows::in_tiles(&values, depth, 6);
            let outliers = rows.outliers(0);
            assert_eq!(outliers.len(), kept, "{places:?}");
            for outlier in outliers {
                assert_eq!(outlier.value, values[outlier.column]);
            }
            let (scale, _) = rows.scale_and_zero(0);
            assert_eq!(scale < 1.01 / LARGEST, kept == places.len(), "{scale}");
            for (found, value) in rows.dequantize().iter().zip(&values) {
                assert!((found - value).abs() <= 1.001 * scale);
            }
        }
        // Nothing is left but zeros.
        let rows = QuantizedRows::in_tiles(&[0.0, 3.0, 0.0, -4.0], 4, 6);
        assert_eq!(rows.scale_and_zero(0), (0.0, 0));
        assert_eq!(rows.dequantize(), [0.0, 3.0, 0.0, -4.0]);
    }

    #[test]
    fn a_row_that_is_not_finite_becomes_nan() {
        let rows = QuantizedRows::in_tiles(&[1.0, f32::NAN, 1.0, f32::INFINITY, 1.0, 2.0], 2, 6);
        assert!(rows.scale_and_zero(0).0.is_nan());
        assert!(rows.scale_and_zero(1).0.is_nan());
        assert!(rows.scale_and_zero(2).0.is_finite());
    }
}
