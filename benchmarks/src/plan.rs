//! Plan of a run: workload, contestants and limits.

use std::path::PathBuf;
use std::time::Duration;

use bert_core::batch::plan_batches;
use bert_core::config::BertConfig;
use bert_core::device::{DeviceSpec, Precision};
use bert_heads::sentence_embedding::BATCH_TOKENS;

use crate::contract::{Inputs, Limits, Mode};
use crate::cost::{Work, encoder_flops, flops};
use crate::error::{Error, Result};
use crate::lengths::Lengths;
use crate::peers::Peer;

/// A run of measurements: every contestant on every combination of model, sequence length and batch size.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Models, each measured in turn.
    pub models: Vec<Model>,
    /// Devices, by label; the first that works is the reference of the comparison.
    pub devices: Vec<DeviceSpec>,
    /// True if Flex is measured a second time, with the encoder's weights in 8 bits, in the modes without gradients.
    pub int8: bool,
    /// Other implementations.
    pub peers: Vec<Peer>,
    /// Directory in which `cargo xtask peers` put what they need.
    pub peers_dir: PathBuf,
    /// Device of peers: `cpu` or `cuda`.
    pub peer_device: String,
    /// Timed workload.
    pub mode: Mode,
    /// Float type.
    pub dtype: Precision,
    /// Threads on the processor, for every contestant.
    pub threads: usize,
    /// Rows of a batch, or texts for [`Mode::Embed`].
    pub batch_sizes: Vec<usize>,
    /// Tokens of a row with padding, or of the longest text.
    pub seq_lengths: Vec<usize>,
    /// Lengths to draw rows from; without them all are as long as `seq_lengths` says.
    pub lengths: Option<Lengths>,
    /// Number of rounds, in each of which every contestant of a case is measured in turn, in a new process: what slows the
    /// machine down for a while then falls on all of them, and shows in the spread.
    pub rounds: usize,
    /// Limits of the measurement, all rounds together.
    pub limits: Limits,
    /// After this a process counts as hung.
    pub time_limit: Duration,
    /// Seed of weights, inputs and dropout.
    pub seed: u64,
    /// Cases that count more billion operations in an iteration are left out.
    pub max_gflop: Option<f64>,
}

/// A model to measure.
#[derive(Clone, Debug)]
pub struct Model {
    /// Name in the record.
    pub name: String,
    /// Source of the model.
    pub source: ModelSource,
}

/// Source of a model.
#[derive(Clone, Debug)]
pub enum ModelSource {
    /// A directory with weights and tokenizer.
    Directory(PathBuf),
    /// Fresh weights of this shape.
    Fresh(Box<BertConfig>),
}

impl Model {
    /// Shape of the model.
    pub(crate) fn config(&self) -> Result<BertConfig> {
        match &self.source {
            ModelSource::Directory(dir) => Ok(BertConfig::from_file(dir.join("config.json"))?),
            ModelSource::Fresh(config) => Ok(config.as_ref().clone()),
        }
    }
}

impl Plan {
    /// Refuses numbers that cannot be measured.
    ///
    /// # Errors
    /// [`Error::Option`] naming the option.
    pub fn check(&self) -> Result<()> {
        let refuse = |option, value: String, expected: &str| {
            Err(Error::Option {
                option,
                value,
                expected: expected.to_owned(),
            })
        };
        if let Some(zero) = self.batch_sizes.iter().find(|&&batch| batch == 0) {
            return refuse("--batch-sizes", zero.to_string(), "1 or more");
        }
        if let Some(short) = self.seq_lengths.iter().find(|&&seq| seq < 3) {
            let expected = "3 or more, for [CLS], a word and [SEP]";
            return refuse("--seq-lengths", short.to_string(), expected);
        }
        if self.threads == 0 {
            return refuse("--threads", "0".to_owned(), "1 or more");
        }
        if self.rounds == 0 {
            return refuse("--rounds", "0".to_owned(), "1 or more");
        }
        if self.limits.min_samples == 0 || self.limits.max_samples < self.limits.min_samples {
            let value = self.limits.max_samples.to_string();
            return refuse(
                "--max-samples",
                value,
                "at least --min-samples, and that 1 or more",
            );
        }
        for (option, seconds) in [
            ("--seconds", self.limits.seconds),
            ("--warmup-seconds", self.limits.warmup_seconds),
        ] {
            if !(0.0..1e6).contains(&seconds) {
                return refuse(option, seconds.to_string(), "from 0 up to a million");
            }
        }
        Ok(())
    }

    /// Limits of one round.
    pub(crate) fn limits_of_a_round(&self) -> Limits {
        let rounds = self.rounds;
        Limits {
            seconds: self.limits.seconds / rounds as f64,
            min_samples: self.limits.min_samples.div_ceil(rounds),
            max_samples: self.limits.max_samples.div_ceil(rounds),
            ..self.limits
        }
    }

    /// Work of one iteration over `inputs`.
    pub(crate) fn work(&self, config: &BertConfig, inputs: &Inputs) -> Work {
        let [batch, seq] = inputs.shape;
        let lengths = inputs.lengths();
        let mut work = Work {
            sequences: batch,
            tokens: lengths.iter().sum(),
            padded_tokens: batch * seq,
            flops: flops(config, self.mode, batch, seq, inputs.labels.len()),
        };
        if self.mode == Mode::Embed {
            // Texts of similar length are padded together.
            (work.padded_tokens, work.flops) = (0, 0.0);
            for rows in plan_batches(&lengths, BATCH_TOKENS) {
                let longest = rows.iter().map(|&row| lengths[row]).max().unwrap_or(0);
                work.padded_tokens += rows.len() * longest;
                work.flops += encoder_flops(config, rows.len(), longest);
            }
        }
        work
    }
}
