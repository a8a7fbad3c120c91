//! Pretraining BERT from raw text (BERT §3.1): vocabulary, instances, masked LM and next sentence.
#![deny(missing_docs)]

pub mod corpus;
pub mod data;
mod error;
pub mod instances;
pub mod model;
pub mod objective;
pub mod recipe;
pub mod run;
pub mod vocab;

pub use error::{Error, Result};
