//! Self-attention from projections to context, without its scores in memory, a copy per head or work for padded keys.

use rayon::prelude::*;

use super::panels::{Packed, Panels};
use super::softmax::{attended, softmax_row};
use super::tensor::{HostTensor, are_here, rows_and_width};
use super::vectorized;
use crate::ops::packed::Layout;
use crate::ops::{PackedForm, attention};

/// Queries that a thread works on at a time, whole tiles of them; their scores of one head stay in its cache.
pub(super) const QUERIES: usize = 48;

/// A sequence among the rows of queries, keys and values.
pub(super) struct Sequence {
    /// Its first row.
    first: usize,
    /// Rows that attend.
    queries: usize,
    /// Rows that may be attended to, from the first on.
    pub(super) keys: usize,
}

impl Sequence {
    /// `batch` sequences of `seq` rows each, all of which may be attended to.
    pub(super) fn rows(batch: usize, seq: usize) -> Vec<Self> {
        let row = |row| Self {
            first: row * seq,
            queries: seq,
            keys: seq,
        };
        (0..batch).map(row).collect()
    }
}

/// [`BertOps::self_attention`](crate::ops::BertOps::self_attention).
pub(in crate::ops) fn self_attention<T: HostTensor>(
    query: T,
    key: T,
    value: T,
    mask_pad: T,
    heads: usize,
    dropout: f64,
) -> T {
    let [batch, seq, width] = query.shape().dims::<3>();
    if !are_here([&query, &key, &value]) || batch * seq * width == 0 || dropout > 0.0 {
        return attention::padded::<T::Backend>(query, key, value, mask_pad, heads, dropout);
    }
    let attended = attended(mask_pad); // [batch, seq]
    let rows = attended.chunks_exact(seq).enumerate();
    let sequences: Vec<Sequence> = rows
        .map(|(row, attended)| {
            // Nothing is computed for keys after the last one that is attended to.
            let last = attended.iter().rposition(|&key| key != 0.0);
            Sequence {
                first: row * seq,
                queries: seq,
                keys: last.map_or(0, |last| last + 1),
            }
        })
        .collect();
    attend([query, key, value], &sequences, &attended, heads)
}

/// [`BertOps::packed_attention`](crate::ops::BertOps::packed_attention), of the sequences where they lie.
pub(in crate::ops) fn packed_attention<T: HostTensor>(
    query: T,
    key: T,
    value: T,
    places: T,
    slots: T,
    padding: T,
    form: PackedForm,
) -> T {
    let [_, tokens, width] = query.shape().dims::<3>();
    if !are_here([&query, &key, &value]) || tokens * width == 0 || form.dropout > 0.0 {
        let layout = Layout::<T::Backend>::packed([places, slots], padding, &form);
        return attention::packed([query, key, value], &layout, form.heads, form.dropout);
    }
    let starts = form.lengths.iter().scan(0, |next, &length| {
        let first = *next;
        *next += length;
        Some(Sequence {
            first,
            queries: length,
            keys: length,
        })
    });
    let sequences: Vec<Sequence> = starts.collect();
    attend(
        [query, key, value],
        &sequences,
        &vec![1.0; tokens],
        form.heads,
    )
}

/// The rows of every sequence and head packed as right matrices, side by side; `turned` with a column for each row.
pub(super) fn by_head<T: HostTensor>(
    of: &T,
    sequences: &[Sequence],
    heads: usize,
    panels: &(dyn Fn(&Sequence) -> Panels + Sync),
    turned: bool,
) -> Packed {
    let (_, width) = rows_and_width(of);
    let values = of.floats();
    let sizes = sequences.iter().map(|sequence| panels(sequence).size());
    let sizes = sizes.flat_map(|size| std::iter::repeat_n(size, heads));
    Packed::new(sizes, |matrix, to| {
        let (sequence, head) = (&sequences[matrix / heads], matrix % heads);
        let from = &values[sequence.first * width + head * (width / heads)..];
        if turned {
            panels(sequence).pack_transposed(from, width, to);
        } else {
            panels(sequence).pack(from, width, to);
        }
    })
}

/// Attention within each of `sequences`, which follow each other without a gap; `attended` is 0 at keys that are left out
/// and 1 elsewhere.
fn attend<T: HostTensor>(
    inputs: [T; 3],
    sequences: &[Sequence],
    attended: &[f32],
    heads: usize,
) -> T {
    let [query, key, value] = inputs.map(T::dense);
    let shape = query.shape();
    let (_, width) = rows_and_width(&query);
    let size = width / heads;
    let scale = 1.0 / (size as f32).sqrt();
    let queries = query.floats();
    let by_key = |sequence: &Sequence| Panels::new(size, sequence.keys);
    let by_value = |sequence: &Sequence| Panels::new(sequence.keys, size);

    let keys = by_head(&key, sequences, heads, &by_key, true);
    let values = by_head(&value, sequences, heads, &by_value, false);

    // Some queries of one sequence, from row `first` on.
    let work = |at: usize, first: usize, to: &mut [f32]| {
        let sequence = &sequences[at];
        let length = sequence.keys;
        if length == 0 {
            return;
        }
        let count = to.len() / width;
        let queries = &queries[first * width..];
        let attended = &attended[sequence.first..][..length];
        let mut scores = vec![0.0; count * length];
        for head in 0..heads {
            let (matrix, offset) = (at * heads + head, head * size);
            let from = (&queries[offset..], width);
            let to_scores = (&mut scores[..], length);
            by_key(sequence).multiply(count, from, keys.get(matrix), to_scores);
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
            by_value(sequence).multiply(count, from, values.get(matrix), to);
        }
    };
    let mut output = query.zeros_like_this(shape);
    let mut rest = output.floats_mut();
    let mut pieces = Vec::new();
    for (at, sequence) in sequences.iter().enumerate() {
        for first in (0..sequence.queries).step_by(QUERIES) {
            let count = QUERIES.min(sequence.queries - first);
            let (piece, others) = rest.split_at_mut(count * width);
            pieces.push((at, sequence.first + first, piece));
            rest = others;
        }
    }
    if let [(at, first, to)] = &mut pieces[..] {
        work(*at, *first, to);
    } else {
        pieces
            .into_par_iter()
            .for_each(|(at, first, to)| work(at, first, to));
    }
    output
}
