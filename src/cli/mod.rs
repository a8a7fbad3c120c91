//! Parts that subcommands share: arguments, input, output, progress, interruption.

pub(crate) mod adapters;
pub(crate) mod choices;
pub(crate) mod data;
pub(crate) mod device;
pub(crate) mod input;
pub(crate) mod interrupt;
pub(crate) mod items;
pub(crate) mod long_texts;
pub(crate) mod model;
pub(crate) mod note;
pub(crate) mod output;
pub(crate) mod pairs;
pub(crate) mod progress;
pub(crate) mod proof;
pub(crate) mod questions;
pub(crate) mod score;
pub(crate) mod task;
pub(crate) mod training;
pub(crate) mod usage;
