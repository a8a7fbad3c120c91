//! Explanations of a classifier's output: the tokens that it rests on, and where every head
//! attends.
//!
//! Attributions are taken with respect to the word vectors: gradient × input (Shrikumar et al. 2016)
//! and [integrated gradients](integrated_gradients) (Sundararajan et al. 2017). Attention is what the
//! softmax of each head gives; it shows where information may flow, not what the output rests on
//! (Jain & Wallace 2019).

mod attribution;
mod page;
mod quadrature;

use std::path::Path;

use bert_core::agreement::without_dropout;
use bert_core::batch::{BertBatcher, BertInput};
use bert_core::checkpoint::{Checkpoint, Loading};
use bert_core::inference::{Weights, prepare};
use bert_core::nn::{BertModel, OutputOptions};
use bert_core::tokenizer::{BertTokenizer, EncodeOptions, Encoding, TextInput, Truncation};
use burn::module::Module;
use burn::tensor::{Device, FloatDType, Int, Tensor, TensorData};
use serde::Serialize;

pub use attribution::{IntegratedGradients, gradient_times_input, integrated_gradients};

use crate::error::{Error, Result};
use crate::labels::Labels;
use crate::model_kind::{ModelKind, classifier_kind, unknown_classifier};
use crate::task::Overrule;
use crate::tasks::logits::{argmax, sigmoid, softmax};
use crate::tasks::sequence_classification::{BertForSequenceClassification, HEAD, ProblemType};

/// A model that can be asked for its reasons.
pub struct Explainer {
    subject: Subject,
    tokenizer: BertTokenizer,
    batcher: BertBatcher,
    max_length: usize,
    device: Device,
    model: String,
}

enum Subject {
    Classifier {
        model: Box<BertForSequenceClassification>,
        labels: Labels,
        problem_type: ProblemType,
    },
    Encoder(Box<BertModel>),
}

/// Options of an explanation: the output, and the points of integrated gradients.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExplainOptions {
    /// The output to explain; by default the highest.
    pub label: Option<String>,
    /// Points at which integrated gradients are taken.
    pub steps: usize,
}

impl Default for ExplainOptions {
    fn default() -> Self {
        Self {
            label: None,
            steps: 50,
        }
    }
}

/// Attribution and attention probabilities of a model for one text.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Explanation {
    /// The model, as given.
    pub model: String,
    /// The text, or the first of two.
    pub text: String,
    /// The second text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pair: Option<String>,
    /// Its tokens, special tokens included, as spelled in the vocabulary.
    pub tokens: Vec<String>,
    /// Contributions of the tokens; `None` for a checkpoint without a classifier of texts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub attribution: Option<Attribution>,
    /// Attention probabilities by layer, head, token that attends and token attended to.
    pub attentions: Vec<Vec<Vec<Vec<f32>>>>,
}

/// Contribution of each token to one output of a classifier.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Attribution {
    /// Every output.
    pub outputs: Vec<OutputScore>,
    /// The one explained.
    pub label: String,
    /// For each token the gradient of the output's logit, times the word vector, summed.
    pub gradient_times_input: Vec<f32>,
    /// For each token its share of the logit's difference to the baseline, in which `[PAD]` stands
    /// for every token but the special ones.
    pub integrated_gradients: Vec<f32>,
    /// Points of the path from the baseline.
    pub steps: usize,
    /// The logit of the text.
    pub score: f64,
    /// The logit of the baseline.
    pub baseline_score: f64,
    /// Sum of the integrated gradients: `score - baseline_score`, were there no error.
    pub sum: f64,
    /// `|sum - (score - baseline_score)|` over `|score - baseline_score|`; `None` where that is 0.
    pub relative_error: Option<f64>,
}

/// An output of a classifier.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct OutputScore {
    /// Its name.
    pub label: String,
    /// The raw logit; for regression the predicted number.
    pub logit: f32,
    /// 0 to 1, where the outputs are no numbers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub probability: Option<f32>,
}

impl Explainer {
    /// Loads model and tokenizer from a model directory, which `model` names in the explanations.
    ///
    /// Of a checkpoint without a classifier of texts the encoder is loaded, whose attention can be
    /// shown; [`attributes`](Self::attributes) tells.
    ///
    /// # Errors
    ///
    /// [`Error::Core`] for files that are missing, malformed or do not belong together,
    /// [`Error::UnknownKind`] for a classifier of which nothing tells whether it is one of texts, and
    /// [`Error::HeadLabels`] for one whose labels are not those of its outputs.
    pub fn from_dir(dir: impl AsRef<Path>, model: &str, device: &Device) -> Result<Self> {
        Self::open(dir, model, &Overrule::default(), device)
    }

