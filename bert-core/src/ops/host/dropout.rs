//! Random masks for dropout.

use burn::tensor::Shape;

use super::tensor::HostTensor;
use super::{PIECE, made_in_pieces, vectorized};
use crate::ops::dropout;

/// [`BertOps::dropout_mask`](crate::ops::BertOps::dropout_mask): one number from the generator of the device seeds a hash of
/// every place, so that threads need no order among them.
pub(in crate::ops) fn dropout_mask<T: HostTensor>(like: T, shape: Shape, probability: f64) -> T {
    if !like.is_here() {
        return dropout::mask::<T::Backend>(like, shape, probability);
    }
    let dropping = Dropping::new(like.draw(), probability);
    made_in_pieces(&like, shape, PIECE, |piece, values| {
        let factor = dropping.of_piece(piece);
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

/// Dropout mask computed from a seed: equal factors at every evaluation.
#[derive(Clone, Copy)]
pub(super) struct Dropping {
    seed: u64,
    threshold: u32,
    kept: f32,
}

impl Dropping {
    pub(super) fn new(seed: u64, probability: f64) -> Self {
        Self {
            seed,
            threshold: (probability * f64::from(u32::MAX)) as u32,
            kept: (1.0 / (1.0 - probability)) as f32,
        }
    }

    /// Multiplies `values`, the elements from an index on.
    #[inline(always)]
    pub(super) fn drop(self, values: &mut [f32], first: usize) {
        let (mut at, mut rest) = (first, values);
        while !rest.is_empty() {
            let place = at % PIECE;
            let (values, others) = rest.split_at_mut(rest.len().min(PIECE - place));
            let factor = self.of_piece(at / PIECE);
            at += values.len();
            for (place, value) in (place as u32..).zip(values) {
                *value *= factor(place);
            }
            rest = others;
        }
    }

    /// The factor of each place in the piece of an index.
    #[inline(always)]
    fn of_piece(self, piece: usize) -> impl Fn(u32) -> f32 {
        let key = split_mix(self.seed.wrapping_add(piece as u64));
        let (low, high) = (key as u32, (key >> 32) as u32);
        move |place| {
            if hash(place, low, high) < self.threshold {
                0.0
            } else {
                self.kept
            }
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
