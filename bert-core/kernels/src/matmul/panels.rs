//! Packing of right matrices into panels, each as wide as a few vectors and holding its rows one after another, zeros where the
//! matrix ends; and products by them on one thread, which attention is made of.

use std::ops::Range;

use bytemuck::{Pod, Zeroable, cast_slice, cast_slice_mut};
use rayon::prelude::*;

use super::microkernel::{BlockedProduct, K_BLOCK};
use super::transpose::transpose_into;
use crate::parallel::CHUNK_LEN;
use crate::simd::lanes;

/// A cache line. Vectors that straddle two lines load at half speed.
#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C, align(64))]
struct CacheLine([f32; LINE_LEN]);

/// Floats in a cache line.
const LINE_LEN: usize = 16;

/// Packed matrices, side by side, each aligned to a cache line.
pub(crate) struct PackedMatrices {
    lines: Vec<CacheLine>,
    /// The first line of each matrix, and the end of the last.
    starts: Vec<usize>,
}

impl PackedMatrices {
    /// Matrices of `sizes` floats, all of them zeros.
    pub(crate) fn zeros(sizes: impl IntoIterator<Item = usize>) -> Self {
        let mut starts = vec![0];
        starts.extend(sizes.into_iter().scan(0, |end, size| {
            *end += size.div_ceil(LINE_LEN);
            Some(*end)
        }));
        let lines = vec![CacheLine::zeroed(); starts[starts.len() - 1]];
        Self { lines, starts }
    }

    /// Matrices of `sizes` floats; `pack` packs the one of an index into zeros.
    pub(crate) fn new(
        sizes: impl Iterator<Item = usize>,
        pack: impl Fn(usize, &mut [f32]) + Sync,
    ) -> Self {
        let Self { mut lines, starts } = Self::zeros(sizes);
        let mut rest = &mut lines[..];
        let mut matrices = Vec::with_capacity(starts.len() - 1);
        for ends in starts.windows(2) {
            let (matrix, others) = rest.split_at_mut(ends[1] - ends[0]);
            matrices.push(matrix);
            rest = others;
        }
        let pack = |(at, lines): (usize, &mut [CacheLine])| pack(at, cast_slice_mut(lines));
        if starts[starts.len() - 1] * LINE_LEN <= CHUNK_LEN {
            matrices.into_iter().enumerate().for_each(pack);
        } else {
            matrices.into_par_iter().enumerate().for_each(pack);
        }
        Self { lines, starts }
    }

    /// The matrix of an index, zeros after its end.
    pub(crate) fn get(&self, at: usize) -> &[f32] {
        cast_slice(&self.lines[self.starts[at]..self.starts[at + 1]])
    }

    /// Mutable access to the matrix of an index, to pack it anew.
    pub(crate) fn get_mut(&mut self, at: usize) -> &mut [f32] {
        cast_slice_mut(&mut self.lines[self.starts[at]..self.starts[at + 1]])
    }
}

/// How the right matrix of a product, `[depth, columns]`, lies in memory: packed, unless it is [row-major](Self::row_major).
#[derive(Clone, Copy, Debug)]
pub(crate) struct PanelLayout {
    depth: usize,
    columns: usize,
    width: usize,
    /// From a panel to the next; longer than `depth` rows if a product takes part of them.
    panel_stride: usize,
    /// From a row of a panel to the next.
    row_stride: usize,
}

impl PanelLayout {
    /// Panels for a matrix of `depth` rows and `columns` columns.
    pub(crate) fn new(depth: usize, columns: usize) -> Self {
        let lanes = lanes();
        let most = if lanes == 16 { 4 } else { 2 };
        let vectors = columns.div_ceil(lanes).next_power_of_two().clamp(1, most);
        let width = lanes * vectors;
        Self {
            depth,
            columns,
            width,
            panel_stride: depth * width,
            row_stride: width,
        }
    }

    /// A matrix as it lies, row by row; its columns are those of [whole panels](Self::whole_panels).
    pub(crate) fn row_major(depth: usize, columns: usize) -> Self {
        let layout = Self::new(depth, columns);
        assert!(
            columns.is_multiple_of(layout.width),
            "a row-major matrix has whole panels"
        );
        Self {
            panel_stride: layout.width,
            row_stride: columns,
            ..layout
        }
    }

