//! Products summed in registers: tiles of a few rows by a panel of a few vectors, over a stretch of the depth.

use bytemuck::{bytes_of, cast_slice, pod_read_unaligned};
use macerator::{AutoArch, Scalar, Simd, Vector, WithSimd};

/// Rows of a tile; with the widest panel its sums fill 24 of the 32 registers of AVX-512, and 12 of the 16 of AVX2.
pub(super) const ROWS: usize = 6;
/// Columns of the widest panel that any processor has.
const WIDEST: usize = 64;

/// A [`stretch`](Product::stretch) that keeps what a panel has in it in the first cache for all rows of the left matrix; and
/// with it, a matrix that is read where it lies is gone through from end to end, in few streams, which the processor foresees:
/// down a whole panel, every line is in another page than the one before.
pub(super) const STRETCH: usize = 64;

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
    /// Rows of the right matrix after which sums are put down and the next panel has its turn.
    pub(super) stretch: usize,
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
        for start in (0..self.depth).step_by(self.stretch) {
            let depth = self.stretch.min(self.depth - start);
            for panel in 0..self.columns.div_ceil(self.width) {
                let lines = Lines {
                    values: &self.right[panel * self.panel_step + start * self.line_step..],
                    step: self.line_step,
                };
                let first = panel * self.width;
                let columns = self.width.min(self.columns - first);
                for row in (0..self.rows).step_by(ROWS) {
                    let rows = ROWS.min(self.rows - row);
                    let left = &self.left[row * self.left_stride + start..];
                    let left = |offset: usize| &left[offset * self.left_stride..][..depth];
                    let to = &mut self.to[row * self.to_stride + first..];
                    let sums = Sums {
                        values: to,
                        step: self.to_stride,
                        begun: start > 0,
                    };
                    if columns == self.width {
                        tiles::<S, V>(rows, left, lines, sums);
                        continue;
                    }
                    // What would be beyond the last column of the panel has a place here.
                    let mut whole = [0.0; ROWS * WIDEST];
                    for (whole, to) in whole
                        .chunks_exact_mut(self.width)
                        .zip(sums.values.chunks(self.to_stride))
                        .take(rows)
                    {
                        whole[..columns].copy_from_slice(&to[..columns]);
                    }
                    let padded = Sums {
                        values: &mut whole,
                        step: self.width,
                        begun: sums.begun,
                    };
                    tiles::<S, V>(rows, left, lines, padded);
                    for (whole, to) in whole
                        .chunks_exact(self.width)
                        .zip(sums.values.chunks_mut(self.to_stride))
                        .take(rows)
                    {
                        to[..columns].copy_from_slice(&whole[..columns]);
                    }
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

/// Where sums are put, in rows that begin `step` apart.
struct Sums<'a> {
    values: &'a mut [f32],
    step: usize,
    /// True if products are added to the sums already in `values`.
    begun: bool,
}

/// [`tile`] of one to six rows, each a `left` of its number.
#[inline(always)]
fn tiles<'a, S: Simd, const V: usize>(
    rows: usize,
    left: impl Fn(usize) -> &'a [f32],
    right: Lines<'_>,
    to: Sums<'_>,
) {
    match rows {
        1 => tile::<S, 1, V>([0].map(left), right, to),
        2 => tile::<S, 2, V>([0, 1].map(left), right, to),
        3 => tile::<S, 3, V>([0, 1, 2].map(left), right, to),
        4 => tile::<S, 4, V>([0, 1, 2, 3].map(left), right, to),
        5 => tile::<S, 5, V>([0, 1, 2, 3, 4].map(left), right, to),
        _ => tile::<S, ROWS, V>([0, 1, 2, 3, 4, 5].map(left), right, to),
    }
}

/// The products of `R` rows with a panel of `V` vectors.
#[inline(always)]
#[expect(
    clippy::needless_range_loop,
    reason = "with iterators in their place, sums that are carried over are stored in every step, which halves the speed"
)]
fn tile<S: Simd, const R: usize, const V: usize>(
    left: [&[f32]; R],
    right: Lines<'_>,
    to: Sums<'_>,
) {
    let width = V * S::lanes32();
    let depth = left[0].len();
    for row in left {
        // Known to the compiler from here on, which leaves the check out of the loop.
        assert_eq!(row.len(), depth);
    }
    let mut sums = [[0.0_f32.splat::<S>(); V]; R];
    if to.begun {
        for row in 0..R {
            let from = &to.values[row * to.step..][..width];
            for vector in 0..V {
                sums[row][vector] = load::<S>(&from[vector * S::lanes32()..][..S::lanes32()]);
            }
        }
    }
    for (at, from) in (0..depth).zip(right.values.chunks(right.step)) {
        let mut line = [0.0_f32.splat::<S>(); V];
        for (vector, from) in line
            .iter_mut()
            .zip(from[..width].chunks_exact(S::lanes32()))
        {
            *vector = load::<S>(from);
        }
        for row in 0..R {
            let value = left[row][at].splat::<S>();
            for vector in 0..V {
                sums[row][vector] = value.mul_add(line[vector], sums[row][vector]);
            }
        }
    }
    for (row, sums) in sums.iter().enumerate() {
        let to = &mut to.values[row * to.step..][..width];
        for (to, sum) in to.chunks_exact_mut(S::lanes32()).zip(sums) {
            to.copy_from_slice(cast_slice(bytes_of(sum)));
        }
    }
}

#[inline(always)]
fn load<S: Simd>(from: &[f32]) -> Vector<S, f32> {
    pod_read_unaligned(cast_slice(from))
}
