//! Settings that determine the outcome of a pretraining run.

use bert_core::training::{OptimizerConfig, Recipe, Schedule};
use serde::{Deserialize, Serialize};

use crate::instances::{MaskingOptions, PairOptions};
use crate::{Error, Result};

/// Settings that determine the outcome of a run; kept in its checkpoints and compared on resume.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Settings {
    /// Which data, for people and to notice a change.
    pub data: String,
    /// Source of the weights: "preset tiny", "checkpoint DIR".
    pub initial: String,
    /// The recipe that the optimizer and schedule come from.
    pub recipe: Recipe,
    /// The optimizer's numbers.
    pub optimizer: OptimizerConfig,
    /// Learning rates; the length of the run is theirs.
    pub schedule: Schedule,
    /// Rows of a micro-batch.
    pub batch_size: usize,
    /// Micro-batches of an update.
    pub accumulate: usize,
    /// Pairs and their length.
    pub pairs: PairOptions,
    /// Masks.
    pub masking: MaskingOptions,
    /// Rows are padded to the full length, so that all batches have one shape.
    pub pad_to_length: bool,
    /// The last part of the run with longer sequences, if any.
    pub long: Option<LongStage>,
    /// Replaced token detection in place of the masked LM.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replaced_tokens: Option<ReplacedTokenOptions>,
    /// Decides weights, order, pairs, masks and dropout.
    pub seed: u64,
}

/// The second phase of BERT's pretraining (BERT §A.2): the last steps with sequences of full length.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LongStage {
    /// Number of the run's steps that it takes.
    pub steps: u64,
    /// Tokens of an instance.
    pub seq_length: usize,
    /// Most predictions of an instance.
    pub max_predictions: usize,
    /// Rows of a micro-batch.
    pub batch_size: usize,
}

/// Options of replaced token detection (ELECTRA §3.1).
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct ReplacedTokenOptions {
    /// Width of the generator as a share of the discriminator's: of its vectors, attention heads and feed-forward layers.
    pub generator_size: f64,
}

impl Default for ReplacedTokenOptions {
    /// A quarter.
    fn default() -> Self {
        Self {
            generator_size: 0.25,
        }
    }
}

impl ReplacedTokenOptions {
    /// Checks that a generator can be made.
    ///
    /// # Errors
    /// [`Error::InvalidOption`] if it cannot.
    pub fn check(&self) -> Result<()> {
        match self.generator_size > 0.0 && self.generator_size <= 1.0 {
            true => Ok(()),
            false => Err(Error::InvalidOption {
                option: "generator size",
                value: self.generator_size.to_string(),
                expected: "a share above 0, at most 1",
            }),
        }
    }
}
