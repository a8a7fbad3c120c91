//! Attention without gradients: no scores in memory, no copy per head, no work for padded keys.

use std::mem::MaybeUninit;

use super::scoring::HeadScores;
use super::{HeadRows, Projections, QUERY_BLOCK, Scoring, Sizes};
use crate::matmul::panels::{PackedMatrices, PanelLayout};
use crate::parallel::par_fill_ranges;
use crate::simd::math::LANES;
use crate::simd::vectorized;

/// Sequences for each thread from which one thread works on a sequence as a whole, and packs it for itself.
const SEQUENCES_PER_THREAD: usize = 4;

/// A sequence among the rows of queries, keys and values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sequence {
    /// Its first row.
    pub first: usize,
    /// Rows that attend.
    pub queries: usize,
    /// Rows that may be attended to, from the first on.
    pub keys: usize,
}

impl Sequence {
    /// The rows of a padded batch; nothing is computed for keys after the last one that is attended to.
    ///
    /// # Shapes
    ///
    /// - attended: `[batch, seq]`, 0 at padding
    pub fn padded(attended: &[f32], seq: usize) -> Vec<Self> {
        let rows = attended.chunks_exact(seq).enumerate();
        rows.map(|(row, attended)| {
            let last = attended.iter().rposition(|&key| key != 0.0);
            Self {
                first: row * seq,
                queries: seq,
                keys: last.map_or(0, |last| last + 1),
            }
        })
        .collect()
    }

    /// Sequences of `lengths` tokens, side by side.
    pub fn packed(lengths: &[usize]) -> Vec<Self> {
        let sequences = lengths.iter().scan(0, |next, &length| {
            let first = *next;
            *next += length;
            Some(Self {
                first,
                queries: length,
                keys: length,
            })
        });
        sequences.collect()
    }
}

/// Attention within each of `sequences`, which follow each other without a gap from the first row on.
///
/// With a window, a block of queries is multiplied with the keys in reach of it alone.
///
/// # Shapes
///
/// - inputs, output: `[rows, heads · head_size]`, head_size not 0
/// - attended: `[rows]`, 0 at keys that are left out and 1 elsewhere
pub fn attention<'a>(
    inputs: Projections<'_>,
    scoring: Scoring<'_>,
    sizes: Sizes,
    sequences: &[Sequence],
    attended: &[f32],
    output: &'a mut [MaybeUninit<f32>],
) -> &'a mut [f32] {
    let layer = Layer {
        inputs,
        scoring,
        sizes,
        sequences,
        attended,
    };
    // Several threads share what is packed of a sequence, unless there are sequences for all of them.
    let threads = rayon::current_num_threads();
    let shared = (sequences.len() < SEQUENCES_PER_THREAD * threads).then(|| layer.pack());
    let most = match shared {
        Some(_) => QUERY_BLOCK,
        None => usize::MAX,
    };
    let parts = layer.parts(most);
    let lengths = parts.iter().map(|part| part.queries * sizes.width());
    par_fill_ranges(output, lengths, |part, output| {
        layer.attend(&parts[part], shared.as_ref(), output);
    })
}

/// Queries of one sequence, which a thread works on at a time.
struct Part {
    /// Number of their sequence.
    sequence: usize,
    /// The first of them among all rows.
    first: usize,
    queries: usize,
}

struct Layer<'a> {
    inputs: Projections<'a>,
    scoring: Scoring<'a>,
    sizes: Sizes,
    sequences: &'a [Sequence],
    attended: &'a [f32],
}

