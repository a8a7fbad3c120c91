//! The tasks that models are fine-tuned for.

mod batch;
mod model;

use std::fmt::{self, Display, Formatter};
use std::str::FromStr;

use serde::{Deserialize, Serialize};

pub use batch::{LabelledBatch, LabelledRow, Targets};

pub(crate) use batch::weight_of_classes;
pub(crate) use model::{
    BatchLoss, NEVER, TaskModel, floats, hits, ints, share, trained_by_loss, values,
};

use crate::error::{Error, Result};
use crate::model_kind::ModelKind;
use crate::tasks::next_sentence::NEXT_SENTENCE_LABELS;
use crate::tasks::sequence_classification::ProblemType;

/// Fine-tuning task.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Task {
    /// One class per text or pair of texts.
    Classify,
    /// Next-sentence prediction: does the second of two texts follow the first?
    NextSentence,
    /// Any number of labels per text or pair of texts.
    MultiLabel,
    /// A number per text or pair of texts.
    Regress,
    /// A label per word.
    Tokens,
    /// The stretch of a context that answers a question.
    Qa,
    /// The right one of several choices.
    Choice,
    /// Vectors of texts whose cosine says how alike they are.
    Similarity,
}

impl Task {
    /// Problem type of this task's sequence classifier; [`ProblemType::SingleLabel`] for the tasks that
    /// have no such classifier.
    pub const fn problem_type(self) -> ProblemType {
        match self {
            Self::Classify
            | Self::NextSentence
            | Self::Tokens
            | Self::Qa
            | Self::Choice
            | Self::Similarity => ProblemType::SingleLabel,
            Self::MultiLabel => ProblemType::MultiLabel,
            Self::Regress => ProblemType::Regression,
        }
    }

    /// The task on texts that a classifier was trained for.
    pub const fn of(problem_type: ProblemType) -> Self {
        match problem_type {
            ProblemType::SingleLabel => Self::Classify,
            ProblemType::MultiLabel => Self::MultiLabel,
            ProblemType::Regression => Self::Regress,
        }
    }

    /// The kind of model that is trained for it.
    pub const fn model_kind(self) -> ModelKind {
        match self {
            Self::Classify | Self::MultiLabel | Self::Regress => ModelKind::Texts,
            Self::NextSentence => ModelKind::NextSentence,
            Self::Tokens => ModelKind::Tokens,
            Self::Qa => ModelKind::Questions,
            Self::Choice => ModelKind::Choices,
            Self::Similarity => ModelKind::Sentences,
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Classify => "classify",
            Self::NextSentence => "next-sentence",
            Self::MultiLabel => "multi-label",
            Self::Regress => "regress",
            Self::Tokens => "tokens",
            Self::Qa => "qa",
            Self::Choice => "choice",
            Self::Similarity => "similarity",
        }
    }

    /// The names of the outputs of tasks in which data have no say in them.
    pub const fn own_labels(self) -> Option<&'static [&'static str]> {
        match self {
            Self::Classify | Self::MultiLabel | Self::Tokens => None,
            Self::NextSentence => Some(&NEXT_SENTENCE_LABELS),
            Self::Regress => Some(&["LABEL_0"]),
            Self::Qa => Some(&["start", "end"]),
            Self::Choice => Some(&["score"]),
            Self::Similarity => Some(&["similarity"]),
        }
    }
}

impl Display for Task {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Task {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        const ALL: [Task; 8] = [
            Task::Classify,
            Task::NextSentence,
            Task::MultiLabel,
            Task::Regress,
            Task::Tokens,
            Task::Qa,
            Task::Choice,
            Task::Similarity,
        ];
        ALL.into_iter()
            .find(|task| task.name() == name)
            .ok_or_else(|| Error::UnknownChoice {
                what: "task",
                name: name.to_owned(),
                known: ALL.map(Task::name).join(", "),
            })
    }
}
