//! Gradients of attention: a block of keys by a block of queries at a time, whose scores are computed again.
//!
//! Queries are the columns of all products, so that no scores are transposed: `Sᵀ = K·Qᵀ` and `dPᵀ = V·dOᵀ` become the
//! probabilities `Pᵀ` and the gradient `dSᵀ`, and `dV += Pᵀ·dO`, `dK += dSᵀ·Q` and `dQᵀ += Kᵀ·dSᵀ`. The mean gradient of a
//! query's probabilities, `Σ P ∘ dP`, is `dO·O` (Dao et al. 2022).

use std::ops::Range;

use super::dropout::MaskColumns;
use super::scoring::{HeadScores, QueryLanes};
use super::{Attention, Bias, HeadRows, Heads, RowStatistics, Sequence};
use crate::matmul::panels::{PackedMatrices, PanelLayout};
use crate::matmul::transpose::transpose_into;
use crate::output::init_vec;
use crate::parallel::{Blocks, CHUNK_LEN, par_fill_blocks, par_fill_chunks};
use crate::simd::math::{add, sum_pairs};
use crate::simd::vectorized;

/// Queries of a block, the columns of its products.
const QUERY_BLOCK: usize = 64;

/// Keys of a block, the rows of its products: whole row tiles.
const KEY_BLOCK: usize = 192;

/// Parts, by heads and sequences, in which threads add up the gradient of a bias that sequences share, at most twice as many;
/// a part takes a copy of the bias.
const SHARED_BIAS_PARTS: usize = 64;

/// Results of [`forward_with_statistics`](super::forward_with_statistics), which gradients take.
#[derive(Clone, Copy, Debug)]
pub struct ForwardPass<'a> {
    /// Context, `[rows, heads · head_size]`.
    pub context: &'a [f32],
    /// Statistics of the softmax, `[rows, heads]`.
    pub statistics: &'a [RowStatistics],
}

/// Gradients of attention.
#[derive(Clone, Debug)]
pub struct Gradients {
    /// Gradient of the queries, `[rows, heads · head_size]`.
    pub query: Vec<f32>,
    /// Gradient of the keys, `[rows, heads · head_size]`.
    pub key: Vec<f32>,
    /// Gradient of the values, `[rows, heads · head_size]`.
    pub value: Vec<f32>,
    /// Gradient of the bias, of its shape, if it was asked for.
    pub bias: Option<Vec<f32>>,
}

/// Gradients of attention from that of its context, if `with_bias` also that of the bias: summed over the sequences if they
/// share it, zeros outside of the rows and columns that a sequence takes.
///
/// # Shapes
///
/// - grad: `[rows, heads · head_size]`
///
/// # Panics
///
/// Panics if there are relative positions.
pub fn backward(
    attention: Attention<'_>,
    pass: ForwardPass<'_>,
    grad: &[f32],
    with_bias: bool,
) -> Gradients {
    let Attention {
        sequences, heads, ..
    } = attention;
    assert!(
        attention.scoring.positions.is_none(),
        "gradients of attention are those without relative positions"
    );
    let bias = attention.scoring.bias.filter(|_| with_bias);
    let groups = groups(sequences.len(), heads, bias);
    let ranges: Vec<usize> = groups
        .iter()
        .map(|group| {
            let group = sequences[group.clone()].iter();
            group.map(|sequence| sequence.queries).sum()
        })
        .collect();
    let blocks = Blocks {
        rows: grad.len() / heads.width(),
        ranges: &ranges,
        parts: heads.count,
        columns: heads.size,
    };
    let of_bias = bias.map_or(0, |bias| heads.count * bias.size() * bias.size());
    let mut grad_bias = vec![0.0; groups.len() * of_bias];
    let first_probabilities = attention.first_probabilities();
    let [query, key, value] = par_fill_blocks(
        &blocks,
        &mut grad_bias,
        |[group, head], mut gradients, grad_bias| {
            let mut next = 0;
            for number in groups[group].clone() {
                let sequence = sequences[number];
                let rows = next..next + sequence.queries * heads.size;
                next = rows.end;
                let of_sequence = head * sequence.queries * sequence.queries;
                let head = Head {
                    attention: &attention,
                    pass,
                    grad,
                    sequence,
                    place: [number, head],
                    first_probability: first_probabilities[number] + of_sequence,
                };
                let gradients = gradients.each_mut().map(|all| &mut all[rows.clone()]);
                head.add_gradients(gradients, grad_bias);
            }
        },
    );
    let bias = bias.map(|bias| match bias.is_shared() {
        true => sum_of_parts(grad_bias, of_bias),
        false => grad_bias,
    });
    Gradients {
        query,
        key,
        value,
        bias,
    }
}

/// Numbers of the sequences of which a thread computes a head after the other: one, or several that add up the gradient of a
/// bias. They depend on no number of threads, and so do the sums.
fn groups(sequences: usize, heads: Heads, bias: Option<Bias<'_>>) -> Vec<Range<usize>> {
    let length = match bias.filter(|bias| bias.is_shared()) {
        Some(_) => sequences.div_ceil(SHARED_BIAS_PARTS.div_ceil(heads.count)),
        None => 1,
    };
    let firsts = (0..sequences).step_by(length.max(1));
    firsts
        .map(|first| first..sequences.min(first + length))
        .collect()
}