    /// Columns of a panel.
    pub(crate) fn width(&self) -> usize {
        self.width
    }

    /// Layout that counts the zeros at the end of the last panel as columns of their own.
    pub(crate) fn whole_panels(&self) -> Self {
        self.with_columns(self.columns.next_multiple_of(self.width))
    }

    /// `columns`, extended to whole panels.
    pub(crate) fn whole_panels_of(&self, columns: &Range<usize>) -> Range<usize> {
        columns.start / self.width * self.width..columns.end.next_multiple_of(self.width)
    }

    /// Columns of the matrix.
    pub(crate) fn columns(&self) -> usize {
        self.columns
    }

    /// Floats that the packed matrix takes.
    pub(crate) fn size(&self) -> usize {
        self.columns.div_ceil(self.width) * self.panel_size()
    }

    /// Floats that a panel takes.
    pub(crate) fn panel_size(&self) -> usize {
        self.panel_stride
    }

    /// `[depth, columns]`
    pub(crate) fn shape(&self) -> [usize; 2] {
        [self.depth, self.columns]
    }

    /// Offset, in the packed matrix, of the panel that begins with column `first`.
    pub(crate) fn panel_start(&self, first: usize) -> usize {
        first / self.width * self.panel_stride
    }

    /// Layout of the next `columns`, from the beginning of a panel on.
    pub(crate) fn with_columns(&self, columns: usize) -> Self {
        Self { columns, ..*self }
    }

    /// Offset, in the packed matrix, of row `first`.
    pub(crate) fn row_start(&self, first: usize) -> usize {
        first * self.row_stride
    }

    /// Layout of the next `depth` rows, from [any of them](Self::row_start) on.
    pub(crate) fn with_depth(&self, depth: usize) -> Self {
        Self { depth, ..*self }
    }

    /// Packs a matrix whose rows begin `stride` apart in `from`; `to` holds zeros.
    pub(crate) fn pack(&self, from: &[f32], stride: usize, to: &mut [f32]) {
        for (panel, to) in self.panels_mut(to) {
            self.pack_panel(panel, from, stride, to);
        }
    }

    /// Packs the panel of a number, as [`pack`](Self::pack) does all.
    pub(crate) fn pack_panel(&self, panel: usize, from: &[f32], stride: usize, to: &mut [f32]) {
        let first = panel * self.width;
        let columns = self.width.min(self.columns - first);
        for (row, to) in to.chunks_exact_mut(self.width).enumerate() {
            to[..columns].copy_from_slice(&from[row * stride + first..][..columns]);
        }
    }

    /// A packed matrix, row by row.
    pub(crate) fn unpack(&self, packed: &[f32]) -> Vec<f32> {
        let mut values = Vec::with_capacity(self.depth * self.columns);
        for row in 0..self.depth {
            for first in (0..self.columns).step_by(self.width) {
                let columns = self.width.min(self.columns - first);
                let from = &packed[self.panel_start(first) + row * self.width..];
                values.extend_from_slice(&from[..columns]);
            }
        }
        values
    }

    /// Packs a matrix whose columns begin `stride` apart in `from`; `to` holds zeros.
    pub(crate) fn pack_transposed(&self, from: &[f32], stride: usize, to: &mut [f32]) {
        for (panel, to) in self.panels_mut(to) {
            let first = panel * self.width;
            let columns = self.width.min(self.columns - first);
            let sizes = (columns, self.width);
            transpose_into(&from[first * stride..], stride, sizes, to, |to, value| {
                *to = value;
            });
        }
    }

