//! Attention with gradients: probabilities stay in memory for the way back, of dropout a seed.
//!
//! With a window, queries are worked on in blocks, and only the probabilities of the keys in reach of a block are computed and
//! kept.

use std::mem::MaybeUninit;
use std::ops::Range;

use super::scoring::HeadScores;
use super::{Dropout, HeadRows, Projections, QUERY_BLOCK, Scoring, Sizes};
use crate::matmul::panels::PanelLayout;
use crate::matmul::transpose::transpose_into;
use crate::output::init_vec;
use crate::parallel::{par_fill_chunks, rows_per_chunk};
use crate::simd::math::add;
use crate::simd::vectorized;
use crate::softmax::backward_row;

/// Keys of which the probabilities are kept for every query.
pub fn kept_keys(seq: usize, reach: Option<usize>) -> usize {
    Blocks::new(seq, reach).keys
}

/// Blocks of the queries of a sequence, each with neighbouring keys; one with all keys if there is no window.
#[derive(Clone, Copy)]
struct Blocks {
    seq: usize,
    reach: usize,
    /// Queries of a block.
    queries: usize,
    /// Keys of a block.
    keys: usize,
}

/// Some queries of a sequence and the first of their keys.
struct Block {
    queries: Range<usize>,
    first_key: usize,
}

impl Blocks {
    fn new(seq: usize, reach: Option<usize>) -> Self {
        let (reach, queries) = match reach {
            None => (seq, seq),
            Some(reach) => (
                reach.min(seq),
                reach.clamp(QUERY_BLOCK, seq.max(QUERY_BLOCK)),
            ),
        };
        Self {
            seq,
            reach,
            queries,
            keys: (queries + 2 * reach).min(seq),
        }
    }

    fn iter(self) -> impl Iterator<Item = Block> {
        (0..self.seq).step_by(self.queries).map(move |first| Block {
            queries: first..self.seq.min(first + self.queries),
            first_key: first.saturating_sub(self.reach).min(self.seq - self.keys),
        })
    }
}

/// Attention probabilities before dropout.
///
/// # Shapes
///
/// - query, key: `[batch, seq, heads · head_size]`, no size 0
/// - attended: `[batch, seq]`, 0 at keys that are left out and 1 elsewhere
/// - output: `[batch, heads, seq, kept]` with [`kept_keys`], which are all without a window
pub fn probabilities<'a>(
    query: &[f32],
    key: &[f32],
    scoring: Scoring<'_>,
    sizes: Sizes,
    attended: &[f32],
    output: &'a mut [MaybeUninit<f32>],
) -> &'a mut [f32] {
    let Sizes {
        seq,
        heads,
        head_size,
        ..
    } = sizes;
    let blocks = Blocks::new(seq, scoring.reach);
    let kept = blocks.keys;
    let layout = PanelLayout::new(head_size, kept);
    par_fill_chunks(output, seq * kept, |matrix, scores| {
        let place = [matrix / heads, matrix % heads];
        let attended = &attended[place[0] * seq..][..seq];
        let of_head = HeadScores::new(scoring, sizes, place, attended);
        let [queries, keys] = [query, key].map(|rows| HeadRows::of_matrix(rows, sizes, matrix));
        for Block {
            queries: rows,
            first_key,
        } in blocks.iter()
        {
            let scores = &mut scores[rows.start * kept..rows.end * kept];
            let queries = queries.skip(rows.start);
            let keys = keys.skip(first_key).pack_transposed(&layout);
            let to = (&mut *scores, kept);
            layout.multiply(rows.len(), queries.with_stride(), keys.get(0), to);
            vectorized(
                #[inline(always)]
                || of_head.normalize((scores, kept), rows.start, first_key),
            );
        }
    })
}

