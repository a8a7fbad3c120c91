//! What BERT is used for, over the weights of `bert-core`: predicting masked tokens and turning
//! texts into vectors.
//!
//! Every task model holds the encoder in a field named `bert`, so that checkpoints load and save
//! under the names of transformers. Softmax and losses stand beside `forward`, not in it.
#![deny(missing_docs)]

pub mod agreement;
mod error;
pub mod fill_mask;
pub mod masked_lm;
pub mod npy;
pub mod sentence_embedding;
pub mod text_lines;

pub use error::{Error, Result};
