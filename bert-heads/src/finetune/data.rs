//! Training and evaluation data of a run.

use std::fmt::Debug;
use std::sync::Arc;

use bert_core::checkpoint::Checkpoint;
use bert_core::tokenizer::BertTokenizer;

use super::run::PreparedData;
use crate::error::{Error, Result};
use crate::metrics::GlueTask;
use crate::task::{Context, Settings, Splits, Task, TaskEntry};

/// Training and evaluation data of a task.
#[derive(Clone, Debug)]
pub struct TrainingData(Arc<dyn TrainableData>);

/// Data of a task whose types are left aside.
trait TrainableData: Debug + Send + Sync {
    fn entry(&self) -> &'static TaskEntry;

    fn train_examples(&self) -> usize;

    fn prepare(
        &self,
        settings: Settings,
        checkpoint: &Checkpoint,
        tokenizer: &BertTokenizer,
        glue: Option<GlueTask>,
    ) -> Result<PreparedData>;
}

#[derive(Debug)]
struct TaskData<T: Task> {
    task: T,
    splits: Splits<T::Example, T::Held>,
}

impl TrainingData {
    /// Data of `task`.
    pub fn new<T: Task>(task: T, splits: Splits<T::Example, T::Held>) -> Self {
        Self(Arc::new(TaskData { task, splits }))
    }

    /// Task that the data are for.
    pub fn task(&self) -> &'static TaskEntry {
        self.0.entry()
    }

    /// Number of examples to train on.
    pub fn train_examples(&self) -> usize {
        self.0.train_examples()
    }

    /// Makes rows of the data for a run with `settings`, whose schedule is not read yet.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidOption`] for settings that make no run, [`Error::UnknownChoice`] for a metric
    /// that the task does not have, [`Error::NoClass`] for a family without its head, [`Error::BadRow`]
    /// for examples that do not fit; those of the tokenizer.
    pub fn prepare(
        &self,
        settings: Settings,
        checkpoint: &Checkpoint,
        tokenizer: &BertTokenizer,
        glue: Option<GlueTask>,
    ) -> Result<PreparedData> {
        self.0.prepare(settings, checkpoint, tokenizer, glue)
    }
}

impl<T: Task> TrainableData for TaskData<T> {
    fn entry(&self) -> &'static TaskEntry {
        self.task.entry()
    }

    fn train_examples(&self) -> usize {
        self.splits.train.examples.len()
    }

    fn prepare(
        &self,
        mut settings: Settings,
        checkpoint: &Checkpoint,
        tokenizer: &BertTokenizer,
        glue: Option<GlueTask>,
    ) -> Result<PreparedData> {
        let entry = self.task.entry();
        let config = checkpoint.config();
        entry.check_family(config.family)?;
        self.task.complete(&mut settings);
        let labels = settings.check(entry, config.num_hidden_layers)?;
        let known = entry.metric_names(&labels, glue)?;
        if !known.contains(&settings.metric.as_str()) {
            return Err(Error::UnknownChoice {
                what: "metric",
                name: settings.metric.clone(),
                known: known.join(", "),
            });
        }
        let context = Context {
            featurizer: settings.featurizer(tokenizer, config)?,
            settings: &settings,
            labels: &labels,
            checkpoint,
            tokenizer,
            glue,
        };
        let prepared = self.task.prepare(&self.splits, context)?;
        Ok(PreparedData::new(self.task, prepared, settings, labels))
    }
}
