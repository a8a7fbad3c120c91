//! Classes, sets of labels and numbers for texts and pairs of texts.

use std::path::Path;

use bert_core::batch::BertInput;
use bert_core::checkpoint::Checkpoint;
use bert_core::tokenizer::{BertTokenizer, TextInput};
use burn::nn::Linear;
use burn::tensor::{Device, Tensor};
use serde::Serialize;
use serde_json::{Map, Value};

use super::{BertForSequenceClassification, HEAD, ProblemType};
use crate::error::Result;
use crate::labels::{Labels, stated};
use crate::model_kind::ModelKind;
use crate::runner::{Featurizer, PredictOptions, RowModel, text_logits};
use crate::sentence_embedding::cross_encoder;
use crate::task::Overrule;
use crate::tasks::logits::{argmax, sigmoid, softmax};
use crate::tasks::next_sentence::{BertForNextSentencePrediction, NEXT_SENTENCE_LABELS};
use crate::torch_activation::TorchActivation;

/// A fine-tuned sequence classifier with all that it takes to ask it; or the next-sentence head of a
/// pretrained model, which tells a text that follows another from a random one.
pub struct TextClassifier {
    model: TextModel,
    featurizer: Featurizer,
    labels: Labels,
    problem_type: ProblemType,
    /// Activation that makes a score of the one output.
    activation: Option<TorchActivation>,
}

/// A model with outputs for texts.
pub(super) enum TextModel {
    Classifier(Box<BertForSequenceClassification>),
    NextSentence(Box<BertForNextSentencePrediction>),
}

/// The outputs for one text.
#[derive(Clone, Debug, PartialEq)]
pub struct TextPrediction {
    /// One per label; over several windows as [`LongTexts`](crate::runner::LongTexts) says.
    pub logits: Vec<f32>,
    /// Windows that the text took; 1 unless it is longer than the model reads.
    pub windows: usize,
}

/// Decoded prediction, ready to be written as JSON.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Answer {
    /// One label of several.
    Label {
        /// The likeliest.
        label: String,
        /// Its probability.
        score: f32,
        /// The probability of each label; they sum to 1.
        scores: Map<String, Value>,
    },
    /// Any number of labels.
    Labels {
        /// Those with a probability above one half.
        labels: Vec<String>,
        /// The probability of each label on its own.
        scores: Map<String, Value>,
    },
    /// A number.
    Number {
        /// The number: the raw output, called logit where a score is made of it.
        value: f32,
        /// The score that the owner of a cross-encoder gives: `value` through the activation that its
        /// files name, sigmoid where they name none; absent for regression.
        #[serde(skip_serializing_if = "Option::is_none")]
        score: Option<f32>,
    },
    /// Several numbers.
    Numbers {
        /// Each under its label.
        values: Map<String, Value>,
    },
}

impl TextClassifier {
    /// Loads model and tokenizer from a model directory. A checkpoint without a classifier but with
    /// a next-sentence head has the labels `next` and `random`.
    ///
    /// # Errors
    ///
    /// [`NoHead`](crate::Error::NoHead) for a checkpoint without a classifier, [`WrongHead`](crate::Error::WrongHead) for one of words
    /// or choices, [`HeadLabels`](crate::Error::HeadLabels) for one whose labels are not those of its outputs, those of
    /// [`Featurizer::new`], and [`Core`](crate::Error::Core) for files that are missing or malformed.
    pub fn from_dir(
        dir: impl AsRef<Path>,
        options: &PredictOptions,
        device: &Device,
    ) -> Result<Self> {
        Self::open(dir, options, &Overrule::default(), device)
    }

    /// Loads model and tokenizer from a model directory, of which `overrule` knows better.
    ///
    /// # Errors
    ///
    /// Those of [`from_dir`](Self::from_dir), for what is not overruled, and [`LabelNames`](crate::Error::LabelNames) when there
    /// is not one name per output.
    pub fn open(
        dir: impl AsRef<Path>,
        options: &PredictOptions,
        overrule: &Overrule,
        device: &Device,
    ) -> Result<Self> {
        let dir = dir.as_ref();
        let checkpoint = Checkpoint::open(dir)?;
        let config = checkpoint.config();
        let featurizer =
            Featurizer::new(BertTokenizer::from_dir(dir)?, config, options)?.on(config, device)?;
        let task = overrule.task;
        let has = |name| checkpoint.contains(name);
        let is_next_sentence = match task {
            Some(task) => task.model_kind == ModelKind::NextSentence,
            None => has("cls.seq_relationship.weight") && !has("classifier.weight"),
        };
        if is_next_sentence {
            let model = BertForNextSentencePrediction::from_checkpoint(&checkpoint, device)?;
            let labels = match &overrule.labels {
                Some(labels) => labels.clone(),
                None => Labels::new(NEXT_SENTENCE_LABELS)?,
            };
            labels.check_outputs(&model.cls.seq_relationship)?;
            return Ok(Self {
                model: TextModel::NextSentence(Box::new(options.pack_weights(model)?)),
                featurizer,
                labels,
                problem_type: ProblemType::SingleLabel,
                activation: None,
            });
        }
        if task.is_none() {
            HEAD.check(&checkpoint)?;
        }
        let labels = overrule.labels(&checkpoint, HEAD.outputs(&checkpoint)?)?;
        let count = labels.count();
        let problem_type = ProblemType::overruled(task, config, count)?;
        let is_number = task.and_then(|task| task.problem_type) == Some(ProblemType::Regression);
        let is_scored = count == 1 && problem_type == ProblemType::Regression && !is_number;
        let activation = match is_scored {
            false => None,
            true => match cross_encoder::activation(dir, config)? {
                // transformers leaves the number of a regression as it is.
                None if task.is_none() && stated(config, "problem_type").is_some() => None,
                named => Some(named.unwrap_or(TorchActivation::Sigmoid)),
            },
        };
        let model = BertForSequenceClassification::from_weights(&checkpoint, device)?;
        Ok(Self {
            model: TextModel::Classifier(Box::new(options.pack_weights(model)?)),
            featurizer,
            labels,
            problem_type,
            activation,
        })
    }

