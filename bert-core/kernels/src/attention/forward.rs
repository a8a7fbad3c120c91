//! Attention from projections to context: no scores in memory, no copy per head, no work for padded keys.

use std::mem::MaybeUninit;

use super::relative::{PackedPositions, ScoreBlock};
use super::scoring::HeadScores;
use super::{Attention, HeadRows, Heads, RowStatistics, Sequence};
use crate::matmul::panels::{PackedMatrices, PanelLayout};
use crate::parallel::par_fill_ranges;
use crate::simd::math::LANES;
use crate::simd::vectorized;

/// Queries that a thread works on at a time, whole row tiles of them; their scores of one head stay in its cache.
const QUERY_BLOCK: usize = 48;

/// Sequences for each thread from which one thread works on a sequence as a whole, and packs it for itself.
const SEQUENCES_PER_THREAD: usize = 4;

/// Context of attention.
///
/// With a window, a block of queries is multiplied with the keys in reach of it alone.
///
/// # Shapes
///
/// - output: `[rows, heads · head_size]`
pub fn forward<'a>(attention: Attention<'_>, output: &'a mut [MaybeUninit<f32>]) -> &'a mut [f32] {
    attention.fill(output, &mut [])
}

/// Context of attention, and statistics of the softmax of every query and head, from which gradients are computed.
///
/// # Shapes
///
/// - output: `[rows, heads · head_size]` and `[rows, heads]`
pub fn forward_with_statistics<'a>(
    attention: Attention<'_>,
    output: &'a mut [MaybeUninit<f32>],
) -> (&'a mut [f32], Vec<RowStatistics>) {
    let mut statistics = vec![[0.0; 2]; output.len() / attention.heads.size];
    let output = attention.fill(output, &mut statistics);
    (output, statistics)
}

/// Queries of one sequence, which a thread works on at a time.
struct Part {
    /// Number of their sequence.
    sequence: usize,
    /// The first of them among all rows.
    first: usize,
    queries: usize,
    /// Index of the sequence's first probability among all.
    first_probability: usize,
}

