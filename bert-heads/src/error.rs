//! The one error type of this crate.

use std::path::PathBuf;

use burn::tensor::TensorReadError;

/// `Result` with [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Everything that can go wrong between a text and an answer.
///
/// Messages are a fact followed by the remedy; causes are reached through
/// [`source`](std::error::Error::source).
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Loading, tokenizing or batching failed.
    #[error(transparent)]
    Core(#[from] bert_core::Error),
    /// A checkpoint was saved without the head that predicts masked tokens.
    #[error("{} has no masked-LM head (it lacks {}): use a checkpoint of BertForMaskedLM or BertForPreTraining", dir.display(), missing.join(", "))]
    NoMaskedLmHead {
        /// The model directory.
        dir: PathBuf,
        /// The tensors of the head that are absent, in Hugging Face spelling.
        missing: Vec<&'static str>,
    },
    /// A text to fill in has nothing to fill in.
    #[error("the text holds no {mask_token}: put it where a word is to be predicted")]
    NoMask {
        /// The mask token as this vocabulary spells it.
        mask_token: String,
    },
    /// Pooler vectors were asked of a checkpoint saved without a pooler.
    #[error("{} has no pooler (it lacks bert.pooler.dense.weight): choose cls, mean or max pooling", dir.display())]
    NoPooler {
        /// The model directory.
        dir: PathBuf,
    },
    /// A pooling by a name that does not exist.
    #[error("pooling `{name}` is not known: use cls, mean, max or pooler")]
    UnknownPooling {
        /// As given.
        name: String,
    },
    /// A sentence-transformers directory asks for something that is not implemented.
    #[error("{}: field `{field}` is {found}, but {supported}", path.display())]
    Unsupported {
        /// The file.
        path: PathBuf,
        /// The field, with its place in the file.
        field: String,
        /// Its value.
        found: String,
        /// What would be read.
        supported: String,
    },
    /// A maximal length beyond the positions the model has.
    #[error("a maximal length of {asked} tokens exceeds the model's {positions} positions")]
    MaxLength {
        /// Tokens asked for.
        asked: usize,
        /// `max_position_embeddings` of the configuration.
        positions: usize,
    },
    /// A text of a stream could not be read.
    #[error("line {line} of the input")]
    Line {
        /// Counted from 1.
        line: usize,
        /// The reason.
        source: std::io::Error,
    },
    /// A vector came out with infinities or NaN.
    #[error(
        "the vector of text {index} (counted from 0) is not finite: compute in f32, or check the weights"
    )]
    NotFinite {
        /// Position of the text in the input, counted from 0.
        index: usize,
    },
    /// A result could not be computed or brought back from the device.
    #[error("the device failed")]
    Device(#[from] TensorReadError),
}
