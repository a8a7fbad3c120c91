//! Attention with gradients: probabilities stay in memory for the way back, of dropout a seed.

use std::mem::MaybeUninit;

use super::{Dropout, HeadRows, Projections, QUERY_BLOCK, Sizes};
use crate::matmul::panels::PanelLayout;
use crate::matmul::transpose::transpose_into;
use crate::output::init_vec;
use crate::parallel::{par_fill_chunks, rows_per_chunk};
use crate::simd::vectorized;
use crate::softmax::{backward_row, softmax_row};

/// Attention probabilities before dropout.
///
/// # Shapes
///
/// - query, key: `[batch, seq, heads · head_size]`, no size 0
/// - attended: `[batch, seq]`, 0 at keys that are left out and 1 elsewhere
/// - output: `[batch, heads, seq, seq]`
pub fn probabilities<'a>(
    query: &[f32],
    key: &[f32],
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
    let scale = sizes.scale();
    let layout = PanelLayout::new(head_size, seq);
    par_fill_chunks(output, seq * seq, |matrix, scores| {
        let queries = HeadRows::of_matrix(query, sizes, matrix);
        let keys = HeadRows::of_matrix(key, sizes, matrix).pack_transposed(&layout);
        layout.multiply(seq, queries.with_stride(), keys.get(0), (scores, seq));
        let attended = &attended[matrix / heads * seq..][..seq];
        vectorized(
            #[inline(always)]
            || {
                for scores in scores.chunks_exact_mut(seq) {
                    softmax_row(scores, attended, scale);
                }
            },
        );
    })
}

/// Context of attention from its [`probabilities`], with dropout on them.
///
/// # Shapes
///
/// - value, output: `[batch, seq, heads · head_size]`, no size 0
/// - probabilities: `[batch, heads, seq, seq]`
pub fn context<'a>(
    value: &[f32],
    probabilities: &[f32],
    sizes: Sizes,
    dropout: Option<Dropout>,
    output: &'a mut [MaybeUninit<f32>],
) -> &'a mut [f32] {
    let Sizes { seq, head_size, .. } = sizes;
    let layout = PanelLayout::new(seq, head_size);
    let by_heads = init_vec(output.len(), |to| {
        par_fill_chunks(to, seq * head_size, |matrix, contexts| {
            let values = HeadRows::of_matrix(value, sizes, matrix).pack(&layout);
            let probabilities = &probabilities[matrix * seq * seq..][..seq * seq];
            let blocks = probabilities.chunks(QUERY_BLOCK * seq);
            let contexts = contexts.chunks_mut(QUERY_BLOCK * head_size);
            for (block, (from, to)) in blocks.zip(contexts).enumerate() {
                let first = matrix * seq + block * QUERY_BLOCK;
                let dropped = dropout.map(|dropout| apply_dropout(from, seq, first, dropout));
                let from = (dropped.as_deref().unwrap_or(from), seq);
                let rows = to.len() / head_size;
                layout.multiply(rows, from, values.get(0), (to, head_size));
            }
        })
    });
    merge_heads(&by_heads, sizes, [1, 0], output)
}

/// Gradients of attention with respect to queries, keys and values, head by head.
pub struct HeadGradients {
    sizes: Sizes,
    /// `[batch, heads, 3, seq, head_size]`
    values: Vec<f32>,
}

impl HeadGradients {
    /// Gradient of the queries, `[batch, seq, heads · head_size]`.
    pub fn query<'a>(&self, output: &'a mut [MaybeUninit<f32>]) -> &'a mut [f32] {
        merge_heads(&self.values, self.sizes, [3, 0], output)
    }

    /// Gradient of the keys, `[batch, seq, heads · head_size]`.
    pub fn key<'a>(&self, output: &'a mut [MaybeUninit<f32>]) -> &'a mut [f32] {
        merge_heads(&self.values, self.sizes, [3, 1], output)
    }

    /// Gradient of the values, `[batch, seq, heads · head_size]`.
    pub fn value<'a>(&self, output: &'a mut [MaybeUninit<f32>]) -> &'a mut [f32] {
        merge_heads(&self.values, self.sizes, [3, 2], output)
    }
}

