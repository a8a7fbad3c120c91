//! A fine-tuning run from examples to a finished model.

use std::path::Path;
use std::sync::Arc;

use bert_core::batch::{BertBatcher, Workload};
use bert_core::checkpoint::Checkpoint;
use bert_core::device::Device;
use bert_core::nn::BertInit;
use bert_core::stop::ShouldStop;
use bert_core::tokenizer::BertTokenizer;
use bert_core::training::{Evaluation, Observer, RunContext, Schedule, Summary, TrainerState};

use super::stored::stored_labels;
use super::updates::{Cursor, Updates};
use crate::error::{Error, Result};
use crate::labels::Labels;
use crate::task::{Prepared, Settings, Task, TaskModel};

/// Rows and evaluation of a task, with the settings that they were made by.
pub struct PreparedData {
    settings: Settings,
    rows: usize,
    training: Training,
}

/// Run on the data of a task whose types are left aside.
type Training =
    Box<dyn FnOnce(&Settings, &Checkpoint, &BertTokenizer, RunContext<'_>) -> Result<Summary>>;

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
            rows: prepared.rows.len(),
            training: Box::new(move |settings, checkpoint, tokenizer, context| {
                train(
                    task, prepared, &labels, settings, checkpoint, tokenizer, context,
                )
            }),
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

    /// Trains to the end, or until asked to stop, from the encoder in `checkpoint`, or from scratch
    /// with its sizes; `tokenizer` is saved with the model. The best metric is that of the settings.
    ///
    /// The model is then in the output directory: that of the best evaluation, or of the last step
    /// where there is no validation set.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidOption`] for settings that make no run, [`bert_core::Error::Run`] if the
    /// output directory holds another one; those of model, device and disk.
    pub fn train(
        self,
        checkpoint: &Checkpoint,
        tokenizer: &BertTokenizer,
        mut context: RunContext<'_>,
    ) -> Result<Summary> {
        let metric = &self.settings.metric;
        context.options.best_metric = (metric.clone(), smaller_is_better(metric));
        (self.training)(&self.settings, checkpoint, tokenizer, context)
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

fn train<T: Task>(
    task: T,
    prepared: Prepared<T::Model>,
    labels: &Labels,
    settings: &Settings,
    checkpoint: &Checkpoint,
    tokenizer: &BertTokenizer,
    context: RunContext<'_>,
) -> Result<Summary> {
    let Prepared {
        rows,
        cut,
        evaluation,
        files,
    } = prepared;
    let config = checkpoint.config();
    if rows.is_empty() {
        return Err(Error::InvalidOption {
            option: "training data:",
            value: "no example".to_owned(),
            expected: "at least one",
        });
    }
    if cut > 0 {
        context.observer.message(&format!(
            "{cut} of {} training texts are longer than {} tokens and are cut for training",
            rows.len(),
            settings.max_length
        ));
    }
    let batcher = BertBatcher::new(tokenizer).for_model(config);
    for row in rows.iter().flat_map(|example| &example.rows) {
        batcher.check_row(&row.ids, &row.type_ids)?;
    }
    let workload = Workload {
        rows: settings.batch_size,
        tokens: settings.max_length,
        scored: 0,
        remedy: "use a smaller --batch-size (--accumulate makes up for it), or a smaller --max-length",
    };
    for device in &context.devices {
        workload.check(config, device)?;
    }

    let initial = TrainerState::new(
        settings.seed,
        settings.optimizer,
        settings.schedule,
        settings.to_json(task.entry()),
    );
    let mut session = context.begin(initial, |resumed, device, observer| match resumed {
        Some(checkpoint) => T::Model::from_checkpoint(checkpoint, device),
        None => new_model(task, checkpoint, settings, labels, device, observer),
    })?;
    let (layers, rules, crf) = (config.num_hidden_layers, settings.layers, settings.crf);
    session.model.configure(settings);
    rules.freeze(session.model.bert_mut());
    session.optimizer = session.optimizer.with_rules(move |name| match crf {
        Some(crf) if name.starts_with("crf.") => crf.rule(),
        _ => rules.rule(name, layers),
    });

    let cursor: Cursor = session.state.cursor_as(&session.context.output)?;
    let class_weights = settings.class_weights.as_deref().map(Arc::from);
    let options = settings.updates(tokenizer.pad_id());
    let updates = Updates::new(rows.into(), class_weights, options, cursor);
    let write_model = |model: &T::Model, dir: &Path| -> Result<()> {
        task.save(model, dir, config, labels)?;
        files(dir)?;
        Ok(tokenizer.save(dir)?)
    };
    let evaluate = evaluation.map(|mut evaluate| {
        move |model: &T::Model, should_stop: ShouldStop<'_>| -> Result<Option<Evaluation>> {
            let scores = match evaluate(model, should_stop) {
                Err(Error::Interrupted) => return Ok(None),
                scores => scores?,
            };
            let values = scores.values();
            let numbers =
                values.filter_map(|(name, score)| Some((name.to_owned(), score.as_f64()?)));
            Ok(Some((numbers.collect(), scores.to_map())))
        }
    });
    session.train(updates.map(Ok::<_, Error>), write_model, evaluate, true)
}

/// The model of a new run: fresh, that of `checkpoint`, or its encoder with a fresh head.
fn new_model<T: Task>(
    task: T,
    checkpoint: &Checkpoint,
    settings: &Settings,
    labels: &Labels,
    device: &Device,
    observer: &mut dyn Observer,
) -> Result<T::Model> {
    let (config, dir) = (checkpoint.config(), checkpoint.dir().display());
    let init = BertInit::new(config, settings.seed, device);
    let model = if settings.from_scratch {
        T::Model::fresh(config, labels.count(), &init)
    } else if stored_labels(checkpoint, task.entry())?.as_ref() == Some(labels)
        && task.continues(checkpoint, settings)?
    {
        observer.message(&format!(
            "going on with the head of {dir}: its outputs are these"
        ));
        T::Model::from_checkpoint(checkpoint, device)?
    } else {
        let (model, report) = T::Model::from_encoder(checkpoint, labels.count(), &init)?;
        if !report.missing.is_empty() {
            observer.message(&format!(
                "not in {dir} for this task and these labels, so that they start from random values: {}",
                report.missing.join(", ")
            ));
        }
        model
    };
    Ok(match settings.crf {
        Some(_) => model.with_crf(&init),
        None => model,
    })
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
