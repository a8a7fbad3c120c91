//! Self-attention from projections to context, without its scores in memory, a copy per head or work for padded keys.

use super::math::LANES;
use super::panels::{Packed, Panels};
use super::softmax::{attended, softmax_row};
use super::tensor::{HostTensor, are_here, rows_and_width};
use super::{made_in_parts, vectorized};
use crate::ops::packed::Layout;
use crate::ops::{PackedForm, attention};

/// Queries that a thread works on at a time, whole tiles of them; their scores of one head stay in its cache.
pub(super) const QUERIES: usize = 48;

/// Sequences for each thread from which one thread works on a sequence as a whole, and packs it for itself.
const SEQUENCES: usize = 4;

/// A sequence among the rows of queries, keys and values.
struct Sequence {
    /// Its first row.
    first: usize,
    /// Rows that attend.
    queries: usize,
    /// Rows that may be attended to, from the first on.
    keys: usize,
}

/// Rows of a sequence that attend, which a thread works on at a time.
struct Part {
    /// The sequence they are of.
    sequence: usize,
    /// The first of them among all rows.
    first: usize,
    queries: usize,
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

/// Packs what rows have of a head as a right matrix, from row `first` on; `turned` with a column for each row.
pub(super) fn pack_head(
    of: &impl HostTensor,
    heads: usize,
    (first, head): (usize, usize),
    panels: &Panels,
    turned: bool,
    to: &mut [f32],
) {
    let (_, width) = rows_and_width(of);
    let from = &of.floats()[first * width + head * (width / heads)..];
    if turned {
        panels.pack_transposed(from, width, to);
    } else {
        panels.pack(from, width, to);
    }
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
    let (_, width) = rows_and_width(&query);
    let size = width / heads;
    let scale = 1.0 / (size as f32).sqrt();
    let queries = query.floats();
    // Keys and values of a head, one after the other.
    let panels = |sequence: &Sequence| {
        let by_key = Panels::new(size, sequence.keys);
        [by_key, Panels::new(sequence.keys, size)]
    };
    let pack = |sequence: &Sequence, head: usize, which: usize, to: &mut [f32]| {
        let (of, panels) = ([&key, &value][which], &panels(sequence)[which]);
        pack_head(of, heads, (sequence.first, head), panels, which == 0, to);
    };

    // Several threads share what is packed of a sequence, unless there are sequences for all of them.
    let shared = (sequences.len() < SEQUENCES * rayon::current_num_threads()).then(|| {
        let sizes = sequences.iter().flat_map(|sequence| {
            let sizes = panels(sequence).map(|panels| panels.size());
            std::iter::repeat_n(sizes, heads).flatten()
        });
        Packed::new(sizes, |at, to| {
            let (matrix, which) = (at / 2, at % 2);
            pack(&sequences[matrix / heads], matrix % heads, which, to);
        })
    });

    // Queries of one sequence each.
    let most = match shared {
        Some(_) => QUERIES,
        None => usize::MAX,
    };
    let parts: Vec<Part> = (sequences.iter().enumerate())
        .flat_map(|(at, sequence)| {
            let firsts = (0..sequence.queries).step_by(most);
            firsts.map(move |first| Part {
                sequence: at,
                first: sequence.first + first,
                queries: most.min(sequence.queries - first),
            })
        })
        .collect();

    let work = |part: usize, to: &mut [f32]| {
        let Part {
            sequence: at,
            first,
            ..
        } = parts[part];
        let sequence = &sequences[at];
        if sequence.keys == 0 {
            return;
        }
        let [by_key, by_value] = panels(sequence);
        // Rows of scores are whole panels, those of softmax whole vectors, filled up with keys that are left out.
        let filled = by_key.filled();
        let mut mask = attended[sequence.first..][..sequence.keys].to_vec();
        mask.resize(mask.len().next_multiple_of(LANES), 0.0);
        let row = filled.columns().max(mask.len());

        let mut own = Packed::zeros(match shared {
            Some(_) => [0, 0],
            None => [by_key.size(), by_value.size()],
        });
        let mut scores = vec![0.0; QUERIES.min(to.len() / width) * row];
        for head in 0..heads {
            let (packed, first_of_two) = match &shared {
                Some(packed) => (packed, 2 * (at * heads + head)),
                None => {
                    for which in [0, 1] {
                        pack(sequence, head, which, own.get_mut(which));
                    }
                    (&own, 0)
                }
            };
            let [keys, values] = [0, 1].map(|which| packed.get(first_of_two + which));
            for (block, to) in to.chunks_mut(QUERIES * width).enumerate() {
                let count = to.len() / width;
                let scores = &mut scores[..count * row];
                let from = &queries[(first + block * QUERIES) * width + head * size..];
                filled.multiply(count, (from, width), keys, (scores, row));
                vectorized(
                    #[inline(always)]
                    || {
                        for scores in scores.chunks_exact_mut(row) {
                            softmax_row(&mut scores[..mask.len()], &mask, scale);
                        }
                    },
                );
                let to = (&mut to[head * size..], width);
                by_value.multiply(count, (scores, row), values, to);
            }
        }
    };
    let lengths = parts.iter().map(|part| part.queries * width);
    made_in_parts(&query, query.shape(), lengths, work)
}
