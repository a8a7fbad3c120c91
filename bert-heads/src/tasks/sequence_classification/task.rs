//! Classification and regression of texts as tasks.

use std::path::Path;

use bert_core::config::BertConfig;
use bert_core::stop::ShouldStop;

use super::{
    BertForSequenceClassification, HEAD, ProblemType, TextTargets, score_texts, text_rows,
};
use crate::datasets::TextExample;
use crate::error::Result;
use crate::labels::Labels;
use crate::model_kind::ModelKind;
use crate::runner::text_logits;
use crate::task::{Context, Prepared, Reads, Splits, Task, TaskEntry, TaskModel};

/// Classes, sets of labels or numbers for texts or pairs of texts.
#[derive(Clone, Copy, Debug)]
pub struct SequenceClassification {
    /// Problem type of the outputs.
    pub problem_type: ProblemType,
}

/// Common facts of the tasks on texts, with those of classification.
const CLASSES: TaskEntry = TaskEntry {
    name: "classify",
    model_kind: ModelKind::Texts,
    problem_type: Some(ProblemType::SingleLabel),
    own_labels: None,
    named_outputs: true,
    exclusive_classes: true,
    crf: false,
    usual_length: 128,
    reads: Reads::Texts,
    head: Some(&HEAD),
    empty_scores: |labels, glue| {
        score_texts::<[f32; 0]>(ProblemType::SingleLabel, labels, glue, &[], &[])
    },
};

/// One class per text or pair of texts.
pub static CLASSIFY: TaskEntry = CLASSES;

/// Any number of labels per text or pair of texts.
pub static MULTI_LABEL: TaskEntry = TaskEntry {
    name: "multi-label",
    problem_type: Some(ProblemType::MultiLabel),
    exclusive_classes: false,
    reads: Reads::Texts,
    empty_scores: |labels, glue| {
        score_texts::<[f32; 0]>(ProblemType::MultiLabel, labels, glue, &[], &[])
    },
    ..CLASSES
};

/// A number per text or pair of texts.
pub static REGRESS: TaskEntry = TaskEntry {
    name: "regress",
    problem_type: Some(ProblemType::Regression),
    own_labels: Some(&["LABEL_0"]),
    named_outputs: false,
    exclusive_classes: false,
    reads: Reads::Texts,
    empty_scores: |labels, glue| {
        score_texts::<[f32; 0]>(ProblemType::Regression, labels, glue, &[], &[])
    },
    ..CLASSES
};

impl SequenceClassification {
    /// The task with outputs of a problem type.
    pub const fn of(problem_type: ProblemType) -> Self {
        Self { problem_type }
    }
}

impl ProblemType {
    /// Entry of the task that a classifier of texts was trained for.
    pub fn task(self) -> &'static TaskEntry {
        match self {
            Self::SingleLabel => &CLASSIFY,
            Self::MultiLabel => &MULTI_LABEL,
            Self::Regression => &REGRESS,
        }
    }

    /// The problem type of a head with `count` outputs: that of `task` where it has one, else the
    /// configuration's.
    ///
    /// # Errors
    ///
    /// [`Error::Core`] naming `problem_type`.
    pub(crate) fn overruled(
        task: Option<&TaskEntry>,
        config: &BertConfig,
        count: usize,
    ) -> Result<Self> {
        match task.and_then(|task| task.problem_type) {
            None => Self::of_outputs(config, count),
            // A class of one is none: it is the score of a cross-encoder.
            Some(Self::SingleLabel) if count == 1 => Ok(Self::Regression),
            Some(problem_type) => problem_type.check(count),
        }
    }
}

impl Task for SequenceClassification {
    type Example = TextExample;
    type Held = TextExample;
    type Model = BertForSequenceClassification;

    fn entry(&self) -> &'static TaskEntry {
        self.problem_type.task()
    }

    fn prepare(
        &self,
        data: &Splits<TextExample>,
        context: Context<'_>,
    ) -> Result<Prepared<BertForSequenceClassification>> {
        prepare_texts(self.problem_type, data, context)
    }

    fn save(
        &self,
        model: &BertForSequenceClassification,
        dir: &Path,
        config: &BertConfig,
        labels: &Labels,
    ) -> Result<()> {
        model.save(dir, config, labels, self.problem_type)
    }
}

/// Rows and evaluation of a model with outputs for whole texts.
pub(crate) fn prepare_texts<M: TaskModel<Targets = TextTargets>>(
    problem_type: ProblemType,
    data: &Splits<TextExample>,
    context: Context<'_>,
) -> Result<Prepared<M>> {
    let Context {
        settings,
        labels,
        tokenizer,
        featurizer,
        glue,
        ..
    } = context;
    let length = settings.max_length;
    let (rows, cut) = text_rows(&data.train, problem_type, labels, tokenizer, length)?;
    let prepared = Prepared::new(rows, cut);
    let Some(validation) = &data.validation else {
        return Ok(prepared);
    };
    let features = featurizer.texts(validation.inputs())?;
    let gold = validation.targets(problem_type, labels)?;
    let labels = labels.clone();
    Ok(
        prepared.with_evaluation(move |model: &M, should_stop: ShouldStop<'_>| {
            let logits = text_logits(model, &featurizer, &features, should_stop)?;
            score_texts(problem_type, &labels, glue, &gold, &logits)
        }),
    )
}
