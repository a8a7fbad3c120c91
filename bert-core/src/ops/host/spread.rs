//! Products spread over threads.

use std::mem::MaybeUninit;

use rayon::prelude::*;

/// Where a float can be put, whether there is one or not yet.
pub(in crate::ops) trait Place: Send {
    fn put(&mut self, value: f32);
}

impl Place for f32 {
    #[inline(always)]
    fn put(&mut self, value: f32) {
        *self = value;
    }
}

impl Place for MaybeUninit<f32> {
    #[inline(always)]
    fn put(&mut self, value: f32) {
        self.write(value);
    }
}

/// A product made in blocks of whole tiles of rows, at most `largest` of them and equally many for every thread: `work` fills
/// the rows from an index on.
pub(in crate::ops) fn by_rows<P: Place>(
    columns: usize,
    (tile, largest): (usize, usize),
    to: &mut [P],
    work: impl Fn(usize, &mut [P]) + Sync,
) {
    let block = rows_per_block(to.len() / columns.max(1), (tile, largest));
    to.par_chunks_mut((block * columns).max(1))
        .enumerate()
        .for_each(|(at, to)| work(at * block, to));
}

/// Rows of blocks of whole tiles, at most `largest` of them, that are as many for every thread; at least one tile.
pub(super) fn rows_per_block(rows: usize, (tile, largest): (usize, usize)) -> usize {
    let threads = rayon::current_num_threads();
    let blocks = rows.div_ceil(threads * tile * largest).max(1) * threads;
    rows.div_ceil(blocks).max(1).next_multiple_of(tile)
}

/// A product made in as many ranges of columns as there are threads, for few rows: `work` gets the first column and the number
/// of columns, a multiple of `panel` but at the end, and fills rows of that many.
pub(in crate::ops) fn by_columns(
    columns: usize,
    panel: usize,
    to: &mut [impl Place],
    work: impl Fn(usize, usize, &mut [f32]) + Sync,
) {
    let rows = to.len() / columns.max(1);
    let share = columns
        .div_ceil(panel)
        .div_ceil(rayon::current_num_threads())
        * panel;
    let parts: Vec<Vec<f32>> = (0..columns.div_ceil(share))
        .into_par_iter()
        .map(|at| {
            let first = at * share;
            let width = share.min(columns - first);
            let mut to = vec![0.0; rows * width];
            work(first, width, &mut to);
            to
        })
        .collect();
    for (at, part) in parts.iter().enumerate() {
        let width = share.min(columns - at * share);
        for (to, from) in to.chunks_exact_mut(columns).zip(part.chunks_exact(width)) {
            for (to, &value) in to[at * share..][..width].iter_mut().zip(from) {
                to.put(value);
            }
        }
    }
}
