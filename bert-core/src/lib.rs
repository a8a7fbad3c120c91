//! BERT on [Burn](https://burn.dev): configuration, tokenizer, model, checkpoints and devices,
//! written once for every backend.
//!
//! Text to vectors, in context:
//!
//! ```
//! use bert_core::batch::BertBatcher;
//! use bert_core::{BertModel, BertTokenizer, DeviceSpec};
//! # let dir = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/tiny-pretraining");
//!
//! let device = DeviceSpec::default_device()?.open()?; // or "wgpu:discrete:0".parse::<DeviceSpec>()?
//! let (tokenizer, model) = (BertTokenizer::from_dir(dir)?, BertModel::from_dir(dir, &device)?);
//! let encoding = tokenizer.encode("Hello, BERT!", &Default::default())?;
//! let output = model.forward(BertBatcher::new(&tokenizer).batch(&[encoding], &device)?);
//! let [batch, tokens, hidden] = output.sequence_output.dims();
//! # assert_eq!((batch, hidden), (1, 18));
//! # assert!(tokens >= 2);
//! # Ok::<(), bert_core::Error>(())
//! ```
#![deny(missing_docs)]

pub mod activation;
pub mod agreement;
pub mod batch;
pub mod checkpoint;
pub mod config;
pub mod device;
mod error;
pub mod files;
pub mod hub;
pub mod inference;
pub mod models;
pub mod nn;
mod notice;
pub mod ops;
pub mod report;
pub mod stop;
pub mod text_lines;
pub mod tokenizer;
pub mod training;

pub use checkpoint::Checkpoint;
pub use config::BertConfig;
pub use device::DeviceSpec;
pub use error::{Error, Result};
pub use nn::BertModel;
pub use tokenizer::BertTokenizer;