    /// Loads model and tokenizer as [`from_dir`](Self::from_dir) does, where `overrule` does not know
    /// better.
    ///
    /// # Errors
    ///
    /// Those of [`from_dir`](Self::from_dir), for what is not overruled, and [`Error::LabelNames`] when there
    /// is not one name per output.
    pub fn open(
        dir: impl AsRef<Path>,
        model: &str,
        overrule: &Overrule,
        device: &Device,
    ) -> Result<Self> {
        let dir = dir.as_ref();
        let checkpoint = Checkpoint::open(dir)?;
        let config = checkpoint.config();
        let tokenizer = BertTokenizer::from_dir(dir)?;
        tokenizer.check_vocab(config.vocab_size)?;
        let max_length = config.max_input_length();
        let kind = match overrule.task {
            Some(task) => Some(task.model_kind),
            None if checkpoint.contains("classifier.weight") => {
                match classifier_kind(&checkpoint) {
                    Some(found) => Some(found.kind),
                    None => return Err(unknown_classifier(&checkpoint)),
                }
            }
            None => None,
        };
        let (subject, device) = match kind == Some(ModelKind::Texts) {
            true => {
                let labels = overrule.labels(&checkpoint, HEAD.outputs(&checkpoint)?)?;
                let problem_type = ProblemType::overruled(overrule.task, config, labels.count())?;
                let device = device.clone().autodiff();
                let model = BertForSequenceClassification::from_weights(&checkpoint, &device)?;
                let subject = Subject::Classifier {
                    // Gradients are wanted of the word vectors, not of the weights.
                    model: Box::new(without_dropout(model).no_grad()),
                    labels,
                    problem_type,
                };
                (subject, device)
            }
            false => {
                let (model, _) = checkpoint.load_model(Loading::Strict, device)?;
                let model = prepare(model, Weights::Float)?;
                (Subject::Encoder(Box::new(model)), device.clone())
            }
        };
        Ok(Self {
            subject,
            batcher: BertBatcher::new(&tokenizer).for_model(config),
            tokenizer,
            max_length,
            device,
            model: model.to_owned(),
        })
    }

    /// True if the model has outputs to attribute; otherwise explanations show attention alone.
    pub fn attributes(&self) -> bool {
        matches!(self.subject, Subject::Classifier { .. })
    }

    /// Explains what the model makes of a text or pair of texts.
    ///
    /// # Errors
    ///
    /// [`Error::UnknownChoice`] for a label that the model does not have, and
    /// [`Error::InvalidOption`] for one asked of a model without labels or for no steps;
    /// [`bert_core::Error::TooLong`] for a text that does not fit the model, which is never cut;
    /// [`Error::NotFinite`] for outputs that are no numbers, [`Error::Core`].
    pub fn explain(&self, input: TextInput<'_>, options: &ExplainOptions) -> Result<Explanation> {
        let (text, pair) = match input {
            TextInput::Single(text) => (text.to_owned(), None),
            TextInput::Pair(text, pair) => (text.to_owned(), Some(pair.to_owned())),
        };
        let whole = EncodeOptions {
            max_length: Some(self.max_length),
            truncation: Truncation::None,
            ..EncodeOptions::default()
        };
        let encoding = self.tokenizer.encode_batch([input], &whole)?.swap_remove(0);
        let batch = self
            .batcher
            .batch(std::slice::from_ref(&encoding), &self.device)?;
        let kept = OutputOptions {
            attentions: true,
            ..OutputOptions::default()
        };
        let (encoded, attribution) = match &self.subject {
            Subject::Encoder(model) => {
                if let Some(label) = &options.label {
                    return Err(Error::InvalidOption {
                        option: "label",
                        value: label.clone(),
                        expected: "none: the model has no classifier of texts",
                    });
                }
                (model.forward_with(batch, kept), None)
            }
            Subject::Classifier {
                model,
                labels,
                problem_type,
            } => {
                let encoded = model.bert.forward_with(batch.clone(), kept);
                let logits: Vec<f32> = model
                    .classify(encoded.clone(), batch.mask_pad.clone())
                    .cast(FloatDType::F32)
                    .try_into_vec_as()?;
                if logits.iter().any(|logit| !logit.is_finite()) {
                    return Err(Error::NotFinite { index: 0 });
                }
                let output = chosen(labels, &logits, options.label.as_deref())?;
                let baseline = self.baseline(&encoding);
                let attribution = attribute(model, &batch, baseline, output, options.steps)?;
                let outputs = outputs(labels, *problem_type, &logits);
                (encoded, Some(attribution.of(outputs, output)))
            }
        };
        let attentions = encoded.attentions.into_iter().flatten();
        Ok(Explanation {
            model: self.model.clone(),
            text,
            pair,
            tokens: encoding.tokens().to_vec(),
            attribution,
            attentions: attentions.map(nested).collect::<Result<_>>()?,
        })
    }

