//! Which parameters move, and how fast (Howard & Ruder 2018 §3.2).

use bert_core::nn::BertModel;
use bert_core::training::{ParameterRule, default_rule};
use burn::module::Module;
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// Frozen layers of the encoder, and the decay of learning rates towards its input.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct LayerRules {
    /// Blocks that are held fast, counted from the input, and with them the embeddings; `None` holds
    /// nothing, and 0 the embeddings alone.
    pub frozen_layers: Option<usize>,
    /// The factor on the learning rate from each block to the one below it; the top block has it
    /// once, the embeddings most often. 1 trains all alike.
    pub decay: f64,
}

impl Default for LayerRules {
    fn default() -> Self {
        Self {
            frozen_layers: None,
            decay: 1.0,
        }
    }
}

impl LayerRules {
    /// Refuses what an encoder of `layers` blocks cannot have.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidOption`] for more frozen blocks than there are, or a factor beyond (0, 1].
    pub fn check(&self, layers: usize) -> Result<()> {
        let refuse = |option, value: String, expected| {
            Err(Error::InvalidOption {
                option,
                value,
                expected,
            })
        };
        if let Some(frozen) = self.frozen_layers
            && frozen > layers
        {
            let expected = "at most as many as the encoder has";
            return refuse("frozen layers", frozen.to_string(), expected);
        }
        match self.decay > 0.0 && self.decay <= 1.0 {
            true => Ok(()),
            false => refuse(
                "layer decay",
                self.decay.to_string(),
                "above 0 and at most 1",
            ),
        }
    }

    /// The rule of a parameter, by its name in transformers' spelling, in an encoder of `layers`
    /// blocks.
    pub fn rule(&self, name: &str, layers: usize) -> ParameterRule {
        let rule = default_rule(name);
        // 0 for the embeddings and what all blocks share, then the blocks from 1.
        let depth = if is_below_blocks(name) {
            0
        } else if let Some(layer) = layer_of(name) {
            layer + 1
        } else {
            return rule;
        };
        let frozen = self.frozen_layers.is_some_and(|frozen| depth <= frozen);
        let below_head = (layers + 1).saturating_sub(depth) as i32;
        ParameterRule {
            learning_rate_scale: match frozen {
                true => 0.0,
                false => self.decay.powi(below_head),
            },
            ..rule
        }
    }

    /// Spares the backward pass what is held fast.
    pub(crate) fn freeze(&self, bert: &mut BertModel) {
        let Some(frozen) = self.frozen_layers else {
            return;
        };
        bert.embeddings = bert.embeddings.clone().no_grad();
        let encoder = &mut bert.encoder;
        encoder.relative_attention_bias = encoder.relative_attention_bias.clone().no_grad();
        encoder.relative_embeddings = encoder.relative_embeddings.clone().no_grad();
        if frozen > 0 {
            encoder.convolution = encoder.convolution.clone().no_grad();
        }
        for layer in bert.encoder.layer.iter_mut().take(frozen) {
            *layer = layer.clone().no_grad();
        }
    }
}

/// True for the embeddings, and for tables of relative positions.
fn is_below_blocks(name: &str) -> bool {
    let modules = ["bert.embeddings.", "bert.encoder.relative_"];
    modules.iter().any(|module| name.starts_with(module))
}

/// The block that a parameter belongs to, counted from 0.
fn layer_of(name: &str) -> Option<usize> {
    if name.starts_with("bert.encoder.convolution.") {
        return Some(0);
    }
    let rest = name.strip_prefix("bert.encoder.layer.")?;
    rest.split('.').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const QUERY: &str = "bert.encoder.layer.1.attention.self.query.weight";

    #[test]
    fn rates_fall_towards_the_input() {
        let rules = LayerRules {
            frozen_layers: None,
            decay: 0.5,
        };
        let scale = |name: &str| rules.rule(name, 3).learning_rate_scale;
        assert_eq!(scale("classifier.weight"), 1.0);
        assert_eq!(scale("bert.pooler.dense.bias"), 1.0);
        assert_eq!(scale("bert.encoder.layer.2.output.LayerNorm.weight"), 0.5);
        assert_eq!(scale(QUERY), 0.25);
        for below in [
            "bert.embeddings.LayerNorm.bias",
            "bert.encoder.relative_attention_bias.weight",
            "bert.encoder.relative_embeddings.LayerNorm.bias",
        ] {
            assert_eq!(scale(below), 0.0625, "{below}");
        }
        assert_eq!(scale("bert.encoder.convolution.conv.weight"), 0.125);
        assert!(rules.rule(QUERY, 3).decays);
        assert!(
            !rules
                .rule("bert.encoder.layer.2.output.LayerNorm.weight", 3)
                .decays
        );
    }

    #[test]
    fn embeddings_and_the_first_blocks_are_held_fast() {
        let scale = |frozen_layers, name: &str| {
            let rules = LayerRules {
                frozen_layers,
                decay: 1.0,
            };
            rules.rule(name, 3).learning_rate_scale
        };
        let table = "bert.embeddings.word_embeddings.weight";
        assert_eq!(
            [None, Some(0)].map(|frozen| scale(frozen, table)),
            [1.0, 0.0]
        );
        let frozen = [None, Some(0), Some(1), Some(2)];
        assert_eq!(
            frozen.map(|frozen| scale(frozen, QUERY)),
            [1.0, 1.0, 1.0, 0.0]
        );
        assert_eq!(scale(Some(3), "classifier.weight"), 1.0);
    }

    #[test]
    fn impossible_rules_are_refused() {
        let rules = |frozen_layers, decay| LayerRules {
            frozen_layers,
            decay,
        };
        assert!(rules(Some(3), 0.9).check(3).is_ok());
        for bad in [rules(Some(4), 1.0), rules(None, 0.0), rules(None, f64::NAN)] {
            assert!(bad.check(3).is_err(), "{bad:?}");
        }
    }
}
