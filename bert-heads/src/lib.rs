//! Task models on the encoder of `bert-core`: masked-token prediction, sentence embeddings, classification,
//! tagging, question answering; with data sets, losses, fine-tuning, metrics and prediction.
//!
//! Every task model holds the encoder in a field named `bert`, so that checkpoints load and save
//! under the names of transformers. Softmax and losses stand beside `forward`, not in it.
#![deny(missing_docs)]

pub mod agreement;
pub mod augment;
pub mod datasets;
mod error;
pub mod explain;
pub mod finetune;
pub mod labels;
pub mod losses;
pub mod metrics;
pub mod model_kind;
pub mod npy;
pub mod pipeline;
pub mod runner;
pub mod scoring;
pub mod sentence_embedding;
pub mod task;
pub mod tasks;
pub mod torch_activation;

pub use error::{Error, Result};
