//! Sums of products of 8-bit numbers by plain loops.

use super::tile_shape::VECTOR_ROWS;
use super::weights::{GROUP, Group, PANEL};
use crate::simd::vectorized;

/// The sums of up to six rows with a panel, all over the whole depth.
pub(super) fn sums<const R: usize>(
    rows: [&[i32]; R],
    panel: &[Group],
    sums: &mut [[i32; PANEL]; VECTOR_ROWS],
) {
    vectorized(
        #[inline(always)]
        || {
            for (row, sums) in rows.iter().zip(sums) {
                *sums = [0; PANEL];
                for (numbers, group) in row.iter().zip(panel) {
                    let numbers = numbers.to_ne_bytes().map(i32::from);
                    for (sum, weights) in sums.iter_mut().zip(&group.0) {
                        for at in 0..GROUP {
                            *sum += numbers[at] * i32::from(weights[at]);
                        }
                    }
                }
            }
        },
    );
}
