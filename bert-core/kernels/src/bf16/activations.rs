//! Activations in bf16, rounded row by row and packed in tiles.

use bytemuck::{Pod, Zeroable, cast_mut};
use rayon::prelude::*;

use super::number::{pair_of, rounded};
use super::tile_shape::STEP;
use super::weights::{LANES, PAIR, PAIRS};
use crate::matmul::Matrix;
use crate::parallel::CHUNK_LEN;
use crate::simd::vectorized;

/// Tiles that a thread rounds at a time: whole vectors of rows.
const TILES_PER_THREAD: usize = 8;

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
        let mut rows = Self::zeros(matrix.shape(), rows_per_tile);
        let steps = rows.steps;
        round_tiles(matrix, 0, (&mut rows.lines, rows_per_tile, steps));
        rows
    }

    /// [`round`](Self::round) on all threads, if there are enough numbers for several.
    pub(super) fn par_round(matrix: Matrix<'_>, rows_per_tile: usize) -> Self {
        let [count, depth] = matrix.shape();
        if count * depth <= CHUNK_LEN {
            return Self::round(matrix, rows_per_tile);
        }
        let mut rows = Self::zeros(matrix.shape(), rows_per_tile);
        let (size, steps) = (rows.tile_size() * TILES_PER_THREAD, rows.steps);
        let parts = rows.lines.par_chunks_mut(size).enumerate();
        parts.for_each(|(part, lines)| {
            let first = part * TILES_PER_THREAD * rows_per_tile;
            round_tiles(matrix, first, (lines, rows_per_tile, steps));
        });
        rows
    }

    /// Tiles of zeros for a matrix `[rows, depth]`.
    pub(super) fn zeros([rows, depth]: [usize; 2], rows_per_tile: usize) -> Self {
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

    /// The line of a row of a tile in a step.
    pub(super) fn line_mut(&mut self, tile: usize, row: usize, step: usize) -> &mut Line {
        let first = tile * self.tile_size();
        &mut self.lines[first + step * self.rows_per_tile + row]
    }

    /// Rows of a tile.
    pub(super) fn rows_per_tile(&self) -> usize {
        self.rows_per_tile
    }
}

/// Rounds rows of `matrix` from `first` on, as many as there are in tiles of `rows_per_tile` with `steps` steps.
fn round_tiles(
    matrix: Matrix<'_>,
    first: usize,
    (lines, rows_per_tile, steps): (&mut [Line], usize, usize),
) {
    if matrix.is_row_major() {
        let tiles = lines.chunks_mut((steps * rows_per_tile).max(1));
        for (tile, lines) in tiles.enumerate() {
            let first = first + tile * rows_per_tile;
            round_rows(matrix, first, (lines, rows_per_tile));
        }
    } else {
        round_columns(matrix.transposed(), first, (lines, rows_per_tile, steps));
    }
}

/// Rounds the rows of a tile of `matrix`, in which they lie one after another.
fn round_rows(matrix: Matrix<'_>, first: usize, (lines, rows_per_tile): (&mut [Line], usize)) {
    let [rows, _] = matrix.shape();
    let count = rows_per_tile.min(rows - first);
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
}

/// Rounds rows that are the columns of `matrix`, which is read as it lies in memory; lines are written whole.
fn round_columns(
    matrix: Matrix<'_>,
    first: usize,
    (lines, rows_per_tile, steps): (&mut [Line], usize, usize),
) {
    let [depth, columns] = matrix.shape();
    let columns = (lines.len() / steps.max(1)).min(columns - first);
    let none = vec![0.0; columns];
    let part = |row: usize| match row < depth {
        true => &matrix.row(row)[first..][..columns],
        false => &none[..],
    };
    // The pairs of a step, apart by no power of two, whose places in the cache would be the same.
    let stride = columns.next_multiple_of(LANES) + LANES;
    let mut pairs = vec![0; PAIRS * stride];
    vectorized(
        #[inline(always)]
        || {
            for step in 0..steps {
                for (number, pairs) in pairs.chunks_exact_mut(stride).enumerate() {
                    let row = step * STEP + number * PAIR;
                    let values = part(row).iter().zip(part(row + 1));
                    for (pair, (&value, &below)) in pairs.iter_mut().zip(values) {
                        *pair = pair_of(value, below);
                    }
                }
                let tiles = lines.chunks_mut(steps * rows_per_tile).enumerate();
                for (tile, lines) in tiles {
                    let lines = lines[step * rows_per_tile..].iter_mut().take(rows_per_tile);
                    for (column, line) in (tile * rows_per_tile..columns).zip(lines) {
                        let line: &mut [u32; PAIRS] = cast_mut(&mut line.0);
                        let pairs = pairs[column..].iter().step_by(stride);
                        for (to, &pair) in line.iter_mut().zip(pairs) {
                            *to = pair;
                        }
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
