//! BERT on every GPU and CPU: the library behind the command `bert`.
//!
//! [`Pipeline`] opens a model directory or hub id with the head that its files state:
//!
//! ```
//! use bert::prelude::*;
//! # let model = concat!(env!("CARGO_MANIFEST_DIR"), "/bert-core/fixtures/tiny-pretraining");
//!
//! let device = DeviceSpec::default_device()?.open()?; // or "wgpu:discrete:0".parse::<DeviceSpec>()?
//! let pipeline = Pipeline::open(model, &device, &PipelineOptions::default())?;
//! let found = pipeline.predict_pairs(&[("The cat sat on the mat.", "It was old.")])?;
//! let Prediction::Answer(Answer::Label { label, score, .. }) = &found[0] else {
//!     panic!("{model} classifies nothing");
//! };
//! println!("{label} ({score:.2})"); // next or random
//! # assert!(["next", "random"].contains(&label.as_str()));
//! # Ok::<(), Error>(())
//! ```
//!
//! | module | content |
//! | --- | --- |
//! | [`prelude`] | names for daily use |
//! | [`core`] | configuration, tokenizer, network, checkpoints, devices, training loop |
//! | [`heads`] | task models, prediction, fine-tuning, data sets, metrics |
//! | [`pretrain`] | pretraining from raw text |
//! | [`demo`] | the demonstration of `bert demo` |
//!
//! The features of this crate choose the backends.

pub mod demo;
pub mod prelude;

pub use bert_core as core;
pub use bert_heads as heads;
pub use bert_pretrain as pretrain;

pub use bert_heads::pipeline::{Pipeline, PipelineOptions, Prediction};
pub use bert_heads::{Error, Result};

/// The programs of the README compile.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
