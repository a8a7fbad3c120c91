//! The right one of several choices.

use std::path::Path;

use bert_core::batch::BertInput;
use bert_core::checkpoint::Checkpoint;
use bert_core::stop::ShouldStop;
use bert_core::tokenizer::{BertTokenizer, TextInput};
use burn::tensor::{Device, Tensor};
use serde::Serialize;

use super::BertForMultipleChoice;
use crate::datasets::{ChoiceExample, Dataset, RowFault};
use crate::error::Result;
use crate::metrics::Scores;
use crate::runner::{Featurizer, PredictOptions, RowModel, TextRows, text_logits};
use crate::task::Overrule;
use crate::tasks::logits::{argmax, cross_entropy, mean, softmax};

/// A fine-tuned model of choices with all that it takes to ask it.
pub struct ChoicePicker {
    model: BertForMultipleChoice,
    featurizer: Featurizer,
}

/// The choice of a model.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Choice {
    /// Its number, counted from 0.
    pub choice: usize,
    /// The choice itself.
    pub text: String,
    /// Its probability.
    pub score: f32,
    /// The probability of each choice; they sum to 1.
    pub scores: Vec<f32>,
    /// The most windows that a choice with its context took; 1 unless they are longer than the model
    /// reads.
    #[serde(skip)]
    pub windows: usize,
}

/// The rows of some questions with choices.
pub(crate) struct ChoiceRows {
    texts: TextRows,
    /// Number of choices of each question.
    counts: Vec<usize>,
}

impl ChoicePicker {
    /// Loads model and tokenizer from a model directory.
    ///
    /// # Errors
    ///
    /// Those of [`TextClassifier::from_dir`](crate::tasks::sequence_classification::TextClassifier::from_dir).
    pub fn from_dir(
        dir: impl AsRef<Path>,
        options: &PredictOptions,
        device: &Device,
    ) -> Result<Self> {
        Self::open(dir, options, &Overrule::default(), device)
    }

    /// Loads model and tokenizer from a model directory, of which `overrule` knows better; the choices
    /// have no names.
    ///
    /// # Errors
    ///
    /// Those of [`TextClassifier::open`](crate::tasks::sequence_classification::TextClassifier::open).
    pub fn open(
        dir: impl AsRef<Path>,
        options: &PredictOptions,
        overrule: &Overrule,
        device: &Device,
    ) -> Result<Self> {
        let checkpoint = Checkpoint::open(&dir)?;
        let tokenizer = BertTokenizer::from_dir(dir)?;
        let model = match overrule.task {
            Some(_) => BertForMultipleChoice::from_weights(&checkpoint, device)?,
            None => BertForMultipleChoice::from_checkpoint(&checkpoint, device)?,
        };
        Ok(Self {
            featurizer: Featurizer::new(tokenizer, checkpoint.config(), options)?
                .on(checkpoint.config(), device)?,
            model: options.pack_weights(model)?,
        })
    }

    /// Most tokens of a row; longer texts are read in windows, of whose scores the mean counts.
    pub fn max_length(&self) -> usize {
        self.featurizer.max_length()
    }

    /// The choices for questions, in their order.
    ///
    /// # Errors
    ///
    /// Those of the tokenizer, [`Core`](crate::Error::Core), and
    /// [`NotFinite`](crate::Error::NotFinite) for scores that are no numbers.
    pub fn choose(&self, examples: &[ChoiceExample]) -> Result<Vec<Choice>> {
        let features = ChoiceRows::new(&self.featurizer, examples)?;
        Ok(self.chosen(
            examples,
            &features,
            &choice_logits(&self.model, &self.featurizer, &features, &|| false)?,
        ))
    }

    /// The choices for questions, and how good they are: `accuracy` and `loss`.
    ///
    /// # Errors
    ///
    /// [`BadRow`](crate::Error::BadRow) for a question whose right choice is not known, and those of
    /// [`choose`](Self::choose).
    pub fn evaluate(&self, data: &Dataset<ChoiceExample>) -> Result<(Scores, Vec<Choice>)> {
        let right = data.right_choices()?;
        let features = ChoiceRows::new(&self.featurizer, &data.examples)?;
        let logits = choice_logits(&self.model, &self.featurizer, &features, &|| false)?;
        let choices = self.chosen(&data.examples, &features, &logits);
        Ok((score_choices(&right, &logits), choices))
    }