impl Attention<'_> {
    /// Fills `output`, and `statistics` unless it is empty.
    fn fill<'a>(
        &self,
        output: &'a mut [MaybeUninit<f32>],
        statistics: &mut [RowStatistics],
    ) -> &'a mut [f32] {
        // Several threads share what is packed of a sequence, unless there are sequences for all of them.
        let threads = rayon::current_num_threads();
        let few = self.sequences.len() < SEQUENCES_PER_THREAD * threads;
        let shared = few.then(|| self.pack());
        let positions = self.scoring.positions;
        let positions = positions.map(|positions| positions.pack(self.heads));
        let most = match shared {
            Some(_) => QUERY_BLOCK,
            None => usize::MAX,
        };
        let parts = self.parts(most);
        let of_statistics = match statistics.is_empty() {
            true => 0,
            false => self.heads.count,
        };
        let lengths = parts.iter().map(|part| {
            let queries = part.queries;
            [queries * self.heads.width(), queries * of_statistics]
        });
        par_fill_ranges(output, statistics, lengths, |part, output, statistics| {
            let shared = (shared.as_ref(), positions.as_ref());
            self.attend(&parts[part], shared, output, statistics);
        })
    }

    /// How the keys of a head, transposed, and its values are packed.
    fn layouts(&self, sequence: &Sequence) -> [PanelLayout; 2] {
        let size = self.heads.size;
        [
            PanelLayout::new(size, sequence.keys),
            PanelLayout::new(sequence.keys, size),
        ]
    }

    fn pack_keys(&self, sequence: &Sequence, head: usize, to: &mut [f32]) {
        let keys = HeadRows::new(self.inputs.key, self.heads, sequence.first, head);
        let [layout, _] = self.layouts(sequence);
        layout.pack_transposed(keys.values, keys.stride, to);
    }

    fn pack_values(&self, sequence: &Sequence, head: usize, to: &mut [f32]) {
        let values = HeadRows::new(self.inputs.value, self.heads, sequence.first, head);
        let [_, layout] = self.layouts(sequence);
        layout.pack(values.values, values.stride, to);
    }

    /// Packs keys and values of every head of every sequence, one after the other.
    fn pack(&self) -> PackedMatrices {
        let heads = self.heads.count;
        let matrix_sizes = self.sequences.iter().flat_map(|sequence| {
            let sizes = self.layouts(sequence).map(|layout| layout.size());
            std::iter::repeat_n(sizes, heads).flatten()
        });
        PackedMatrices::new(matrix_sizes, |at, to| {
            let sequence = &self.sequences[at / 2 / heads];
            let head = at / 2 % heads;
            if sequence.keys == 0 {
                return;
            }
            if at.is_multiple_of(2) {
                self.pack_keys(sequence, head, to);
            } else {
                self.pack_values(sequence, head, to);
            }
        })
    }

    /// The queries of all sequences, at most so many of one at a time.
    fn parts(&self, most: usize) -> Vec<Part> {
        let sequences = self.sequences.iter().zip(self.first_probabilities());
        let parts = sequences.enumerate();
        let parts = parts.flat_map(|(at, (sequence, first_probability))| {
            let firsts = (0..sequence.queries).step_by(most);
            firsts.map(move |first| Part {
                sequence: at,
                first: sequence.first + first,
                queries: most.min(sequence.queries - first),
                first_probability,
            })
        });
        parts.collect()
    }

    /// The context of a part, in zeroed rows; keys and values are packed here unless they are shared.
    fn attend(
        &self,
        part: &Part,
        (shared, positions): (Option<&PackedMatrices>, Option<&PackedPositions<'_>>),
        output: &mut [f32],
        statistics: &mut [RowStatistics],
    ) {
        let sequence = &self.sequences[part.sequence];
        if sequence.keys == 0 {
            return;
        }
        let Heads { count: heads, size } = self.heads;
        let width = self.heads.width();
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
        let mut scores = vec![0.0; QUERY_BLOCK.min(part.queries) * score_stride];
        let mut products = Vec::new();
        let first_of_part = part.first - sequence.first;
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
            let of_head = HeadScores::new(self.scoring, self.heads, [part.sequence, head], &mask);
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
                let queries = HeadRows::new(self.inputs.query, self.heads, first, head);
                let to = (&mut *scores, score_stride);
                let keys = &keys[score_layout.panel_start(columns.start)..];
                score_layout.with_columns(columns.len()).multiply(
                    count,
                    queries.with_stride(),
                    keys,
                    to,
                );
                if let Some(positions) = positions {
                    let block = ScoreBlock {
                        scores: &mut *scores,
                        stride: score_stride,
                        queries: query..query + count,
                        keys: columns.start..window.end,
                    };
                    positions.add(head, block, queries, (keys, score_layout), &mut products);
                }
                let (first_key, scores_of) = (columns.start, (&mut *scores, score_stride));
                vectorized(
                    #[inline(always)]
                    || {
                        of_head.normalize(
                            scores_of,
                            query,
                            first_key,
                            |query, key, row, of_row| {
                                if let Some(dropout) = self.dropout {
                                    let query = head * sequence.queries + query;
                                    let of_sequence = query * sequence.queries + key;
                                    dropout.apply(row, part.first_probability + of_sequence);
                                }
                                let place = (query - first_of_part) * heads + head;
                                if let Some(statistics) = statistics.get_mut(place) {
                                    *statistics = of_row;
                                }
                            },
                        );
                    },
                );
                let scores = (&scores[window.start - columns.start..], score_stride);
                let values = &values[value_layout.row_start(window.start)..];
                let to = (&mut output[head * size..], width);
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
    use super::super::testing::{Definition, cases};
    use super::super::{Projections, Scoring};
    use super::*;
    use crate::output::init_vec;
    use crate::testing::assert_close;

    #[test]
    fn context_and_statistics_equal_their_definition() {
        let many = SEQUENCES_PER_THREAD * rayon::current_num_threads() + 3;
        for case in cases(many) {
            let expected = Definition::new(&case);
            let context = init_vec(case.len(), |to| forward(case.attention(), to));
            assert_close(&context, &expected.context, 2e-6);

            let mut statistics = Vec::new();
            let again = init_vec(case.len(), |to| {
                let (context, of_rows) = forward_with_statistics(case.attention(), to);
                statistics = of_rows;
                context
            });
            assert_eq!(again, context);
            assert_eq!(statistics.len(), expected.log_sums.len());
            for (&[highest, inverse], expected) in statistics.iter().zip(&expected.log_sums) {
                match expected {
                    None => assert_eq!(inverse, 0.0),
                    Some(expected) => assert_close(&[highest - inverse.ln()], &[*expected], 2e-6),
                }
            }
        }
    }

    #[test]
    fn rows_after_the_sequences_are_zero() {
        let rows = 3;
        let values = vec![1.0; rows * 4];
        let attention = Attention {
            inputs: Projections {
                query: &values,
                key: &values,
                value: &values,
            },
            sequences: &Sequence::packed(&[2]),
            attended: &[1.0; 3],
            heads: Heads { count: 2, size: 2 },
            scoring: Scoring::scaled(1.0),
            dropout: None,
        };
        let context = init_vec(values.len(), |to| forward(attention, to));
        assert_close(&context[..8], &[1.0; 8], 1e-6);
        assert_eq!(context[8..], [0.0; 4]);
    }
}
