//! The head that a checkpoint already has, for a run that continues with it.

use bert_core::checkpoint::Checkpoint;

use crate::error::{Error, Result};
use crate::labels::{Labels, ProblemType};
use crate::model_kind::ModelKind;
use crate::task::TaskEntry;

/// Outputs of the head that `task` left in a checkpoint, `None` where it has none of that task.
///
/// A run with these very labels, in their order, continues with that head; one with others begins a
/// fresh one.
///
/// A head whose configuration does not name its outputs, or not rightly, counts as none.
///
/// # Errors
///
/// Those of [`ProblemType::of_outputs`] the configuration.
pub fn stored_labels(checkpoint: &Checkpoint, task: &TaskEntry) -> Result<Option<Labels>> {
    let Some(head) = task.head.filter(|head| head.is_in(checkpoint)) else {
        return Ok(None);
    };
    let outputs = head.outputs(checkpoint)?;
    if task.model_kind == ModelKind::Texts {
        let stored = ProblemType::of_outputs(checkpoint.config(), outputs)?;
        if task.problem_type != Some(stored) {
            return Ok(None);
        }
    }
    match task.own_labels {
        Some(names) if names.len() != outputs => Ok(None),
        Some(names) => Ok(Some(Labels::new(names.iter().copied())?)),
        None => match Labels::of_head(checkpoint, outputs) {
            Err(Error::HeadLabels { .. }) => Ok(None),
            labels => labels.map(Some),
        },
    }
}
