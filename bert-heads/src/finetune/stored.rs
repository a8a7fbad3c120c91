//! The head that a checkpoint already has, for a run that goes on with it.

use bert_core::checkpoint::Checkpoint;

use super::settings::Settings;
use crate::error::{Error, Result};
use crate::labels::Labels;
use crate::task::Task;
use crate::tasks::sequence_classification::ProblemType;
use crate::tasks::token_classification::has_crf;
use crate::tasks::{
    multiple_choice, next_sentence, question_answering, sequence_classification,
    token_classification,
};

/// The outputs of the head that `task` left in a checkpoint, `None` where it has none of that task.
///
/// A run with these very labels, in their order, goes on with that head; one with others begins a
/// fresh one.
///
/// A head whose configuration does not name its outputs, or not rightly, counts as none.
///
/// # Errors
///
/// Those of [`ProblemType::of_outputs`] the configuration.
pub fn stored_labels(checkpoint: &Checkpoint, task: Task) -> Result<Option<Labels>> {
    let config = checkpoint.config();
    let head = match task {
        Task::Classify | Task::MultiLabel | Task::Regress => sequence_classification::HEAD,
        Task::Tokens => token_classification::HEAD,
        Task::Qa => question_answering::HEAD,
        Task::Choice => multiple_choice::HEAD,
        Task::NextSentence => next_sentence::HEAD,
        // What makes vectors has no weights of its own.
        Task::Similarity => return Ok(None),
    };
    if !head.is_in(checkpoint) {
        return Ok(None);
    }
    let outputs = head.outputs(checkpoint)?;
    let of_texts = matches!(task, Task::Classify | Task::MultiLabel | Task::Regress);
    if of_texts && ProblemType::of_outputs(config, outputs)? != task.problem_type() {
        return Ok(None);
    }
    match task.own_labels() {
        Some(names) if names.len() != outputs => Ok(None),
        Some(names) => Ok(Some(Labels::new(names.iter().copied())?)),
        None => match Labels::of_head(checkpoint, outputs) {
            Err(Error::HeadLabels { .. }) => Ok(None),
            labels => labels.map(Some),
        },
    }
}

/// True if a run continues with the head of the checkpoint that it begins with.
pub(super) fn goes_on(
    checkpoint: &Checkpoint,
    settings: &Settings,
    labels: &Labels,
) -> Result<bool> {
    if settings.from_scratch || stored_labels(checkpoint, settings.task)?.as_ref() != Some(labels) {
        return Ok(false);
    }
    // Tags that were chosen together are not what single words alone would choose.
    Ok(settings.task != Task::Tokens || settings.crf.is_some() || !has_crf(checkpoint)?)
}