    /// The ids of the text with `[PAD]` in place of all but special tokens, `[1, seq]`.
    fn baseline(&self, encoding: &Encoding) -> Tensor<2, Int> {
        let pad = self.tokenizer.pad_id();
        let ids = encoding.ids().iter().zip(encoding.special_tokens_mask());
        let ids: Vec<i64> = ids
            .map(|(&id, &special)| i64::from(if special == 1 { id } else { pad }))
            .collect();
        let shape = [1, ids.len()];
        Tensor::from_data(TensorData::new(ids, shape), &self.device)
    }
}

impl std::fmt::Debug for Explainer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Explainer")
            .field("model", &self.model)
            .field("attributes", &self.attributes())
            .finish_non_exhaustive()
    }
}

/// Attributions to a numbered output.
struct Attributed {
    gradient_times_input: Vec<f32>,
    integrated: IntegratedGradients,
    steps: usize,
}

fn attribute(
    model: &BertForSequenceClassification,
    input: &BertInput,
    baseline: Tensor<2, Int>,
    output: usize,
    steps: usize,
) -> Result<Attributed> {
    Ok(Attributed {
        gradient_times_input: gradient_times_input(model, input, output)?,
        integrated: integrated_gradients(model, input, baseline, output, steps)?,
        steps,
    })
}

impl Attributed {
    fn of(self, outputs: Vec<OutputScore>, output: usize) -> Attribution {
        let integrated = self.integrated;
        Attribution {
            label: outputs[output].label.clone(),
            outputs,
            gradient_times_input: self.gradient_times_input,
            steps: self.steps,
            score: integrated.score,
            baseline_score: integrated.baseline_score,
            sum: integrated.sum(),
            relative_error: integrated.relative_error(),
            integrated_gradients: integrated.attributions,
        }
    }
}

/// The output to explain.
fn chosen(labels: &Labels, logits: &[f32], label: Option<&str>) -> Result<usize> {
    match label {
        None => Ok(argmax(logits)),
        Some(name) => labels.id(name).ok_or_else(|| Error::UnknownChoice {
            what: "label",
            name: name.to_owned(),
            known: labels.names().join(", "),
        }),
    }
}

fn outputs(labels: &Labels, problem_type: ProblemType, logits: &[f32]) -> Vec<OutputScore> {
    let probabilities: Vec<Option<f32>> = match problem_type {
        ProblemType::SingleLabel => softmax(logits).into_iter().map(Some).collect(),
        ProblemType::MultiLabel => logits.iter().map(|&logit| Some(sigmoid(logit))).collect(),
        ProblemType::Regression => vec![None; logits.len()],
    };
    let names = labels.names().iter().zip(logits).zip(probabilities);
    names
        .map(|((label, &logit), probability)| OutputScore {
            label: label.clone(),
            logit,
            probability,
        })
        .collect()
}

/// `[1, heads, seq, seq]` as lists.
fn nested(attention: Tensor<4>) -> Result<Vec<Vec<Vec<f32>>>> {
    let [_, _, queries, keys] = attention.dims();
    let values: Vec<f32> = attention.cast(FloatDType::F32).try_into_vec_as()?;
    let rows: Vec<Vec<f32>> = values.chunks(keys).map(<[f32]>::to_vec).collect();
    Ok(rows.chunks(queries).map(<[Vec<f32>]>::to_vec).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_highest_output_is_explained_unless_another_is_named() {
        let labels = Labels::new(["no", "yes"]).unwrap();
        assert_eq!(chosen(&labels, &[0.5, 2.0], None).unwrap(), 1);
        assert_eq!(chosen(&labels, &[0.5, 2.0], Some("no")).unwrap(), 0);
        let error = chosen(&labels, &[0.5, 2.0], Some("maybe"))
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("`maybe`") && error.contains("no, yes"),
            "{error}"
        );
    }

    #[test]
    fn probabilities_are_those_of_the_problem() {
        let labels = Labels::new(["a", "b"]).unwrap();
        let probabilities = |kind| -> Vec<Option<f32>> {
            let outputs = outputs(&labels, kind, &[0.0, 0.0]);
            outputs
                .into_iter()
                .map(|output| output.probability)
                .collect()
        };
        assert_eq!(probabilities(ProblemType::SingleLabel), [Some(0.5); 2]);
        assert_eq!(probabilities(ProblemType::MultiLabel), [Some(0.5); 2]);
        assert_eq!(probabilities(ProblemType::Regression), [None; 2]);
    }
}
