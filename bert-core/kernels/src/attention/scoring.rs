//! Scores of attention: their scale, bias and window, the softmax over them and its gradient.

use std::ops::Range;

use super::dropout::MaskColumns;
use super::{Heads, RelativePositions};
use crate::matmul::transpose::transpose_into;
use crate::simd::math::{LANES, exp};
use crate::simd::vectorized;
use crate::softmax::{RowStatistics, softmax_row};

/// How products of queries and keys become scores, and which keys take part.
#[derive(Clone, Copy, Debug)]
pub struct Scoring<'a> {
    /// Factor of the products.
    pub scale: f32,
    /// Window: tokens on either side of a query that are attended to, if not all.
    pub reach: Option<usize>,
    /// Relative positions, products with which are added to those of queries and keys; there are no gradients with them.
    pub positions: Option<RelativePositions<'a>>,
    /// Bias of the scaled products.
    pub bias: Option<Bias<'a>>,
}

impl Scoring<'_> {
    /// Scaled products, without a window, positions or a bias.
    pub fn scaled(scale: f32) -> Self {
        Self {
            scale,
            reach: None,
            positions: None,
            bias: None,
        }
    }

    /// Keys, of the first `keys` of a sequence, in the windows of some of its queries.
    pub(super) fn window(&self, queries: Range<usize>, keys: usize) -> Range<usize> {
        let Some(reach) = self.reach else {
            return 0..keys;
        };
        let end = queries.end.saturating_add(reach).min(keys);
        queries.start.saturating_sub(reach).min(end)..end
    }
}

/// Bias of attention scores: a sequence of n tokens takes the first n rows and columns of its matrices.
///
/// # Shapes
///
/// - values: `[1 or batch, heads, size, size]`
#[derive(Clone, Copy, Debug)]
pub struct Bias<'a> {
    values: &'a [f32],
    size: usize,
    /// True if all sequences take the first matrices.
    shared: bool,
}

impl<'a> Bias<'a> {
    /// Bias of shape `[batch, heads, size, size]`; all sequences share it if `batch` is 1.
    ///
    /// # Panics
    ///
    /// Panics if there are more or fewer values.
    pub fn new(values: &'a [f32], [batch, heads, size]: [usize; 3]) -> Self {
        assert_eq!(values.len(), batch * heads * size * size);
        Self {
            values,
            size,
            shared: batch == 1,
        }
    }

    /// Rows and columns of a matrix.
    pub(super) fn size(self) -> usize {
        self.size
    }

    /// True if all sequences take the first matrices.
    pub(super) fn is_shared(self) -> bool {
        self.shared
    }

    /// Matrix of a head of a sequence.
    fn matrix(self, [sequence, head]: [usize; 2], heads: usize) -> &'a [f32] {
        let sequence = if self.shared { 0 } else { sequence };
        let size = self.size * self.size;
        &self.values[(sequence * heads + head) * size..][..size]
    }

    /// Bias of the score of a key by a query.
    #[cfg(test)]
    pub(super) fn at(self, [sequence, head, query, key]: [usize; 4], heads: usize) -> f32 {
        self.matrix([sequence, head], heads)[query * self.size + key]
    }
}

/// Scores of one head of one sequence.
pub(super) struct HeadScores<'a> {
    scale: f32,
    reach: Option<usize>,
    /// `[size, size]`, and its size.
    bias: Option<(&'a [f32], usize)>,
    /// 0 at keys that are left out and 1 elsewhere, from the first key of the sequence on.
    attended: &'a [f32],
}

impl<'a> HeadScores<'a> {
    /// Scores of the sequence and the head of two numbers.
    pub(super) fn new(
        scoring: Scoring<'a>,
        heads: Heads,
        place: [usize; 2],
        attended: &'a [f32],
    ) -> Self {
        let bias = scoring.bias;
        let bias = bias.map(|bias| (bias.matrix(place, heads.count), bias.size));
        Self {
            scale: scoring.scale,
            reach: scoring.reach,
            bias,
            attended,
        }
    }

