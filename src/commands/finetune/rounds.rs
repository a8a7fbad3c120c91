//! `bert finetune --unlabelled`: rounds of learning from texts without labels.

use std::path::Path;

use anyhow::{Context, Result, bail};
use bert_core::training::Summary;
use bert_heads::datasets::{Dataset, TextExample};
use bert_heads::finetune::{Round, SelfTraining, TrainingData};
use bert_heads::runner::PredictOptions;
use bert_heads::task::{Splits, TaskEntry};
use bert_heads::tasks::sequence_classification::{CLASSIFY, TextClassifier};
use serde::Serialize;
use serde_json::Value;

use super::Args;
use super::data::Data;
use crate::cli::note::note;
use crate::cli::training;

/// Pseudo-labels of a round and the summary of its training.
#[derive(Serialize)]
struct RoundLine<'a> {
    #[serde(flatten)]
    round: &'a Round,
    #[serde(flatten)]
    summary: Summary,
}

impl Args {
    /// Trains with pseudo-labels, each round in a directory of its own.
    pub(super) fn train_in_rounds(&self, task: &'static TaskEntry) -> Result<()> {
        let Some(path) = self.unlabelled.as_deref().filter(|_| *task == CLASSIFY) else {
            bail!("--unlabelled is for --task classify or pair");
        };
        let (train_file, validation_file) = self.files()?;
        let (splits, labels) = self.texts(task, &train_file, validation_file.as_deref())?;
        let Splits { train, validation } = splits;
        let data_name = Self::name_of(&train);
        let unlabelled = self.unlabelled(path)?;
        self.check_pairs(&unlabelled)?;
        let rounds = SelfTraining {
            labelled: train,
            validation,
            unlabelled,
            confidence: self.confidence,
            rounds: self.rounds,
            output: self.out.clone(),
        };
        let train = |round: &Round, out: &Path, data: TrainingData| -> Result<()> {
            if round.round > 0 {
                note(format_args!(
                    "round {}: {} of {} texts are taken with a label: {}",
                    round.round,
                    round.taken,
                    round.unlabelled,
                    Value::from(round.taken_by_label.clone())
                ));
            }
            let first_step = training::first_step(out, false)?;
            let name = format!("{data_name}, {} pseudo-labels", round.taken);
            let data = Data {
                data,
                labels: labels.clone(),
                name,
                similarity: None,
            };
            let (summary, interrupted) = self.train(data, out, first_step)?;
            let line = RoundLine { round, summary };
            training::conclude(out, &line, interrupted).with_context(|| {
                format!(
                    "round {} did not come to its end: rounds begin anew",
                    round.round
                )
            })
        };
        rounds.run(train, |dir| {
            let (devices, _) = self.devices.open()?;
            let device = devices.first().context("there is no device")?;
            let options = PredictOptions::default();
            Ok(TextClassifier::from_dir(dir, &options, device)?)
        })
    }

    /// Texts whose labels, if they have any, are left aside.
    fn unlabelled(&self, path: &Path) -> Result<Dataset<TextExample>> {
        let examples = self
            .format
            .texts_to_pseudo_label(path)?
            .rows
            .collect::<Result<_>>()?;
        Ok(Dataset {
            path: path.to_owned(),
            examples,
        })
    }
}
