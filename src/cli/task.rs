//! The tasks of models by the names that options have for them.

use bert_heads::finetune::Task;
use bert_heads::model_kind::ModelKind;
use clap::ValueEnum;

/// Task that a model was trained for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum ModelTask {
    Classify,
    Pair,
    NextSentence,
    MultiLabel,
    Regress,
    Tokens,
    Qa,
    Choice,
    Similarity,
}

impl ModelTask {
    pub(crate) const fn task(self) -> Task {
        match self {
            Self::Classify | Self::Pair => Task::Classify,
            Self::NextSentence => Task::NextSentence,
            Self::MultiLabel => Task::MultiLabel,
            Self::Regress => Task::Regress,
            Self::Tokens => Task::Tokens,
            Self::Qa => Task::Qa,
            Self::Choice => Task::Choice,
            Self::Similarity => Task::Similarity,
        }
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
    }
}
