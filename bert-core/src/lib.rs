//! BERT on [Burn](https://burn.dev): configuration, tokenizer, model, checkpoints and devices,
//! written once for every backend.
#![deny(missing_docs)]

pub mod activation;
pub mod agreement;
pub mod attention;
pub mod batch;
pub mod checkpoint;
pub mod config;
pub mod device;
pub mod embeddings;
pub mod encoder;
mod error;
pub mod files;
pub mod hub;
pub mod init;
pub mod model;
pub mod ops;
pub mod pooler;
pub mod tokenizer;

pub use error::{Error, Result};
