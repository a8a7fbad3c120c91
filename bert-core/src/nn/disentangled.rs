//! Disentangled attention (He et al. 2021 §3.1): queries and keys compared with embeddings of relative positions.

use burn::module::{Module, Param};
use burn::nn::{Dropout, DropoutConfig, LayerNorm, Linear};
use burn::tensor::{Device, Int, Tensor, TensorData};

use super::BertInit;
use super::attend::attend;
use super::relative_bias::logarithm;
use crate::batch::TokenLayout;
use crate::config::BertConfig;
use crate::models::Disentangled;
use crate::ops::{self, AttentionForm, ProjectedPositions};

/// Embeddings of relative positions, which all layers share.
#[derive(Module, Debug)]
pub struct RelativeEmbeddings {
    /// `[2 · span, hidden]`, the middle row being that of a token to itself.
    pub weight: Param<Tensor<2>>,
    /// Normalisation of the rows.
    pub layer_norm: Option<LayerNorm>,
    layer_norm_eps: f64,
    #[module(skip)]
    shape: Disentangled,
}

/// Embeddings of the relative positions that occur in a batch.
#[derive(Clone, Debug)]
pub struct RelativeRows {
    /// `[1, rows, hidden]`
    rows: Tensor<3>,
    /// Number among the rows of every distance between query and key, `[1, 2 · longest - 1]`: from the key furthest before
    /// the query to the one furthest after it, and the other way round.
    numbers: [Tensor<2, Int>; 2],
}

/// Projections of relative positions, compared with contents in the attention of a layer.
#[derive(Module, Debug)]
pub struct PositionAttention {
    /// Projection to keys, if it is not that of contents.
    pub key: Option<Linear>,
    /// Projection to queries, if it is not that of contents.
    pub query: Option<Linear>,
    dropout: Dropout,
    #[module(skip)]
    shape: Disentangled,
}

impl RelativeEmbeddings {
    /// A table for `config`.
    pub fn new(shape: Disentangled, config: &BertConfig, init: &BertInit) -> Self {
        let hidden = config.hidden_size;
        Self {
            weight: init.embedding(2 * shape.span(), hidden).weight,
            layer_norm: shape.norm.then(|| init.layer_norm(hidden)),
            layer_norm_eps: config.layer_norm_eps,
            shape,
        }
    }

    /// Rows of all distances between `seq` tokens.
    pub fn rows(&self, seq: usize) -> RelativeRows {
        let farthest = seq.saturating_sub(1) as i64;
        let [first, last] = [-farthest, farthest].map(|distance| row(distance, self.shape));
        let rows = self.weight.val().narrow(0, first, last + 1 - first); // [rows, hidden]
        let rows = match &self.layer_norm {
            Some(norm) => ops::layer_norm(rows, norm, self.layer_norm_eps),
            None => rows,
        };
        RelativeRows {
            numbers: numbers(seq, first, self.shape, &rows.device()),
            rows: rows.unsqueeze(),
        }
    }
}

/// [`RelativeRows::numbers`] of `seq` tokens among the rows of a table from `first` on.
fn numbers(seq: usize, first: usize, shape: Disentangled, device: &Device) -> [Tensor<2, Int>; 2] {
    let farthest = seq.saturating_sub(1) as i64;
    let after = (-farthest..=farthest).map(|distance| (row(distance, shape) - first) as i32);
    let after: Vec<i32> = after.collect();
    let before = after.iter().rev().copied().collect();
    [before, after].map(|numbers: Vec<i32>| {
        let shape = [1, numbers.len()];
        Tensor::from_data(TensorData::new(numbers, shape), device)
    })
}

impl PositionAttention {
    /// The projections of a layer of `config`.
    pub fn new(shape: Disentangled, config: &BertConfig, init: &BertInit) -> Self {
        let hidden = config.hidden_size;
        let own = |is_used: bool| {
            (is_used && !shape.shared_projections).then(|| init.linear(hidden, hidden))
        };
        Self {
            key: own(shape.content_to_position),
            query: own(shape.position_to_content),
            dropout: DropoutConfig::new(config.hidden_dropout_prob).init(),
            shape,
        }
    }

