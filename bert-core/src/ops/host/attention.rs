//! Self-attention from projections to context, without its scores in memory, a copy per head or work for padded keys.

use burn::backend::flex::FlexTensor;
use burn::backend::{Flex, TensorMetadata};
use rayon::prelude::*;

use super::flex::{are_f32, dense, zeros};
use super::panels::{Packed, Panels};
use super::softmax::{attended, softmax_row};
use super::vectorized;
use crate::ops::attention;

/// Queries that a thread works on at a time, whole tiles of them; their scores of one head stay in its cache.
const QUERIES: usize = 48;

/// [`BertOps::self_attention`](crate::ops::BertOps::self_attention).
pub(in crate::ops) fn self_attention(
    query: FlexTensor,
    key: FlexTensor,
    value: FlexTensor,
    mask_pad: FlexTensor,
    heads: usize,
) -> FlexTensor {
    let [batch, seq, width] = query.shape().dims::<3>();
    if !are_f32([&query, &key, &value]) || batch * seq * width == 0 {
        return attention::from_projections::<Flex>(query, key, value, mask_pad, heads);
    }
    let size = width / heads;
    let scale = 1.0 / (size as f32).sqrt();
    let attended = attended(mask_pad); // [batch, seq]
    // Nothing is computed for keys after the last one that is attended to.
    let lengths: Vec<usize> = attended
        .chunks_exact(seq)
        .map(|row| {
            row.iter()
                .rposition(|&key| key != 0.0)
                .map_or(0, |last| last + 1)
        })
        .collect();
    let [query, key, value] = [query, key, value].map(dense);
    let queries = query.storage::<f32>();
    let by_key = |row: usize| Panels::new(size, lengths[row]);
    let by_value = |row: usize| Panels::new(lengths[row], size);

    // Of every row and head, side by side.
    let matrices = |of: &FlexTensor, panels: &(dyn Fn(usize) -> Panels + Sync), turn: bool| {
        let values = of.storage::<f32>();
        let largest = (0..batch).map(|row| panels(row).size()).max().unwrap_or(0);
        Packed::new(batch * heads, largest, |matrix, to| {
            let (row, head) = (matrix / heads, matrix % heads);
            let from = &values[row * seq * width + head * size..];
            if turn {
                panels(row).pack_transposed(from, width, to);
            } else {
                panels(row).pack(from, width, to);
            }
        })
    };
    let keys = matrices(&key, &by_key, true);
    let values = matrices(&value, &by_value, false);

    let mut output = zeros(query.shape());
    let work = |row: usize, first: usize, to: &mut [f32]| {
        let length = lengths[row];
        if length == 0 {
            return;
        }
        let count = to.len() / width;
        let queries = &queries[(row * seq + first) * width..];
        let attended = &attended[row * seq..][..length];
        let mut scores = vec![0.0; count * length];
        for head in 0..heads {
            let (matrix, offset) = (row * heads + head, head * size);
            let from = (&queries[offset..], width);
            by_key(row).multiply(count, from, keys.get(matrix), (&mut scores, length));
            vectorized(
                #[inline(always)]
                || {
                    for scores in scores.chunks_exact_mut(length) {
                        softmax_row(scores, attended, scale);
                    }
                },
            );
            let from = (&scores[..], length);
            let to = (&mut to[offset..], width);
            by_value(row).multiply(count, from, values.get(matrix), to);
        }
    };
    let context = output.storage_mut::<f32>();
    if batch == 1 && seq <= QUERIES {
        work(0, 0, context);
    } else {
        context
            .par_chunks_mut(seq * width)
            .enumerate()
            .flat_map(|(row, to)| {
                let pieces = to.par_chunks_mut(QUERIES * width).enumerate();
                pieces.map(move |(piece, to)| (row, piece * QUERIES, to))
            })
            .for_each(|(row, first, to)| work(row, first, to));
    }
    output
}
