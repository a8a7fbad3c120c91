//! Products of small matrices on one thread, from registers: what attention is made of.
//!
//! The right matrix is packed into panels, each as wide as a few vectors and holding its rows one after another, zeros where
//! the matrix ends. A tile of rows and one panel is summed in registers over the whole depth.

use bytemuck::{Pod, Zeroable, bytes_of, cast_slice, cast_slice_mut, pod_read_unaligned};
use macerator::{AutoArch, Scalar, Simd, Vector, WithSimd};
use rayon::prelude::*;

/// Rows of a tile; with the widest panel its sums fill 24 of the 32 registers of AVX-512, and 12 of the 16 of AVX2.
const ROWS: usize = 6;
/// Columns of the widest panel that any processor has.
const WIDEST: usize = 64;

/// What a processor moves at a time: a vector that lies across two takes twice as long.
#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C, align(64))]
struct Line([f32; 16]);

/// Packed matrices, side by side.
pub(super) struct Packed {
    lines: Vec<Line>,
    /// Lines of a matrix.
    each: usize,
}

impl Packed {
    /// `count` matrices of at most `size` floats; `fill` packs the one of an index into zeros.
    pub(super) fn new(count: usize, size: usize, fill: impl Fn(usize, &mut [f32]) + Sync) -> Self {
        let each = size.div_ceil(16);
        let mut lines = vec![Line::zeroed(); count * each];
        lines
            .par_chunks_mut(each.max(1))
            .enumerate()
            .for_each(|(at, lines)| fill(at, cast_slice_mut(lines)));
        Self { lines, each }
    }

    /// The matrix of an index, zeros after its end.
    pub(super) fn get(&self, at: usize) -> &[f32] {
        cast_slice(&self.lines[at * self.each..][..self.each])
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
        let lanes = AutoArch::new().dispatch(Lanes);
        let most = if lanes == 16 { 4 } else { 2 };
        let vectors = columns.div_ceil(lanes).next_power_of_two().clamp(1, most);
        Self {
            depth,
            columns,
            width: lanes * vectors,
        }
    }

    /// Floats that the packed matrix takes.
    pub(super) fn size(&self) -> usize {
        self.columns.div_ceil(self.width) * self.depth * self.width
    }

    /// Packs a matrix whose rows begin `stride` apart in `from`; `to` holds zeros.
    pub(super) fn pack(&self, from: &[f32], stride: usize, to: &mut [f32]) {
        for (panel, to) in self.panels_mut(to) {
            let first = panel * self.width;
            let columns = self.width.min(self.columns - first);
            for (row, to) in to.chunks_exact_mut(self.width).enumerate() {
                to[..columns].copy_from_slice(&from[row * stride + first..][..columns]);
            }
        }
    }

    /// Packs a matrix whose columns begin `stride` apart in `from`; `to` holds zeros.
    pub(super) fn pack_transposed(&self, from: &[f32], stride: usize, to: &mut [f32]) {
        for (panel, to) in self.panels_mut(to) {
            let first = panel * self.width;
            let columns = self.width.min(self.columns - first);
            for column in 0..columns {
                let from = &from[(first + column) * stride..][..self.depth];
                for (to, &value) in to[column..].iter_mut().step_by(self.width).zip(from) {
                    *to = value;
                }
            }
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
        (left, left_stride): (&[f32], usize),
        right: &[f32],
        (to, to_stride): (&mut [f32], usize),
    ) {
        AutoArch::new().dispatch(Product {
            panels: *self,
            rows,
            left,
            left_stride,
            right,
            to,
            to_stride,
        });
    }
}

/// Floats in a vector of this processor.
struct Lanes;

impl WithSimd for Lanes {
    type Output = usize;

    #[inline(always)]
    fn with_simd<S: Simd>(self) -> usize {
        S::lanes32()
    }
}

struct Product<'a> {
    panels: Panels,
    rows: usize,
    left: &'a [f32],
    left_stride: usize,
    right: &'a [f32],
    to: &'a mut [f32],
    to_stride: usize,
}

impl WithSimd for Product<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self) {
        match self.panels.width / S::lanes32() {
            1 => self.run::<S, 1>(),
            2 => self.run::<S, 2>(),
            _ => self.run::<S, 4>(),
        }
    }
}

impl Product<'_> {
    #[inline(always)]
    fn run<S: Simd, const V: usize>(self) {
        let Panels {
            depth,
            columns,
            width,
        } = self.panels;
        let mut sums = [0.0; ROWS * WIDEST];
        let panels = self.right[..self.panels.size()].chunks_exact(depth * width);
        for (panel, right) in panels.enumerate() {
            let first = panel * width;
            let columns = width.min(columns - first);
            for row in (0..self.rows).step_by(ROWS) {
                let at = |offset: usize| &self.left[(row + offset) * self.left_stride..][..depth];
                let rows = ROWS.min(self.rows - row);
                match rows {
                    1 => tile::<S, 1, V>([at(0)], right, &mut sums),
                    2 => tile::<S, 2, V>([at(0), at(1)], right, &mut sums),
                    3 => tile::<S, 3, V>([at(0), at(1), at(2)], right, &mut sums),
                    4 => tile::<S, 4, V>([at(0), at(1), at(2), at(3)], right, &mut sums),
                    5 => tile::<S, 5, V>([at(0), at(1), at(2), at(3), at(4)], right, &mut sums),
                    _ => {
                        let left = [at(0), at(1), at(2), at(3), at(4), at(5)];
                        tile::<S, ROWS, V>(left, right, &mut sums);
                    }
                }
                for (offset, sums) in sums.chunks_exact(width).take(rows).enumerate() {
                    self.to[(row + offset) * self.to_stride + first..][..columns]
                        .copy_from_slice(&sums[..columns]);
                }
            }
        }
    }
}

/// The products of `R` rows with a panel of `V` vectors, a row after another in `to`.
#[inline(always)]
fn tile<S: Simd, const R: usize, const V: usize>(left: [&[f32]; R], right: &[f32], to: &mut [f32]) {
    let width = V * S::lanes32();
    let depth = right.len() / width;
    for row in left {
        // Known to the compiler from here on, which leaves the check out of the loop.
        assert_eq!(row.len(), depth);
    }
    let mut sums = [[0.0_f32.splat::<S>(); V]; R];
    for (at, right) in (0..depth).zip(right.chunks_exact(width)) {
        let mut line = [0.0_f32.splat::<S>(); V];
        for (vector, from) in line.iter_mut().zip(right.chunks_exact(S::lanes32())) {
            *vector = load::<S>(from);
        }
        for (sums, row) in sums.iter_mut().zip(left) {
            let value = row[at].splat::<S>();
            for (sum, &vector) in sums.iter_mut().zip(&line) {
                *sum = value.mul_add(vector, *sum);
            }
        }
    }
    let vectors = sums.as_flattened();
    for (to, vector) in to.chunks_exact_mut(S::lanes32()).zip(vectors) {
        to.copy_from_slice(cast_slice(bytes_of(vector)));
    }
}

#[inline(always)]
fn load<S: Simd>(from: &[f32]) -> Vector<S, f32> {
    pod_read_unaligned(cast_slice(from))
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
            (7, 37, 129),
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
