//! Settings of a conditional random field.

use bert_core::training::ParameterRule;
use serde::{Deserialize, Serialize};

/// Settings of the training of a [`Crf`](super::Crf).
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct CrfSettings {
    /// The factor on its learning rate. It begins with nothing and has few parameters, for which the
    /// rates of an encoder are too small.
    pub learning_rate_scale: f64,
}

impl Default for CrfSettings {
    fn default() -> Self {
        Self {
            learning_rate_scale: 100.0,
        }
    }
}

impl CrfSettings {
    /// Its scores are not pulled towards 0, as biases are not.
    pub(crate) fn rule(self) -> ParameterRule {
        ParameterRule {
            decays: false,
            learning_rate_scale: self.learning_rate_scale,
        }
    }
}