/// The sum of parts of `length` numbers.
fn sum_of_parts(parts: Vec<f32>, length: usize) -> Vec<f32> {
    if parts.len() == length {
        return parts;
    }
    init_vec(length, |to| {
        par_fill_chunks(to, CHUNK_LEN, |chunk, to| {
            vectorized(
                #[inline(always)]
                || {
                    for part in parts.chunks_exact(length) {
                        add(to, &part[chunk * CHUNK_LEN..][..to.len()]);
                    }
                },
            );
        })
    })
}

/// One head of one sequence.
struct Head<'a> {
    attention: &'a Attention<'a>,
    pass: ForwardPass<'a>,
    grad: &'a [f32],
    sequence: Sequence,
    /// Numbers of the sequence and of the head.
    place: [usize; 2],
    /// Index of the first probability among all.
    first_probability: usize,
}

/// Queries of a block with their gradients, packed as right matrices of both orientations.
struct QueryBlock {
    queries: Range<usize>,
    /// `[head_size, lanes]`
    columns: PanelLayout,
    query_columns: PackedMatrices,
    grad_columns: PackedMatrices,
    /// `[queries, head_size]`
    rows: PanelLayout,
    /// Multiplied by the scale of the scores.
    query_rows: PackedMatrices,
    grad_rows: PackedMatrices,
    lanes: QueryLanes,
}

impl Head<'_> {
    /// Adds the gradients of queries, keys and values, `[queries, head_size]` each, and that of the matrix of a bias, which is
    /// empty if it is not asked for; the first of them is overwritten.
    fn add_gradients(
        &self,
        [grad_query, grad_key, grad_value]: [&mut [f32]; 3],
        grad_bias: &mut [f32],
    ) {
        let Attention {
            inputs,
            attended,
            heads,
            scoring,
            ..
        } = *self.attention;
        let Sequence {
            first,
            queries,
            keys,
        } = self.sequence;
        if queries == 0 || keys == 0 {
            return;
        }
        let size = heads.size;
        let [key, value] = [inputs.key, inputs.value].map(|rows| self.rows(rows));
        let mut key_columns = vec![0.0; size * keys];
        transpose_into(key.values, key.stride, (keys, keys), &mut key_columns, put);
        let of_head = HeadScores::new(scoring, heads, self.place, &attended[first..][..keys]);
        // The first block has the most lanes.
        let lanes = PanelLayout::new(size, QUERY_BLOCK.min(queries)).whole_panels();
        let [mut scores, mut grad_scores] =
            [KEY_BLOCK.min(keys); 2].map(|keys| PackedMatrices::zeros([keys * lanes.columns()]));
        for first_query in (0..queries).step_by(QUERY_BLOCK) {
            let mut block = self.block(first_query..queries.min(first_query + QUERY_BLOCK));
            let lanes = block.columns.columns();
            let mut grad_query_columns = PackedMatrices::zeros([size * lanes]);
            let window = scoring.window(block.queries.clone(), keys);
            for first_key in window.clone().step_by(KEY_BLOCK) {
                let count = KEY_BLOCK.min(window.end - first_key);
                let scores = &mut scores.get_mut(0)[..count * lanes];
                let grad_scores = &mut grad_scores.get_mut(0)[..count * lanes];
                for (left, right, to) in [
                    (key, &block.query_columns, &mut *scores),
                    (value, &block.grad_columns, &mut *grad_scores),
                ] {
                    let left = left.skip(first_key).with_stride();
                    block
                        .columns
                        .multiply(count, left, right.get(0), (to, lanes));
                }
                of_head.differentiate(scores, grad_scores, &mut block.lanes, first_key);
                for (left, right, to) in [
                    (&*scores, &block.grad_rows, &mut *grad_value),
                    (&*grad_scores, &block.query_rows, &mut *grad_key),
                ] {
                    let to = (&mut to[first_key * size..], size);
                    block
                        .rows
                        .multiply_add(count, (left, lanes), right.get(0), to);
                }
                let left = (&key_columns[first_key..], keys);
                let to = (grad_query_columns.get_mut(0), lanes);
                PanelLayout::row_major(count, lanes).multiply_add(size, left, grad_scores, to);
                if let Some(bias) = scoring.bias.filter(|_| !grad_bias.is_empty()) {
                    let to = &mut grad_bias[first_query * bias.size() + first_key..];
                    let to = &mut to[..(block.queries.len() - 1) * bias.size() + count];
                    transpose_into(grad_scores, lanes, (count, bias.size()), to, |to, grad| {
                        *to += grad;
                    });
                }
            }
            let to = &mut grad_query[first_query * size..block.queries.end * size];
            let from = grad_query_columns.get(0);
            transpose_into(from, lanes, (size, size), to, |to, grad| {
                *to = grad * scoring.scale;
            });
        }
    }

    /// Rows of the head in a matrix of all rows.
    fn rows<'a>(&self, values: &'a [f32]) -> HeadRows<'a> {
        let [_, head] = self.place;
        HeadRows::new(values, self.attention.heads, self.sequence.first, head)
    }

    /// Packs a block of queries.
    fn block(&self, queries: Range<usize>) -> QueryBlock {
        let Attention {
            inputs,
            heads,
            scoring,
            dropout,
            ..
        } = *self.attention;
        let (size, count) = (heads.size, queries.len());
        let columns = PanelLayout::new(size, count);
        let rows = PanelLayout::new(count, size);
        let lanes = columns.whole_panels().columns();
        let [query, grad, context] = [inputs.query, self.grad, self.pass.context]
            .map(|rows| self.rows(rows).skip(queries.start));
        let mut query_rows = query.pack(&rows);
        let mut mean = vec![0.0; lanes];
        vectorized(
            #[inline(always)]
            || {
                for value in query_rows.get_mut(0) {
                    *value *= scoring.scale;
                }
                for (at, mean) in mean.iter_mut().enumerate().take(count) {
                    let [grad, context] = [grad, context].map(|rows| rows.row(at, size));
                    *mean = sum_pairs(grad, context, |grad, context| grad * context);
                }
            },
        );
        let statistics = queries.clone().map(|query| {
            let [_, head] = self.place;
            self.pass.statistics[(self.sequence.first + query) * heads.count + head]
        });
        let mask = dropout.map(|dropout| {
            let length = self.sequence.queries;
            let first = self.first_probability + queries.start * length;
            MaskColumns::new(dropout, first, [lanes, length])
        });
        QueryBlock {
            columns: columns.whole_panels(),
            query_columns: query.pack_transposed(&columns),
            grad_columns: grad.pack_transposed(&columns),
            rows,
            query_rows,
            grad_rows: grad.pack(&rows),
            lanes: QueryLanes::new(queries.start, statistics, mean, mask),
            queries,
        }
    }
}