    /// Turns products of queries with keys into probabilities; `finish` gets every query that has a key, the first of the keys
    /// of which the probabilities may not be 0, these probabilities, and the statistics of the row.
    ///
    /// # Shapes
    ///
    /// - products: rows that begin `stride` apart, of the queries from `first_query` on with the keys from `first_key` on
    #[inline(always)]
    pub(super) fn normalize(
        &self,
        (products, stride): (&mut [f32], usize),
        first_query: usize,
        first_key: usize,
        mut finish: impl FnMut(usize, usize, &mut [f32], RowStatistics),
    ) {
        let queries = (first_query..).zip(products.chunks_exact_mut(stride));
        if self.bias.is_none() && self.reach.is_none() {
            for (query, row) in queries {
                let row = &mut row[..self.attended.len()];
                let statistics = softmax_row(row, self.attended, self.scale);
                finish(query, first_key, row, statistics);
            }
            return;
        }
        let attended = &self.attended[first_key..];
        let attended = &attended[..attended.len().min(stride)];
        let mut mask = attended.to_vec();
        for (query, row) in queries {
            let row = &mut row[..attended.len()];
            let keys = self.within_reach(query, first_key, attended.len());
            if keys.is_empty() {
                row.fill(0.0);
                continue;
            }
            // Whole vectors, in which the keys outside the window are left out.
            let vectors =
                keys.start / LANES * LANES..keys.end.next_multiple_of(LANES).min(attended.len());
            row[..vectors.start].fill(0.0);
            row[vectors.end..].fill(0.0);
            let mask = &mut mask[vectors.clone()];
            mask.fill(0.0);
            let inside = keys.start - vectors.start..keys.end - vectors.start;
            mask[inside.clone()].copy_from_slice(&attended[keys.clone()]);
            let row = &mut row[vectors.clone()];
            let scale = match self.bias {
                None => self.scale,
                Some((bias, size)) => {
                    // Keys that fill the last vector have no bias.
                    let bias = &bias[query * size..][..size][(first_key + keys.start).min(size)..];
                    for (score, bias) in row[inside].iter_mut().zip(bias) {
                        *score = *score * self.scale + bias;
                    }
                    1.0
                }
            };
            let statistics = softmax_row(row, mask, scale);
            finish(query, first_key + vectors.start, row, statistics);
        }
    }

    /// Turns products of keys with queries into probabilities after dropout, and the gradients of those into the gradients of
    /// the scores.
    ///
    /// # Shapes
    ///
    /// - products, grads: rows of as many elements as `queries` has lanes, of the keys from `first_key` on
    pub(super) fn differentiate(
        &self,
        products: &mut [f32],
        grads: &mut [f32],
        queries: &mut QueryLanes,
        first_key: usize,
    ) {
        let lanes = queries.highest.len();
        let mut scale = self.scale;
        if let Some((bias, size)) = self.bias {
            let bias = &bias[queries.first * size + first_key..];
            let of_bias = (queries.count, lanes);
            transpose_into(bias, size, of_bias, products, |product, bias| {
                *product = *product * scale + bias;
            });
            scale = 1.0;
        }
        vectorized(
            #[inline(always)]
            || {
                let rows = products.chunks_exact_mut(lanes);
                let rows = rows.zip(grads.chunks_exact_mut(lanes));
                for (key, (products, grads)) in (first_key..).zip(rows) {
                    if self.attended[key] == 0.0 {
                        products.fill(0.0);
                        grads.fill(0.0);
                        continue;
                    }
                    let kept = match &mut queries.dropout {
                        Some(mask) => mask.column(key),
                        None => &queries.ones,
                    };
                    let statistics = queries.highest.iter().zip(&queries.inverse);
                    let factors = queries.mean.iter().zip(kept).zip(statistics);
                    let values = products.iter_mut().zip(&mut *grads);
                    for ((product, grad), ((mean, kept), (highest, inverse))) in values.zip(factors)
                    {
                        let probability = exp(*product * scale - highest) * inverse;
                        *product = probability * kept;
                        *grad = (*grad * kept - mean) * probability;
                    }
                    let inside = self.within_reach(key, queries.first, lanes);
                    for values in [products, grads] {
                        values[..inside.start].fill(0.0);
                        values[inside.end..].fill(0.0);
                    }
                }
            },
        );
    }

    /// Places in the window of another, among `count` from `first` on and counted from there.
    #[inline(always)]
    fn within_reach(&self, place: usize, first: usize, count: usize) -> Range<usize> {
        let Some(reach) = self.reach else {
            return 0..count;
        };
        let end = place.saturating_add(reach).saturating_add(1);
        let end = end.saturating_sub(first).min(count);
        place.saturating_sub(reach).saturating_sub(first).min(end)..end
    }
}

/// Queries of one head side by side, a lane each, as the gradients of their scores take them.
pub(super) struct QueryLanes {
    /// Number of the first in its sequence.
    first: usize,
    /// Queries; lanes after them have no probabilities.
    count: usize,
    highest: Vec<f32>,
    inverse: Vec<f32>,
    /// Mean gradient of the probabilities.
    mean: Vec<f32>,
    dropout: Option<MaskColumns>,
    /// Factors without dropout.
    ones: Vec<f32>,
}

impl QueryLanes {
    /// Queries from `first` of their sequence on, as many as there are `statistics`, in as many lanes as `mean` has.
    pub(super) fn new(
        first: usize,
        statistics: impl ExactSizeIterator<Item = RowStatistics>,
        mean: Vec<f32>,
        dropout: Option<MaskColumns>,
    ) -> Self {
        let (count, lanes) = (statistics.len(), mean.len());
        let [mut highest, mut inverse] = [(); 2].map(|()| vec![0.0; lanes]);
        for (lane, row) in statistics.enumerate() {
            [highest[lane], inverse[lane]] = row;
        }
        Self {
            first,
            count,
            highest,
            inverse,
            mean,
            dropout,
            ones: vec![1.0; lanes],
        }
    }
}
