//! The micro-kernel, which adds up a tile of a few rows by a panel of a few vectors in registers, and the loops around it.

use bytemuck::{bytes_of, cast_slice, pod_read_unaligned};
use macerator::{AutoArch, Scalar, Simd, Vector, WithSimd};

/// Rows of a tile (BLIS's MR); with the widest panel its sums fill 24 of the 32 registers of AVX-512, and 12 of the 16 of AVX2.
pub(super) const TILE_ROWS: usize = 6;

/// Columns of the widest panel that any processor has.
const MAX_PANEL: usize = 64;

/// K-block: a panel slice of this depth stays in the L1 cache across all row tiles. For an unpacked right matrix it also keeps
/// the access pattern to a few sequential streams, which the prefetcher follows; whole columns would touch a new page per row.
pub(super) const K_BLOCK: usize = 64;

/// A product that is computed K-block by K-block, panel by panel and tile by tile (BLIS's macro-kernel).
pub(super) struct BlockedProduct<'a> {
    pub(super) rows: usize,
    pub(super) depth: usize,
    pub(super) columns: usize,
    /// Columns of a panel (BLIS's NR): one, two or four vectors.
    pub(super) panel_width: usize,
    pub(super) left: &'a [f32],
    /// From a row of `left` to the next.
    pub(super) left_stride: usize,
    pub(super) right: &'a [f32],
    /// From the beginning of a panel to that of the next.
    pub(super) panel_stride: usize,
    /// From a row of a panel to the next.
    pub(super) panel_row_stride: usize,
    pub(super) output: &'a mut [f32],
    /// From a row of `output` to the next.
    pub(super) output_stride: usize,
    /// Rows of the right matrix after which sums are stored and the next panel has its turn.
    pub(super) k_block: usize,
    /// True if the product is added to `output`.
    pub(super) accumulate: bool,
}

impl WithSimd for BlockedProduct<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self) {
        match self.panel_width / S::lanes32() {
            1 => self.run::<S, 1>(),
            2 => self.run::<S, 2>(),
            _ => self.run::<S, 4>(),
        }
    }
}

impl BlockedProduct<'_> {
    /// Computes the product on this thread.
    pub(super) fn compute(self) {
        AutoArch::new().dispatch(self);
    }

    #[inline(always)]
    fn run<S: Simd, const V: usize>(self) {
        for start in (0..self.depth).step_by(self.k_block) {
            let depth = self.k_block.min(self.depth - start);
            for panel in 0..self.columns.div_ceil(self.panel_width) {
                let rows_of_panel = PanelRows {
                    values: &self.right
                        [panel * self.panel_stride + start * self.panel_row_stride..],
                    stride: self.panel_row_stride,
                };
                let first = panel * self.panel_width;
                let columns = self.panel_width.min(self.columns - first);
                for row in (0..self.rows).step_by(TILE_ROWS) {
                    let rows = TILE_ROWS.min(self.rows - row);
                    let left = &self.left[row * self.left_stride + start..];
                    let left = |offset: usize| &left[offset * self.left_stride..][..depth];
                    let output = &mut self.output[row * self.output_stride + first..];
                    let sums = Sums {
                        values: output,
                        stride: self.output_stride,
                        accumulate: self.accumulate || start > 0,
                    };
                    if columns == self.panel_width {
                        dispatch_rows::<S, V>(rows, left, rows_of_panel, sums);
                        continue;
                    }
                    // Scratch tile for the partial last panel.
                    let mut scratch = [0.0; TILE_ROWS * MAX_PANEL];
                    for (scratch, from) in scratch
                        .chunks_exact_mut(self.panel_width)
                        .zip(sums.values.chunks(self.output_stride))
                        .take(rows)
                    {
                        scratch[..columns].copy_from_slice(&from[..columns]);
                    }
                    let padded = Sums {
                        values: &mut scratch,
                        stride: self.panel_width,
                        accumulate: sums.accumulate,
                    };
                    dispatch_rows::<S, V>(rows, left, rows_of_panel, padded);
                    for (scratch, to) in scratch
                        .chunks_exact(self.panel_width)
                        .zip(sums.values.chunks_mut(self.output_stride))
                        .take(rows)
                    {
                        to[..columns].copy_from_slice(&scratch[..columns]);
                    }
                }
            }
        }
    }
}

/// The rows of a panel, which begin `stride` apart.
#[derive(Clone, Copy)]
struct PanelRows<'a> {
    values: &'a [f32],
    stride: usize,
}

/// The output of a tile, in rows that begin `stride` apart.
struct Sums<'a> {
    values: &'a mut [f32],
    stride: usize,
    /// True if products are added to the sums already in `values`.
    accumulate: bool,
}

/// [`micro_kernel`] of one to six rows, each a `left` of its number.
#[inline(always)]
fn dispatch_rows<'a, S: Simd, const V: usize>(
    rows: usize,
    left: impl Fn(usize) -> &'a [f32],
    right: PanelRows<'_>,
    to: Sums<'_>,
) {
    match rows {
        1 => micro_kernel::<S, 1, V>([0].map(left), right, to),
        2 => micro_kernel::<S, 2, V>([0, 1].map(left), right, to),
        3 => micro_kernel::<S, 3, V>([0, 1, 2].map(left), right, to),
        4 => micro_kernel::<S, 4, V>([0, 1, 2, 3].map(left), right, to),
        5 => micro_kernel::<S, 5, V>([0, 1, 2, 3, 4].map(left), right, to),
        _ => micro_kernel::<S, TILE_ROWS, V>([0, 1, 2, 3, 4, 5].map(left), right, to),
    }
}

/// The products of `R` rows with a panel of `V` vectors.
#[inline(always)]
#[expect(
    clippy::needless_range_loop,
    reason = "with iterators in their place, sums that are carried over are stored in every step, which halves the speed"
)]
fn micro_kernel<S: Simd, const R: usize, const V: usize>(
    left: [&[f32]; R],
    right: PanelRows<'_>,
    to: Sums<'_>,
) {
    let width = V * S::lanes32();
    let depth = left[0].len();
    for row in left {
        // Known to the compiler from here on, which leaves the check out of the loop.
        assert_eq!(row.len(), depth);
    }
    let mut sums = [[0.0_f32.splat::<S>(); V]; R];
    if to.accumulate {
        for row in 0..R {
            let from = &to.values[row * to.stride..][..width];
            for vector in 0..V {
                sums[row][vector] = load::<S>(&from[vector * S::lanes32()..][..S::lanes32()]);
            }
        }
    }
    for (at, from) in (0..depth).zip(right.values.chunks(right.stride)) {
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
        let to = &mut to.values[row * to.stride..][..width];
        for (to, sum) in to.chunks_exact_mut(S::lanes32()).zip(sums) {
            to.copy_from_slice(cast_slice(bytes_of(sum)));
        }
    }
}

#[inline(always)]
fn load<S: Simd>(from: &[f32]) -> Vector<S, f32> {
    pod_read_unaligned(cast_slice(from))
}
