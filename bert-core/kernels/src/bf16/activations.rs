//! Activations in bf16, rounded row by row and packed in tiles.

use bytemuck::{Pod, Zeroable};
use rayon::prelude::*;

use super::number::rounded;
use crate::matmul::Matrix;
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
    /// The nearest numbers to those of a matrix.
    pub(super) fn round(matrix: Matrix<'_>, rows_per_tile: usize) -> Self {
        let mut rows = Self::zeros(matrix, rows_per_tile);
        let size = rows.tile_size();
        let tiles = rows.lines.chunks_mut(size.max(1)).enumerate();
        tiles.for_each(|(tile, lines)| round_tile(matrix, tile, (lines, rows_per_tile)));
        rows
    }

    /// [`round`](Self::round) on all threads, if there are enough numbers for several.
    pub(super) fn par_round(matrix: Matrix<'_>, rows_per_tile: usize) -> Self {
        let [count, depth] = matrix.shape();
        if count * depth <= CHUNK_LEN {
            return Self::round(matrix, rows_per_tile);
        }
        let mut rows = Self::zeros(matrix, rows_per_tile);
        let size = rows.tile_size();
        let tiles = rows.lines.par_chunks_mut(size).enumerate();
        tiles.for_each(|(tile, lines)| round_tile(matrix, tile, (lines, rows_per_tile)));
        rows
    }

    /// Tiles of zeros for a matrix.
    fn zeros(matrix: Matrix<'_>, rows_per_tile: usize) -> Self {
        let [rows, depth] = matrix.shape();
        let steps = depth.div_ceil(STEP);
        let tiles = rows.div_ceil(rows_per_tile);
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

/// Rounds the rows of a tile of `matrix`.
fn round_tile(matrix: Matrix<'_>, tile: usize, (lines, rows_per_tile): (&mut [Line], usize)) {
    let [rows, depth] = matrix.shape();
    let first = tile * rows_per_tile;
    let count = rows_per_tile.min(rows - first);
    if matrix.is_row_major() {
        vectorized(
            #[inline(always)]
            || {
                for row in 0..count {
                    let (whole, rest) = matrix.row(first + row).as_chunks::<STEP>();
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
        return;
    }
    let columns = matrix.transposed();
    vectorized(
        #[inline(always)]
        || {
            for (step, lines) in lines.chunks_exact_mut(rows_per_tile).enumerate() {
                for at in 0..STEP.min(depth - step * STEP) {
                    let column = &columns.row(step * STEP + at)[first..][..count];
                    for (line, &value) in lines.iter_mut().zip(column) {
                        line.0[at] = rounded(value);
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
    use crate::testing::{numbers, transposed};

    #[test]
    fn a_tile_has_a_line_of_each_row_in_every_step() {
        let (count, depth, rows_per_tile) = (8, 70, 6);
        let values = numbers(count * depth, 7);
        let matrix = Matrix::new(&values, count, depth);
        let rows = RoundedRows::round(matrix, rows_per_tile);
        // Rows that lie in columns give the same.
        let by_columns = transposed(&values, depth);
        let columns = Matrix::new(&by_columns, depth, count).transposed();
        let of_columns = RoundedRows::par_round(columns, rows_per_tile);
        for tile in 0..2 {
            let numbers = |rows: &RoundedRows| {
                rows.tile(tile)
                    .iter()
                    .map(|line| line.0)
                    .collect::<Vec<_>>()
            };
            assert_eq!(numbers(&of_columns), numbers(&rows));
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