    /// Projects the relative positions of a batch; those of contents are taken where this has none of its own.
    pub(super) fn project(
        &self,
        positions: &RelativeRows,
        [query, key]: [&Linear; 2],
    ) -> ProjectedPositions {
        let rows = ops::dropout(positions.rows.clone(), &self.dropout);
        let [before, after] = &positions.numbers;
        let by = |own: &Option<Linear>, shared, numbers: &Tensor<2, Int>| {
            let projected = ops::linear(rows.clone(), own.as_ref().unwrap_or(shared));
            let by_distance = ops::lookup(projected.squeeze_dim(0), numbers.clone());
            by_distance.squeeze_dim(0) // [distances, hidden]
        };
        let shape = self.shape;
        ProjectedPositions {
            keys: (shape.content_to_position).then(|| by(&self.key, key, before)),
            queries: (shape.position_to_content).then(|| by(&self.query, query, after)),
        }
    }
}

/// Attention with scores between contents and relative positions, all scaled as a sum of so many terms is.
///
/// # Shapes
///
/// - query, key, value, context: `[batch, seq, hidden]`, or `[1, tokens, hidden]` if `layout` is packed
/// - probabilities, if asked for and `layout` is padded: `[batch, heads, seq, seq]`
pub(super) fn attend_by_positions(
    positions: ProjectedPositions,
    inputs: [Tensor<3>; 3],
    layout: &TokenLayout,
    form: AttentionForm,
    with_probabilities: bool,
) -> (Tensor<3>, Option<Tensor<4>>) {
    let terms = 1 + positions.keys.iter().chain(&positions.queries).count();
    let form = AttentionForm {
        scale: form.scale / (terms as f64).sqrt(),
        ..form
    };
    attend(
        inputs,
        Some(positions.into()),
        layout,
        form,
        with_probabilities,
    )
}

/// Row of the table for a key that is `distance` before the query, in the arithmetic of f32 that models are trained with.
fn row(distance: i64, shape: Disentangled) -> usize {
    let span = shape.span() as i64;
    let bucket = match shape.buckets {
        Some(buckets) if distance.unsigned_abs() as usize > buckets / 2 => {
            distance.signum() * grown(distance.unsigned_abs(), buckets / 2, shape.farthest)
        }
        _ => distance,
    };
    (bucket + span).clamp(0, 2 * span - 1) as usize
}

/// Bucket of a distance beyond the `exact` ones that have their own: logarithms of distances up to `farthest` fill as many again.
fn grown(distance: u64, exact: usize, farthest: usize) -> i64 {
    let ratio =
        logarithm(distance as f32 / exact as f32) / logarithm((farthest - 1) as f32 / exact as f32);
    exact as i64 + (ratio * (exact as f32 - 1.0)).ceil() as i64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shape(buckets: Option<usize>, farthest: usize) -> Disentangled {
        Disentangled {
            buckets,
            farthest,
            norm: false,
            shared_projections: true,
            content_to_position: true,
            position_to_content: true,
        }
    }

    /// Buckets, the farthest distance, then as transformers computes them with torch: the bucket of 512, the sum of those of 0
    /// to 512, and that of each multiplied by its distance.
    const OF_TRANSFORMERS: [(usize, usize, i64, i64, i64); 6] = [
        (256, 512, 256, 87_553, 27_588_285),
        (8, 29, 12, 5360, 1_479_262),
        (5, 17, 5, 2413, 648_244),
        (32, 512, 32, 13_856, 3_849_123),
        (10, 300, 10, 4648, 1_261_785),
        (2, 40, 1, 512, 131_328),
    ];

    #[test]
    fn buckets_are_those_of_transformers_at_every_distance() {
        for (buckets, farthest, last, sum, weighted) in OF_TRANSFORMERS {
            let exact = buckets / 2;
            let bucket = |distance: i64| match distance as usize <= exact {
                true => distance,
                false => grown(distance as u64, exact, farthest),
            };
            assert_eq!(bucket(512), last, "{buckets} {farthest}");
            let all = (0..=512).map(|distance| (bucket(distance), distance));
            let found = all.fold((0, 0), |(sum, weighted), (bucket, distance)| {
                (sum + bucket, weighted + bucket * distance)
            });
            assert_eq!(found, (sum, weighted), "{buckets} {farthest}");
        }
    }

    #[test]
    fn rows_of_a_table_go_from_keys_after_to_keys_before() {
        let every = shape(None, 4);
        let found: Vec<usize> = (-6..=6).map(|distance| row(distance, every)).collect();
        assert_eq!(found, [0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 7, 7, 7]);
        let base = shape(Some(256), 512);
        let ends = [-511, -129, -128, 0, 128, 129, 511].map(|distance| row(distance, base));
        assert_eq!(ends, [1, 127, 128, 256, 384, 385, 511]);
    }
}
