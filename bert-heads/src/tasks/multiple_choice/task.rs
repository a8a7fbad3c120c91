//! Multiple choice as a task.

use std::path::Path;

use bert_core::config::BertConfig;
use bert_core::stop::ShouldStop;

use super::{BertForMultipleChoice, ChoiceRows, HEAD, choice_logits, choice_rows, score_choices};
use crate::datasets::ChoiceExample;
use crate::error::Result;
use crate::labels::Labels;
use crate::model_kind::ModelKind;
use crate::task::{Context, Prepared, Reads, Splits, Task, TaskEntry};

/// The right one of several choices.
#[derive(Clone, Copy, Debug)]
pub struct MultipleChoice;

/// The right one of several choices.
pub static CHOICE: TaskEntry = TaskEntry {
    name: "choice",
    model_kind: ModelKind::Choices,
    problem_type: None,
    own_labels: Some(&["score"]),
    named_outputs: false,
    exclusive_classes: false,
    crf: false,
    usual_length: 128,
    reads: Reads::Choices,
    head: Some(&HEAD),
    empty_scores: |_, _| Ok(score_choices(&[], &[])),
};

impl Task for MultipleChoice {
    type Example = ChoiceExample;
    type Held = ChoiceExample;
    type Model = BertForMultipleChoice;

    fn entry(&self) -> &'static TaskEntry {
        &CHOICE
    }

    fn prepare(
        &self,
        data: &Splits<ChoiceExample>,
        context: Context<'_>,
    ) -> Result<Prepared<BertForMultipleChoice>> {
        let Context {
            settings,
            tokenizer,
            featurizer,
            ..
        } = context;
        let (rows, cut) = choice_rows(&data.train, tokenizer, settings.max_length)?;
        let prepared = Prepared::new(rows, cut);
        let Some(validation) = &data.validation else {
            return Ok(prepared);
        };
        let features = ChoiceRows::new(&featurizer, &validation.examples)?;
        let right = validation.right_choices()?;
        let evaluate = move |model: &BertForMultipleChoice, should_stop: ShouldStop<'_>| {
            let logits = choice_logits(model, &featurizer, &features, should_stop)?;
            Ok(score_choices(&right, &logits))
        };
        Ok(prepared.with_evaluation(evaluate))
    }

    fn save(
        &self,
        model: &BertForMultipleChoice,
        dir: &Path,
        config: &BertConfig,
        _labels: &Labels,
    ) -> Result<()> {
        model.save(dir, config)
    }
}
