//! Right matrices that are packed once for all the products that read them, as weights for inference are.
//!
//! Unpacked, every row of a panel is in another page than the one before, and a product of few rows waits for memory; and one of
//! many rows packs the matrix again in every call.

use std::fmt::{self, Debug, Formatter};
use std::mem::MaybeUninit;

use rayon::prelude::*;

use super::microkernel::TILE_ROWS;
use super::panels::PanelLayout;
use super::{MIN_PARALLEL, SKINNY_ROWS};
use crate::output::zeroed;
use crate::parallel::{par_fill_chunks, par_fill_columns, rows_per_block};
use crate::simd::cpu_features;

/// Most row tiles that a thread works on at a time: their left matrix stays in the L2 cache.
const MAX_TILES: usize = 32;

/// K-block: a panel slice of this depth stays in the L2 cache.
const K_BLOCK: usize = 768;

/// True if packed weights make products faster on this processor: measured on AMD's with AVX-512; on Intel's those of many rows
/// were slower (docs/performance.md).
pub fn packing_pays() -> bool {
    cpu_features::is_amd_with_avx512()
}

/// A matrix `[depth, columns]`, packed in panels.
pub struct PackedMatrix {
    layout: PanelLayout,
    /// Not aligned to cache lines: a buffer of the size of the one that it replaces fits where that was, and is no slower.
    values: Vec<f32>,
}

impl PackedMatrix {
    /// Packs `values`, rows of `columns` one after another.
    pub fn pack(values: &[f32], columns: usize) -> Self {
        let layout = PanelLayout::new(values.len() / columns.max(1), columns);
        let mut packed = vec![0.0; layout.size()];
        packed
            .par_chunks_mut(layout.panel_size().max(1))
            .enumerate()
            .for_each(|(panel, to)| layout.pack_panel(panel, values, columns, to));
        Self {
            layout,
            values: packed,
        }
    }

    /// The values, row by row.
    pub fn unpack(&self) -> Vec<f32> {
        self.layout.unpack(&self.values)
    }

    /// `[depth, columns]`
    pub fn shape(&self) -> [usize; 2] {
        self.layout.shape()
    }

    /// `left · self`, row by row into `output`, followed by `epilogue` on parts of it: rows of a number of columns, from a first
    /// column on.
    pub(crate) fn multiply<'a>(
        &self,
        left: &[f32],
        output: &'a mut [MaybeUninit<f32>],
        epilogue: impl Fn(&mut [f32], usize, usize) + Sync,
    ) -> &'a mut [f32] {
        let [depth, columns] = self.shape();
        if output.is_empty() {
            return zeroed(output);
        }
        let rows = output.len() / columns;
        assert_eq!(output.len(), rows * columns, "the output has whole rows");
        assert_eq!(left.len(), rows * depth, "the matrices fit together");
        // Rows from `row` on by `width` columns from the panel on that begins with column `first`.
        let block = |row: usize, first: usize, width: usize, output: &mut [f32]| {
            let rows = output.len() / width;
            let left = (&left[row * depth..][..rows * depth], depth);
            let layout = self.layout.with_columns(width);
            let right = &self.values[self.layout.panel_start(first)..];
            layout.multiply_in_blocks(K_BLOCK, rows, left, right, (output, width));
            epilogue(output, first, width);
        };
        let parallel = rows * columns * depth >= MIN_PARALLEL;
        if parallel && rows <= SKINNY_ROWS {
            let panel = self.layout.width();
            return par_fill_columns(columns, panel, output, |first, width, output| {
                block(0, first, width, output);
            });
        }
        let block_rows = if parallel {
            rows_per_block(rows, (TILE_ROWS, MAX_TILES))
        } else {
            rows
        };
        par_fill_chunks(output, block_rows * columns, |at, output| {
            block(at * block_rows, 0, columns, output);
        })
    }
}

impl Debug for PackedMatrix {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "PackedMatrix {:?}", self.shape())
    }
}
