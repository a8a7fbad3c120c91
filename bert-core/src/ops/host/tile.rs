//! Products summed in registers: tiles of a few rows by a panel of a few vectors, over the whole depth.

use bytemuck::{bytes_of, cast_slice, pod_read_unaligned};
use macerator::{AutoArch, Scalar, Simd, Vector, WithSimd};

/// Rows of a tile; with the widest panel its sums fill 24 of the 32 registers of AVX-512, and 12 of the 16 of AVX2.
const ROWS: usize = 6;
/// Columns of the widest panel that any processor has.
const WIDEST: usize = 64;

/// Floats in a vector of this processor.
pub(super) fn lanes() -> usize {
    AutoArch::new().dispatch(Lanes)
}

struct Lanes;

impl WithSimd for Lanes {
    type Output = usize;

    #[inline(always)]
    fn with_simd<S: Simd>(self) -> usize {
        S::lanes32()
    }
}

/// A product, tile by tile, and where its matrices lie.
pub(super) struct Product<'a> {
    pub(super) rows: usize,
    pub(super) depth: usize,
    pub(super) columns: usize,
    /// Columns of a panel: one, two or four vectors.
    pub(super) width: usize,
    pub(super) left: &'a [f32],
    /// From a row of `left` to the next.
    pub(super) left_stride: usize,
    pub(super) right: &'a [f32],
    /// From where a panel begins to where the next does.
    pub(super) panel_step: usize,
    /// From a row of a panel to the next.
    pub(super) line_step: usize,
    pub(super) to: &'a mut [f32],
    pub(super) to_stride: usize,
}

impl WithSimd for Product<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self) {
        match self.width / S::lanes32() {
            1 => self.run::<S, 1>(),
            2 => self.run::<S, 2>(),
            _ => self.run::<S, 4>(),
        }
    }
}

impl Product<'_> {
    /// Computes it on this thread.
    pub(super) fn compute(self) {
        AutoArch::new().dispatch(self);
    }

    #[inline(always)]
    fn run<S: Simd, const V: usize>(self) {
        let (depth, width) = (self.depth, self.width);
        let mut sums = [0.0; ROWS * WIDEST];
        for panel in 0..self.columns.div_ceil(width) {
            let first = panel * width;
            let columns = width.min(self.columns - first);
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
