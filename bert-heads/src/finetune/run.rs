//! A fine-tuning run from examples to a finished model.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use bert_core::batch::{BertBatcher, Workload};
use bert_core::checkpoint::Checkpoint;
use bert_core::device::Device;
use bert_core::files::write_atomically;
use bert_core::nn::BertInit;
use bert_core::stop::{ShouldStop, StopFlag};
use bert_core::tokenizer::BertTokenizer;
use bert_core::training::{
    Best, CheckpointStore, Ending, Observer, Optimizer, Schedule, Trainer, TrainerOptions,
    TrainerState, read_optimizer, training_devices,
};
use serde::Serialize;
use serde_json::{Map, Value};

use super::stored::stored_labels;
use super::updates::{Cursor, Updates};
use crate::error::{Error, Result};
use crate::labels::Labels;
use crate::task::{Prepared, Settings, Task, TaskModel};

/// A run's surroundings.
pub struct FineTuning<'a> {
    /// The encoder to begin with, or whose sizes a model from scratch has.
    pub checkpoint: Checkpoint,
    /// Its tokenizer, saved with the model.
    pub tokenizer: BertTokenizer,
    /// Devices to share the micro-batches, without autodiff.
    pub devices: Vec<Device>,
    /// Recompute what is cheap in the backward pass instead of keeping it.
    pub gradient_checkpointing: bool,
    /// Intervals, patience and precision; the best metric is that of the settings.
    pub options: TrainerOptions,
    /// Where everything is written.
    pub output: PathBuf,
    /// Checkpoints to keep.
    pub keep: usize,
    /// Go on with the run in `output`.
    pub resume: bool,
    /// Observer of the run.
    pub observer: &'a mut dyn Observer,
    /// Stops the run between two steps.
    pub stop: StopFlag,
}

/// How a run ended.
#[derive(Clone, Debug, Serialize)]
pub struct Summary {
    /// Optimizer steps taken.
    pub step: u64,
    /// True if the run came to its end, early or not; otherwise a checkpoint holds the state.
    pub finished: bool,
    /// Seconds of training, all sessions together.
    pub elapsed_s: f64,
    /// Tokens trained on.
    pub tokens: u64,
    /// The evaluation whose model is saved, if there was any.
    pub best: Option<Best>,
    /// All numbers of that evaluation, or of the last one of this session.
    pub evaluation: Map<String, Value>,
}

/// Rows and evaluation of a task, with the settings that they were made by.
pub struct PreparedData {
    settings: Settings,
    labels: Labels,
    rows: usize,
    training: Box<dyn Training>,
}

/// Prepared data of a task whose types are left aside.
trait Training {
    fn run(
        self: Box<Self>,
        run: FineTuning<'_>,
        settings: Settings,
        labels: &Labels,
    ) -> Result<Summary>;
}

struct TaskTraining<T: Task> {
    task: T,
    prepared: Prepared<T::Model>,
}

impl<T: Task> Training for TaskTraining<T> {
    fn run(
        self: Box<Self>,
        run: FineTuning<'_>,
        settings: Settings,
        labels: &Labels,
    ) -> Result<Summary> {
        run.train(self.task, self.prepared, settings, labels)
    }
}

impl PreparedData {
    /// Data of `task`, prepared by `settings`.
    pub(crate) fn new<T: Task>(
        task: T,
        prepared: Prepared<T::Model>,
        settings: Settings,
        labels: Labels,
    ) -> Self {
        Self {
            settings,
            labels,
            rows: prepared.rows.len(),
            training: Box::new(TaskTraining { task, prepared }),
        }
    }

    /// Settings of the run.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Updates of a pass over the training rows, of which a question has as many as its context has
    /// windows.
    pub fn updates_per_epoch(&self) -> u64 {
        self.settings.updates_per_epoch(self.rows)
    }

    /// The data for a run with another schedule.
    #[must_use]
    pub fn with_schedule(mut self, schedule: Schedule) -> Self {
        self.settings.schedule = schedule;
        self
    }
}

