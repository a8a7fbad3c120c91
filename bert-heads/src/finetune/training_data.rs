//! Training and evaluation data of a run.

use bert_core::config::BertConfig;
use bert_core::tokenizer::BertTokenizer;

use super::run::question_maker;
use super::settings::Settings;
use crate::datasets::{
    ChoiceExample, Dataset, QuestionExample, SimilarExample, TextExample, TokenExample,
};
use crate::error::Result;

/// Examples of a task, to train on and to choose the best weights by.
#[derive(Clone, Debug)]
pub struct Splits<T, V = T> {
    /// To train on.
    pub train: Dataset<T>,
    /// To choose by.
    pub validation: Option<Dataset<V>>,
}

impl<T, V> Splits<T, V> {
    /// Examples to train on alone.
    pub fn of_train(train: Dataset<T>) -> Self {
        Self {
            train,
            validation: None,
        }
    }
}

/// Training and evaluation data of a run, by kind of example.
#[derive(Clone, Debug)]
pub enum TrainingData {
    /// Texts or pairs of texts.
    Texts(Splits<TextExample>),
    /// Tagged words.
    Tokens(Splits<TokenExample>),
    /// Questions on contexts.
    Questions(Splits<QuestionExample>),
    /// Texts to be compared; to choose by, pairs with a score.
    Similar(Splits<SimilarExample, TextExample>),
    /// Questions with choices.
    Choices(Splits<ChoiceExample>),
}

impl TrainingData {
    /// How many examples there are to train on.
    pub fn train_examples(&self) -> usize {
        match self {
            Self::Texts(split) => split.train.examples.len(),
            Self::Tokens(split) => split.train.examples.len(),
            Self::Questions(split) => split.train.examples.len(),
            Self::Similar(split) => split.train.examples.len(),
            Self::Choices(split) => split.train.examples.len(),
        }
    }

    /// How many rows a pass over them has: the windows of all contexts for questions, else as many
    /// as there are examples.
    ///
    /// # Errors
    ///
    /// Those of [`QuestionMaker::new`](crate::tasks::question_answering::QuestionMaker::new) and of the tokenizer.
    pub fn train_rows(
        &self,
        settings: &Settings,
        tokenizer: &BertTokenizer,
        config: &BertConfig,
    ) -> Result<usize> {
        let Self::Questions(Splits { train, .. }) = self else {
            return Ok(self.train_examples());
        };
        let maker = question_maker(settings, settings.row_maker(tokenizer, config)?)?;
        Ok(maker.questions(&train.examples)?.rows.len())
    }
}
