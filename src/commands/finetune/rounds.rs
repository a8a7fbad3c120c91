//! `bert finetune --unlabelled`: rounds of learning from texts without labels.

use std::path::Path;

use anyhow::{Context, Result, bail};
use bert_heads::datasets::TextExample;
use bert_heads::finetune::{Dataset, Round, SelfTraining, Splits, Summary, Task, TrainingData};
use bert_heads::predict::{PredictOptions, TextClassifier};
use serde::Serialize;
use serde_json::Value;

use super::Args;
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
    pub(super) fn train_in_rounds(&self, task: Task) -> Result<()> {
        let (data, labels, data_name) = self.data(task)?;
        let (Task::Classify, Some(path), TrainingData::Texts(Splits { train, validation })) =
            (task, &self.unlabelled, data)
        else {
            bail!("--unlabelled is for --task classify or pair");
        };
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
            let (summary, interrupted) = self.train(task, &labels, data, name, out, first_step)?;
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
