//! Inputs of attention, its definition and that of its gradients in f64, for tests.

use super::{Attention, Bias, Dropout, Heads, Projections, RelativePositions, Scoring, Sequence};
use crate::output::init_vec;
use crate::testing::numbers;

/// Numbers for one layer.
#[derive(Clone)]
pub(super) struct Case {
    heads: Heads,
    sequences: Vec<Sequence>,
    attended: Vec<f32>,
    query: Vec<f32>,
    key: Vec<f32>,
    value: Vec<f32>,
    /// Gradient of the context.
    pub(super) grad: Vec<f32>,
    reach: Option<usize>,
    dropout: Option<Dropout>,
    bias: Vec<f32>,
    /// 0 without a bias.
    bias_batch: usize,
    bias_size: usize,
    /// Positions as keys and as queries, none without them.
    positions: [Vec<f32>; 2],
}

/// Bias of the scores of a case.
#[derive(Clone, Copy)]
pub(super) enum BiasOf {
    None,
    AllSequences,
    EachSequence,
}

impl Case {
    /// A padded batch: the second row ends in padding, the last is nothing else, and the first has a hole.
    pub(super) fn padded([batch, seq]: [usize; 2], heads: Heads) -> Self {
        let padding: Vec<bool> = (0..batch * seq)
            .map(|at| (2 * seq - 2..2 * seq).contains(&at) || at >= (batch - 1) * seq || at == 1)
            .collect();
        let attended = crate::softmax::attended(&padding);
        let sequences = Sequence::padded(&attended, seq);
        assert_eq!((sequences[1].keys, sequences[batch - 1].keys), (seq - 2, 0));
        Self::new(sequences, attended, heads)
    }

    /// Sequences side by side.
    pub(super) fn packed(lengths: &[usize], heads: Heads) -> Self {
        let attended = vec![1.0; lengths.iter().sum()];
        Self::new(Sequence::packed(lengths), attended, heads)
    }

    fn new(sequences: Vec<Sequence>, attended: Vec<f32>, heads: Heads) -> Self {
        let count = attended.len() * heads.width();
        // Products of wide heads are no larger than those of narrow ones.
        let least = (5.0 / heads.size as f32).min(1.0);
        let scaled = |step, factor| numbers(count, step).iter().map(|x| x * factor).collect();
        let [query, grad] = [7, 17].map(|step| scaled(step, least));
        let [key, value] = [11, 13].map(|step| scaled(step, 1.0));
        Self {
            heads,
            sequences,
            attended,
            query,
            key,
            value,
            grad,
            reach: None,
            dropout: None,
            bias: Vec::new(),
            bias_batch: 0,
            bias_size: 0,
            positions: [const { Vec::new() }; 2],
        }
    }

    /// Positions as keys and as queries if so, of distances longer than a sequence has.
    pub(super) fn with_positions(self, kinds: [bool; 2]) -> Self {
        let count = (2 * self.longest() - 1) * self.heads.width();
        let numbers = [23, 29].map(|step| numbers(count, step));
        let mut kinds = kinds.into_iter();
        let positions = numbers.map(|numbers| match kinds.next() {
            Some(true) => numbers.iter().map(|x| x / self.heads.size as f32).collect(),
            _ => Vec::new(),
        });
        Self { positions, ..self }
    }

    /// More tokens than the longest sequence has.
    fn longest(&self) -> usize {
        let lengths = self.sequences.iter().map(|sequence| sequence.queries);
        lengths.max().unwrap_or(0) + 3
    }

    pub(super) fn with_reach(self, reach: Option<usize>) -> Self {
        Self { reach, ..self }
    }

    pub(super) fn with_dropout(self, dropout: Option<Dropout>) -> Self {
        Self { dropout, ..self }
    }

    /// A bias of rows that are longer than a sequence.
    pub(super) fn with_bias(self, bias: BiasOf) -> Self {
        let bias_batch = match bias {
            BiasOf::None => 0,
            BiasOf::AllSequences => 1,
            BiasOf::EachSequence => self.sequences.len(),
        };
        let bias_size = self.longest();
        let count = bias_batch * self.heads.count * bias_size * bias_size;
        let bias = numbers(count, 19).iter().map(|x| 3.0 * x).collect();
        Self {
            bias,
            bias_batch,
            bias_size,
            ..self
        }
    }

