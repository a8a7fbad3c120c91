//! Settings that determine the outcome of a run.

use bert_core::config::BertConfig;
use bert_core::tokenizer::BertTokenizer;
use bert_core::training::{OptimizerConfig, Recipe, Schedule};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{LayerRules, TaskEntry};
use crate::error::{Error, Result};
use crate::labels::Labels;
use crate::runner::{Featurizer, PredictOptions};
use crate::tasks::question_answering::QuestionSettings;
use crate::tasks::similarity::SimilaritySettings;
use crate::tasks::token_classification::CrfSettings;

/// Settings that determine the outcome of a run; kept in its checkpoints and compared on resume.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Settings {
    /// Source of the encoder, for people and to notice a change.
    pub model: String,
    /// Start from random weights in place of the encoder's, for comparison.
    pub from_scratch: bool,
    /// Which data, likewise.
    pub data: String,
    /// The names of the outputs, in their order; one for regression.
    pub labels: Vec<String>,
    /// The weight of each label in the loss.
    pub class_weights: Option<Vec<f32>>,
    /// The recipe that the optimizer and schedule come from.
    pub recipe: Recipe,
    /// The optimizer's numbers.
    pub optimizer: OptimizerConfig,
    /// Learning rates; the length of the run is theirs.
    pub schedule: Schedule,
    /// Frozen layers, and the decay of learning rates towards the input.
    pub layers: LayerRules,
    /// Choose the labels of a sentence together, for labels of words.
    pub crf: Option<CrfSettings>,
    /// Rows of a micro-batch.
    pub batch_size: usize,
    /// Micro-batches of an update.
    pub accumulate: usize,
    /// Updates whose rows are sorted by length before they are parted; 1 leaves chance alone.
    pub bucket: usize,
    /// Tokens that training rows are cut to, and that windows have in evaluation.
    pub max_length: usize,
    /// Evaluation metric that chooses what is saved.
    pub metric: String,
    /// Decides fresh weights, order and dropout.
    pub seed: u64,
    /// For questions: windows, and how answers are chosen from them; `max_length` above counts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub questions: Option<QuestionSettings>,
    /// For similarity: the loss, and how vectors come about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub similarity: Option<SimilaritySettings>,
}

impl Settings {
    /// Refuses numbers that no run of `task` can have, for an encoder of `layers` blocks; returns the
    /// labels. Optimizer and schedule are looked at when the run begins.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidOption`], [`Error::Labels`] or [`Error::Core`] naming the setting.
    pub(crate) fn check(&self, task: &TaskEntry, layers: usize) -> Result<Labels> {
        self.layers.check(layers)?;
        if let Some(similarity) = &self.similarity {
            similarity.check()?;
        }
        let labels = Labels::new(self.labels.iter().cloned())?;
        let refuse = |option, value: String, expected| {
            Err(Error::InvalidOption {
                option,
                value,
                expected,
            })
        };
        for (option, value) in [
            ("batch size", self.batch_size),
            ("accumulate", self.accumulate),
        ] {
            if value == 0 {
                return refuse(option, "0".to_owned(), "at least 1");
            }
        }
        if task.exclusive_classes && task.own_labels.is_none() && labels.count() == 1 {
            let value = format!("only `{}`", self.labels[0]);
            return refuse("labels:", value, "at least two different ones in the data");
        }
        if let Some(own) = task.own_labels
            && labels.count() != own.len()
        {
            let count = labels.count().to_string();
            return refuse("labels:", count, "those of the task, which has its own");
        }
        if let Some(crf) = self.crf {
            if !task.crf || self.class_weights.is_some() {
                let value = format!("for {task}");
                return refuse("crf", value, "the task tokens, and no class weights");
            }
            let scale = crf.learning_rate_scale;
            if !(scale.is_finite() && scale > 0.0) {
                return refuse("crf learning rate scale", scale.to_string(), "above 0");
            }
        }
        let Some(weights) = &self.class_weights else {
            return Ok(labels);
        };
        let shown = || format!("{weights:?}");
        if !task.exclusive_classes {
            return refuse(
                "class weights",
                shown(),
                "none: the task has no exclusive classes",
            );
        }
        if weights.len() != labels.count() {
            return refuse("class weights", shown(), "as many as there are labels");
        }
        match weights
            .iter()
            .all(|weight| weight.is_finite() && *weight > 0.0)
        {
            true => Ok(labels),
            false => refuse("class weights", shown(), "numbers above 0"),
        }
    }

    /// The settings as checkpoints keep them, with the name of the task.
    pub(crate) fn to_json(&self, task: &TaskEntry) -> Value {
        let mut kept = Map::new();
        kept.insert("task".to_owned(), task.name.into());
        if let Value::Object(settings) = serde_json::json!(self) {
            kept.extend(settings);
        }
        Value::Object(kept)
    }

    /// Rows of the settings' length.
    pub(crate) fn featurizer(
        &self,
        tokenizer: &BertTokenizer,
        config: &BertConfig,
    ) -> Result<Featurizer> {
        let options = PredictOptions {
            max_length: Some(self.max_length),
            ..PredictOptions::default()
        };
        Featurizer::new(tokenizer.clone(), config, &options)
    }
}
