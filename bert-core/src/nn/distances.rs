//! Distances between the tokens of a batch, computed once for all layers.

use burn::tensor::Tensor;

use super::RelativeRows;
use crate::ops::RotaryAngles;

/// Distances between the tokens of a batch, as the attention of every layer takes them.
#[derive(Clone, Debug, Default)]
pub struct TokenDistances {
    /// Angles of rotary position embeddings, one element for each of the encoder's tables.
    pub angles: Vec<RotaryAngles>,
    /// Relative position bias, `[1, heads, longest, longest]`.
    pub bias: Option<Tensor<4>>,
    /// Embeddings of relative positions, for disentangled attention.
    pub embeddings: Option<RelativeRows>,
}
