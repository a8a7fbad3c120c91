//! Tasks of a demonstration, and the weights that they start from.

use bert_heads::finetune::TrainingData;
use bert_heads::labels::Labels;
use bert_heads::task::Splits;
use bert_heads::tasks::question_answering::QuestionAnswering;
use bert_heads::tasks::sequence_classification::{ProblemType, SequenceClassification};
use bert_heads::tasks::token_classification::TokenClassification;
use serde::Serialize;

use super::error::Result;
use super::files::Texts;
use super::text::Mood;

/// Initial weights of a model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// The pretrained weights.
    Pretrained,
    /// Random weights.
    Scratch,
}

/// Task that is learnt from labels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Subject {
    /// Praise or blame.
    Reviews,
    /// Named entities: people, cities and companies.
    Names,
    /// Which words of a passage answer a question.
    Questions,
}

impl Subject {
    /// In the order in which they are learnt.
    pub const ALL: [Self; 3] = [Self::Reviews, Self::Names, Self::Questions];

    /// The name of its models and files.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Reviews => "reviews",
            Self::Names => "names",
            Self::Questions => "questions",
        }
    }

    /// The task and its metric, for people.
    pub const fn described(self) -> [&'static str; 2] {
        match self {
            Self::Reviews => ["tell praise from blame", "accuracy"],
            Self::Names => ["find names", "entity F1"],
            Self::Questions => ["answer questions", "exact match"],
        }
    }

    pub(super) fn labels(self) -> Result<Labels> {
        Ok(match self {
            Self::Reviews => Labels::new(Mood::ALL.map(Mood::label))?,
            Self::Names => {
                Labels::new(["O", "B-LOC", "I-LOC", "B-ORG", "I-ORG", "B-PER", "I-PER"])?
            }
            Self::Questions => Labels::new(["start", "end"])?,
        })
    }

    pub(super) fn data(self, texts: &Texts) -> TrainingData {
        match self {
            Self::Reviews => TrainingData::new(
                SequenceClassification::of(ProblemType::SingleLabel),
                Splits::of_train(texts.reviews[0].clone()),
            ),
            Self::Names => TrainingData::new(
                TokenClassification,
                Splits::of_train(texts.names[0].clone()),
            ),
            Self::Questions => TrainingData::new(
                QuestionAnswering,
                Splits::of_train(texts.questions[0].clone()),
            ),
        }
    }
}
