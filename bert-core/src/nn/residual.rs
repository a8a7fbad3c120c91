//! The end of both halves of a block: projection, dropout, residual, LayerNorm.

use burn::module::Module;
use burn::nn::{Dropout, DropoutConfig, LayerNorm, Linear};
use burn::tensor::Tensor;

use super::BertInit;
use crate::config::BertConfig;
use crate::models::NormPlace;
use crate::ops;

/// Projection, dropout, residual and, if norms come after, LayerNorm: the end of both halves of a block.
#[derive(Module, Debug)]
pub struct BertResidual {
    /// Projection to the hidden size.
    pub dense: Linear,
    /// Normalisation of the sum with the residual; none in blocks that normalise before.
    pub layer_norm: Option<LayerNorm>,
    dropout: Dropout,
    layer_norm_eps: f64,
}

impl BertResidual {
    /// A projection from `d_input` to the hidden size of `config`, with a bias if `bias`, followed by dropout with probability
    /// `dropout`.
    pub fn new(
        d_input: usize,
        bias: bool,
        dropout: f64,
        config: &BertConfig,
        init: &BertInit,
    ) -> Self {
        let has_norm = config.block.norm == NormPlace::After;
        Self {
            dense: init.linear_with(d_input, config.hidden_size, bias),
            layer_norm: has_norm.then(|| init.layer_norm(config.hidden_size)),
            dropout: DropoutConfig::new(dropout).init(),
            layer_norm_eps: config.layer_norm_eps,
        }
    }

    /// `LayerNorm(residual + dropout(dense(input)))`, the LayerNorm if there is one.
    ///
    /// # Shapes
    ///
    /// - input: `[batch, seq, d_input]`
    /// - residual, output: `[batch, seq, hidden]`
    pub fn forward(&self, input: Tensor<3>, residual: Tensor<3>) -> Tensor<3> {
        match &self.layer_norm {
            Some(norm) => ops::linear_add_layer_norm(
                input,
                &self.dense,
                &self.dropout,
                residual,
                norm,
                self.layer_norm_eps,
            ),
            None => self.add(ops::linear(input, &self.dense), residual),
        }
    }

    /// [`forward`](Self::forward) after its projection.
    ///
    /// # Shapes
    ///
    /// - projected, residual, output: `[batch, seq, hidden]`
    pub(super) fn add(&self, projected: Tensor<3>, residual: Tensor<3>) -> Tensor<3> {
        let dropped = ops::dropout(projected, &self.dropout);
        match &self.layer_norm {
            Some(norm) => ops::add_layer_norm(dropped, residual, norm, self.layer_norm_eps),
            None => dropped + residual,
        }
    }
}
