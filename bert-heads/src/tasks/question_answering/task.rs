//! Answers in a context as a task.

use std::cell::Cell;
use std::path::Path;
use std::rc::Rc;

use bert_core::config::BertConfig;
use bert_core::stop::ShouldStop;

use super::{
    BertForQuestionAnswering, HEAD, QuestionEvaluation, QuestionFeaturizer, QuestionSettings,
    best_null_threshold, question_rows, score_questions,
};
use crate::datasets::QuestionExample;
use crate::error::Result;
use crate::labels::Labels;
use crate::metrics::Scores;
use crate::model_kind::ModelKind;
use crate::task::{Context, Prepared, Reads, Splits, Task, TaskEntry};

/// The stretch of a context that answers a question.
#[derive(Clone, Copy, Debug)]
pub struct QuestionAnswering;

/// The stretch of a context that answers a question.
pub static QA: TaskEntry = TaskEntry {
    name: "qa",
    model_kind: ModelKind::Questions,
    problem_type: None,
    own_labels: Some(&["start", "end"]),
    named_outputs: false,
    exclusive_classes: false,
    crf: false,
    usual_length: 384,
    reads: Reads::Questions,
    head: Some(&HEAD),
    // The names that an evaluation has for both versions of SQuAD.
    empty_scores: |_, _| {
        Ok(Scores::new("f1")
            .with_value("f1", None)
            .with_value("exact_match", None)
            .with_value("loss", None))
    },
};

impl Task for QuestionAnswering {
    type Example = QuestionExample;
    type Held = QuestionExample;
    type Model = BertForQuestionAnswering;

    fn entry(&self) -> &'static TaskEntry {
        &QA
    }

    /// The threshold for "no answer" is searched in every evaluation and kept with the weights.
    fn prepare(
        &self,
        data: &Splits<QuestionExample>,
        context: Context<'_>,
    ) -> Result<Prepared<BertForQuestionAnswering>> {
        let Context {
            settings,
            featurizer,
            ..
        } = context;
        let usual = QuestionSettings::usual(settings.max_length);
        let featurizer = QuestionFeaturizer::new(featurizer, settings.questions.unwrap_or(usual))?;
        let mut questions = data.train.examples.iter();
        let has_unanswerable = questions.any(|example| example.is_impossible);
        let stated = featurizer.settings().null_threshold;
        let threshold = Rc::new(Cell::new(stated.or(has_unanswerable.then_some(0.0))));
        let answers = *featurizer.settings();
        let with_threshold = move |threshold: &Cell<Option<f64>>| QuestionSettings {
            null_threshold: threshold.get(),
            ..answers
        };
        let mut prepared = Prepared::new(question_rows(&data.train, &featurizer)?, 0);
        let kept = Rc::clone(&threshold);
        prepared.files = Box::new(move |dir| with_threshold(&kept).save(dir));
        let Some(validation) = &data.validation else {
            return Ok(prepared);
        };
        let evaluation = QuestionEvaluation::new(&featurizer, validation.examples.clone())?;
        let evaluate = move |model: &BertForQuestionAnswering, should_stop: ShouldStop<'_>| {
            let (answers, loss) = evaluation.ask(model, &featurizer, should_stop)?;
            let questions = evaluation.questions();
            if has_unanswerable {
                let best = best_null_threshold(questions, &answers, featurizer.settings())?;
                threshold.set(Some(best));
            }
            let scores = score_questions(questions, &answers, &with_threshold(&threshold))?;
            // As version 1 calls it, so that one name chooses the best model for both versions.
            let exact = scores.get("exact_match").or(scores.get("exact"));
            Ok(scores
                .with_value("exact_match", exact)
                .with_value("loss", loss))
        };
        Ok(prepared.with_evaluation(evaluate))
    }

    fn save(
        &self,
        model: &BertForQuestionAnswering,
        dir: &Path,
        config: &BertConfig,
        _labels: &Labels,
    ) -> Result<()> {
        model.save(dir, config)
    }
}
