//! Optimizer settings that belong together, by the name of the code base they come from.

use serde::{Deserialize, Serialize};
use strum::VariantNames;

use super::schedule::{Decay, Schedule};
use crate::{Error, Result};

/// A published combination of optimizer, clipping and learning-rate schedule.
///
/// They differ in ways that change the result, and are offered whole, not as a mix; every number can then be overridden.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    Serialize,
    Deserialize,
    strum::Display,
    strum::EnumString,
    VariantNames,
)]
#[serde(rename_all = "lowercase")]
#[strum(serialize_all = "lowercase", parse_err_ty = Error, parse_err_fn = unknown_recipe)]
pub enum Recipe {
    /// google-research/bert `optimization.py`: Adam without bias correction, ε 1e-6, a linear decay measured from step 0,
    /// so that the rate drops where the warm-up ends.
    Google,
    /// transformers: AdamW with bias correction, ε 1e-8, a linear decay from the end of the warm-up.
    #[default]
    #[serde(rename = "hf")]
    #[strum(serialize = "hf")]
    HuggingFace,
    /// NVIDIA DeepLearningExamples: LAMB (You et al. 2020) with a square-root decay, for batches of thousands.
    Nvidia,
}

/// Algorithm of the optimizer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Algorithm {
    /// Adam with decoupled weight decay (Loshchilov & Hutter 2019).
    AdamW,
    /// Adam whose update is scaled to the norm of each weight tensor (You et al. 2020).
    Lamb,
}

/// The numbers of an optimizer.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct OptimizerConfig {
    /// Which one.
    pub algorithm: Algorithm,
    /// Decay rate of the mean of gradients.
    pub beta1: f64,
    /// Decay rate of the mean of squared gradients.
    pub beta2: f64,
    /// Added to the root of the second moment.
    pub epsilon: f64,
    /// True if the moments are corrected for having started at zero.
    pub bias_correction: bool,
    /// Decoupled decay of everything but biases and LayerNorm.
    pub weight_decay: f64,
    /// The norm of all gradients together is scaled down to this; `None` leaves them alone.
    pub max_gradient_norm: Option<f64>,
    /// Added to the norm that gradients are divided by when clipped.
    pub clip_epsilon: f64,
}

impl Recipe {
    /// The optimizer of the recipe.
    pub fn optimizer(self) -> OptimizerConfig {
        let adam = OptimizerConfig {
            algorithm: Algorithm::AdamW,
            beta1: 0.9,
            beta2: 0.999,
            epsilon: 1e-8,
            bias_correction: true,
            weight_decay: 0.01,
            max_gradient_norm: Some(1.0),
            clip_epsilon: 1e-6,
        };
        match self {
            Self::HuggingFace => adam,
            Self::Google => OptimizerConfig {
                epsilon: 1e-6,
                bias_correction: false,
                clip_epsilon: 0.0,
                ..adam
            },
            Self::Nvidia => OptimizerConfig {
                algorithm: Algorithm::Lamb,
                epsilon: 1e-6,
                clip_epsilon: 0.0,
                ..adam
            },
        }
    }

    /// The learning-rate schedule of the recipe over `total_steps`, of which `warmup_steps` warm up.
    pub fn schedule(self, peak: f64, warmup_steps: u64, total_steps: u64) -> Schedule {
        let (decay, count_from) = match self {
            Self::Google => (Decay::LinearFromStart, 0),
            Self::HuggingFace => (Decay::Linear, 0),
            Self::Nvidia => (Decay::PolynomialFromStart { power: 0.5 }, 1),
        };
        Schedule {
            peak,
            warmup_steps,
            total_steps,
            decay,
            count_from,
        }
    }
}

fn unknown_recipe(name: &str) -> Error {
    let known = Recipe::VARIANTS.join(", ");
    Error::config("recipe", format!("`{name}` is not one of {known}"))
}

impl OptimizerConfig {
    /// Refuses numbers that no optimizer can work with.
    ///
    /// # Errors
    /// [`Error::Config`] naming the field.
    pub fn validate(&self) -> Result<()> {
        let unit = |field: &str, value: f64| {
            if (0.0..1.0).contains(&value) {
                return Ok(());
            }
            Err(Error::config(
                field,
                format!("is {value}, but must lie in [0, 1)"),
            ))
        };
        unit("beta1", self.beta1)?;
        unit("beta2", self.beta2)?;
        if !(self.epsilon.is_finite() && self.epsilon > 0.0) {
            return Err(Error::config(
                "epsilon",
                format!("is {}, but must be positive", self.epsilon),
            ));
        }
        if !(self.weight_decay.is_finite() && self.weight_decay >= 0.0) {
            return Err(Error::config(
                "weight_decay",
                format!("is {}, but must not be negative", self.weight_decay),
            ));
        }
        match self.max_gradient_norm {
            Some(norm) if !(norm.is_finite() && norm > 0.0) => Err(Error::config(
                "max_gradient_norm",
                format!("is {norm}, but must be positive; leave it out to not clip"),
            )),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_round_trip_and_others_are_refused() {
        for name in Recipe::VARIANTS {
            let recipe: Recipe = name.parse().unwrap();
            assert_eq!(recipe.to_string(), *name);
            assert_eq!(serde_json::to_value(recipe).unwrap(), *name);
        }
        let error = "adam".parse::<Recipe>().unwrap_err().to_string();
        assert!(error.contains("google, hf, nvidia"), "{error}");
    }

    #[test]
    fn numbers_out_of_range_name_their_field() {
        let good = Recipe::Google.optimizer();
        good.validate().unwrap();
        let bad = OptimizerConfig { beta2: 1.0, ..good };
        assert!(bad.validate().unwrap_err().to_string().contains("beta2"));
        let bad = OptimizerConfig {
            max_gradient_norm: Some(0.0),
            ..good
        };
        assert!(
            bad.validate()
                .unwrap_err()
                .to_string()
                .contains("max_gradient_norm")
        );
    }
}
