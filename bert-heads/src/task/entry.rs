//! Entries of the registry.

use std::fmt::{self, Debug, Display, Formatter};

use bert_core::models::Family;

use crate::error::Result;
use crate::labels::{Labels, ProblemType};
use crate::metrics::{GlueTask, Score, Scores};
use crate::model_kind::ModelKind;
use crate::tasks::head::TaskHead;

/// Facts about a task that are known without data or model.
pub struct TaskEntry {
    /// Name on the command line and in checkpoints.
    pub name: &'static str,
    /// Kind of model that is trained for it.
    pub model_kind: ModelKind,
    /// Problem type of its classifier, for tasks on whole texts.
    pub problem_type: Option<ProblemType>,
    /// Names of the outputs of tasks in which data have no say in them.
    pub own_labels: Option<&'static [&'static str]>,
    /// True if the names of the outputs can be chosen.
    pub named_outputs: bool,
    /// True if the outputs are classes that exclude each other, whose losses can be weighted.
    pub exclusive_classes: bool,
    /// True if its model can have a conditional random field.
    pub crf: bool,
    /// Tokens of a training row where nothing else is said.
    pub usual_length: usize,
    /// Examples that it reads.
    pub reads: Reads,
    /// Head in checkpoints; `None` for a task whose model has no weights of its own.
    pub(crate) head: Option<&'static TaskHead>,
    /// Scores of an evaluation of no examples, which have the names that every evaluation has.
    pub(crate) empty_scores: fn(&Labels, Option<GlueTask>) -> Result<Scores>,
}

/// Kind of examples that a task reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reads {
    /// Texts or pairs of texts.
    Texts,
    /// Tagged words.
    Words,
    /// Questions on contexts.
    Questions,
    /// Questions with choices.
    Choices,
    /// Texts to be compared; to choose by, pairs with a score.
    Similar,
}

impl TaskEntry {
    /// Refuses a family of which transformers has no class for the task.
    ///
    /// # Errors
    ///
    /// [`Error::NoClass`](crate::Error::NoClass) naming the families that have one.
    pub fn check_family(&self, family: &Family) -> Result<()> {
        self.head.map_or(Ok(()), |head| head.check_family(family))
    }

    /// Metric that chooses the best evaluation where none is named: the task's primary one, `loss` for
    /// none.
    ///
    /// # Errors
    ///
    /// Those of the metrics.
    pub fn best_metric(&self, labels: &Labels, glue: Option<GlueTask>) -> Result<String> {
        Ok((self.empty_scores)(labels, glue)?.primary().0.to_owned())
    }

    /// Metrics of an evaluation, counts left out.
    ///
    /// # Errors
    ///
    /// Those of the metrics.
    pub fn metric_names(
        &self,
        labels: &Labels,
        glue: Option<GlueTask>,
    ) -> Result<Vec<&'static str>> {
        let scores = (self.empty_scores)(labels, glue)?;
        let values = scores.values();
        let metrics = values.filter(|(_, score)| !matches!(score, Score::Count(_)));
        Ok(metrics.map(|(name, _)| name).collect())
    }
}

impl Display for TaskEntry {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.pad(self.name)
    }
}

impl Debug for TaskEntry {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.debug_tuple("TaskEntry").field(&self.name).finish()
    }
}

impl PartialEq for TaskEntry {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl Eq for TaskEntry {}
