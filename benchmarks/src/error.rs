//! Errors of a run of measurements, apart from the failures that are recorded as its rows.

use std::path::PathBuf;

/// The result of this crate's fallible functions.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Error of a run of measurements; each message names the file or option and a remedy.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Model, tokenizer, device or file.
    #[error(transparent)]
    Core(#[from] bert_core::Error),
    /// The embedder or a task head.
    #[error(transparent)]
    Heads(#[from] bert_heads::Error),
    /// The pretraining heads.
    #[error(transparent)]
    Pretrain(#[from] bert_pretrain::Error),
    /// A file or process of the run.
    #[error("cannot {action}")]
    Io {
        /// Attempted action.
        action: String,
        /// The operating system's reason.
        source: std::io::Error,
    },
    /// The device gave up.
    #[error("the device failed: {reason}")]
    Device {
        /// Message of the device.
        reason: String,
    },
    /// A line of a file of lengths is not a number of tokens.
    #[error("{}, line {line}: `{found}` is not a number of tokens: give one whole number from 1 on per line", path.display())]
    Length {
        /// The file.
        path: PathBuf,
        /// The line, counted from 1.
        line: usize,
        /// Text of the line.
        found: String,
    },
    /// A file of lengths has none.
    #[error("{} holds no lengths: give one whole number from 1 on per line", path.display())]
    NoLengths {
        /// The file.
        path: PathBuf,
    },
    /// A file is not a record of measurements.
    #[error("{} is not a record that this `bert bench` wrote with --json: {reason}", path.display())]
    Record {
        /// The file.
        path: PathBuf,
        /// Position and cause of the failure.
        reason: String,
    },
    /// An option outside its range.
    #[error("option `{option}` is {value}: it must be {expected}")]
    Option {
        /// The option as typed.
        option: &'static str,
        /// Given value.
        value: String,
        /// Accepted values.
        expected: String,
    },
    /// The vocabulary offers nothing to make texts of.
    #[error(
        "the vocabulary of {} has no whole lower-case words to make inputs of: benchmark with --preset instead", dir.display()
    )]
    NoWords {
        /// The model directory.
        dir: PathBuf,
    },
    /// Nothing is left to measure.
    #[error(
        "nothing to measure: every case counts more than --max-gflop {limit} billion operations"
    )]
    NoCases {
        /// The limit.
        limit: f64,
    },
}

impl Error {
    pub(crate) fn io(action: impl Into<String>, source: std::io::Error) -> Self {
        Self::Io {
            action: action.into(),
            source,
        }
    }
}
