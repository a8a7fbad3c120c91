//! Pretraining BERT and its family from raw text: vocabulary, instances, masked LM and next sentence (BERT §3.1), replaced
//! token detection (ELECTRA).
#![deny(missing_docs)]

pub mod corpus;
pub mod data;
mod error;
pub mod instances;
pub mod model;
pub mod objective;
pub mod recipe;
pub mod replaced_tokens;
pub mod run;
mod settings;
pub mod vocab;

pub use error::{Error, Result};
