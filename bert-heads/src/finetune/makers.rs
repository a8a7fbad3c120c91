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

/// Maker of a task's training data from examples of the kind that it reads.
#[derive(Clone, Copy, Debug)]
pub enum DataMaker {
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

/// Makers of all tasks.
static MAKERS: [(&TaskEntry, DataMaker); 8] = [
    (
        &CLASSIFY,
        DataMaker::Texts(|splits| {
            TrainingData::new(SequenceClassification::of(ProblemType::SingleLabel), splits)
        }),
    ),
    (
        &NEXT_SENTENCE,
        DataMaker::Texts(|splits| TrainingData::new(NextSentence, splits)),
    ),
    (
        &MULTI_LABEL,
        DataMaker::Texts(|splits| {
            TrainingData::new(SequenceClassification::of(ProblemType::MultiLabel), splits)
        }),
    ),
    (
        &REGRESS,
        DataMaker::Texts(|splits| {
            TrainingData::new(SequenceClassification::of(ProblemType::Regression), splits)
        }),
    ),
    (
        &TOKENS,
        DataMaker::Words(|splits| TrainingData::new(TokenClassification, splits)),
    ),
    (
        &QA,
        DataMaker::Questions(|splits| TrainingData::new(QuestionAnswering, splits)),
    ),
    (
        &CHOICE,
        DataMaker::Choices(|splits| TrainingData::new(MultipleChoice, splits)),
    ),
    (
        &SIMILARITY,
        DataMaker::Similar(|splits| TrainingData::new(Similarity, splits)),
    ),
];

impl DataMaker {
    /// Maker of the training data of `task`.
    ///
    /// # Errors
    ///
    /// [`Error::UnknownChoice`] for a task without a line here.
    pub fn of(task: &TaskEntry) -> Result<Self> {
        let mut all = MAKERS.into_iter();
        all.find(|(known, _)| *known == task)
            .map(|(_, maker)| maker)
            .ok_or_else(|| Error::UnknownChoice {
                what: "task to train",
                name: task.name.to_owned(),
                known: MAKERS.map(|(task, _)| task.name).join(", "),
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
            let (reads, data) = match DataMaker::of(task).unwrap() {
                DataMaker::Texts(make) => (Reads::Texts, make(Splits::of_train(none()))),
                DataMaker::Words(make) => (Reads::Words, make(Splits::of_train(none()))),
                DataMaker::Questions(make) => (Reads::Questions, make(Splits::of_train(none()))),
                DataMaker::Choices(make) => (Reads::Choices, make(Splits::of_train(none()))),
                DataMaker::Similar(make) => (Reads::Similar, make(Splits::of_train(none()))),
            };
            assert_eq!((data.task(), reads), (task, task.reads));
        }
    }
}