    /// True if the model predicts for pairs of texts only.
    pub fn needs_pairs(&self) -> bool {
        matches!(self.model, TextModel::NextSentence(_))
    }

    /// Calls the outputs by other names.
    ///
    /// # Errors
    ///
    /// [`LabelNames`](crate::Error::LabelNames) when there is not one name per output.
    pub fn with_labels(mut self, labels: Labels) -> Result<Self> {
        labels.check_outputs(self.model.outputs())?;
        self.labels = labels;
        Ok(self)
    }

    /// The names of the outputs.
    pub fn labels(&self) -> &Labels {
        &self.labels
    }

    /// Problem type of the outputs.
    pub fn problem_type(&self) -> ProblemType {
        self.problem_type
    }

    /// Most tokens of a row; longer texts are read in windows.
    pub fn max_length(&self) -> usize {
        self.featurizer.max_length()
    }

    /// The outputs for texts or pairs, in their order.
    ///
    /// # Errors
    ///
    /// Those of the tokenizer, [`Core`](crate::Error::Core), and [`NotFinite`](crate::Error::NotFinite) for outputs that are no
    /// numbers.
    pub fn predict<'a>(
        &self,
        texts: impl IntoIterator<Item = TextInput<'a>>,
    ) -> Result<Vec<TextPrediction>> {
        let features = self.featurizer.texts(texts)?;
        let logits = text_logits(&self.model, &self.featurizer, &features, &|| false)?;
        let windows = features.of_text.iter().map(|rows| rows.len());
        Ok(logits
            .into_iter()
            .zip(windows)
            .map(|(logits, windows)| TextPrediction { logits, windows })
            .collect())
    }

    /// The outputs as their owner gives them: the one of a cross-encoder through its activation,
    /// others as they are.
    pub fn scored(&self, prediction: &TextPrediction) -> Vec<f32> {
        let logits = prediction.logits.iter().copied();
        let Some(activation) = self.activation else {
            return logits.collect();
        };
        // Only activations that numbers have are taken.
        logits
            .map(|logit| activation.of_number(logit).unwrap_or(logit))
            .collect()
    }

    /// Decodes a prediction into labels or numbers.
    pub fn answer(&self, prediction: &TextPrediction) -> Answer {
        let named = |values: &[f32]| -> Map<String, Value> {
            let names = self.labels.names().iter().cloned();
            names
                .zip(values.iter().map(|value| Value::from(*value)))
                .collect()
        };
        let logits = &prediction.logits;
        match self.problem_type {
            ProblemType::Regression => match logits.as_slice() {
                [value] => Answer::Number {
                    value: *value,
                    score: self.activation.map(|_| self.scored(prediction)[0]),
                },
                values => Answer::Numbers {
                    values: named(values),
                },
            },
            ProblemType::MultiLabel => {
                let scores: Vec<f32> = logits.iter().map(|&x| sigmoid(x)).collect();
                let names = self.labels.names().iter().zip(&scores);
                let chosen = names.filter(|(_, score)| **score > 0.5);
                Answer::Labels {
                    labels: chosen.map(|(name, _)| name.clone()).collect(),
                    scores: named(&scores),
                }
            }
            ProblemType::SingleLabel => {
                let scores = softmax(logits);
                let best = argmax(&scores);
                Answer::Label {
                    label: self.labels.name(best).unwrap_or_default().to_owned(),
                    score: scores[best],
                    scores: named(&scores),
                }
            }
        }
    }
}

impl std::fmt::Debug for TextClassifier {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TextClassifier")
            .field("labels", &self.labels)
            .field("problem_type", &self.problem_type)
            .finish_non_exhaustive()
    }
}

impl TextModel {
    fn outputs(&self) -> &Linear {
        match self {
            Self::Classifier(model) => &model.classifier,
            Self::NextSentence(model) => &model.cls.seq_relationship,
        }
    }
}

impl RowModel for TextModel {
    fn row_logits(&self, input: BertInput) -> Tensor<3> {
        match self {
            Self::Classifier(model) => model.row_logits(input),
            Self::NextSentence(model) => model.row_logits(input),
        }
    }

    fn device(&self) -> Device {
        self.outputs().weight.val().device()
    }
}

impl RowModel for BertForSequenceClassification {
    fn row_logits(&self, input: BertInput) -> Tensor<3> {
        self.forward(input).unsqueeze_dim(1) // [rows, 1, outputs]
    }

    fn device(&self) -> Device {
        self.classifier.weight.val().device()
    }
}

impl RowModel for BertForNextSentencePrediction {
    fn row_logits(&self, input: BertInput) -> Tensor<3> {
        self.forward(input).unsqueeze_dim(1) // [rows, 1, 2]
    }

    fn device(&self) -> Device {
        self.cls.seq_relationship.weight.val().device()
    }
}
