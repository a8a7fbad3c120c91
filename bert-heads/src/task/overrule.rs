//! Facts about a model in place of those in its files.

use bert_core::checkpoint::Checkpoint;

use super::TaskEntry;
use crate::error::{Error, Result};
use crate::labels::Labels;

/// Facts about a model that overrule its files.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Overrule {
    /// The task of its head, in place of the class in `architectures` and of `problem_type`.
    pub task: Option<&'static TaskEntry>,
    /// The names of its outputs, in place of `id2label`.
    pub labels: Option<Labels>,
}

impl Overrule {
    /// The names of a head's outputs: those given, as many as it has, else those of its configuration.
    pub(crate) fn labels(&self, checkpoint: &Checkpoint, outputs: usize) -> Result<Labels> {
        match &self.labels {
            None => Labels::of_head(checkpoint, outputs),
            Some(labels) if labels.count() == outputs => Ok(labels.clone()),
            Some(labels) => Err(Error::LabelNames {
                labels: labels.count(),
                outputs,
            }),
        }
    }
}
