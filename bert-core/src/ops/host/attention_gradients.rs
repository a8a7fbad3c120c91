//! Self-attention whose gradients are wanted: head by head, each one's scores in the cache of a thread.

use burn::tensor::Shape;

use super::attention::{QUERIES, pack_head};
use super::dropout::Dropping;
use super::panels::{Packed, Panels};
use super::product::turn;
use super::softmax::{attended, softmax_backward_row, softmax_row};
use super::tensor::{HostTensor, are_here};
use super::{made_in_pieces, rows_per_piece, vectorized};
use crate::ops::attention;

/// [`BertOps::attention_with_weights`](crate::ops::BertOps::attention_with_weights); what is known of dropout is a seed.
pub(in crate::ops) fn attention_with_weights<T: HostTensor>(
    query: T,
    key: T,
    value: T,
    mask_pad: T,
    heads: usize,
    dropout: f64,
) -> (T, T, T) {
    let [batch, seq, width] = query.shape().dims::<3>();
    if !are_here([&query, &key, &value]) || batch * seq * width == 0 {
        return attention::with_weights::<T::Backend>(query, key, value, mask_pad, heads, dropout);
    }
    let [query, key, value] = [query, key, value].map(T::dense);
    let size = width / heads;
    let scale = 1.0 / (size as f32).sqrt();
    let attended = attended(mask_pad); // [batch, seq]
    let (keep, dropping) = draw(&query, dropout);

    let (by_key, by_value) = (Panels::new(size, seq), Panels::new(seq, size));
    let packed = |of: &T, matrix: usize, panels: &Panels, turned: bool| {
        packed_head(of, [heads, seq], matrix, panels, turned)
    };

    let queries = query.floats();
    let by_heads = Shape::new([batch, heads, seq, seq]);
    let probabilities = made_in_pieces(&query, by_heads, seq * seq, |matrix, scores| {
        let (sequence, head) = (matrix / heads, matrix % heads);
        let from = (&queries[sequence * seq * width + head * size..], width);
        let keys = packed(&key, matrix, &by_key, true);
        by_key.multiply(seq, from, keys.get(0), (scores, seq));
        let attended = &attended[sequence * seq..][..seq];
        vectorized(
            #[inline(always)]
            || {
                for scores in scores.chunks_exact_mut(seq) {
                    softmax_row(scores, attended, scale);
                }
            },
        );
    });

    let rows = probabilities.floats().chunks_exact(seq * seq);
    let matrices: Vec<&[f32]> = rows.collect();
    let by_heads = Shape::new([batch, heads, seq, size]);
    let contexts = made_in_pieces(&query, by_heads, seq * size, |matrix, contexts| {
        let values = packed(&value, matrix, &by_value, false);
        let blocks = matrices[matrix].chunks(QUERIES * seq);
        for (block, (from, to)) in blocks.zip(contexts.chunks_mut(QUERIES * size)).enumerate() {
            let first = matrix * seq + block * QUERIES;
            let dropped = dropping.map(|dropping| dropped(from, seq, first, dropping));
            let from = (dropped.as_deref().unwrap_or(from), seq);
            by_value.multiply(to.len() / size, from, values.get(0), (to, size));
        }
    });
    let context = merged(&contexts, [batch, seq, heads, size], [1, 0]);
    (context, probabilities, keep)
}

