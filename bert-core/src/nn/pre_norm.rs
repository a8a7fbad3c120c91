//! Normalisation before a half of a block.

use burn::nn::LayerNorm;
use burn::tensor::Tensor;

use crate::ops;

/// LayerNorm of what a half of a block reads, where there is one.
///
/// # Shapes
///
/// - hidden, output: `[batch, seq, hidden]`
pub(super) fn norm_before(hidden: Tensor<3>, norm: Option<&LayerNorm>, epsilon: f64) -> Tensor<3> {
    match norm {
        Some(norm) => ops::layer_norm(hidden, norm, epsilon),
        None => hidden,
    }
}
