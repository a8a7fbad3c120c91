//! Next-sentence prediction as a task.

use std::path::Path;

use bert_core::config::BertConfig;

use super::{BertForNextSentencePrediction, HEAD, NEXT_SENTENCE_LABELS};
use crate::datasets::TextExample;
use crate::error::Result;
use crate::labels::Labels;
use crate::model_kind::ModelKind;
use crate::task::{Context, Prepared, Reads, Splits, Task, TaskEntry};
use crate::tasks::sequence_classification::{ProblemType, prepare_texts, score_texts};

/// Does the second of two texts follow the first?
#[derive(Clone, Copy, Debug)]
pub struct NextSentence;

/// Next-sentence prediction.
pub static NEXT_SENTENCE: TaskEntry = TaskEntry {
    name: "next-sentence",
    model_kind: ModelKind::NextSentence,
    problem_type: Some(ProblemType::SingleLabel),
    own_labels: Some(&NEXT_SENTENCE_LABELS),
    named_outputs: true,
    exclusive_classes: true,
    crf: false,
    usual_length: 128,
    reads: Reads::Texts,
    head: Some(&HEAD),
    empty_scores: |labels, _| {
        score_texts::<[f32; 0]>(ProblemType::SingleLabel, labels, None, &[], &[])
    },
};

impl Task for NextSentence {
    type Example = TextExample;
    type Held = TextExample;
    type Model = BertForNextSentencePrediction;

    fn entry(&self) -> &'static TaskEntry {
        &NEXT_SENTENCE
    }

    fn prepare(
        &self,
        data: &Splits<TextExample>,
        context: Context<'_>,
    ) -> Result<Prepared<BertForNextSentencePrediction>> {
        let context = Context {
            glue: None,
            ..context
        };
        prepare_texts(ProblemType::SingleLabel, data, context)
    }

    fn save(
        &self,
        model: &BertForNextSentencePrediction,
        dir: &Path,
        config: &BertConfig,
        _labels: &Labels,
    ) -> Result<()> {
        model.save(dir, config)
    }
}