impl std::fmt::Debug for PreparedData {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PreparedData")
            .field("settings", &self.settings)
            .field("rows", &self.rows)
            .finish_non_exhaustive()
    }
}

impl FineTuning<'_> {
    /// Trains on `data` to the end, or until asked to stop.
    ///
    /// The model is then in the output directory: that of the best evaluation, or of the last step
    /// where there is no validation set.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidOption`] for settings that make no run, [`bert_core::Error::Run`] if the
    /// output directory holds another one; those of model, device and disk.
    pub fn run(self, data: PreparedData) -> Result<Summary> {
        let PreparedData {
            settings,
            labels,
            training,
            ..
        } = data;
        settings.optimizer.validate()?;
        settings.schedule.validate()?;
        training.run(self, settings, &labels)
    }

    fn train<T: Task>(
        self,
        task: T,
        prepared: Prepared<T::Model>,
        settings: Settings,
        labels: &Labels,
    ) -> Result<Summary> {
        let Prepared {
            rows,
            cut,
            mut evaluation,
            files,
        } = prepared;
        if rows.is_empty() {
            return Err(Error::InvalidOption {
                option: "training data:",
                value: "no example".to_owned(),
                expected: "at least one",
            });
        }
        if cut > 0 {
            self.observer.message(&format!(
                "{cut} of {} training texts are longer than {} tokens and are cut for training",
                rows.len(),
                settings.max_length
            ));
        }
        let config = self.checkpoint.config().clone();
        let batcher = BertBatcher::new(&self.tokenizer).for_model(&config);
        for row in rows.iter().flat_map(|example| &example.rows) {
            batcher.check_row(&row.ids, &row.type_ids)?;
        }
        let workload = Workload {
            rows: settings.batch_size,
            tokens: settings.max_length,
            scored: 0,
            remedy: "use a smaller --batch-size (--accumulate makes up for it), or a smaller --max-length",
        };
        for device in &self.devices {
            workload.check(&config, device)?;
        }
        let found = CheckpointStore::find(&self.output, self.resume)?;
        let store = CheckpointStore::open(&self.output, self.keep)?;
        let devices = training_devices(&self.devices, self.gradient_checkpointing);
        let device = devices.first().ok_or(Error::InvalidOption {
            option: "devices:",
            value: "none".to_owned(),
            expected: "at least one",
        })?;

        let (mut model, optimizer, state) = match found {
            Some((path, state)) => {
                state.check_settings(&self.output, &settings.to_json(task.entry()))?;
                let model = T::Model::from_checkpoint(&Checkpoint::open(&path)?, device)?;
                let optimizer = read_optimizer(&path, &state, device)?;
                self.observer
                    .message(&format!("resuming from {}", path.display()));
                (model, optimizer, state)
            }
            None => {
                let init = BertInit::new(&config, settings.seed, device);
                let model = if settings.from_scratch {
                    T::Model::fresh(&config, labels.count(), &init)
                } else if continues(task, &self.checkpoint, &settings, labels)? {
                    let dir = self.checkpoint.dir().display();
                    self.observer.message(&format!(
                        "going on with the head of {dir}: its outputs are these"
                    ));
                    T::Model::from_checkpoint(&self.checkpoint, device)?
                } else {
                    let (model, report) =
                        T::Model::from_encoder(&self.checkpoint, labels.count(), &init)?;
                    if !report.missing.is_empty() {
                        self.observer.message(&format!(
                            "not in {} for this task and these labels, so that they start from random \
                             values: {}",
                            self.checkpoint.dir().display(),
                            report.missing.join(", ")
                        ));
                    }
                    model
                };
                let model = match settings.crf {
                    Some(_) => model.with_crf(&init),
                    None => model,
                };
                let optimizer = Optimizer::new(settings.optimizer);
                let kept = settings.to_json(task.entry());
                let state =
                    TrainerState::new(settings.seed, settings.optimizer, settings.schedule, kept);
                (model, optimizer, state)
            }
        };
        let (layers, rules, crf) = (config.num_hidden_layers, settings.layers, settings.crf);
        model.configure(&settings);
        rules.freeze(model.bert_mut());
        let optimizer = optimizer.with_rules(move |name| match crf {
            Some(crf) if name.starts_with("crf.") => crf.rule(),
            _ => rules.rule(name, layers),
        });

        let cursor: Cursor = state.cursor_as(&self.output)?;
        let class_weights = settings.class_weights.as_deref().map(Arc::from);
        let options = settings.updates(self.tokenizer.pad_id());
        let updates = Updates::new(rows.into(), class_weights, options, cursor);

        let tokenizer = &self.tokenizer;
        let write_model = |model: &T::Model, dir: &Path| -> Result<()> {
            task.save(model, dir, &config, labels)?;
            files(dir)?;
            Ok(tokenizer.save(dir)?)
        };
        let mut evaluations: Vec<Map<String, Value>> = Vec::new();
        let mut evaluate = evaluation.as_mut().map(|evaluate| {
            |model: &T::Model, asked: ShouldStop<'_>| -> Result<Option<Vec<(String, f64)>>> {
                let scores = match evaluate(model, asked) {
                    Err(Error::Interrupted) => return Ok(None),
                    scores => scores?,
                };
                evaluations.push(scores.to_map());
                let values = scores.values();
                let numbers =
                    values.filter_map(|(name, score)| Some((name.to_owned(), score.as_f64()?)));
                Ok(Some(numbers.collect()))
            }
        });
        let trainer = Trainer {
            model,
            optimizer,
            schedule: settings.schedule,
            devices: devices.clone(),
            options: TrainerOptions {
                best_metric: (settings.metric.clone(), smaller_is_better(&settings.metric)),
                ..self.options
            },
            state,
            store: Some(&store),
            write_model: &write_model,
            evaluate: match &mut evaluate {
                Some(evaluate) => Some(evaluate),
                None => None,
            },
            observer: self.observer,
            stop: self.stop,
        };
        let (model, state, ending) = trainer.run(updates.map(Ok::<_, Error>))?;

        let finished = ending != Ending::Interrupted;
        if finished {
            match state.best {
                Some(_) => copy_files(&store.best_dir(), &self.output)?,
                None => write_model(&model, &self.output)?,
            }
        }
        let best_value = state.best.as_ref().map(|best| best.value);
        let is_best = |numbers: &&Map<String, Value>| {
            numbers.get(&settings.metric).and_then(Value::as_f64) == best_value
        };
        let evaluation = evaluations
            .iter()
            .find(is_best)
            .or(evaluations.last())
            .cloned();
        Ok(Summary {
            step: state.step,
            finished,
            elapsed_s: state.elapsed_s,
            tokens: state.tokens,
            best: state.best,
            evaluation: evaluation.unwrap_or_default(),
        })
    }
}

