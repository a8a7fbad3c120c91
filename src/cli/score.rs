//! `bert evaluate --task`: the metrics of a file of predictions, without a model.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use bert_heads::datasets::Part;
use bert_heads::metrics::Scores;
use bert_heads::scoring::{
    AnswerFiles, score_answer_file, score_choice_file, score_tag_file, score_text_file,
};
use bert_heads::task::Reads;
use bert_heads::tasks::sequence_classification::REGRESS;

use super::data::DataArgs;
use super::model::ModelArgs;
use super::task::ModelTask;

/// The options that belong to files of predictions, with which a model has the task in common.
#[derive(clap::Args)]
pub(crate) struct ScoreArgs {
    /// Task of the model, in place of what its files say. Without --model, what the file
    /// of --predictions to score is about: JSON lines as `bert predict` writes them or a line per
    /// example; for tokens JSON lines or columns; for qa also SQuAD's JSON of answers by id
    #[arg(long, value_enum)]
    task: Option<ModelTask>,
    /// JSON of numbers by id, how sure the model is that a question has no answer (for --task qa)
    #[arg(long, value_name = "FILE", requires = "task", conflicts_with = "model")]
    na_probs: Option<PathBuf>,
    /// Above which of --na-probs there is taken to be no answer
    #[arg(long, value_name = "X", default_value_t = 1.0, requires = "na_probs")]
    na_prob_thresh: f64,
}

impl ScoreArgs {
    pub(crate) fn task(&self) -> Option<ModelTask> {
        self.task
    }

    /// The metrics of the predictions in the file `predictions` for the examples in `data`.
    pub(crate) fn score(
        &self,
        task: ModelTask,
        format: &DataArgs,
        data: &Path,
        part: Part,
        predictions: Option<&Path>,
        model: &ModelArgs,
    ) -> Result<Scores> {
        let predictions = predictions.context("--predictions FILE is needed, or --model")?;
        let task = task.task();
        let is_of_questions = task.reads == Reads::Questions;
        if let Some(option) = model.questions().given().filter(|_| !is_of_questions) {
            bail!("{option} is for questions");
        }
        if !task.named_outputs && model.labels()?.is_some() {
            bail!("--labels: the predictions of this task have no names");
        }
        match task.reads {
            Reads::Questions => {
                let data = format.answers(data, part)?;
                let files = AnswerFiles {
                    answers: predictions.to_owned(),
                    no_answer: self.na_probs.clone(),
                    no_answer_threshold: self.na_prob_thresh,
                    language: model.questions().answers_language,
                };
                return Ok(score_answer_file(&data.examples, &files)?);
            }
            Reads::Choices => {
                let data = format.right_choices(data, part)?;
                return Ok(score_choice_file(&data, predictions)?);
            }
            Reads::Texts | Reads::Words | Reads::Similar => {}
        }
        let labels = match model.labels()? {
            Some(labels) => Some(labels),
            None => format.labels()?.or(format.flag_labels(task)?),
        };
        if task.reads == Reads::Words {
            let data = format.tokens(data, part, labels.as_ref())?;
            return Ok(score_tag_file(&data, labels.as_ref(), predictions)?);
        }
        let of = match task.reads {
            Reads::Similar => &REGRESS,
            _ => task,
        };
        let data = format.targets(data, part, of, labels.as_ref())?;
        let glue = format.glue()?;
        Ok(score_text_file(
            task,
            &data,
            labels.as_ref(),
            glue,
            predictions,
        )?)
    }
}
