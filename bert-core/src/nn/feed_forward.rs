//! The widening half of the feed-forward layer (Vaswani et al. §3.3).

use burn::module::Module;
use burn::nn::Linear;
use burn::tensor::Tensor;

use super::BertInit;
use crate::activation::HiddenAct;
use crate::config::BertConfig;

/// Projection to the intermediate size and activation.
#[derive(Module, Debug)]
pub struct BertIntermediate {
    /// Projection to the intermediate size.
    pub dense: Linear,
    #[module(skip)]
    hidden_act: HiddenAct,
}

impl BertIntermediate {
    /// A projection for `config`.
    pub fn new(config: &BertConfig, init: &BertInit) -> Self {
        Self {
            dense: init.linear(config.hidden_size, config.intermediate_size),
            hidden_act: config.hidden_act,
        }
    }

    /// `hidden_act(dense(hidden))`.
    ///
    /// # Shapes
    ///
    /// - hidden: `[batch, seq, hidden]`
    /// - output: `[batch, seq, intermediate]`
    pub fn forward(&self, hidden: Tensor<3>) -> Tensor<3> {
        self.hidden_act.after_linear(hidden, &self.dense)
    }
}