impl Layer<'_> {
    /// How the keys of a head, transposed, and its values are packed.
    fn layouts(&self, sequence: &Sequence) -> [PanelLayout; 2] {
        let size = self.sizes.head_size;
        [
            PanelLayout::new(size, sequence.keys),
            PanelLayout::new(sequence.keys, size),
        ]
    }

    fn pack_keys(&self, sequence: &Sequence, head: usize, to: &mut [f32]) {
        let keys = HeadRows::new(self.inputs.key, self.sizes, sequence.first, head);
        let [layout, _] = self.layouts(sequence);
        layout.pack_transposed(keys.values, keys.stride, to);
    }

    fn pack_values(&self, sequence: &Sequence, head: usize, to: &mut [f32]) {
        let values = HeadRows::new(self.inputs.value, self.sizes, sequence.first, head);
        let [_, layout] = self.layouts(sequence);
        layout.pack(values.values, values.stride, to);
    }

    /// Packs keys and values of every head of every sequence, one after the other.
    fn pack(&self) -> PackedMatrices {
        let heads = self.sizes.heads;
        let matrix_sizes = self.sequences.iter().flat_map(|sequence| {
            let sizes = self.layouts(sequence).map(|layout| layout.size());
            std::iter::repeat_n(sizes, heads).flatten()
        });
        PackedMatrices::new(matrix_sizes, |at, to| {
            let sequence = &self.sequences[at / 2 / heads];
            let head = at / 2 % heads;
            if at.is_multiple_of(2) {
                self.pack_keys(sequence, head, to);
            } else {
                self.pack_values(sequence, head, to);
            }
        })
    }

    /// The queries of all sequences, at most so many of one at a time.
    fn parts(&self, most: usize) -> Vec<Part> {
        let sequences = self.sequences.iter().enumerate();
        sequences
            .flat_map(|(at, sequence)| {
                let firsts = (0..sequence.queries).step_by(most);
                firsts.map(move |first| Part {
                    sequence: at,
                    first: sequence.first + first,
                    queries: most.min(sequence.queries - first),
                })
            })
            .collect()
    }

    /// The context of a part, in zeroed rows; keys and values are packed here unless they are shared.
    fn attend(&self, part: &Part, shared: Option<&PackedMatrices>, output: &mut [f32]) {
        let sequence = &self.sequences[part.sequence];
        if sequence.keys == 0 {
            return;
        }
        let Sizes {
            heads, head_size, ..
        } = self.sizes;
        let width = self.sizes.width();
        let [key_layout, value_layout] = self.layouts(sequence);
        // Rows of scores are whole panels, those of softmax whole vectors, filled up with keys that are left out.
        let score_layout = key_layout.whole_panels();
        let mut mask = self.attended[sequence.first..][..sequence.keys].to_vec();
        mask.resize(mask.len().next_multiple_of(LANES), 0.0);
        let score_stride = self.score_stride(score_layout.columns().max(mask.len()), &key_layout);

        let mut own = PackedMatrices::zeros(match shared {
            Some(_) => [0, 0],
            None => [key_layout.size(), value_layout.size()],
        });
        let mut scores = vec![0.0; QUERY_BLOCK.min(output.len() / width) * score_stride];
        for head in 0..heads {
            let (packed, at) = match shared {
                Some(packed) => (packed, 2 * (part.sequence * heads + head)),
                None => {
                    self.pack_keys(sequence, head, own.get_mut(0));
                    self.pack_values(sequence, head, own.get_mut(1));
                    (&own, 0)
                }
            };
            let (keys, values) = (packed.get(at), packed.get(at + 1));
            let of_head = HeadScores::new(self.scoring, self.sizes, [part.sequence, head], &mask);
            for (block, output) in output.chunks_mut(QUERY_BLOCK * width).enumerate() {
                let count = output.len() / width;
                let scores = &mut scores[..count * score_stride];
                let first = part.first + block * QUERY_BLOCK;
                let query = first - sequence.first;
                let window = self.scoring.window(query..query + count, sequence.keys);
                if window.is_empty() {
                    continue;
                }
                let columns = score_layout.whole_panels_of(&window);
                let queries = HeadRows::new(self.inputs.query, self.sizes, first, head);
                let to = (&mut *scores, score_stride);
                let keys = &keys[score_layout.panel_start(columns.start)..];
                score_layout.with_columns(columns.len()).multiply(
                    count,
                    queries.with_stride(),
                    keys,
                    to,
                );
                vectorized(
                    #[inline(always)]
                    || of_head.normalize((&mut *scores, score_stride), query, columns.start),
                );
                let scores = (&scores[window.start - columns.start..], score_stride);
                let values = &values[value_layout.row_start(window.start)..];
                let to = (&mut output[head * head_size..], width);
                let value_layout = value_layout.with_depth(window.len());
                value_layout.multiply(count, scores, values, to);
            }
        }
    }

    /// Length of a row of scores: `most`, or the panels that the window of a block touches, and part of a vector.
    fn score_stride(&self, most: usize, layout: &PanelLayout) -> usize {
        match self.scoring.reach {
            None => most,
            Some(reach) => {
                let touched = QUERY_BLOCK + 2 * layout.width() + LANES;
                reach.saturating_mul(2).saturating_add(touched).min(most)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Case, reference};
    use super::*;
    use crate::output::init_vec;
    use crate::testing::{assert_close, size};

    /// Sequences of which several threads share what is packed, or with which every thread works on whole ones.
    fn padded_and_packed_equal_the_definition(case: &Case) {
        let sizes = case.sizes;
        let Sizes { batch, seq, .. } = sizes;
        // The second row ends in padding and the last is nothing else.
        let padding: Vec<bool> = (0..batch * seq)
            .map(|at| (2 * seq - 2..2 * seq).contains(&at) || at >= (batch - 1) * seq)
            .collect();
        let attended = crate::softmax::attended(&padding);
        let sequences = Sequence::padded(&attended, seq);
        assert_eq!((sequences[1].keys, sequences[batch - 1].keys), (seq - 2, 0));
        let attend = |scoring, sequences: &[Sequence], attended: &[f32]| {
            init_vec(case.query.len(), |to| {
                attention(case.inputs(), scoring, sizes, sequences, attended, to)
            })
        };
        let found = attend(case.scoring(), &sequences, &attended);
        let (_, expected) = reference(case.inputs(), case.scoring(), sizes, &attended);
        assert_close(&found, &expected, 2e-6);

        // Packed: one sequence of a token, and the rest in two. They share their bias, which has place for the longest.
        if case.bias_batch > 1 {
            return;
        }
        let lengths = [1, seq - 1, (batch - 1) * seq];
        let sequences = Sequence::packed(&lengths);
        let longest = case.with_bias_of_size(lengths[2].max(seq));
        let found = attend(longest.scoring(), &sequences, &vec![1.0; batch * seq]);
        for sequence in sequences.iter().take(2) {
            let width = sizes.width();
            let range = sequence.first * width..(sequence.first + sequence.keys) * width;
            let alone = Sizes {
                batch: 1,
                seq: sequence.keys,
                ..sizes
            };
            let inputs = Projections {
                query: &case.query[range.clone()],
                key: &case.key[range.clone()],
                value: &case.value[range.clone()],
            };
            let attended = vec![1.0; sequence.keys];
            let (_, expected) = reference(inputs, longest.scoring(), alone, &attended);
            assert_close(&found[range], &expected, 2e-6);
        }
    }

    #[test]
    fn attention_of_padded_and_packed_sequences_equals_its_definition() {
        // More queries than a block, heads that fill no vector; few sequences, which threads share, and many, which they do not.
        let threads = rayon::current_num_threads();
        for (batch, seq, heads, head_size) in [
            (3, size(70, 5), 4, 8),
            (SEQUENCES_PER_THREAD * threads + 3, size(50, 3), 2, 5),
        ] {
            let sizes = Sizes {
                batch,
                seq,
                heads,
                head_size,
            };
            padded_and_packed_equal_the_definition(&Case::new(sizes));
        }
    }

    #[test]
    fn attention_with_a_window_or_a_bias_equals_its_definition() {
        let threads = rayon::current_num_threads();
        // Windows of one key, of a few, of more than a panel and of more than there are.
        let reaches = size(
            [None, Some(0), Some(1), Some(19), Some(90), Some(usize::MAX)],
            [None, Some(0), Some(1), Some(2), Some(4), Some(usize::MAX)],
        );
        for reach in reaches {
            for bias in [0, 1, 2] {
                let many = SEQUENCES_PER_THREAD * threads + 3;
                for (batch, seq) in [(3, size(203, 7)), (many, size(67, 3))] {
                    let sizes = Sizes {
                        batch,
                        seq,
                        heads: 2,
                        head_size: 5,
                    };
                    let bias_batch = [0, 1, batch][bias];
                    let case = Case::new(sizes).with_reach(reach).with_bias(bias_batch);
                    padded_and_packed_equal_the_definition(&case);
                }
            }
        }
    }
}
