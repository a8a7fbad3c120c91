//! Activations in bf16, rounded row by row and packed in tiles.

use bytemuck::{Pod, Zeroable};
use rayon::prelude::*;

use super::number::rounded;
use crate::parallel::CHUNK_LEN;
use crate::simd::vectorized;

/// Numbers of a row that the kernels take in a step.
pub(super) const STEP: usize = 32;

/// A step of a row.
#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C, align(64))]
pub(super) struct Line(pub(super) [u16; STEP]);

/// Rows in tiles; within a tile, step by step, a line of each row. Zeros fill up the last step and the last tile.
pub(super) struct RoundedRows {
    lines: Vec<Line>,
    steps: usize,
    rows_per_tile: usize,
}

impl RoundedRows {
    /// The nearest numbers to `values`, rows of `depth` one after another.
    pub(super) fn round(values: &[f32], depth: usize, rows_per_tile: usize) -> Self {
        let mut rows = Self::zeros(values, depth, rows_per_tile);
        let size = rows.tile_size();
        let tiles = rows.lines.chunks_mut(size.max(1));
        for (lines, values) in tiles.zip(values.chunks((rows_per_tile * depth).max(1))) {
            round_tile(values, depth, (lines, rows_per_tile));
        }
        rows
    }

    /// [`round`](Self::round) on all threads, if there are enough values for several.
    pub(super) fn par_round(values: &[f32], depth: usize, rows_per_tile: usize) -> Self {
        if values.len() <= CHUNK_LEN {
            return Self::round(values, depth, rows_per_tile);
        }
        let mut rows = Self::zeros(values, depth, rows_per_tile);
        let size = rows.tile_size();
        let tiles = rows.lines.par_chunks_mut(size);
        tiles
            .zip(values.par_chunks(rows_per_tile * depth))
            .for_each(|(lines, values)| round_tile(values, depth, (lines, rows_per_tile)));
        rows
    }

    /// Tiles of zeros for `values`.
    fn zeros(values: &[f32], depth: usize, rows_per_tile: usize) -> Self {
        let steps = depth.div_ceil(STEP);
        let tiles = (values.len() / depth.max(1)).div_ceil(rows_per_tile);
        Self {
            lines: vec![Line::zeroed(); tiles * steps * rows_per_tile],
            steps,
            rows_per_tile,
        }
    }

    /// Lines of a tile.
    fn tile_size(&self) -> usize {
        self.steps * self.rows_per_tile
    }

    /// The lines of a tile.
    pub(super) fn tile(&self, at: usize) -> &[Line] {
        let size = self.tile_size();
        &self.lines[at * size..][..size]
    }

    /// Rows of a tile.
    pub(super) fn rows_per_tile(&self) -> usize {
        self.rows_per_tile
    }
}

fn round_tile(values: &[f32], depth: usize, (lines, rows_per_tile): (&mut [Line], usize)) {
    vectorized(
        #[inline(always)]
        || {
            for (row, values) in values.chunks_exact(depth).enumerate() {
                let (whole, rest) = values.as_chunks::<STEP>();
                let mut places = lines[row..].iter_mut().step_by(rows_per_tile);
                for (values, to) in whole.iter().zip(&mut places) {
                    for (to, &value) in to.0.iter_mut().zip(values) {
                        *to = rounded(value);
                    }
                }
                if let Some(to) = places.next() {
                    for (to, &value) in to.0.iter_mut().zip(rest) {
                        *to = rounded(value);
                    }
                }
            }
        },
    );
}

#[cfg(test)]
mod tests {
    use super::super::number::widened;
    use super::*;
    use crate::testing::numbers;

    #[test]
    fn a_tile_has_a_line_of_each_row_in_every_step() {
        let (count, depth, rows_per_tile) = (8, 70, 6);
        let values = numbers(count * depth, 7);
        let rows = RoundedRows::round(&values, depth, rows_per_tile);
        for tile in 0..2 {
            let lines = rows.tile(tile);
            assert_eq!(lines.len(), 3 * rows_per_tile);
            for (at, line) in lines.iter().enumerate() {
                let row = tile * rows_per_tile + at % rows_per_tile;
                for (offset, &number) in line.0.iter().enumerate() {
                    let column = at / rows_per_tile * STEP + offset;
                    let expected = match row < count && column < depth {
                        true => values[row * depth + column],
                        false => 0.0,
                    };
                    let bound = expected.abs() / 256.0;
                    assert!(
                        (widened(number) - expected).abs() <= bound,
                        "{row} {column}"
                    );
                }
            }
        }
    }
}
