//! Products on one thread by a packed matrix: what attention is made of, and linear layers with packed weights.
//!
//! The right matrix is packed into panels, each as wide as a few vectors and holding its rows one after another, zeros where
//! the matrix ends.

use bytemuck::{Pod, Zeroable, cast_slice, cast_slice_mut};
use rayon::prelude::*;

use super::PIECE;
use super::product::turn;
use super::tile::{Product, STRETCH, lanes};

/// A cache line: vectors that straddle two lines load at half speed.
#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C, align(64))]
struct Line([f32; FLOATS]);

/// Floats in a line.
const FLOATS: usize = 16;

/// Packed matrices, side by side.
pub(super) struct Packed {
    lines: Vec<Line>,
    /// Where each matrix begins, and the end of the last.
    starts: Vec<usize>,
}

impl Packed {
    /// Matrices of so many floats each, all of them zeros.
    pub(super) fn zeros(sizes: impl IntoIterator<Item = usize>) -> Self {
        let mut starts = vec![0];
        starts.extend(sizes.into_iter().scan(0, |end, size| {
            *end += size.div_ceil(FLOATS);
            Some(*end)
        }));
        let lines = vec![Line::zeroed(); starts[starts.len() - 1]];
        Self { lines, starts }
    }

    /// Matrices of so many floats each; `fill` packs the one of an index into zeros.
    pub(super) fn new(
        sizes: impl Iterator<Item = usize>,
        fill: impl Fn(usize, &mut [f32]) + Sync,
    ) -> Self {
        let Self { mut lines, starts } = Self::zeros(sizes);
        let mut rest = &mut lines[..];
        let mut matrices = Vec::with_capacity(starts.len() - 1);
        for ends in starts.windows(2) {
            let (matrix, others) = rest.split_at_mut(ends[1] - ends[0]);
            matrices.push(matrix);
            rest = others;
        }
        let fill = |(at, lines): (usize, &mut [Line])| fill(at, cast_slice_mut(lines));
        if starts[starts.len() - 1] * FLOATS <= PIECE {
            matrices.into_iter().enumerate().for_each(fill);
        } else {
            matrices.into_par_iter().enumerate().for_each(fill);
        }
        Self { lines, starts }
    }

    /// The matrix of an index, zeros after its end.
    pub(super) fn get(&self, at: usize) -> &[f32] {
        cast_slice(&self.lines[self.starts[at]..self.starts[at + 1]])
    }

    /// Mutable access to the matrix of an index, to pack it anew.
    pub(super) fn get_mut(&mut self, at: usize) -> &mut [f32] {
        cast_slice_mut(&mut self.lines[self.starts[at]..self.starts[at + 1]])
    }
}

/// How the right matrix of a product, `[depth, columns]`, is packed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Panels {
    depth: usize,
    columns: usize,
    width: usize,
}

impl Panels {
    /// Panels for a matrix of `depth` rows and `columns` columns.
    pub(super) fn new(depth: usize, columns: usize) -> Self {
        let lanes = lanes();
        let most = if lanes == 16 { 4 } else { 2 };
        let vectors = columns.div_ceil(lanes).next_power_of_two().clamp(1, most);
        Self {
            depth,
            columns,
            width: lanes * vectors,
        }
    }

    /// Columns of a panel.
    pub(super) fn width(&self) -> usize {
        self.width
    }

    /// Panels that count the zeros at the end of the last one as columns of their own.
    pub(super) fn filled(&self) -> Self {
        self.of_columns(self.columns.next_multiple_of(self.width))
    }

    /// Columns of the matrix.
    pub(super) fn columns(&self) -> usize {
        self.columns
    }

    /// Floats that the packed matrix takes.
    pub(super) fn size(&self) -> usize {
        self.columns.div_ceil(self.width) * self.size_of_one()
    }

    /// Floats that a panel takes.
    pub(super) fn size_of_one(&self) -> usize {
        self.depth * self.width
    }

    /// `[depth, columns]`
    pub(super) fn shape(&self) -> [usize; 2] {
        [self.depth, self.columns]
    }

    /// Where, in the packed matrix, the panel that begins with column `first` does.
    pub(super) fn start_of(&self, first: usize) -> usize {
        first / self.width * self.size_of_one()
    }

    /// The panels of the next `columns`, from the beginning of one on.
    pub(super) fn of_columns(&self, columns: usize) -> Self {
        Self { columns, ..*self }
    }

    /// Packs a matrix whose rows begin `stride` apart in `from`; `to` holds zeros.
    pub(super) fn pack(&self, from: &[f32], stride: usize, to: &mut [f32]) {
        for (panel, to) in self.panels_mut(to) {
            self.pack_one(panel, from, stride, to);
        }
    }

