//! The vector of a whole input (modeling.py "pooler").

use burn::module::Module;
use burn::nn::Linear;
use burn::tensor::Tensor;

use super::BertInit;
use crate::config::BertConfig;
use crate::ops;

/// Dense layer and tanh on the `[CLS]` token.
#[derive(Module, Debug)]
pub struct BertPooler {
    /// Projection of the first token.
    pub dense: Linear,
}

impl BertPooler {
    /// A pooler for `config`.
    pub fn new(config: &BertConfig, init: &BertInit) -> Self {
        Self {
            dense: init.linear(config.hidden_size, config.hidden_size),
        }
    }

    /// Pools a sequence.
    ///
    /// # Shapes
    ///
    /// - sequence_output: `[batch, seq, hidden]`
    /// - output: `[batch, hidden]`
    pub fn forward(&self, sequence_output: Tensor<3>) -> Tensor<2> {
        self.forward_first(sequence_output.narrow(1, 0, 1).squeeze_dim::<2>(1))
    }

    /// Pools sequences whose first token has the vector `first`.
    ///
    /// # Shapes
    ///
    /// - first, output: `[batch, hidden]`
    pub fn forward_first(&self, first: Tensor<2>) -> Tensor<2> {
        ops::linear(first, &self.dense).tanh()
    }
}
