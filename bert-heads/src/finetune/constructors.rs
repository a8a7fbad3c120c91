//! Training data of the tasks, a line each.

use super::data::TrainingData;
use crate::datasets::{ChoiceExample, QuestionExample, SimilarExample, TextExample, TokenExample};
use crate::error::{Error, Result};
use crate::task::{Splits, TaskEntry};
use crate::tasks::multiple_choice::{CHOICE, MultipleChoice};
use crate::tasks::next_sentence::{NEXT_SENTENCE, NextSentence};
use crate::tasks::question_answering::{QA, QuestionAnswering};
use crate::tasks::sequence_classification::{
    CLASSIFY, MULTI_LABEL, ProblemType, REGRESS, SequenceClassification,
};
use crate::tasks::similarity::{SIMILARITY, Similarity};
use crate::tasks::token_classification::{TOKENS, TokenClassification};

/// Constructor of a task's training data from examples of the kind that it reads.
#[derive(Clone, Copy, Debug)]
pub enum DataConstructor {
    /// Texts or pairs of texts.
    Texts(fn(Splits<TextExample>) -> TrainingData),
    /// Tagged words.
    Words(fn(Splits<TokenExample>) -> TrainingData),
    /// Questions on contexts.
    Questions(fn(Splits<QuestionExample>) -> TrainingData),
    /// Questions with choices.
    Choices(fn(Splits<ChoiceExample>) -> TrainingData),
    /// Texts to be compared; to choose by, pairs with a score.
    Similar(fn(Splits<SimilarExample, TextExample>) -> TrainingData),
}

/// Constructors of all tasks.
static CONSTRUCTORS: [(&TaskEntry, DataConstructor); 8] = [
    (
        &CLASSIFY,
        DataConstructor::Texts(|splits| {
            TrainingData::new(SequenceClassification::of(ProblemType::SingleLabel), splits)
        }),
    ),
    (
        &NEXT_SENTENCE,
        DataConstructor::Texts(|splits| TrainingData::new(NextSentence, splits)),
    ),
    (
        &MULTI_LABEL,
        DataConstructor::Texts(|splits| {
            TrainingData::new(SequenceClassification::of(ProblemType::MultiLabel), splits)
        }),
    ),
    (
        &REGRESS,
        DataConstructor::Texts(|splits| {
            TrainingData::new(SequenceClassification::of(ProblemType::Regression), splits)
        }),
    ),
    (
        &TOKENS,
        DataConstructor::Words(|splits| TrainingData::new(TokenClassification, splits)),
    ),
    (
        &QA,
        DataConstructor::Questions(|splits| TrainingData::new(QuestionAnswering, splits)),
    ),
    (
        &CHOICE,
        DataConstructor::Choices(|splits| TrainingData::new(MultipleChoice, splits)),
    ),
    (
        &SIMILARITY,
        DataConstructor::Similar(|splits| TrainingData::new(Similarity, splits)),
    ),
];

impl DataConstructor {
    /// Constructor of the training data of `task`.
    ///
    /// # Errors
    ///
    /// [`Error::UnknownChoice`] for a task without a line here.
    pub fn of(task: &TaskEntry) -> Result<Self> {
        let mut all = CONSTRUCTORS.into_iter();
        all.find(|(known, _)| *known == task)
            .map(|(_, constructor)| constructor)
            .ok_or_else(|| Error::UnknownChoice {
                what: "task to train",
                name: task.name.to_owned(),
                known: CONSTRUCTORS.map(|(task, _)| task.name).join(", "),
            })
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;
    use crate::datasets::Dataset;
    use crate::task::Reads;
    use crate::tasks::TASKS;

    fn none<T>() -> Dataset<T> {
        Dataset {
            path: PathBuf::new(),
            examples: Vec::new(),
        }
    }

    #[test]
    fn every_task_makes_data_of_the_examples_that_it_reads() {
        for task in TASKS {
            let (reads, data) = match DataConstructor::of(task).unwrap() {
                DataConstructor::Texts(new) => (Reads::Texts, new(Splits::of_train(none()))),
                DataConstructor::Words(new) => (Reads::Words, new(Splits::of_train(none()))),
                DataConstructor::Questions(new) => {
                    (Reads::Questions, new(Splits::of_train(none())))
                }
                DataConstructor::Choices(new) => (Reads::Choices, new(Splits::of_train(none()))),
                DataConstructor::Similar(new) => (Reads::Similar, new(Splits::of_train(none()))),
            };
            assert_eq!((data.task(), reads), (task, task.reads));
        }
    }
}