    /// Packs the panel of a number, as [`pack`](Self::pack) does all.
    pub(super) fn pack_one(&self, panel: usize, from: &[f32], stride: usize, to: &mut [f32]) {
        let first = panel * self.width;
        let columns = self.width.min(self.columns - first);
        for (row, to) in to.chunks_exact_mut(self.width).enumerate() {
            to[..columns].copy_from_slice(&from[row * stride + first..][..columns]);
        }
    }

    /// A packed matrix by its rows, one after another.
    pub(super) fn unpack(&self, packed: &[f32]) -> Vec<f32> {
        let mut values = Vec::with_capacity(self.depth * self.columns);
        for row in 0..self.depth {
            for first in (0..self.columns).step_by(self.width) {
                let columns = self.width.min(self.columns - first);
                let from = &packed[self.start_of(first) + row * self.width..];
                values.extend_from_slice(&from[..columns]);
            }
        }
        values
    }

    /// Packs a matrix whose columns begin `stride` apart in `from`; `to` holds zeros.
    pub(super) fn pack_transposed(&self, from: &[f32], stride: usize, to: &mut [f32]) {
        for (panel, to) in self.panels_mut(to) {
            let first = panel * self.width;
            let columns = self.width.min(self.columns - first);
            let shape = (columns, self.width);
            turn(&from[first * stride..], stride, shape, to, |to, value| {
                *to = value;
            });
        }
    }

    fn panels_mut<'a>(&self, to: &'a mut [f32]) -> impl Iterator<Item = (usize, &'a mut [f32])> {
        to[..self.size()]
            .chunks_exact_mut((self.depth * self.width).max(1))
            .enumerate()
    }

    /// `left · right`, into rows of `to` that begin `to_stride` apart.
    ///
    /// # Shapes
    ///
    /// - left: `[rows, depth]`, depth not 0, rows beginning `left_stride` apart
    /// - right: as packed
    /// - to: `[rows, columns]`
    pub(super) fn multiply(
        &self,
        rows: usize,
        left: (&[f32], usize),
        right: &[f32],
        to: (&mut [f32], usize),
    ) {
        self.multiply_in(STRETCH, rows, left, right, to);
    }

    /// Like [`multiply`](Self::multiply), a [`stretch`](Product::stretch) of the depth at a time.
    pub(super) fn multiply_in(
        &self,
        stretch: usize,
        rows: usize,
        (left, left_stride): (&[f32], usize),
        right: &[f32],
        (to, to_stride): (&mut [f32], usize),
    ) {
        Product {
            rows,
            depth: self.depth,
            columns: self.columns,
            width: self.width,
            left,
            left_stride,
            right,
            panel_step: self.size_of_one(),
            line_step: self.width,
            to,
            to_stride,
            stretch,
        }
        .compute();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn products_of_odd_sizes_equal_the_sums_of_their_definition() {
        for (rows, depth, columns) in [
            (1, 1, 1),
            (6, 3, 16),
            (13, 64, 37),
            (8, 5, 64),
            // Sums that go on from those of the depth before, in full panels and in part of one.
            (7, 137, 129),
        ] {
            let left: Vec<f32> = (0..rows * (depth + 2))
                .map(|i| ((i * 37) % 101) as f32)
                .collect();
            let right: Vec<f32> = (0..depth * (columns + 3))
                .map(|i| ((i * 53) % 97) as f32)
                .collect();
            let panels = Panels::new(depth, columns);
            let mut packed = vec![0.0; panels.size()];
            panels.pack(&right, columns + 3, &mut packed);
            let mut found = vec![-1.0; rows * (columns + 1)];
            panels.multiply(rows, (&left, depth + 2), &packed, (&mut found, columns + 1));

            // The same matrix, given by its columns.
            let turned: Vec<f32> = (0..columns * (depth + 1))
                .map(|i| match i % (depth + 1) {
                    row if row == depth => f32::NAN,
                    row => right[row * (columns + 3) + i / (depth + 1)],
                })
                .collect();
            let mut packed_turned = vec![0.0; panels.size()];
            panels.pack_transposed(&turned, depth + 1, &mut packed_turned);
            assert_eq!(packed, packed_turned, "{rows} x {depth} x {columns}");
            let unpacked = panels.unpack(&packed);
            for (row, unpacked) in unpacked.chunks_exact(columns).enumerate() {
                assert_eq!(unpacked, &right[row * (columns + 3)..][..columns]);
            }

            for row in 0..rows {
                for column in 0..columns {
                    // Whole numbers, so that every order of the sum is exact.
                    let expected: f32 = (0..depth)
                        .map(|at| left[row * (depth + 2) + at] * right[at * (columns + 3) + column])
                        .sum();
                    assert_eq!(found[row * (columns + 1) + column], expected);
                }
                // What lies between the rows is left alone.
                assert_eq!(found[row * (columns + 1) + columns], -1.0);
            }
        }
    }
}