    fn chosen(
        &self,
        examples: &[ChoiceExample],
        features: &ChoiceRows,
        logits: &[Vec<f32>],
    ) -> Vec<Choice> {
        let mut windows = features.texts.of_text.iter().map(|rows| rows.len());
        let all = examples.iter().zip(logits);
        all.map(|(example, logits)| {
            let scores = softmax(logits);
            let choice = argmax(logits);
            Choice {
                choice,
                text: example.choices[choice].clone(),
                score: scores[choice],
                windows: windows.by_ref().take(scores.len()).max().unwrap_or(1),
                scores,
            }
        })
        .collect()
    }
}

impl std::fmt::Debug for ChoicePicker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ChoicePicker").finish_non_exhaustive()
    }
}

impl Dataset<ChoiceExample> {
    /// The right choice of every question.
    ///
    /// # Errors
    ///
    /// [`BadRow`](crate::Error::BadRow) naming the first question whose right choice is not known.
    pub(crate) fn right_choices(&self) -> Result<Vec<usize>> {
        let right = |example: &ChoiceExample| {
            let column = "label".to_owned();
            let fault = || self.fault(example.line, RowFault::MissingColumn { column });
            example.label.ok_or_else(fault)
        };
        self.examples.iter().map(right).collect()
    }
}

impl ChoiceRows {
    pub(crate) fn new(featurizer: &Featurizer, examples: &[ChoiceExample]) -> Result<Self> {
        let pairs: Vec<_> = examples.iter().flat_map(ChoiceExample::pairs).collect();
        let inputs = pairs.iter();
        Ok(Self {
            texts: featurizer
                .texts(inputs.map(|(first, second)| TextInput::Pair(first, second)))?,
            counts: examples
                .iter()
                .map(|example| example.choices.len())
                .collect(),
        })
    }
}

impl RowModel for BertForMultipleChoice {
    fn row_logits(&self, input: BertInput) -> Tensor<3> {
        self.forward(input, 1).unsqueeze_dim(2) // [rows, 1, 1]
    }

    fn device(&self) -> Device {
        self.classifier.weight.val().device()
    }
}

/// The scores of the choices of each question.
pub(crate) fn choice_logits(
    model: &BertForMultipleChoice,
    featurizer: &Featurizer,
    features: &ChoiceRows,
    should_stop: ShouldStop<'_>,
) -> Result<Vec<Vec<f32>>> {
    let logits = text_logits(model, featurizer, &features.texts, should_stop)?;
    let mut logits = logits.into_iter().flatten();
    let of_question = |&count: &usize| logits.by_ref().take(count).collect();
    Ok(features.counts.iter().map(of_question).collect())
}

/// `accuracy`, the primary number, `examples`, and `loss`, the mean cross-entropy.
pub(crate) fn score_choices(right: &[usize], logits: &[Vec<f32>]) -> Scores {
    let pairs = || right.iter().zip(logits);
    let hit = |(right, logits): (&usize, &Vec<f32>)| f64::from(u8::from(argmax(logits) == *right));
    Scores::new("accuracy")
        .with_value("accuracy", mean(pairs().map(hit)))
        .with_count("examples", right.len() as u64)
        .with_value(
            "loss",
            mean(pairs().map(|(right, logits)| cross_entropy(*right, logits))),
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accuracy_and_loss_are_means_over_questions() {
        let scores = score_choices(&[1, 0], &[vec![0.0, 0.0, 0.0], vec![1.0, -1.0]]);
        // The first of equals is chosen.
        assert_eq!(scores.get("accuracy"), Some(0.5));
        let loss = (3.0_f64.ln() + (1.0 + (-2.0_f64).exp()).ln()) / 2.0;
        assert!((scores.get("loss").unwrap() - loss).abs() < 1e-6);
        assert_eq!(score_choices(&[], &[]).get("examples"), Some(0.0));
    }
}