/// True if a run continues with the head of the checkpoint that it begins with.
fn continues(
    task: impl Task,
    checkpoint: &Checkpoint,
    settings: &Settings,
    labels: &Labels,
) -> Result<bool> {
    if settings.from_scratch || stored_labels(checkpoint, task.entry())?.as_ref() != Some(labels) {
        return Ok(false);
    }
    task.continues(checkpoint, settings)
}

/// Copies the files of a model directory and of the directories in it, each as a whole.
pub(super) fn copy_files(from: &Path, to: &Path) -> Result<()> {
    let failed = |error| bert_core::Error::io("read", from, error);
    std::fs::create_dir_all(to).map_err(|error| bert_core::Error::io("create", to, error))?;
    for entry in std::fs::read_dir(from).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        let Some(name) = path.file_name() else {
            continue;
        };
        if path.is_dir() {
            copy_files(&path, &to.join(name))?;
        } else {
            let bytes = std::fs::read(&path)
                .map_err(|error| bert_core::Error::io("read", path.clone(), error))?;
            write_atomically(to.join(name), &bytes)?;
        }
    }
    Ok(())
}

/// True if the metric called `name` is better when it is smaller.
fn smaller_is_better(name: &str) -> bool {
    matches!(name, "loss" | "mse")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn losses_are_better_when_they_are_smaller() {
        assert!(smaller_is_better("loss") && !smaller_is_better("f1"));
    }
}
