//! The widening half of the feed-forward layer (Vaswani et al. §3.3), with or without a gate (Shazeer 2020).

use burn::module::Module;
use burn::nn::{Dropout, DropoutConfig, Linear};
use burn::tensor::Tensor;

use super::BertInit;
use crate::activation::HiddenAct;
use crate::config::BertConfig;
use crate::models::GateShape;
use crate::ops::{self, GateHalf};

/// Projection to the intermediate size and activation, plain or gated.
#[derive(Module, Debug)]
pub struct BertIntermediate {
    /// Projection to the intermediate size, or to twice that with a gate beside it.
    pub dense: Linear,
    /// Projection to the gate, where that is one of its own.
    pub gate: Option<Linear>,
    dropout: Dropout,
    #[module(skip)]
    shape: GateShape,
    #[module(skip)]
    hidden_act: HiddenAct,
}

impl BertIntermediate {
    /// A projection for `config`.
    pub fn new(config: &BertConfig, init: &BertInit) -> Self {
        let (shape, [bias, _]) = (config.block.gate, config.block.feed_forward_bias);
        let linear = |width| init.linear_with(config.hidden_size, width, bias);
        Self {
            dense: linear(config.widened_size()),
            gate: (shape == GateShape::Apart).then(|| linear(config.intermediate_size)),
            dropout: DropoutConfig::new(config.widened_dropout_prob()).init(),
            shape,
            hidden_act: config.hidden_act,
        }
    }

    /// `hidden_act(dense(hidden))`, or with a gate `hidden_act(gate) · dense`; dropout follows where the configuration has it.
    ///
    /// # Shapes
    ///
    /// - hidden: `[batch, seq, hidden]`
    /// - output: `[batch, seq, intermediate]`
    pub fn forward(&self, hidden: Tensor<3>) -> Tensor<3> {
        ops::dropout(self.activated(hidden), &self.dropout)
    }

    /// [`forward`](Self::forward) and the layer after it; `None` unless both have packed weights, between which an activation is
    /// all there is.
    ///
    /// # Shapes
    ///
    /// - hidden, output: `[batch, seq, hidden]`
    pub(super) fn forward_through(&self, hidden: &Tensor<3>, next: &Linear) -> Option<Tensor<3>> {
        let is_plain = self.shape == GateShape::None;
        let activation = self.hidden_act.operation().filter(|_| is_plain)?;
        ops::packed_feed_forward(hidden, [&self.dense, next], activation)
    }

    fn activated(&self, hidden: Tensor<3>) -> Tensor<3> {
        if let Some(gate) = &self.gate {
            return self.hidden_act.gated(hidden, gate, &self.dense);
        }
        let activated = match self.shape {
            GateShape::None | GateShape::Apart => {
                return self.hidden_act.after_linear(hidden, &self.dense);
            }
            GateShape::FirstHalf => GateHalf::First,
            GateShape::SecondHalf => GateHalf::Second,
        };
        let halves = ops::linear(hidden, &self.dense); // [batch, seq, 2 · intermediate]
        self.hidden_act.gate(halves, activated)
    }
}
