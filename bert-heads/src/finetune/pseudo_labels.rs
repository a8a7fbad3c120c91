//! Learning from texts without labels: a classifier labels those that it is sure of, and the next one
//! learns from them too (Lee 2013; self-training).

use std::path::{Path, PathBuf};

use bert_core::files::{copy_directory, write_atomically};
use serde::Serialize;
use serde_json::{Map, Value, json};

use super::data::TrainingData;
use crate::datasets::{Dataset, Target, TextExample};
use crate::error::{Error, Result};
use crate::task::Splits;
use crate::tasks::sequence_classification::{
    Answer, ProblemType, SequenceClassification, TextClassifier,
};

/// Labelled texts, and those that are to be labelled on the way.
#[derive(Clone, Debug)]
pub struct SelfTraining {
    /// Training set of every round.
    pub labelled: Dataset<TextExample>,
    /// Validation set of every round.
    pub validation: Option<Dataset<TextExample>>,
    /// Texts whose targets are not looked at.
    pub unlabelled: Dataset<TextExample>,
    /// Probability from which a label is taken, above 0 and at most 1.
    pub confidence: f32,
    /// Rounds after the first, which learns from labelled texts alone.
    pub rounds: usize,
    /// Output directory for the rounds, each in a directory of its own, and at last the model.
    pub output: PathBuf,
}

/// Counts of the texts that a round of self-training learns from.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Round {
    /// 0 for that with labelled texts alone.
    pub round: usize,
    /// Texts with a label of the classifier before.
    pub taken: usize,
    /// Unlabelled texts in total.
    pub unlabelled: usize,
    /// Number of texts taken for each label.
    pub taken_by_label: Map<String, Value>,
}

impl SelfTraining {
    /// Trains round by round; the model of the last is then in the output directory.
    ///
    /// `train` trains from the encoder on what it is given, into a directory of its own; `open` opens
    /// what it has left there. A round in which the same texts would be taken with the same labels as
    /// in the one before ends the training. Every round leaves `pseudo_labels.jsonl`, the lines of the
    /// texts with label and probability.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidOption`] for a confidence or number of rounds that makes no sense or a
    /// classifier with other outputs than exclusive classes, those of `train` and `open`, of the
    /// classifier and of the disk.
    pub fn run<E: From<Error>>(
        &self,
        mut train: impl FnMut(&Round, &Path, TrainingData) -> Result<(), E>,
        mut open: impl FnMut(&Path) -> Result<TextClassifier, E>,
    ) -> Result<(), E> {
        self.check()?;
        let mut taken: Vec<TextExample> = Vec::new();
        let mut last = self.output.clone();
        for round in 0..=self.rounds {
            let dir = self.output.join(format!("round-{round}"));
            let mut by_label = Map::new();
            if round > 0 {
                let classifier = open(&last)?;
                let confident = self.confident(&classifier)?;
                let now: Vec<TextExample> =
                    confident.iter().map(|(text, _)| text.clone()).collect();
                if now == taken {
                    break;
                }
                for label in classifier.labels().names() {
                    let target = Target::Label(label.clone());
                    let count = now.iter().filter(|text| text.target == target).count();
                    by_label.insert(label.clone(), count.into());
                }
                taken = now;
                write(&dir, &confident)?;
            }
            let mut train_set = self.labelled.clone();
            train_set.examples.extend(taken.iter().cloned());
            let counts = Round {
                round,
                taken: taken.len(),
                unlabelled: self.unlabelled.examples.len(),
                taken_by_label: by_label,
            };
            let splits = Splits {
                train: train_set,
                validation: self.validation.clone(),
            };
            let task = SequenceClassification::of(ProblemType::SingleLabel);
            let data = TrainingData::new(task, splits);
            train(&counts, &dir, data)?;
            last = dir;
        }
        Ok(copy_directory(&last, &self.output).map_err(Error::from)?)
    }

    fn check(&self) -> Result<()> {
        let refuse = |option, value: String, expected| {
            Err(Error::InvalidOption {
                option,
                value,
                expected,
            })
        };
        if !(self.confidence > 0.0 && self.confidence <= 1.0) {
            let value = self.confidence.to_string();
            return refuse("confidence", value, "above 0 and at most 1");
        }
        match self.rounds {
            0 => refuse("rounds", "0".to_owned(), "at least 1"),
            _ => Ok(()),
        }
    }

    /// The texts that the classifier is sure of, with its labels and their probabilities.
    fn confident(&self, classifier: &TextClassifier) -> Result<Vec<(TextExample, f32)>> {
        let problem_type = classifier.problem_type();
        if problem_type != ProblemType::SingleLabel {
            return Err(Error::InvalidOption {
                option: "pseudo-labels",
                value: format!("for {}", problem_type.task()),
                expected: "a classifier with one label of several",
            });
        }
        let predictions = classifier.predict(self.unlabelled.inputs())?;
        let texts = self.unlabelled.examples.iter().zip(&predictions);
        Ok(texts
            .filter_map(|(text, prediction)| match classifier.answer(prediction) {
                Answer::Label { label, score, .. } if score >= self.confidence => {
                    let target = Target::Label(label);
                    let text = text.clone();
                    Some((TextExample { target, ..text }, score))
                }
                _ => None,
            })
            .collect())
    }
}

/// Notes what was taken.
fn write(dir: &Path, taken: &[(TextExample, f32)]) -> Result<()> {
    std::fs::create_dir_all(dir).map_err(|error| bert_core::Error::io("create", dir, error))?;
    let mut text = String::new();
    for (example, score) in taken {
        let label = example.target.labels().first();
        let line = json!({"line": example.line, "label": label, "score": score});
        text.push_str(&format!("{line}\n"));
    }
    let path = dir.join("pseudo_labels.jsonl");
    Ok(write_atomically(path, text.as_bytes())?)
}
