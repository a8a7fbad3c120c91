//! Tasks that models are fine-tuned for: the trait that each implements in its folder of
//! [`tasks`](crate::tasks), and the entry by which the registry knows it.
//!
//! A task says what data it reads, makes rows with targets of them, and names model, loss and score;
//! [`finetune`](crate::finetune) and the command know tasks only through it.

mod batch;
mod entry;
mod model;
mod overrule;
mod rules;
mod settings;
mod splits;

use std::fmt::Debug;
use std::path::Path;

use bert_core::checkpoint::Checkpoint;
use bert_core::config::BertConfig;
use bert_core::stop::ShouldStop;
use bert_core::tokenizer::BertTokenizer;

pub use batch::{LabelledBatch, LabelledRow, Targets};
pub use entry::{Reads, TaskEntry};
pub use model::{BatchLoss, TaskModel};
pub use overrule::Overrule;
pub use rules::LayerRules;
pub use settings::Settings;
pub use splits::Splits;

pub(crate) use batch::weight_of_classes;
pub(crate) use model::{NEVER, floats, ints, share, trained_by_loss, values};

use crate::error::Result;
use crate::labels::Labels;
use crate::metrics::{GlueTask, Scores};
use crate::runner::Featurizer;

/// A task that models are fine-tuned for.
pub trait Task: Copy + Debug + Send + Sync + 'static {
    /// Examples to train on.
    type Example: Clone + Debug + Send + Sync + 'static;
    /// Examples to choose the best weights by.
    type Held: Clone + Debug + Send + Sync + 'static;
    /// Model that learns the task.
    type Model: TaskModel;

    /// Entry in the registry.
    fn entry(&self) -> &'static TaskEntry;

    /// Fills in the settings of the task that are not given.
    fn complete(&self, _settings: &mut Settings) {}

    /// Rows to train on, and the evaluation of a model.
    ///
    /// # Errors
    ///
    /// [`BadRow`](crate::Error::BadRow) for an example that does not fit, and those of the tokenizer.
    fn prepare(
        &self,
        data: &Splits<Self::Example, Self::Held>,
        context: Context<'_>,
    ) -> Result<Prepared<Self::Model>>;

    /// True if a run may continue with the head that is in its checkpoint under the same labels.
    ///
    /// # Errors
    ///
    /// Those of the checkpoint's files.
    fn continues(&self, _checkpoint: &Checkpoint, _settings: &Settings) -> Result<bool> {
        Ok(true)
    }

    /// Writes the model into the directory `dir`.
    ///
    /// # Errors
    ///
    /// [`Core`](crate::Error::Core) when it cannot be written.
    fn save(
        &self,
        model: &Self::Model,
        dir: &Path,
        config: &BertConfig,
        labels: &Labels,
    ) -> Result<()>;
}

/// Surroundings of a run in which data are prepared.
pub struct Context<'a> {
    /// Settings of the run.
    pub settings: &'a Settings,
    /// Names of the outputs.
    pub labels: &'a Labels,
    /// Model to begin with.
    pub checkpoint: &'a Checkpoint,
    /// Its tokenizer.
    pub tokenizer: &'a BertTokenizer,
    /// Rows for evaluation, of the settings' length.
    pub featurizer: Featurizer,
    /// Task of GLUE whose metrics are reported, if any.
    pub glue: Option<GlueTask>,
}

/// Target of an example that a model learns from.
pub type TargetOf<M> = <<M as TaskModel>::Targets as Targets>::Target;

/// Evaluation of a model without autodiff; it ends with
/// [`Interrupted`](crate::Error::Interrupted) if asked to stop meanwhile.
pub type Evaluation<M> = Box<dyn FnMut(&M, ShouldStop<'_>) -> Result<Scores>>;

/// Writes files of a model into its directory.
pub type WriteFiles = Box<dyn Fn(&Path) -> Result<()>>;

/// Data of a run, ready to train on.
pub struct Prepared<M: TaskModel> {
    /// Rows to train on.
    pub rows: Vec<LabelledRow<TargetOf<M>>>,
    /// Number of examples that were cut to the maximal length.
    pub cut: usize,
    /// Evaluation on the validation data, if there are any.
    pub evaluation: Option<Evaluation<M>>,
    /// Writes what belongs to the model besides weights, configuration and tokenizer.
    pub files: WriteFiles,
}

impl<M: TaskModel> Prepared<M> {
    /// Rows without evaluation and without files of their own.
    pub fn new(rows: Vec<LabelledRow<TargetOf<M>>>, cut: usize) -> Self {
        Self {
            rows,
            cut,
            evaluation: None,
            files: Box::new(|_| Ok(())),
        }
    }

    /// Adds an evaluation.
    #[must_use]
    pub fn with_evaluation(
        mut self,
        evaluation: impl FnMut(&M, ShouldStop<'_>) -> Result<Scores> + 'static,
    ) -> Self {
        self.evaluation = Some(Box::new(evaluation));
        self
    }
}
