//! Settings that determine the outcome of a run.

use bert_core::config::BertConfig;
use bert_core::tokenizer::BertTokenizer;
use bert_core::training::{OptimizerConfig, Recipe, Schedule};
use serde::{Deserialize, Serialize};

use super::rules::LayerRules;
use super::updates::UpdatesOptions;
use crate::error::{Error, Result};
use crate::labels::Labels;
use crate::metrics::{GlueTask, Scores};
use crate::runner::{PredictOptions, RowMaker};
use crate::task::Task;
use crate::tasks::multiple_choice::score_choices;
use crate::tasks::question_answering::QuestionSettings;
use crate::tasks::sequence_classification::score_texts;
use crate::tasks::similarity::{SimilaritySettings, score_similarity};
use crate::tasks::token_classification::{CrfSettings, score_tokens};

/// Settings that determine the outcome of a run; kept in its checkpoints and compared on resume.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Settings {
    /// Fine-tuning task.
    pub task: Task,
    /// Where the encoder comes from, for people and to notice a change.
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
    /// Choose the labels of a sentence together, for [`Task::Tokens`].
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
    /// Refuses numbers that no run can have, for an encoder of `layers` blocks; returns the labels.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidOption`], [`Error::Labels`] or [`Error::Core`] naming the setting.
    pub(super) fn check(&self, layers: usize) -> Result<Labels> {
        self.optimizer.validate()?;
        self.schedule.validate()?;
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
        if let (Task::Classify | Task::Tokens, 1) = (self.task, labels.count()) {
            let value = format!("only `{}`", self.labels[0]);
            return refuse("labels:", value, "at least two different ones in the data");
        }
        if let Some(own) = self.task.own_labels()
            && labels.count() != own.len()
        {
            let count = labels.count().to_string();
            return refuse("labels:", count, "those of the task, which has its own");
        }
        if let Some(crf) = self.crf {
            if self.task != Task::Tokens || self.class_weights.is_some() {
                let value = format!("for {}", self.task);
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
        if !matches!(
            self.task,
            Task::Classify | Task::NextSentence | Task::Tokens
        ) {
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

    /// Rows of the settings' length.
    pub(super) fn row_maker(
        &self,
        tokenizer: &BertTokenizer,
        config: &BertConfig,
    ) -> Result<RowMaker> {
        let options = PredictOptions {
            max_length: Some(self.max_length),
            ..PredictOptions::default()
        };
        RowMaker::new(tokenizer.clone(), config, &options)
    }

    /// Updates of a pass over `rows` examples.
    pub fn updates_per_epoch(&self, rows: usize) -> u64 {
        self.updates(0).updates_per_epoch(rows)
    }

    pub(super) fn updates(&self, pad_id: u32) -> UpdatesOptions {
        UpdatesOptions {
            batch_size: self.batch_size,
            accumulate: self.accumulate,
            bucket: self.bucket,
            pad_id,
            seed: self.seed,
        }
    }
}

/// The metric that chooses the best evaluation where none is named: the task's primary one, `loss`
/// for none.
///
/// # Errors
///
/// Those of the metrics.
pub fn best_metric(task: Task, labels: &Labels, glue: Option<GlueTask>) -> Result<String> {
    Ok(of_nothing(task, labels, glue)?.primary().0.to_owned())
}

/// The metrics that an evaluation gives, counts left out.
///
/// # Errors
///
/// Those of the metrics.
pub fn metric_names(
    task: Task,
    labels: &Labels,
    glue: Option<GlueTask>,
) -> Result<Vec<&'static str>> {
    let scores = of_nothing(task, labels, glue)?;
    let values = scores.values();
    let metrics = values.filter(|(_, score)| !matches!(score, crate::metrics::Score::Count(_)));
    Ok(metrics.map(|(name, _)| name).collect())
}

/// True if the metric called `name` is better when it is smaller.
pub(super) fn smaller_is_better(name: &str) -> bool {
    matches!(name, "loss" | "mse")
}

fn of_nothing(task: Task, labels: &Labels, glue: Option<GlueTask>) -> Result<Scores> {
    match task {
        Task::Tokens => score_tokens(labels, None, &[], &[]),
        // The names that an evaluation has for both versions of SQuAD.
        Task::Qa => Ok(Scores::new("f1")
            .with_value("f1", None)
            .with_value("exact_match", None)
            .with_value("loss", None)),
        Task::Choice => Ok(score_choices(&[], &[])),
        Task::Similarity => Ok(score_similarity(&[], &[])),
        task => score_texts(task, labels, glue, &[], &[] as &[Vec<f32>]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_task_has_metrics_and_a_primary_one() {
        let labels = Labels::new(["O", "B-A"]).unwrap();
        for (task, glue, primary) in [
            (Task::Classify, None, "accuracy"),
            (Task::Classify, Some(GlueTask::Cola), "matthews_correlation"),
            (Task::NextSentence, None, "accuracy"),
            (Task::Regress, None, "spearmanr"),
            (Task::Regress, Some(GlueTask::Stsb), "combined_score"),
            (Task::MultiLabel, None, "micro_f1"),
            (Task::Tokens, None, "f1"),
            (Task::Qa, None, "f1"),
            (Task::Choice, None, "accuracy"),
            (Task::Similarity, None, "spearmanr"),
        ] {
            assert_eq!(best_metric(task, &labels, glue).unwrap(), primary);
            let names = metric_names(task, &labels, glue).unwrap();
            assert!(names.contains(&primary), "{names:?}");
            let has_loss = task != Task::Similarity;
            assert_eq!(names.contains(&"loss"), has_loss, "{names:?}");
            assert!(!names.contains(&"examples"));
        }
        assert!(smaller_is_better("loss") && !smaller_is_better("f1"));
    }
}
