//! The end of both halves of a block: projection, dropout, residual, LayerNorm.

use burn::module::Module;
use burn::nn::{Dropout, DropoutConfig, LayerNorm, Linear};
use burn::tensor::Tensor;

use super::BertInit;
use crate::config::BertConfig;
use crate::ops;

/// Projection, dropout, residual and LayerNorm: the end of both halves of a block.
#[derive(Module, Debug)]
pub struct BertResidual {
    /// Projection to the hidden size.
    pub dense: Linear,
    /// Normalisation of the sum with the residual.
    pub layer_norm: LayerNorm,
    dropout: Dropout,
    layer_norm_eps: f64,
}

impl BertResidual {
    /// A projection from `d_input` to the hidden size of `config`, followed by dropout if `drops`.
    pub fn new(d_input: usize, drops: bool, config: &BertConfig, init: &BertInit) -> Self {
        let dropout = if drops {
            config.hidden_dropout_prob
        } else {
            0.0
        };
        Self {
            dense: init.linear(d_input, config.hidden_size),
            layer_norm: init.layer_norm(config.hidden_size),
            dropout: DropoutConfig::new(dropout).init(),
            layer_norm_eps: config.layer_norm_eps,
        }
    }

    /// `LayerNorm(residual + dropout(dense(input)))`.
    ///
    /// # Shapes
    ///
    /// - input: `[batch, seq, d_input]`
    /// - residual, output: `[batch, seq, hidden]`
    pub fn forward(&self, input: Tensor<3>, residual: Tensor<3>) -> Tensor<3> {
        let projected = ops::dropout(ops::linear(input, &self.dense), &self.dropout);
        ops::add_layer_norm(projected, residual, &self.layer_norm, self.layer_norm_eps)
    }
}