/// Gradients of [`context`] and [`probabilities`] together.
///
/// # Shapes
///
/// - inputs, grad: `[batch, seq, heads · head_size]`, no size 0
/// - probabilities: `[batch, heads, seq, seq]`, before dropout
pub fn backward(
    inputs: Projections<'_>,
    probabilities: &[f32],
    sizes: Sizes,
    dropout: Option<Dropout>,
    grad: &[f32],
) -> HeadGradients {
    let Sizes { seq, head_size, .. } = sizes;
    let scale = sizes.scale();
    let (by_key, by_value) = (
        PanelLayout::new(head_size, seq),
        PanelLayout::new(seq, head_size),
    );
    let matrix_size = seq * head_size;
    let values = init_vec(3 * grad.len(), |to| {
        par_fill_chunks(to, 3 * matrix_size, |matrix, to| {
            let probabilities = &probabilities[matrix * seq * seq..][..seq * seq];
            let first = matrix * seq;
            let [queries, keys, grads] = [inputs.query, inputs.key, grad]
                .map(|rows| HeadRows::of_matrix(rows, sizes, matrix).pack(&by_value));
            let values = HeadRows::of_matrix(inputs.value, sizes, matrix).pack_transposed(&by_key);
            let (grad_query, rest) = to.split_at_mut(matrix_size);
            let (grad_key, grad_value) = rest.split_at_mut(matrix_size);
            let mut transposed = vec![0.0; seq * seq];
            let transpose = |from: &[f32], to: &mut [f32]| {
                transpose_into(from, seq, (seq, seq), to, |to, value| *to = value);
            };

            let dropped = dropout.map(|dropout| apply_dropout(probabilities, seq, first, dropout));
            transpose(dropped.as_deref().unwrap_or(probabilities), &mut transposed);
            let to = (grad_value, head_size);
            by_value.multiply(seq, (&transposed, seq), grads.get(0), to);

            let mut grad_scores = vec![0.0; seq * seq];
            let from = HeadRows::of_matrix(grad, sizes, matrix).with_stride();
            by_key.multiply(seq, from, values.get(0), (&mut grad_scores, seq));
            vectorized(
                #[inline(always)]
                || {
                    if let Some(dropout) = dropout {
                        dropout.apply(&mut grad_scores, first * seq);
                    }
                    let rows = grad_scores.chunks_exact_mut(seq);
                    for (grads, probabilities) in rows.zip(probabilities.chunks_exact(seq)) {
                        backward_row(grads, probabilities, scale);
                    }
                },
            );
            let to = (grad_query, head_size);
            by_value.multiply(seq, (&grad_scores, seq), keys.get(0), to);
            transpose(&grad_scores, &mut transposed);
            let to = (grad_key, head_size);
            by_value.multiply(seq, (&transposed, seq), queries.get(0), to);
        })
    });
    HeadGradients { sizes, values }
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

/// One part of `[batch, heads, parts, seq, head_size]` as `[batch, seq, heads · head_size]`.
fn merge_heads<'a>(
    by_heads: &[f32],
    sizes: Sizes,
    [parts, part]: [usize; 2],
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
                let matrix = (sequence * heads + head) * parts + part;
                to.copy_from_slice(&by_heads[(matrix * seq + row) * head_size..][..head_size]);
            }
        }
    })
}

#[cfg(test)]
mod tests {
    use super::super::forward::tests::reference;
    use super::*;
    use crate::softmax;
    use crate::testing::{assert_close, numbers, size};

    #[test]
    fn attention_and_its_gradients_equal_their_definition() {
        // More rows than a block of queries has.
        let sizes = Sizes {
            batch: 2,
            seq: size(50, 4),
            heads: 3,
            head_size: 5,
        };
        let Sizes {
            batch,
            seq,
            heads,
            head_size,
        } = sizes;
        let width = sizes.width();
        let count = batch * seq * width;
        let [query, key, value, grad] = [7, 11, 13, 17].map(|step| numbers(count, step));
        let inputs = Projections {
            query: &query,
            key: &key,
            value: &value,
        };
        let padding: Vec<bool> = (0..batch * seq).map(|at| at >= 2 * seq - 2).collect();
        let attended = softmax::attended(&padding);
        let found = init_vec(batch * heads * seq * seq, |to| {
            probabilities(&query, &key, sizes, &attended, to)
        });
        let (expected, expected_context) = reference(inputs, sizes, &attended);
        assert_close(&found, &expected, 1e-6);

        for dropout in [None, Some(Dropout::new(3, 0.25))] {
            let mask = match dropout {
                Some(dropout) => init_vec(found.len(), |to| dropout.mask(to)),
                None => vec![1.0; found.len()],
            };
            let context = init_vec(count, |to| context(&value, &found, sizes, dropout, to));
            if dropout.is_none() {
                assert_close(&context, &expected_context, 2e-6);
            }
            // Every sum of the definition, in f64.
            let at = |values: &[f32], row: usize, head: usize, column: usize| {
                f64::from(values[row * width + head * head_size + column])
            };
            let scale = 1.0 / (head_size as f64).sqrt();
            let mut expected_context = vec![0.0; count];
            let [mut grad_query, mut grad_key, mut grad_value] = [(); 3].map(|()| vec![0.0; count]);
            for (matrix, expected) in expected.chunks_exact(seq * seq).enumerate() {
                let (sequence, head) = (matrix / heads, matrix % heads);
                for (query_at, p) in expected.chunks_exact(seq).enumerate() {
                    let i = sequence * seq + query_at;
                    let mask = &mask[(matrix * seq + query_at) * seq..][..seq];
                    let grad_p: Vec<f64> = (0..seq)
                        .map(|key_at| {
                            let j = sequence * seq + key_at;
                            let products = (0..head_size)
                                .map(|c| at(&grad, i, head, c) * at(&value, j, head, c));
                            products.sum::<f64>() * f64::from(mask[key_at])
                        })
                        .collect();
                    let mean: f64 = grad_p.iter().zip(p).map(|(grad, p)| grad * p).sum();
                    for key_at in 0..seq {
                        let j = sequence * seq + key_at;
                        let grad_score = (grad_p[key_at] - mean) * p[key_at] * scale;
                        let weight = p[key_at] * f64::from(mask[key_at]);
                        for c in 0..head_size {
                            let place = |row: usize| row * width + head * head_size + c;
                            expected_context[place(i)] += weight * at(&value, j, head, c);
                            grad_value[place(j)] += weight * at(&grad, i, head, c);
                            grad_query[place(i)] += grad_score * at(&key, j, head, c);
                            grad_key[place(j)] += grad_score * at(&query, i, head, c);
                        }
                    }
                }
            }
            assert_close(&context, &expected_context, 2e-6);
            let gradients = backward(inputs, &found, sizes, dropout, &grad);
            assert_close(
                &init_vec(count, |to| gradients.query(to)),
                &grad_query,
                2e-6,
            );
            assert_close(&init_vec(count, |to| gradients.key(to)), &grad_key, 2e-6);
            assert_close(
                &init_vec(count, |to| gradients.value(to)),
                &grad_value,
                2e-6,
            );
        }
    }
}
