//! Task models on the encoder of `bert-core`: masked-token prediction, sentence embeddings, classification,
//! tagging, question answering; with data sets, losses, fine-tuning, metrics and prediction.
//!
//! Every task model holds the encoder in a field named `bert`, so that checkpoints load and save
//! under the names of transformers. Softmax and losses stand beside `forward`, not in it.
#![deny(missing_docs)]

pub mod agreement;
pub mod augment;
pub mod crf;
mod cross_encoder;
pub mod datasets;
mod error;
pub mod explain;
pub mod fill_mask;
pub mod finetune;
mod head;
pub mod labels;
pub mod losses;
pub mod masked_lm;
pub mod metrics;
pub mod model_kind;
pub mod multiple_choice;
pub mod next_sentence;
pub mod npy;
pub mod pipeline;
pub mod predict;
pub mod question_answering;
pub mod scoring;
pub mod sentence_embedding;
pub mod sequence_classification;
pub mod token_classification;
pub mod torch_activation;

pub use error::{Error, Result};
