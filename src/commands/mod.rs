//! Subcommands, one file or folder each: its arguments and its `run`.

pub(crate) mod augment;
pub(crate) mod bench;
pub(crate) mod compare;
pub(crate) mod completions;
pub(crate) mod demo;
pub(crate) mod doctor;
pub(crate) mod embed;
pub(crate) mod evaluate;
pub(crate) mod explain;
pub(crate) mod fill_mask;
pub(crate) mod finetune;
pub(crate) mod inspect;
pub(crate) mod man;
pub(crate) mod predict;
pub(crate) mod pretrain;
pub(crate) mod rerank;
pub(crate) mod similarity;
pub(crate) mod tokenize;
#[cfg(feature = "remote")]
pub(crate) mod worker;