/// [`BertOps::attention_backward`](crate::ops::BertOps::attention_backward).
#[expect(
    clippy::too_many_arguments,
    reason = "what the forward pass took and gave"
)]
pub(in crate::ops) fn attention_backward<T: HostTensor>(
    query: T,
    key: T,
    value: T,
    probabilities: T,
    keep: T,
    grad: T,
    heads: usize,
    dropout: f64,
) -> (T, T, T) {
    let [batch, seq, width] = query.shape().dims::<3>();
    if !are_here([&query, &key, &value, &probabilities, &grad]) || batch * seq * width == 0 {
        let inputs = [query, key, value];
        return attention::backward::<T::Backend>(
            inputs,
            [probabilities, keep],
            grad,
            heads,
            dropout,
        );
    }
    let [query, key, value, probabilities, keep, grad] =
        [query, key, value, probabilities, keep, grad].map(T::dense);
    let size = width / heads;
    let scale = 1.0 / (size as f32).sqrt();
    let dropping = recall(&keep, dropout);

    let (by_key, by_value) = (Panels::new(size, seq), Panels::new(seq, size));
    let packed = |of: &T, matrix: usize, panels: &Panels, turned: bool| {
        packed_head(of, [heads, seq], matrix, panels, turned)
    };

    let of_contexts = grad.floats();
    let rows = probabilities.floats().chunks_exact(seq * seq);
    let matrices: Vec<&[f32]> = rows.collect();
    let by_heads = Shape::new([batch, heads, 3, seq, size]);
    let made = made_in_pieces(&query, by_heads, 3 * seq * size, |matrix, to| {
        let (sequence, head) = (matrix / heads, matrix % heads);
        let probabilities = matrices[matrix];
        let first = matrix * seq;
        let [queries, keys, grads] =
            [&query, &key, &grad].map(|tensor| packed(tensor, matrix, &by_value, false));
        let values = packed(&value, matrix, &by_key, true);
        let (of_query, rest) = to.split_at_mut(seq * size);
        let (of_key, of_value) = rest.split_at_mut(seq * size);
        let mut turned = vec![0.0; seq * seq];

        let kept = dropping.map(|dropping| dropped(probabilities, seq, first, dropping));
        let kept = kept.as_deref().unwrap_or(probabilities);
        turn(kept, seq, (seq, seq), &mut turned, |to, value| *to = value);
        by_value.multiply(seq, (&turned, seq), grads.get(0), (of_value, size));

        let mut of_scores = vec![0.0; seq * seq];
        let from = (&of_contexts[sequence * seq * width + head * size..], width);
        by_key.multiply(seq, from, values.get(0), (&mut of_scores, seq));
        vectorized(
            #[inline(always)]
            || {
                if let Some(dropping) = dropping {
                    dropping.drop(&mut of_scores, first * seq);
                }
                let rows = of_scores.chunks_exact_mut(seq);
                for (grads, probabilities) in rows.zip(probabilities.chunks_exact(seq)) {
                    softmax_backward_row(grads, probabilities, scale);
                }
            },
        );
        by_value.multiply(seq, (&of_scores, seq), keys.get(0), (of_query, size));
        turn(&of_scores, seq, (seq, seq), &mut turned, |to, value| {
            *to = value
        });
        by_value.multiply(seq, (&turned, seq), queries.get(0), (of_key, size));
    });
    let [of_query, of_key, of_value] =
        [0, 1, 2].map(|part| merged(&made, [batch, seq, heads, size], [3, part]));
    (of_query, of_key, of_value)
}

/// Packs the `seq` rows of one head of one sequence as a right matrix; `matrix` counts all heads of all sequences.
fn packed_head(
    of: &impl HostTensor,
    [heads, seq]: [usize; 2],
    matrix: usize,
    panels: &Panels,
    turned: bool,
) -> Packed {
    let mut packed = Packed::zeros([panels.size()]);
    let head = (matrix / heads * seq, matrix % heads);
    pack_head(of, heads, head, panels, turned, packed.get_mut(0));
    packed
}

/// A seed for dropout as a tensor, 16 bits a float, which holds them exactly; and the dropout.
fn draw<T: HostTensor>(like: &T, dropout: f64) -> (T, Option<Dropping>) {
    let mut keep = like.zeros_like_this(Shape::new([4]));
    if dropout > 0.0 {
        let seed = like.draw();
        for (at, part) in keep.floats_mut().iter_mut().enumerate() {
            *part = f32::from((seed >> (16 * at)) as u16);
        }
    }
    let dropping = recall(&keep, dropout);
    (keep, dropping)
}

/// The dropout that [`draw`] drew.
fn recall<T: HostTensor>(keep: &T, dropout: f64) -> Option<Dropping> {
    (dropout > 0.0).then(|| {
        let parts = keep.floats().iter().rev();
        let seed = parts.fold(0, |seed, &part| (seed << 16) | part as u64);
        Dropping::new(seed, dropout)
    })
}

/// Rows of `width` after dropout, the first of which has an index among all.
fn dropped(rows: &[f32], width: usize, first: usize, dropping: Dropping) -> Vec<f32> {
    let mut rows = rows.to_vec();
    vectorized(
        #[inline(always)]
        || dropping.drop(&mut rows, first * width),
    );
    rows
}

/// `[batch, heads, parts, seq, size]`, of which one part is taken, as `[batch, seq, heads · size]`.
fn merged<T: HostTensor>(
    by_heads: &T,
    [batch, seq, heads, size]: [usize; 4],
    [parts, part]: [usize; 2],
) -> T {
    let width = heads * size;
    let rows = rows_per_piece(width);
    let from = by_heads.floats();
    let shape = Shape::new([batch, seq, width]);
    made_in_pieces(by_heads, shape, rows * width, |piece, to| {
        for (row, to) in to.chunks_exact_mut(width).enumerate() {
            let (sequence, row) = ((piece * rows + row) / seq, (piece * rows + row) % seq);
            for (head, to) in to.chunks_exact_mut(size).enumerate() {
                let matrix = (sequence * heads + head) * parts + part;
                to.copy_from_slice(&from[(matrix * seq + row) * size..][..size]);
            }
        }
    })
}
