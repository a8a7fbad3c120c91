//! The one error type of this crate.

use std::path::PathBuf;

/// `Result` with [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Error of a demonstration.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Files, devices, checkpoints.
    #[error(transparent)]
    Core(#[from] bert_core::Error),
    /// Pretraining.
    #[error(transparent)]
    Pretrain(#[from] bert_pretrain::Error),
    /// Fine-tuning and predictions.
    #[error(transparent)]
    Heads(#[from] bert_heads::Error),
    /// A language that there is no grammar for.
    #[error("there is no grammar for the language `{code}`: use en or zh")]
    UnknownLanguage {
        /// Code as given.
        code: String,
    },
    /// The output directory holds something else.
    #[error("{} {reason}", dir.display())]
    Output {
        /// The directory.
        dir: PathBuf,
        /// Obstacle and remedy.
        reason: &'static str,
    },
}