fn put(to: &mut f32, value: f32) {
    *to = value;
}

#[cfg(test)]
mod tests {
    use super::super::Dropout;
    use super::super::forward_with_statistics;
    use super::super::testing::{BiasOf, Case, Definition, cases};
    use super::*;
    use crate::testing::{assert_close, size};

    fn gradients(case: &Case, with_bias: bool) -> Gradients {
        let attention = case.attention();
        let mut statistics = Vec::new();
        let context = init_vec(case.len(), |to| {
            let (context, of_rows) = forward_with_statistics(attention, to);
            statistics = of_rows;
            context
        });
        let pass = ForwardPass {
            context: &context,
            statistics: &statistics,
        };
        backward(attention, pass, &case.grad, with_bias)
    }

    #[test]
    fn gradients_equal_their_definition() {
        // More sequences than one of the parts in which the gradient of a bias is added up has.
        for case in cases(size(SHARED_BIAS_PARTS + 3, 5)) {
            let expected = Definition::new(&case);
            for with_bias in [false, true] {
                let found = gradients(&case, with_bias);
                assert_close(&found.query, &expected.query, 3e-6);
                assert_close(&found.key, &expected.key, 3e-6);
                assert_close(&found.value, &expected.value, 3e-6);
                assert_eq!(found.bias.is_some(), with_bias && case.has_bias());
                if let Some(bias) = found.bias {
                    assert_close(&bias, &expected.bias, 3e-6);
                }
            }
        }
    }

    #[test]
    fn gradients_depend_on_no_number_of_threads() {
        let heads = Heads { count: 3, size: 5 };
        let lengths = size([7, 3, 70, 1, 9, 9], [2, 1, 3, 0, 1, 2]);
        let case = Case::packed(&lengths, heads).with_bias(BiasOf::AllSequences);
        let case = case.with_dropout(Some(Dropout::new(3, 0.25)));
        let [one, several] = [1, 5].map(|threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads);
            pool.build().unwrap().install(|| gradients(&case, true))
        });
        assert_eq!(one.query, several.query);
        assert_eq!(one.key, several.key);
        assert_eq!(one.value, several.value);
        assert_eq!(one.bias, several.bias);
    }

    #[test]
    fn sequences_that_share_a_bias_are_parted_among_threads() {
        let heads = |count| Heads { count, size: 1 };
        let values = vec![0.0; 12 * 12];
        let [shared, each] = [1, 12].map(|batch| Bias::new(&values[..12], [batch, 12 / batch, 1]));
        assert_eq!(groups(3, heads(12), None), [0..1, 1..2, 2..3]);
        assert_eq!(groups(3, heads(1), Some(each)), [0..1, 1..2, 2..3]);
        assert_eq!(groups(3, heads(12), Some(shared)), [0..1, 1..2, 2..3]);
        assert_eq!(groups(14, heads(12), Some(shared)).len(), 5);
        let whole = 0..14;
        assert_eq!(groups(14, heads(64), Some(shared)), [whole]);
        assert_eq!(groups(0, heads(12), Some(shared)), []);
    }
}