    pub(super) fn has_bias(&self) -> bool {
        self.bias_batch > 0
    }

    /// Numbers of all rows of a projection.
    pub(super) fn len(&self) -> usize {
        self.query.len()
    }

    fn positions(&self) -> Option<RelativePositions<'_>> {
        let [keys, queries] = &self.positions;
        let [keys, queries] = [keys, queries].map(|rows| (!rows.is_empty()).then_some(&rows[..]));
        keys.or(queries).map(|_| RelativePositions {
            keys,
            queries,
            longest: self.longest(),
        })
    }

    /// The operands, with a scale that is not the usual one.
    pub(super) fn attention(&self) -> Attention<'_> {
        let shape = [self.bias_batch, self.heads.count, self.bias_size];
        Attention {
            inputs: Projections {
                query: &self.query,
                key: &self.key,
                value: &self.value,
            },
            sequences: &self.sequences,
            attended: &self.attended,
            heads: self.heads,
            scoring: Scoring {
                scale: 0.7,
                reach: self.reach,
                positions: self.positions(),
                bias: self.has_bias().then(|| Bias::new(&self.bias, shape)),
            },
            dropout: self.dropout,
        }
    }
}

/// Attention and its gradients in f64, every sum as it is defined.
pub(super) struct Definition {
    pub(super) context: Vec<f64>,
    /// Logarithm of the sum of powers of every query and head, none without keys.
    pub(super) log_sums: Vec<Option<f64>>,
    pub(super) query: Vec<f64>,
    pub(super) key: Vec<f64>,
    pub(super) value: Vec<f64>,
    pub(super) bias: Vec<f64>,
}

impl Definition {
    pub(super) fn new(case: &Case) -> Self {
        let zeros = || vec![0.0; case.len()];
        let mut definition = Self {
            context: zeros(),
            log_sums: vec![None; case.attended.len() * case.heads.count],
            query: zeros(),
            key: zeros(),
            value: zeros(),
            bias: vec![0.0; case.bias.len()],
        };
        let squares = case.sequences.iter();
        let squares = squares.map(|sequence| sequence.queries * sequence.queries);
        let count = case.heads.count * squares.sum::<usize>();
        let mask = match case.dropout {
            Some(dropout) => init_vec(count, |to| dropout.mask(to)),
            None => vec![1.0; count],
        };
        let mut next = &mask[..];
        for sequence in 0..case.sequences.len() {
            for head in 0..case.heads.count {
                for query in 0..case.sequences[sequence].queries {
                    let (of_query, others) = next.split_at(case.sequences[sequence].queries);
                    definition.add_query(case, [sequence, head, query], of_query);
                    next = others;
                }
            }
        }
        assert!(next.is_empty());
        definition
    }

