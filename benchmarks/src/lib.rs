//! Throughput of BERT on every backend, and of other implementations beside it, measured side by side.
//!
//! [`run::run`] takes a [`plan::Plan`] and lets every device and every peer measure every case in a process of its own
//! ([`child`]), so that a crash, an exhausted memory or a hang becomes a row of the [`record::Record`] and not the end of
//! the run. What such a process is told and what it answers is the [`contract`], for Rust and Python alike; ours is
//! [`device::measure`]. [`markdown`], [`page`] and [`diff`] turn records into something to read.
#![deny(missing_docs)]

pub mod agreement;
pub mod child;
pub mod contract;
pub mod cost;
pub mod device;
pub mod diff;
mod error;
mod fault;
mod inputs;
pub mod lengths;
pub mod machine;
pub mod markdown;
pub mod memory;
mod model;
pub mod page;
pub mod peak;
pub mod peers;
pub mod plan;
pub mod record;
pub mod run;
pub mod sampling;
pub mod scaling;
pub mod stats;
pub mod summary;
mod tables;
mod vocabulary;

pub use error::{Error, Result};
