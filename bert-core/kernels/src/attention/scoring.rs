//! Scores of attention: their scale, bias and window, and the softmax over them.

use std::ops::Range;

use super::Sizes;
use crate::simd::math::LANES;
use crate::softmax::softmax_row;

/// How products of queries and keys become scores, and which keys take part.
#[derive(Clone, Copy, Debug)]
pub struct Scoring<'a> {
    /// Factor of the products.
    pub scale: f32,
    /// Window: tokens on either side of a query that are attended to, if not all.
    pub reach: Option<usize>,
    /// Bias of the scaled products.
    pub bias: Option<Bias<'a>>,
}

impl Scoring<'_> {
    /// Scaled products, without a window or a bias.
    pub fn scaled(scale: f32) -> Self {
        Self {
            scale,
            reach: None,
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
        sizes: Sizes,
        place: [usize; 2],
        attended: &'a [f32],
    ) -> Self {
        let bias = scoring.bias;
        let bias = bias.map(|bias| (bias.matrix(place, sizes.heads), bias.size));
        Self {
            scale: scoring.scale,
            reach: scoring.reach,
            bias,
            attended,
        }
    }

    /// Turns products of queries with keys into probabilities.
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
    ) {
        if self.bias.is_none() && self.reach.is_none() {
            for row in products.chunks_exact_mut(stride) {
                softmax_row(&mut row[..self.attended.len()], self.attended, self.scale);
            }
            return;
        }
        let attended = &self.attended[first_key..];
        let attended = &attended[..attended.len().min(stride)];
        let mut mask = attended.to_vec();
        for (query, row) in (first_query..).zip(products.chunks_exact_mut(stride)) {
            let row = &mut row[..attended.len()];
            let keys = self.keys_of(query, first_key, attended.len());
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
            let row = &mut row[vectors];
            let Some((bias, size)) = self.bias else {
                softmax_row(row, mask, self.scale);
                continue;
            };
            // Keys that fill the last vector have no bias.
            let bias = &bias[query * size..][..size][(first_key + keys.start).min(size)..];
            for (score, bias) in row[inside].iter_mut().zip(bias) {
                *score = *score * self.scale + bias;
            }
            softmax_row(row, mask, 1.0);
        }
    }

    /// Keys in the window of a query, among `count` from `first_key` on and counted from there.
    #[inline(always)]
    fn keys_of(&self, query: usize, first_key: usize, count: usize) -> Range<usize> {
        let Some(reach) = self.reach else {
            return 0..count;
        };
        let end = query.saturating_add(reach).saturating_add(1);
        let end = end.saturating_sub(first_key).min(count);
        query
            .saturating_sub(reach)
            .saturating_sub(first_key)
            .min(end)..end
    }
}
