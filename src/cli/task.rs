//! The tasks of the registry by the names that options have for them.

use std::sync::LazyLock;

use bert_heads::model_kind::ModelKind;
use bert_heads::task::TaskEntry;
use bert_heads::tasks::TASKS;
use bert_heads::tasks::sequence_classification::{CLASSIFY, MULTI_LABEL};
use clap::ValueEnum;
use clap::builder::PossibleValue;

/// Task that a model was trained for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ModelTask {
    name: &'static str,
    task: &'static TaskEntry,
}

/// Task to train for; several labels per text are an option of its own.
#[derive(Clone, Copy, Debug)]
pub(crate) struct TrainedTask(ModelTask);

/// The registry, with the name that classification of pairs has besides.
static MODEL_TASKS: LazyLock<Vec<ModelTask>> = LazyLock::new(|| {
    let own = TASKS.map(|task| ModelTask {
        name: task.name,
        task,
    });
    let mut all = own.to_vec();
    let pair = ModelTask {
        name: PAIR,
        task: &CLASSIFY,
    };
    all.insert(1, pair);
    all
});

static TRAINED_TASKS: LazyLock<Vec<TrainedTask>> = LazyLock::new(|| {
    let all = MODEL_TASKS.iter().copied();
    let trained = all.filter(|choice| *choice.task != MULTI_LABEL);
    trained.map(TrainedTask).collect()
});

/// Name of classification where every example is a pair of texts.
const PAIR: &str = "pair";

impl ModelTask {
    pub(crate) const fn task(self) -> &'static TaskEntry {
        self.task
    }
}

impl TrainedTask {
    pub(crate) const fn name(self) -> &'static str {
        self.0.name
    }

    pub(crate) const fn task(self) -> &'static TaskEntry {
        self.0.task
    }

    /// True if every example is a pair of texts.
    pub(crate) fn needs_pairs(self) -> bool {
        self.0.name == PAIR || self.0.task.model_kind == ModelKind::NextSentence
    }
}

impl ValueEnum for ModelTask {
    fn value_variants<'a>() -> &'a [Self] {
        &MODEL_TASKS
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        Some(PossibleValue::new(self.name))
    }
}

impl ValueEnum for TrainedTask {
    fn value_variants<'a>() -> &'a [Self] {
        &TRAINED_TASKS
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        Some(PossibleValue::new(self.0.name))
    }
}

/// Subject of a model of a kind, for a message.
pub(crate) const fn about(kind: ModelKind) -> &'static str {
    match kind {
        ModelKind::Texts => "texts",
        ModelKind::NextSentence => "the order of two texts",
        ModelKind::Tokens => "words",
        ModelKind::Questions => "questions on a context",
        ModelKind::Choices => "choices",
        ModelKind::Sentences => "vectors of texts",
        ModelKind::ReplacedTokens => "replaced tokens",
    }
}
