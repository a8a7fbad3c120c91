//! Inputs of attention and its definition in f64, for tests.

use super::{Bias, Projections, Scoring, Sizes};
use crate::testing::numbers;

/// Numbers for one layer.
#[derive(Clone)]
pub(super) struct Case {
    pub(super) sizes: Sizes,
    pub(super) query: Vec<f32>,
    pub(super) key: Vec<f32>,
    pub(super) value: Vec<f32>,
    reach: Option<usize>,
    bias: Vec<f32>,
    /// 0 without a bias.
    pub(super) bias_batch: usize,
    pub(super) bias_size: usize,
}

impl Case {
    pub(super) fn new(sizes: Sizes) -> Self {
        let count = sizes.batch * sizes.seq * sizes.width();
        let [query, key, value] = [7, 11, 13].map(|step| numbers(count, step));
        Self {
            sizes,
            query,
            key,
            value,
            reach: None,
            bias: Vec::new(),
            bias_batch: 0,
            bias_size: 0,
        }
    }

    pub(super) fn with_reach(self, reach: Option<usize>) -> Self {
        Self { reach, ..self }
    }

    /// A bias of rows that are longer than a sequence.
    pub(super) fn with_bias(self, bias_batch: usize) -> Self {
        let size = self.sizes.seq + 3;
        Self { bias_batch, ..self }.with_bias_of_size(size)
    }

    pub(super) fn with_bias_of_size(&self, bias_size: usize) -> Self {
        let count = self.bias_batch * self.sizes.heads * bias_size * bias_size;
        let bias = numbers(count, 19).iter().map(|x| 3.0 * x).collect();
        Self {
            bias,
            bias_size,
            ..self.clone()
        }
    }

    pub(super) fn inputs(&self) -> Projections<'_> {
        Projections {
            query: &self.query,
            key: &self.key,
            value: &self.value,
        }
    }

    /// Scores by a scale that is not the usual one.
    pub(super) fn scoring(&self) -> Scoring<'_> {
        let shape = [self.bias_batch, self.sizes.heads, self.bias_size];
        Scoring {
            scale: 0.7,
            reach: self.reach,
            bias: (self.bias_batch > 0).then(|| Bias::new(&self.bias, shape)),
        }
    }
}

/// Probabilities and context of a padded batch in f64.
pub(super) fn reference(
    inputs: Projections<'_>,
    scoring: Scoring<'_>,
    sizes: Sizes,
    attended: &[f32],
) -> (Vec<f64>, Vec<f64>) {
    let Sizes {
        batch,
        seq,
        heads,
        head_size,
    } = sizes;
    let width = sizes.width();
    let at = |values: &[f32], row: usize, head: usize, column: usize| {
        f64::from(values[row * width + head * head_size + column])
    };
    let mut probabilities = Vec::new();
    let mut context = vec![0.0; batch * seq * width];
    for (sequence, head) in (0..batch).flat_map(|at| (0..heads).map(move |head| (at, head))) {
        for query in 0..seq {
            let row = sequence * seq + query;
            let powers: Vec<f64> = (0..seq)
                .map(|key| {
                    let product: f64 = (0..head_size)
                        .map(|c| {
                            at(inputs.query, row, head, c)
                                * at(inputs.key, sequence * seq + key, head, c)
                        })
                        .sum();
                    let bias = scoring.bias.map_or(0.0, |bias| {
                        f64::from(bias.at([sequence, head, query, key], heads))
                    });
                    let inside = scoring
                        .reach
                        .is_none_or(|reach| query.abs_diff(key) <= reach);
                    f64::from(attended[sequence * seq + key])
                        * f64::from(u8::from(inside))
                        * (product * f64::from(scoring.scale) + bias).exp()
                })
                .collect();
            let total = powers.iter().sum::<f64>().max(f64::MIN_POSITIVE);
            for (key, power) in powers.iter().enumerate() {
                probabilities.push(power / total);
                for c in 0..head_size {
                    context[row * width + head * head_size + c] +=
                        power / total * at(inputs.value, sequence * seq + key, head, c);
                }
            }
        }
    }
    (probabilities, context)
}
