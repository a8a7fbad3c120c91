//! Scores between contents and relative positions, as in disentangled attention (He et al. 2021 §3.1).
//!
//! Each depends on a token and a distance. Those of a block of queries are products of its contents with the positions that the
//! block and its keys are apart, fewer than there are distances in a sequence, and lie beside the diagonals of a matrix.

use std::ops::Range;

use super::{HeadRows, Heads};
use crate::matmul::panels::{PackedMatrices, PanelLayout};

/// Projections of relative positions, compared with contents: a row for each distance between two tokens, a token itself in the
/// middle.
///
/// # Shapes
///
/// - keys, queries: `[2 · longest - 1, heads · head_size]`
#[derive(Clone, Copy, Debug)]
pub struct RelativePositions<'a> {
    /// Keys that the contents of queries are multiplied with, the key furthest before the query first.
    pub keys: Option<&'a [f32]>,
    /// Queries that the contents of keys are multiplied with, the query furthest before the key first.
    pub queries: Option<&'a [f32]>,
    /// Tokens of the longest sequence.
    pub longest: usize,
}

/// [`RelativePositions`] with the keys of every head packed.
pub(super) struct PackedPositions<'a> {
    positions: RelativePositions<'a>,
    heads: Heads,
    keys: Option<PackedMatrices>,
}

/// Scores of a block of queries with some keys of their sequence.
pub(super) struct ScoreBlock<'a> {
    /// Rows that begin `stride` apart, of queries by keys from the first of the block on.
    pub(super) scores: &'a mut [f32],
    pub(super) stride: usize,
    /// Queries of the block, by their places in the sequence.
    pub(super) queries: Range<usize>,
    /// Keys of the block likewise, without those that fill the last panel.
    pub(super) keys: Range<usize>,
}

impl<'a> RelativePositions<'a> {
    /// Distances.
    fn count(&self) -> usize {
        (2 * self.longest).saturating_sub(1)
    }

    /// Packs the keys of every head.
    pub(super) fn pack(self, heads: Heads) -> PackedPositions<'a> {
        for rows in self.keys.iter().chain(&self.queries) {
            assert_eq!(rows.len(), self.count() * heads.width());
        }
        let layout = PanelLayout::new(heads.size, self.count());
        let sizes = std::iter::repeat_n(layout.size(), heads.count);
        let keys = self.keys.filter(|_| self.longest > 0).map(|keys| {
            PackedMatrices::new(sizes, |head, to| {
                let rows = HeadRows::new(keys, heads, 0, head);
                layout.pack_transposed(rows.values, rows.stride, to);
            })
        });
        PackedPositions {
            positions: self,
            heads,
            keys,
        }
    }

    /// Number of the row for a token that is `after` tokens after another at `place`.
    fn row(&self, after: usize, place: usize) -> usize {
        self.longest - 1 + after - place
    }
}

impl PackedPositions<'_> {
    /// Adds the scores of queries with the positions of keys, and of keys with those of queries.
    ///
    /// # Shapes
    ///
    /// - queries: contents of the block's queries, from the first on
    /// - keys: the packed contents of the block's keys, from its first panel on, in `layout`
    pub(super) fn add(
        &self,
        head: usize,
        mut block: ScoreBlock<'_>,
        queries: HeadRows<'_>,
        (keys, layout): (&[f32], PanelLayout),
        products: &mut Vec<f32>,
    ) {
        self.add_of_queries(head, &mut block, queries, products);
        self.add_of_keys(head, &mut block, (keys, layout), products);
    }

    fn add_of_queries(
        &self,
        head: usize,
        block: &mut ScoreBlock<'_>,
        queries: HeadRows<'_>,
        products: &mut Vec<f32>,
    ) {
        let Some(keys) = &self.keys else { return };
        let positions = &self.positions;
        let count = block.queries.len();
        let first = positions.row(block.keys.start, block.queries.end - 1);
        let end = positions.row(block.keys.end, block.queries.start);
        let layout = PanelLayout::new(self.heads.size, positions.count()).whole_panels();
        let columns = layout.whole_panels_of(&(first..end));
        let width = columns.len();
        products.resize(count * width, 0.0);
        let packed = &keys.get(head)[layout.panel_start(columns.start)..];
        let to = (&mut products[..], width);
        let layout = layout.with_columns(width);
        layout.multiply(count, queries.with_stride(), packed, to);
        for (row, query) in block.queries.clone().enumerate() {
            let first = positions.row(block.keys.start, query) - columns.start;
            let products = &products[row * width + first..][..block.keys.len()];
            let scores = &mut block.scores[row * block.stride..];
            for (score, product) in scores.iter_mut().zip(products) {
                *score += product;
            }
        }
    }

    fn add_of_keys(
        &self,
        head: usize,
        block: &mut ScoreBlock<'_>,
        (keys, layout): (&[f32], PanelLayout),
        products: &mut Vec<f32>,
    ) {
        let Some(queries) = self.positions.queries else {
            return;
        };
        let width = layout.width();
        let layout = layout.with_columns(width);
        for first in block.keys.clone().step_by(width) {
            let count = width.min(block.keys.end - first);
            // From the first query with the last key on.
            let lowest = self.positions.row(block.queries.start, first + count - 1);
            let rows = block.queries.len() + count - 1;
            let queries = HeadRows::new(queries, self.heads, lowest, head);
            products.resize(rows * width, 0.0);
            let panel = &keys[layout.panel_start(first - block.keys.start)..];
            layout.multiply(rows, queries.with_stride(), panel, (products, width));
            let scores = block.scores.chunks_mut(block.stride);
            for (row, scores) in scores.take(block.queries.len()).enumerate() {
                let scores = &mut scores[first - block.keys.start..][..count];
                let last = (row + count - 1) * width;
                for (key, score) in scores.iter_mut().enumerate() {
                    *score += products[last - key * (width - 1)];
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::forward;
    use super::super::testing::{Definition, cases};
    use crate::output::init_vec;
    use crate::testing::assert_close;

    #[test]
    fn contents_are_compared_with_relative_positions() {
        let cases = cases(9).into_iter().enumerate();
        // Under Miri every third.
        let cases = cases.filter(|(at, _)| !cfg!(miri) || at % 3 == 0);
        for (at, case) in cases {
            let kinds = [[true, true], [true, false], [false, true]];
            let case = case.with_positions(kinds[(at + at / 3) % 3]);
            let context = init_vec(case.len(), |to| forward(case.attention(), to));
            assert_close(&context, &Definition::new(&case).context, 4e-6);
        }
    }
}
