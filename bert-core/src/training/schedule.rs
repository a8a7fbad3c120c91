//! Learning rate by step.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::{Error, Result};

/// Decay of the rate after the warm-up.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Decay {
    /// It doesn't.
    Constant,
    /// In a straight line from the end of the warm-up to zero.
    Linear,
    /// In a straight line from step 0 to zero, so that it drops where the warm-up ends (google-research/bert).
    LinearFromStart,
    /// Half a cosine from the end of the warm-up to zero.
    Cosine,
    /// `(1 - progress)^power` from the end of the warm-up.
    Polynomial {
        /// The exponent.
        power: f64,
    },
    /// `(1 - progress)^power` with progress measured from step 0 (NVIDIA's `PolyWarmUpScheduler`).
    PolynomialFromStart {
        /// The exponent.
        power: f64,
    },
}

/// Linear warm-up, then decay.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Schedule {
    /// The rate at the end of the warm-up.
    pub peak: f64,
    /// Steps in which it rises from zero to the peak.
    pub warmup_steps: u64,
    /// Steps after which it has fallen to zero.
    pub total_steps: u64,
    /// Decay after the warm-up.
    pub decay: Decay,
    /// Number of the first step: 0, so that it has rate 0 (google, transformers), or 1 (NVIDIA).
    pub count_from: u64,
}

impl Schedule {
    /// A schedule whose first step counts as 0.
    pub fn new(decay: Decay, peak: f64, warmup_steps: u64, total_steps: u64) -> Self {
        Self {
            peak,
            warmup_steps,
            total_steps,
            decay,
            count_from: 0,
        }
    }

    /// The rate of the update after `step` earlier ones.
    pub fn learning_rate(&self, step: u64) -> f64 {
        let step = (step + self.count_from) as f64;
        let (warmup, total) = (self.warmup_steps as f64, self.total_steps as f64);
        if step < warmup {
            return self.peak * step / warmup;
        }
        let from_start = (step / total.max(1.0)).min(1.0);
        let after_warmup = ((step - warmup) / (total - warmup).max(1.0)).clamp(0.0, 1.0);
        let factor = match self.decay {
            Decay::Constant => 1.0,
            Decay::Linear => 1.0 - after_warmup,
            Decay::LinearFromStart => 1.0 - from_start,
            Decay::Cosine => 0.5 * (1.0 + (std::f64::consts::PI * after_warmup).cos()),
            Decay::Polynomial { power } => (1.0 - after_warmup).powf(power),
            Decay::PolynomialFromStart { power } => (1.0 - from_start).powf(power),
        };
        self.peak * factor
    }

    /// Refuses numbers that make no schedule.
    ///
    /// # Errors
    /// [`Error::Config`] naming the field.
    pub fn validate(&self) -> Result<()> {
        if !(self.peak.is_finite() && self.peak > 0.0) {
            return Err(Error::config(
                "learning_rate",
                format!("is {}, but must be positive", self.peak),
            ));
        }
        if self.total_steps == 0 {
            return Err(Error::config("steps", "is 0: nothing would be trained"));
        }
        if self.warmup_steps > self.total_steps {
            return Err(Error::config(
                "warmup_steps",
                format!(
                    "is {}, but the run has {} steps",
                    self.warmup_steps, self.total_steps
                ),
            ));
        }
        Ok(())
    }
}

impl fmt::Display for Decay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Constant => f.write_str("constant"),
            Self::Linear => f.write_str("linear"),
            Self::LinearFromStart => f.write_str("linear-from-start"),
            Self::Cosine => f.write_str("cosine"),
            Self::Polynomial { power } => write!(f, "polynomial:{power}"),
            Self::PolynomialFromStart { power } => write!(f, "polynomial-from-start:{power}"),
        }
    }
}

impl FromStr for Decay {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let (name, power) = text.split_once(':').unwrap_or((text, "1"));
        let power = || match power.parse::<f64>() {
            Ok(power) if power.is_finite() && power > 0.0 => Ok(power),
            _ => Err(Error::config(
                "schedule",
                format!("`{power}` is not a positive power, as in polynomial:0.5"),
            )),
        };
        match name {
            "constant" => Ok(Self::Constant),
            "linear" => Ok(Self::Linear),
            "linear-from-start" => Ok(Self::LinearFromStart),
            "cosine" => Ok(Self::Cosine),
            "polynomial" => Ok(Self::Polynomial { power: power()? }),
            "polynomial-from-start" => Ok(Self::PolynomialFromStart { power: power()? }),
            _ => Err(Error::config(
                "schedule",
                format!(
                    "`{name}` is not one of constant, linear, linear-from-start, cosine, polynomial:POWER, polynomial-from-start:POWER"
                ),
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::training::Recipe;

    fn close(found: f64, expected: f64) {
        assert!(
            (found - expected).abs() < 1e-15,
            "{found} against {expected}"
        );
    }

    #[test]
    fn google_drops_at_the_end_of_the_warm_up() {
        let schedule = Recipe::Google.schedule(1e-3, 5, 20);
        close(schedule.learning_rate(0), 0.0);
        close(schedule.learning_rate(4), 8e-4);
        close(schedule.learning_rate(5), 7.5e-4);
        close(schedule.learning_rate(19), 5e-5);
        close(schedule.learning_rate(20), 0.0);
    }

    #[test]
    fn transformers_is_continuous() {
        let schedule = Recipe::HuggingFace.schedule(1e-3, 5, 20);
        close(schedule.learning_rate(5), 1e-3);
        close(schedule.learning_rate(20), 0.0);
        close(schedule.learning_rate(35), 0.0);
    }

    #[test]
    fn nvidia_starts_above_zero_and_falls_as_a_root() {
        let schedule = Recipe::Nvidia.schedule(1e-2, 5, 20);
        close(schedule.learning_rate(0), 2e-3);
        close(schedule.learning_rate(4), 1e-2 * 0.75_f64.sqrt());
        close(schedule.learning_rate(19), 0.0);
    }

    #[test]
    fn cosine_and_constant_at_their_ends() {
        let cosine = Schedule::new(Decay::Cosine, 2.0, 0, 10);
        close(cosine.learning_rate(0), 2.0);
        close(cosine.learning_rate(5), 1.0);
        close(cosine.learning_rate(10), 0.0);
        let constant = Schedule::new(Decay::Constant, 2.0, 4, 10);
        close(constant.learning_rate(1), 0.5);
        close(constant.learning_rate(1000), 2.0);
    }

    #[test]
    fn names_round_trip() {
        for decay in [
            Decay::Constant,
            Decay::Linear,
            Decay::LinearFromStart,
            Decay::Cosine,
            Decay::Polynomial { power: 2.0 },
            Decay::PolynomialFromStart { power: 0.5 },
        ] {
            assert_eq!(decay.to_string().parse::<Decay>().unwrap(), decay);
        }
        assert!("polynomial:-1".parse::<Decay>().is_err());
        assert!("square".parse::<Decay>().is_err());
    }

    #[test]
    fn more_warm_up_than_steps_is_refused() {
        let schedule = Schedule::new(Decay::Linear, 1e-4, 11, 10);
        assert!(
            schedule
                .validate()
                .unwrap_err()
                .to_string()
                .contains("warmup_steps")
        );
    }
}