/// Context of attention from its [`probabilities`], with dropout on them.
///
/// # Shapes
///
/// - value, output: `[batch, seq, heads · head_size]`, no size 0
/// - probabilities: `[batch, heads, seq, kept]`
pub fn context<'a>(
    value: &[f32],
    probabilities: &[f32],
    sizes: Sizes,
    reach: Option<usize>,
    dropout: Option<Dropout>,
    output: &'a mut [MaybeUninit<f32>],
) -> &'a mut [f32] {
    let Sizes { seq, head_size, .. } = sizes;
    let blocks = Blocks::new(seq, reach);
    let kept = blocks.keys;
    let layout = PanelLayout::new(seq, head_size);
    let by_heads = init_vec(output.len(), |to| {
        par_fill_chunks(to, seq * head_size, |matrix, contexts| {
            let values = HeadRows::of_matrix(value, sizes, matrix).pack(&layout);
            let probabilities = &probabilities[matrix * seq * kept..][..seq * kept];
            for Block { queries, first_key } in blocks.iter() {
                let values = &values.get(0)[layout.row_start(first_key)..];
                let from = &probabilities[queries.start * kept..queries.end * kept];
                let to = &mut contexts[queries.start * head_size..queries.end * head_size];
                let parts = from.chunks(QUERY_BLOCK * kept);
                let parts = parts.zip(to.chunks_mut(QUERY_BLOCK * head_size));
                for (part, (from, to)) in parts.enumerate() {
                    let first = matrix * seq + queries.start + part * QUERY_BLOCK;
                    let dropped = dropout.map(|dropout| apply_dropout(from, kept, first, dropout));
                    let from = (dropped.as_deref().unwrap_or(from), kept);
                    let (rows, layout) = (to.len() / head_size, layout.with_depth(kept));
                    layout.multiply(rows, from, values, (to, head_size));
                }
            }
        })
    });
    merge_heads(&by_heads, sizes, seq * head_size, 0, output)
}

/// Forward pass of attention, as its gradients take it.
#[derive(Clone, Copy)]
pub struct ForwardPass<'a> {
    /// Queries, keys and values.
    pub inputs: Projections<'a>,
    /// [`probabilities`], before dropout.
    pub probabilities: &'a [f32],
    /// Sizes of the layer, none of them 0.
    pub sizes: Sizes,
    /// Factor of the products of queries and keys.
    pub scale: f32,
    /// Tokens on either side that are attended to, if not all.
    pub reach: Option<usize>,
    /// Dropout of the probabilities.
    pub dropout: Option<Dropout>,
}

/// Gradients of attention with respect to queries, keys and values, head by head, and to the scores if they were asked for.
pub struct HeadGradients {
    sizes: Sizes,
    blocks: Blocks,
    /// `[batch, heads, parts]`: queries, keys and values, `[seq, head_size]` each, and scores, `[seq, kept]`
    values: Vec<f32>,
}

impl HeadGradients {
    /// Gradient of the queries, `[batch, seq, heads · head_size]`.
    pub fn query<'a>(&self, output: &'a mut [MaybeUninit<f32>]) -> &'a mut [f32] {
        self.projection(0, output)
    }

    /// Gradient of the keys, `[batch, seq, heads · head_size]`.
    pub fn key<'a>(&self, output: &'a mut [MaybeUninit<f32>]) -> &'a mut [f32] {
        self.projection(1, output)
    }

    /// Gradient of the values, `[batch, seq, heads · head_size]`.
    pub fn value<'a>(&self, output: &'a mut [MaybeUninit<f32>]) -> &'a mut [f32] {
        self.projection(2, output)
    }

    fn projection<'a>(&self, part: usize, output: &'a mut [MaybeUninit<f32>]) -> &'a mut [f32] {
        let offset = part * self.sizes.seq * self.sizes.head_size;
        merge_heads(&self.values, self.sizes, self.stride(), offset, output)
    }

    /// Gradient of a bias, `[1 or batch, heads, size, size]`: its sum over the batch in the first case, zeros outside of the
    /// first `seq` rows and columns.
    ///
    /// # Panics
    ///
    /// Panics if the gradient of the scores was not asked for.
    pub fn bias<'a>(&self, size: usize, output: &'a mut [MaybeUninit<f32>]) -> &'a mut [f32] {
        let Sizes {
            batch, seq, heads, ..
        } = self.sizes;
        let offset = 3 * seq * self.sizes.head_size;
        assert!(
            self.stride() > offset,
            "the gradient of the scores was asked for"
        );
        let kept = self.blocks.keys;
        let shared = output.len() == heads * size * size;
        par_fill_chunks(output, size * size, |matrix, to| {
            let (sequence, head) = (matrix / heads, matrix % heads);
            let sequences = if shared {
                0..batch
            } else {
                sequence..sequence + 1
            };
            for sequence in sequences {
                let from = &self.values[(sequence * heads + head) * self.stride() + offset..];
                for Block { queries, first_key } in self.blocks.iter() {
                    vectorized(
                        #[inline(always)]
                        || {
                            for query in queries {
                                let to = &mut to[query * size + first_key..][..kept];
                                add(to, &from[query * kept..][..kept]);
                            }
                        },
                    );
                }
            }
        })
    }

    /// From the values of a head to those of the next.
    fn stride(&self) -> usize {
        self.values.len() / (self.sizes.batch * self.sizes.heads)
    }
}