    fn add_query(&mut self, case: &Case, [sequence, head, query]: [usize; 3], mask: &[f32]) {
        let Heads { count: heads, size } = case.heads;
        let Sequence { first, queries, .. } = case.sequences[sequence];
        let attention = case.attention();
        let scale = f64::from(attention.scoring.scale);
        let place = |row: usize, column: usize| (row * heads + head) * size + column;
        let at = |values: &[f32], row: usize, column: usize| f64::from(values[place(row, column)]);
        let dot = |left: &[f32], i: usize, right: &[f32], j: usize| -> f64 {
            let products = (0..size).map(|c| at(left, i, c) * at(right, j, c));
            products.sum()
        };
        let i = first + query;
        let powers: Vec<f64> = (0..queries)
            .map(|key| {
                let mut product = dot(&case.query, i, &case.key, first + key);
                if let Some(RelativePositions {
                    keys,
                    queries,
                    longest,
                }) = case.positions()
                {
                    let row = |place: usize, other: usize| longest - 1 + other - place;
                    product += keys.map_or(0.0, |keys| dot(&case.query, i, keys, row(query, key)));
                    product += queries.map_or(0.0, |queries| {
                        dot(&case.key, first + key, queries, row(key, query))
                    });
                }
                let bias = attention.scoring.bias.map_or(0.0, |bias| {
                    f64::from(bias.at([sequence, head, query, key], heads))
                });
                let inside = case.reach.is_none_or(|reach| query.abs_diff(key) <= reach);
                f64::from(case.attended[first + key])
                    * f64::from(u8::from(inside))
                    * (product * scale + bias).exp()
            })
            .collect();
        let total: f64 = powers.iter().sum();
        if total == 0.0 {
            return;
        }
        self.log_sums[i * heads + head] = Some(total.ln());
        let p: Vec<f64> = powers.iter().map(|power| power / total).collect();
        let mask: Vec<f64> = mask.iter().map(|&factor| f64::from(factor)).collect();
        let grad_p: Vec<f64> = (0..queries)
            .map(|key| dot(&case.grad, i, &case.value, first + key) * mask[key])
            .collect();
        let mean: f64 = grad_p.iter().zip(&p).map(|(grad, p)| grad * p).sum();
        for key in 0..queries {
            let j = first + key;
            let weight = p[key] * mask[key];
            let grad_score = (grad_p[key] - mean) * p[key];
            if let Some(at) = self.bias_place(case, [sequence, head, query, key]) {
                self.bias[at] += grad_score;
            }
            for c in 0..size {
                self.context[place(i, c)] += weight * at(&case.value, j, c);
                self.value[place(j, c)] += weight * at(&case.grad, i, c);
                self.query[place(i, c)] += grad_score * scale * at(&case.key, j, c);
                self.key[place(j, c)] += grad_score * scale * at(&case.query, i, c);
            }
        }
    }

    fn bias_place(&self, case: &Case, [sequence, head, query, key]: [usize; 4]) -> Option<usize> {
        let sequence = match case.bias_batch {
            0 => return None,
            1 => 0,
            _ => sequence,
        };
        let matrix = sequence * case.heads.count + head;
        Some((matrix * case.bias_size + query) * case.bias_size + key)
    }
}

/// Cases of every kind: padded and packed, of few sequences and of many, with windows, biases and dropout.
pub(super) fn cases(many: usize) -> Vec<Case> {
    use crate::testing::size;
    let small = Heads { count: 2, size: 5 };
    // More queries than a block, heads that fill no vector; few sequences, which threads share, and many, which they do not.
    let mut cases = vec![
        Case::padded([3, size(70, 5)], Heads { count: 4, size: 8 }),
        Case::padded([many, size(50, 3)], small),
        Case::packed(&size([1, 203, 0, 64, 65], [1, 6, 0, 2, 3]), small),
        Case::packed(&vec![size(23, 2); many], Heads { count: 1, size: 33 }),
        Case::packed(&[0, 1, 0], small),
        Case::packed(&[], small),
    ];
    // Windows of one key, of a few, of more than a panel and of more than there are.
    let reaches: &[_] = match cfg!(miri) {
        false => &[None, Some(0), Some(1), Some(19), Some(90), Some(usize::MAX)],
        true => &[None, Some(1), Some(4)],
    };
    for &reach in reaches {
        for bias in [BiasOf::None, BiasOf::AllSequences, BiasOf::EachSequence] {
            for case in [
                Case::padded([3, size(203, 7)], small),
                Case::padded([many, size(67, 3)], small),
                Case::packed(&size([1, 131, 0, 30], [1, 5, 0, 2]), small),
            ] {
                cases.push(case.with_reach(reach).with_bias(bias));
            }
        }
    }
    let with_dropout = |case: Case| case.with_dropout(Some(Dropout::new(3, 0.25)));
    let cases = cases.into_iter().enumerate();
    cases
        .flat_map(|(at, case)| match (cfg!(miri), at % 2) {
            (false, _) => vec![with_dropout(case.clone()), case],
            (true, 0) => vec![case],
            (true, _) => vec![with_dropout(case)],
        })
        .collect()
}
