//! Products of small matrices on one thread, from registers: what attention is made of.
//!
//! The right matrix is packed into panels, each as wide as a few vectors and holding its rows one after another, zeros where
//! the matrix ends. A tile of rows and one panel is summed in registers over the whole depth.

use bytemuck::{Pod, Zeroable, bytes_of, cast_slice, cast_slice_mut, pod_read_unaligned};
use macerator::{AutoArch, Scalar, Simd, Vector, WithSimd};
use rayon::prelude::*;

use super::PIECE;

/// Rows of a tile; with the widest panel its sums fill 24 of the 32 registers of AVX-512, and 12 of the 16 of AVX2.
const ROWS: usize = 6;
/// Columns of the widest panel that any processor has.
const WIDEST: usize = 64;

/// Multiplications from which a product of few rows is worth spreading over threads.
const WORTH_SPREADING: usize = 1 << 21;

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
        if count * size <= PIECE {
            for (at, lines) in lines.chunks_mut(each.max(1)).enumerate() {
                fill(at, cast_slice_mut(lines));
            }
        } else {
            lines
                .par_chunks_mut(each.max(1))
                .enumerate()
                .for_each(|(at, lines)| fill(at, cast_slice_mut(lines)));
        }
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
            panel_step: self.depth * self.width,
            line_step: self.width,
            to,
            to_stride,
        });
    }
}

/// `left · right` for few rows of `left`: `right` is read where it lies, since packing it would take longer than the product.
///
/// None where `right` does not end with a panel.
///
/// # Shapes
///
/// - left: `[rows, depth]`
/// - right: `[depth, columns]`
/// - output: `[rows, columns]`
pub(super) fn multiply_few(
    rows: usize,
    left: &[f32],
    right: &[f32],
    columns: usize,
) -> Option<Vec<f32>> {
    let depth = left.len() / rows.max(1);
    let whole = Panels::new(depth, columns);
    if rows * depth * columns == 0 || !columns.is_multiple_of(whole.width) {
        return None;
    }
    let part = |first: usize, columns: usize| {
        let mut to = vec![0.0; rows * columns];
        AutoArch::new().dispatch(Product {
            panels: Panels { columns, ..whole },
            rows,
            left,
            left_stride: depth,
            right: &right[first..],
            panel_step: whole.width,
            line_step: right.len() / depth,
            to: &mut to,
            to_stride: columns,
        });
        to
    };
    if rows * depth * columns < WORTH_SPREADING {
        return Some(part(0, columns));
    }
    let share = (columns / whole.width).div_ceil(rayon::current_num_threads()) * whole.width;
    let parts: Vec<Vec<f32>> = (0..columns.div_ceil(share))
        .into_par_iter()
        .map(|at| part(at * share, share.min(columns - at * share)))
        .collect();
    let mut output = vec![0.0; rows * columns];
    for (at, part) in parts.iter().enumerate() {
        let width = part.len() / rows;
        for (to, from) in output
            .chunks_exact_mut(columns)
            .zip(part.chunks_exact(width))
        {
            to[at * share..][..width].copy_from_slice(from);
        }
    }
    Some(output)
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
    /// From where a panel begins to where the next does.
    panel_step: usize,
    /// From a row of a panel to the next.
    line_step: usize,
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
        for panel in 0..columns.div_ceil(width) {
            let first = panel * width;
            let columns = width.min(columns - first);
            let lines = Lines {
                values: &self.right[panel * self.panel_step..],
                step: self.line_step,
            };
            for row in (0..self.rows).step_by(ROWS) {
                let at = |offset: usize| &self.left[(row + offset) * self.left_stride..][..depth];
                let rows = ROWS.min(self.rows - row);
                match rows {
                    1 => tile::<S, 1, V>([at(0)], lines, &mut sums),
                    2 => tile::<S, 2, V>([at(0), at(1)], lines, &mut sums),
                    3 => tile::<S, 3, V>([at(0), at(1), at(2)], lines, &mut sums),
                    4 => tile::<S, 4, V>([at(0), at(1), at(2), at(3)], lines, &mut sums),
                    5 => tile::<S, 5, V>([at(0), at(1), at(2), at(3), at(4)], lines, &mut sums),
                    _ => {
                        let left = [at(0), at(1), at(2), at(3), at(4), at(5)];
                        tile::<S, ROWS, V>(left, lines, &mut sums);
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

/// The rows of a panel, which begin `step` apart.
#[derive(Clone, Copy)]
struct Lines<'a> {
    values: &'a [f32],
    step: usize,
}

/// The products of `R` rows with a panel of `V` vectors, a row after another in `to`.
#[inline(always)]
fn tile<S: Simd, const R: usize, const V: usize>(
    left: [&[f32]; R],
    right: Lines<'_>,
    to: &mut [f32],
) {
    let width = V * S::lanes32();
    let depth = left[0].len();
    for row in left {
        // Known to the compiler from here on, which leaves the check out of the loop.
        assert_eq!(row.len(), depth);
    }
    let mut sums = [[0.0_f32.splat::<S>(); V]; R];
    for (at, from) in (0..depth).zip(right.values.chunks(right.step)) {
        let mut line = [0.0_f32.splat::<S>(); V];
        for (vector, from) in line
            .iter_mut()
            .zip(from[..width].chunks_exact(S::lanes32()))
        {
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
    fn products_of_few_rows_equal_the_sums_of_their_definition() {
        // The last is spread over threads, unevenly if there are two or four.
        for (rows, depth, columns) in [(1, 3, 64), (7, 5, 128), (20, 600, 192)] {
            let left: Vec<f32> = (0..rows * depth).map(|i| (i * 37 % 11) as f32).collect();
            let right: Vec<f32> = (0..depth * columns).map(|i| (i * 53 % 7) as f32).collect();
            let expected: Vec<f32> = (0..rows * columns)
                .map(|i| {
                    (0..depth)
                        .map(|k| left[i / columns * depth + k] * right[k * columns + i % columns])
                        .sum()
                })
                .collect();
            assert_eq!(multiply_few(rows, &left, &right, columns), Some(expected));
        }
        assert_eq!(multiply_few(2, &[1.0; 6], &[1.0; 201], 67), None);
    }

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