/// Gradients of [`context`] and [`probabilities`] together, with that of the scores if there is a bias that wants it.
///
/// # Shapes
///
/// - grad: `[batch, seq, heads · head_size]`
pub fn backward(pass: ForwardPass<'_>, grad: &[f32], with_scores: bool) -> HeadGradients {
    let Sizes { seq, head_size, .. } = pass.sizes;
    let blocks = Blocks::new(seq, pass.reach);
    let of_scores = if with_scores { seq * blocks.keys } else { 0 };
    let parts = 3 * seq * head_size + of_scores;
    let matrices = pass.sizes.batch * pass.sizes.heads;
    let values = init_vec(matrices * parts, |to| {
        par_fill_chunks(to, parts, |matrix, to| {
            backward_of_head(pass, grad, blocks, matrix, to);
        })
    });
    HeadGradients {
        sizes: pass.sizes,
        blocks,
        values,
    }
}

/// The parts of [`HeadGradients`] of one head of one sequence, into zeros.
fn backward_of_head(
    pass: ForwardPass<'_>,
    grad: &[f32],
    blocks: Blocks,
    matrix: usize,
    to: &mut [f32],
) {
    let ForwardPass {
        inputs,
        sizes,
        scale,
        dropout,
        ..
    } = pass;
    let Sizes { seq, head_size, .. } = sizes;
    let kept = blocks.keys;
    let probabilities = &pass.probabilities[matrix * seq * kept..][..seq * kept];
    let (by_key, by_row) = (
        PanelLayout::new(head_size, kept),
        PanelLayout::new(seq, head_size),
    );
    let [queries, keys, grads] = [inputs.query, inputs.key, grad]
        .map(|rows| HeadRows::of_matrix(rows, sizes, matrix).pack(&by_row));
    let (grad_query, rest) = to.split_at_mut(seq * head_size);
    let (grad_key, rest) = rest.split_at_mut(seq * head_size);
    let (grad_value, grad_bias) = rest.split_at_mut(seq * head_size);
    let most = blocks.queries * kept;
    let (mut transposed, mut grad_scores) = (vec![0.0; most], vec![0.0; most]);
    for Block {
        queries: rows,
        first_key,
    } in blocks.iter()
    {
        let (count, first) = (rows.len(), matrix * seq + rows.start);
        let probabilities = &probabilities[rows.start * kept..rows.end * kept];
        let transposed = &mut transposed[..count * kept];
        let grad_scores = &mut grad_scores[..count * kept];
        let transpose = |from: &[f32], to: &mut [f32]| {
            transpose_into(from, kept, (count, count), to, |to, value| *to = value);
        };
        // Keys are in reach of several blocks.
        let add_product = |from: &[f32], right: &[f32], to: &mut [f32]| {
            let (layout, right) = (
                by_row.with_depth(count),
                &right[by_row.row_start(rows.start)..],
            );
            let to = (&mut to[first_key * head_size..], head_size);
            match rows.start {
                0 => layout.multiply(kept, (from, count), right, to),
                _ => layout.multiply_add(kept, (from, count), right, to),
            }
        };

        let dropped = dropout.map(|dropout| apply_dropout(probabilities, kept, first, dropout));
        transpose(dropped.as_deref().unwrap_or(probabilities), transposed);
        add_product(transposed, grads.get(0), grad_value);

        let from = HeadRows::of_matrix(grad, sizes, matrix).skip(rows.start);
        let values = HeadRows::of_matrix(inputs.value, sizes, matrix).skip(first_key);
        let values = values.pack_transposed(&by_key);
        let to = (&mut *grad_scores, kept);
        by_key.multiply(count, from.with_stride(), values.get(0), to);
        let keeps_scores = !grad_bias.is_empty();
        vectorized(
            #[inline(always)]
            || {
                if let Some(dropout) = dropout {
                    dropout.apply(grad_scores, first * kept);
                }
                let factor = if keeps_scores { 1.0 } else { scale };
                let rows = grad_scores.chunks_exact_mut(kept);
                for (grads, probabilities) in rows.zip(probabilities.chunks_exact(kept)) {
                    backward_row(grads, probabilities, factor);
                }
            },
        );
        if keeps_scores {
            grad_bias[rows.start * kept..rows.end * kept].copy_from_slice(grad_scores);
            grad_scores.iter_mut().for_each(|grad| *grad *= scale);
        }
        let to = (&mut grad_query[rows.start * head_size..], head_size);
        let right = &keys.get(0)[by_row.row_start(first_key)..];
        let layout = by_row.with_depth(kept);
        layout.multiply(count, (&*grad_scores, kept), right, to);
        transpose(grad_scores, transposed);
        add_product(transposed, queries.get(0), grad_key);
    }
}