    fn panels_mut<'a>(&self, to: &'a mut [f32]) -> impl Iterator<Item = (usize, &'a mut [f32])> {
        to[..self.size()]
            .chunks_exact_mut(self.panel_size().max(1))
            .enumerate()
    }

    /// `left · right`, into rows of `output` that begin `output_stride` apart.
    ///
    /// # Shapes
    ///
    /// - left: `[rows, depth]`, depth not 0, rows beginning `left_stride` apart
    /// - right: as packed
    /// - output: `[rows, columns]`
    pub(crate) fn multiply(
        &self,
        rows: usize,
        left: (&[f32], usize),
        right: &[f32],
        output: (&mut [f32], usize),
    ) {
        self.multiply_in_blocks(K_BLOCK, rows, left, right, output);
    }

    /// Adds `left · right` to `output`; shapes are those of [`multiply`](Self::multiply).
    pub(crate) fn multiply_add(
        &self,
        rows: usize,
        left: (&[f32], usize),
        right: &[f32],
        output: (&mut [f32], usize),
    ) {
        let product = self.product(K_BLOCK, rows, left, right, output);
        BlockedProduct {
            accumulate: true,
            ..product
        }
        .compute();
    }

    /// Like [`multiply`](Self::multiply), with K-blocks of another depth.
    pub(crate) fn multiply_in_blocks(
        &self,
        k_block: usize,
        rows: usize,
        left: (&[f32], usize),
        right: &[f32],
        output: (&mut [f32], usize),
    ) {
        self.product(k_block, rows, left, right, output).compute();
    }

    fn product<'a>(
        &self,
        k_block: usize,
        rows: usize,
        (left, left_stride): (&'a [f32], usize),
        right: &'a [f32],
        (output, output_stride): (&'a mut [f32], usize),
    ) -> BlockedProduct<'a> {
        BlockedProduct {
            rows,
            depth: self.depth,
            columns: self.columns,
            panel_width: self.width,
            left,
            left_stride,
            right,
            panel_stride: self.panel_stride,
            panel_row_stride: self.row_stride,
            output,
            output_stride,
            k_block,
            accumulate: false,
        }
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
            // Sums that go on from those of the K-block before, in full panels and in part of one.
            (7, 137, 129),
        ] {
            if cfg!(miri) && rows * depth * columns > 10_000 {
                continue;
            }
            let left: Vec<f32> = (0..rows * (depth + 2))
                .map(|i| ((i * 37) % 101) as f32)
                .collect();
            let right: Vec<f32> = (0..depth * (columns + 3))
                .map(|i| ((i * 53) % 97) as f32)
                .collect();
            let layout = PanelLayout::new(depth, columns);
            let mut packed = vec![0.0; layout.size()];
            layout.pack(&right, columns + 3, &mut packed);
            let mut found = vec![-1.0; rows * (columns + 1)];
            layout.multiply(rows, (&left, depth + 2), &packed, (&mut found, columns + 1));

            // The same matrix, given by its columns.
            let transposed: Vec<f32> = (0..columns * (depth + 1))
                .map(|i| match i % (depth + 1) {
                    row if row == depth => f32::NAN,
                    row => right[row * (columns + 3) + i / (depth + 1)],
                })
                .collect();
            let mut packed_transposed = vec![0.0; layout.size()];
            layout.pack_transposed(&transposed, depth + 1, &mut packed_transposed);
            assert_eq!(packed, packed_transposed, "{rows} x {depth} x {columns}");
            let unpacked = layout.unpack(&packed);
            for (row, unpacked) in unpacked.chunks_exact(columns).enumerate() {
                assert_eq!(unpacked, &right[row * (columns + 3)..][..columns]);
            }

            let whole = columns.next_multiple_of(layout.width());
            let mut row_major = vec![0.0; depth * whole];
            for (to, from) in row_major
                .chunks_exact_mut(whole)
                .zip(unpacked.chunks_exact(columns))
            {
                to[..columns].copy_from_slice(from);
            }
            let mut found_again = vec![1.0; rows * whole];
            let to = (&mut found_again[..], whole);
            let as_it_lies = PanelLayout::row_major(depth, whole);
            as_it_lies.multiply_add(rows, (&left, depth + 2), &row_major, to);

            for row in 0..rows {
                let sums = found_again[row * whole..][..columns].iter();
                let less_one: Vec<f32> = sums.map(|sum| sum - 1.0).collect();
                assert_eq!(less_one, found[row * (columns + 1)..][..columns]);
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

    #[test]
    fn matrices_begin_at_cache_lines() {
        let mut packed = PackedMatrices::new([3, 20].into_iter(), |at, to| to[0] = at as f32);
        for (at, size) in [(0, 16), (1, 32)] {
            let matrix = packed.get(at);
            assert_eq!((matrix.len(), matrix[0]), (size, at as f32));
            assert!(matrix.as_ptr().addr().is_multiple_of(64));
        }
        packed.get_mut(1)[31] = 5.0;
        assert_eq!(packed.get(1)[31], 5.0);
    }
}
