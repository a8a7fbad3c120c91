//! Random masks for dropout.

use std::mem::MaybeUninit;

use crate::parallel::{CHUNK_LEN, par_fill_chunks};
use crate::simd::vectorized;

/// Dropout mask computed from a seed by a hash of every place, so that threads need no order among them: equal factors at every
/// evaluation.
#[derive(Clone, Copy, Debug)]
pub struct Dropout {
    seed: u64,
    threshold: u32,
    kept: f32,
}

impl Dropout {
    /// Dropout with `probability` by the mask of a seed.
    pub fn new(seed: u64, probability: f64) -> Self {
        Self {
            seed,
            threshold: (probability * f64::from(u32::MAX)) as u32,
            kept: (1.0 / (1.0 - probability)) as f32,
        }
    }

    /// The mask: 0 where an element is dropped, else `1 / (1 - probability)`.
    pub fn mask(self, output: &mut [MaybeUninit<f32>]) -> &mut [f32] {
        par_fill_chunks(output, CHUNK_LEN, |chunk, values| {
            let factor = self.chunk_factors(chunk);
            vectorized(
                #[inline(always)]
                || {
                    for (place, value) in (0_u32..).zip(values) {
                        *value = factor(place);
                    }
                },
            );
        })
    }

    /// Multiplies `values`, the elements from an index on, by their part of the mask.
    #[inline(always)]
    pub(super) fn apply(self, values: &mut [f32], first: usize) {
        let (mut at, mut rest) = (first, values);
        while !rest.is_empty() {
            let place = at % CHUNK_LEN;
            let (values, others) = rest.split_at_mut(rest.len().min(CHUNK_LEN - place));
            let factor = self.chunk_factors(at / CHUNK_LEN);
            at += values.len();
            for (place, value) in (place as u32..).zip(values) {
                *value *= factor(place);
            }
            rest = others;
        }
    }

    /// The factor of each place in the chunk of an index.
    #[inline(always)]
    fn chunk_factors(self, chunk: usize) -> impl Fn(u32) -> f32 {
        let (low, high) = self.chunk_key(chunk);
        move |place| self.factor(hash(place, low, high))
    }

    /// The halves of the key of a chunk.
    #[inline(always)]
    fn chunk_key(self, chunk: usize) -> (u32, u32) {
        let key = split_mix(self.seed.wrapping_add(chunk as u64));
        (key as u32, (key >> 32) as u32)
    }

    #[inline(always)]
    fn factor(self, hash: u32) -> f32 {
        if hash < self.threshold {
            0.0
        } else {
            self.kept
        }
    }
}

/// The mask of some rows of a matrix, column by column.
pub(super) struct MaskColumns {
    dropout: Dropout,
    /// Index of the first element of the first row.
    first: usize,
    /// From a row to the next.
    stride: usize,
    /// Half of the key of each row's chunk, less the columns before the chunk.
    lows: Vec<u32>,
    /// The other half.
    highs: Vec<u32>,
    /// Column before which no row enters its next chunk.
    end: usize,
    factors: Vec<f32>,
}

impl MaskColumns {
    /// Mask of `rows` rows that begin `stride` apart, the first at an index among all elements.
    pub(super) fn new(dropout: Dropout, first: usize, [rows, stride]: [usize; 2]) -> Self {
        Self {
            dropout,
            first,
            stride,
            lows: vec![0; rows],
            highs: vec![0; rows],
            end: 0,
            factors: vec![0.0; rows],
        }
    }

    /// Factors of a column, which does not lie before the one of the last call.
    #[inline(always)]
    pub(super) fn column(&mut self, column: usize) -> &[f32] {
        if column >= self.end {
            self.enter_chunks(column);
        }
        let keys = self.lows.iter().zip(&self.highs);
        for (factor, (&low, &high)) in self.factors.iter_mut().zip(keys) {
            *factor = self.dropout.factor(hash(column as u32, low, high));
        }
        &self.factors
    }

    /// Finds the chunk of every row at a column.
    fn enter_chunks(&mut self, column: usize) {
        self.end = usize::MAX;
        let keys = self.lows.iter_mut().zip(&mut self.highs);
        for (row, (low, high)) in keys.enumerate() {
            let at = self.first + row * self.stride + column;
            let (chunk, place) = (at / CHUNK_LEN, at % CHUNK_LEN);
            self.end = self.end.min(column + CHUNK_LEN - place);
            (*low, *high) = self.dropout.chunk_key(chunk);
            *low = low.wrapping_add(place as u32).wrapping_sub(column as u32);
        }
    }
}

/// The finaliser of Steele, Lea and Flood's SplitMix64, after one step of its counter.
fn split_mix(counter: u64) -> u64 {
    let mut z = counter.wrapping_mul(0x9E37_79B9_7F4A_7C15);
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

/// Wellons' `lowbias32` of `place`, with half of the key before it and half within.
#[inline(always)]
fn hash(place: u32, low: u32, high: u32) -> u32 {
    let mut x = place.wrapping_add(low);
    x = (x ^ (x >> 16)).wrapping_mul(0x7FEB_352D) ^ high;
    x = (x ^ (x >> 15)).wrapping_mul(0x846C_A68B);
    x ^ (x >> 16)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::init_vec;
    use crate::testing::size;

    #[test]
    fn masks_drop_their_share_and_parts_of_them_agree() {
        let count = size(2 * CHUNK_LEN + 100, 2000);
        let dropout = Dropout::new(42, 0.25);
        let mask = init_vec(count, |to| dropout.mask(to));
        let dropped = mask.iter().filter(|&&factor| factor == 0.0).count();
        let share = dropped as f64 / count as f64;
        assert!((share - 0.25).abs() < 0.03, "{share}");
        let kept = (1.0_f64 / 0.75) as f32;
        assert!(mask.iter().all(|&factor| factor == 0.0 || factor == kept));

        for first in [0, 7, count - 1100] {
            let mut values = vec![1.0; 1050];
            dropout.apply(&mut values, first);
            assert_eq!(values, mask[first..][..1050]);
        }
        let other = init_vec(count, |to| Dropout::new(43, 0.25).mask(to));
        assert_ne!(mask, other);
        assert!(init_vec(9, |to| Dropout::new(1, 0.0).mask(to)) == [1.0; 9]);
    }

    #[test]
    fn columns_of_a_mask_are_those_of_its_rows() {
        let dropout = Dropout::new(42, 0.25);
        // Rows within a chunk, rows of which each begins in another, and rows that end in another than they begin in.
        let shapes = [[5, 7], [3, size(CHUNK_LEN + 3, 40)], [4, size(6000, 9)]];
        for [rows, stride] in shapes {
            for first in [0, CHUNK_LEN - 20] {
                let mask = init_vec(first + rows * stride, |to| dropout.mask(to));
                let mut columns = MaskColumns::new(dropout, first, [rows, stride]);
                for column in (0..stride).step_by(size(1, 3)).skip(2) {
                    let expected = (0..rows).map(|row| mask[first + row * stride + column]);
                    let expected: Vec<f32> = expected.collect();
                    assert_eq!(columns.column(column), expected, "{column}");
                }
            }
        }
    }
}