/// Rows of `width` after dropout, the first of which has an index among all.
fn apply_dropout(rows: &[f32], width: usize, first: usize, dropout: Dropout) -> Vec<f32> {
    let mut rows = rows.to_vec();
    vectorized(
        #[inline(always)]
        || dropout.apply(&mut rows, first * width),
    );
    rows
}

/// Values of all heads, `[seq, head_size]` from an offset on of every `stride`, as `[batch, seq, heads · head_size]`.
fn merge_heads<'a>(
    by_heads: &[f32],
    sizes: Sizes,
    stride: usize,
    offset: usize,
    output: &'a mut [MaybeUninit<f32>],
) -> &'a mut [f32] {
    let Sizes {
        seq,
        heads,
        head_size,
        ..
    } = sizes;
    let width = sizes.width();
    let rows = rows_per_chunk(width);
    par_fill_chunks(output, rows * width, |chunk, to| {
        for (row, to) in to.chunks_exact_mut(width).enumerate() {
            let (sequence, row) = ((chunk * rows + row) / seq, (chunk * rows + row) % seq);
            for (head, to) in to.chunks_exact_mut(head_size).enumerate() {
                let first = (sequence * heads + head) * stride + offset;
                to.copy_from_slice(&by_heads[first + row * head_size..][..head_size]);
            }
        }
    })
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Case, reference};
    use super::*;
    use crate::softmax;
    use crate::testing::{assert_close, numbers, size};

    /// `[batch, heads, seq, kept]` as `[batch, heads, seq, seq]`, zeros elsewhere.
    fn spread(values: &[f32], seq: usize, reach: Option<usize>) -> Vec<f32> {
        let blocks = Blocks::new(seq, reach);
        let kept = blocks.keys;
        let mut all = vec![0.0; values.len() / kept * seq];
        let matrices = values.chunks_exact(seq * kept);
        for (from, to) in matrices.zip(all.chunks_exact_mut(seq * seq)) {
            for Block { queries, first_key } in blocks.iter() {
                for query in queries {
                    let to = &mut to[query * seq + first_key..][..kept];
                    to.copy_from_slice(&from[query * kept..][..kept]);
                }
            }
        }
        all
    }

    fn attention_and_gradients_equal_the_definition(case: &Case, dropout: Option<Dropout>) {
        let (sizes, inputs, scoring) = (case.sizes, case.inputs(), case.scoring());
        let Sizes {
            batch,
            seq,
            heads,
            head_size,
        } = sizes;
        let (width, reach) = (sizes.width(), scoring.reach);
        let count = batch * seq * width;
        let grad = numbers(count, 17);
        let padding: Vec<bool> = (0..batch * seq).map(|at| at >= batch * seq - 2).collect();
        let attended = softmax::attended(&padding);
        let kept = kept_keys(seq, reach);
        let found = init_vec(batch * heads * seq * kept, |to| {
            probabilities(inputs.query, inputs.key, scoring, sizes, &attended, to)
        });
        let (expected, expected_context) = reference(inputs, scoring, sizes, &attended);
        assert_close(&spread(&found, seq, reach), &expected, 1e-6);

        let mask = match dropout {
            Some(dropout) => init_vec(found.len(), |to| dropout.mask(to)),
            None => vec![1.0; found.len()],
        };
        let mask = spread(&mask, seq, reach);
        let context = init_vec(count, |to| {
            context(inputs.value, &found, sizes, reach, dropout, to)
        });
        if dropout.is_none() {
            assert_close(&context, &expected_context, 2e-6);
        }
        // Every sum of the definition, in f64.
        let at = |values: &[f32], row: usize, head: usize, column: usize| {
            f64::from(values[row * width + head * head_size + column])
        };
        let scale = f64::from(scoring.scale);
        let mut expected_context = vec![0.0; count];
        let [mut grad_query, mut grad_key, mut grad_value] = [(); 3].map(|()| vec![0.0; count]);
        let size = case.bias_size;
        let mut grad_bias = vec![0.0; case.bias_batch * heads * size * size];
        for (matrix, expected) in expected.chunks_exact(seq * seq).enumerate() {
            let (sequence, head) = (matrix / heads, matrix % heads);
            let of_bias = if case.bias_batch == 1 { head } else { matrix };
            for (query_at, p) in expected.chunks_exact(seq).enumerate() {
                let i = sequence * seq + query_at;
                let mask = &mask[(matrix * seq + query_at) * seq..][..seq];
                let grad_p: Vec<f64> = (0..seq)
                    .map(|key_at| {
                        let j = sequence * seq + key_at;
                        let products = (0..head_size)
                            .map(|c| at(&grad, i, head, c) * at(inputs.value, j, head, c));
                        products.sum::<f64>() * f64::from(mask[key_at])
                    })
                    .collect();
                let mean: f64 = grad_p.iter().zip(p).map(|(grad, p)| grad * p).sum();
                for key_at in 0..seq {
                    let j = sequence * seq + key_at;
                    let grad_score = (grad_p[key_at] - mean) * p[key_at];
                    if case.bias_batch > 0 {
                        grad_bias[(of_bias * size + query_at) * size + key_at] += grad_score;
                    }
                    let weight = p[key_at] * f64::from(mask[key_at]);
                    for c in 0..head_size {
                        let place = |row: usize| row * width + head * head_size + c;
                        expected_context[place(i)] += weight * at(inputs.value, j, head, c);
                        grad_value[place(j)] += weight * at(&grad, i, head, c);
                        grad_query[place(i)] += grad_score * scale * at(inputs.key, j, head, c);
                        grad_key[place(j)] += grad_score * scale * at(inputs.query, i, head, c);
                    }
                }
            }
        }
        assert_close(&context, &expected_context, 2e-6);
        let pass = ForwardPass {
            inputs,
            probabilities: &found,
            sizes,
            scale: scoring.scale,
            reach,
            dropout,
        };
        for with_scores in [false, case.bias_batch > 0] {
            let gradients = backward(pass, &grad, with_scores);
            let [found_query, found_key, found_value] = [
                init_vec(count, |to| gradients.query(to)),
                init_vec(count, |to| gradients.key(to)),
                init_vec(count, |to| gradients.value(to)),
            ];
            assert_close(&found_query, &grad_query, 3e-6);
            assert_close(&found_key, &grad_key, 3e-6);
            assert_close(&found_value, &grad_value, 3e-6);
            if with_scores {
                let found = init_vec(grad_bias.len(), |to| gradients.bias(size, to));
                assert_close(&found, &grad_bias, 3e-6);
            }
        }
    }

    #[test]
    fn attention_and_its_gradients_equal_their_definition() {
        // More rows than a block of queries has.
        let sizes = Sizes {
            batch: 2,
            seq: size(50, 4),
            heads: 3,
            head_size: 5,
        };
        for dropout in [None, Some(Dropout::new(3, 0.25))] {
            attention_and_gradients_equal_the_definition(&Case::new(sizes), dropout);
        }
    }

    #[test]
    fn gradients_with_a_window_or_a_bias_equal_their_definition() {
        let reaches = size(
            [None, Some(0), Some(1), Some(19), Some(60), Some(usize::MAX)],
            [None, Some(0), Some(1), Some(2), Some(3), Some(usize::MAX)],
        );
        for reach in reaches {
            for (bias_batch, seq) in [(0, size(203, 6)), (1, size(131, 5)), (2, size(131, 5))] {
                let sizes = Sizes {
                    batch: 2,
                    seq,
                    heads: 2,
                    head_size: 5,
                };
                let case = Case::new(sizes).with_reach(reach).with_bias(bias_batch);
                for dropout in [None, Some(Dropout::new(3, 0.25))] {
                    attention_and_gradients_equal_the_definition(&case, dropout);
                }
            }
        }
    }

    #[test]
    fn a_window_keeps_the_keys_in_reach_of_a_block() {
        assert_eq!(kept_keys(8192, None), 8192);
        assert_eq!(kept_keys(8192, Some(64)), 64 + 2 * 64);
        assert_eq!(kept_keys(8192, Some(1)), QUERY_BLOCK + 2);
        assert_eq!(kept_keys(10, Some(64)), 10);
        for (seq, reach) in [(203, 0), (203, 19), (203, 60), (50, 49), (1, 0)] {
            let blocks = Blocks::new(seq, Some(reach));
            let mut next = 0;
            for Block { queries, first_key } in blocks.iter() {
                assert_eq!(queries.start, next);
                next = queries.end;
                let end = first_key + blocks.keys;
                assert!(first_key <= queries.start.saturating_sub(reach) && end <= seq);
                assert!(end >= seq.min(queries.end + reach));
            }
            assert_eq!(next, seq);
        }
    }
}
