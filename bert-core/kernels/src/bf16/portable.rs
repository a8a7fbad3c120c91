//! Sums of products of bf16 by plain loops.

use super::activations::Line;
use super::number::widened;
use super::tile_shape::VECTOR_ROWS;
use super::weights::{Block, LANES, PAIR, PANEL};
use crate::simd::vectorized;

/// The sums of the first `R` rows of a tile of six with a panel, all over the whole depth.
pub(super) fn sums<const R: usize>(
    lines: &[Line],
    panel: &[Block],
    sums: &mut [[f32; PANEL]; VECTOR_ROWS],
) {
    vectorized(
        #[inline(always)]
        || {
            sums[..R].fill([0.0; PANEL]);
            for (lines, block) in lines.chunks_exact(VECTOR_ROWS).zip(panel) {
                for (line, sums) in lines[..R].iter().zip(&mut *sums) {
                    for (vector, sums) in block.0.iter().zip(sums.as_chunks_mut().0) {
                        let sums: &mut [f32; LANES] = sums;
                        let pairs: &[[u16; PAIR]] = line.0.as_chunks().0;
                        for (numbers, weights) in pairs.iter().zip(vector) {
                            let numbers = numbers.map(widened);
                            for (sum, weights) in sums.iter_mut().zip(weights) {
                                for at in 0..PAIR {
                                    *sum += numbers[at] * widened(weights[at]);
                                }
                            }
                        }
                    }
                }
            }
        },
    );
}
