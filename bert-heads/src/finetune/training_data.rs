//! What a run is trained and evaluated on.

use bert_core::config::BertConfig;
use bert_core::tokenizer::BertTokenizer;

use super::dataset::Dataset;
use super::run::question_maker;
use super::settings::Settings;
use crate::datasets::{ChoiceExample, QuestionExample, SimilarExample, TextExample, TokenExample};
use crate::error::Result;

/// What is trained and evaluated on.
#[derive(Clone, Debug)]
pub enum TrainingData {
    /// Texts or pairs of texts.
    Texts {
        /// To train on.
        train: Dataset<TextExample>,
        /// To choose by.
        validation: Option<Dataset<TextExample>>,
    },
    /// Tagged words.
    Tokens {
        /// To train on.
        train: Dataset<TokenExample>,
        /// To choose by.
        validation: Option<Dataset<TokenExample>>,
    },
    /// Questions on contexts.
    Questions {
        /// To train on.
        train: Dataset<QuestionExample>,
        /// To choose by.
        validation: Option<Dataset<QuestionExample>>,
    },
    /// Texts to be compared; to choose by, pairs with a score.
    Similar {
        /// To train on.
        train: Dataset<SimilarExample>,
        /// To choose by.
        validation: Option<Dataset<TextExample>>,
    },
    /// Questions with choices.
    Choices {
        /// To train on.
        train: Dataset<ChoiceExample>,
        /// To choose by.
        validation: Option<Dataset<ChoiceExample>>,
    },
}

impl TrainingData {
    /// How many examples there are to train on.
    pub fn train_examples(&self) -> usize {
        match self {
            Self::Texts { train, .. } => train.examples.len(),
            Self::Tokens { train, .. } => train.examples.len(),
            Self::Questions { train, .. } => train.examples.len(),
            Self::Choices { train, .. } => train.examples.len(),
            Self::Similar { train, .. } => train.examples.len(),
        }
    }

    /// How many rows a pass over them has: the windows of all contexts for questions, else as many
    /// as there are examples.
    ///
    /// # Errors
    ///
    /// Those of [`QuestionMaker::new`](crate::predict::QuestionMaker::new) and of the tokenizer.
    pub fn train_rows(
        &self,
        settings: &Settings,
        tokenizer: &BertTokenizer,
        config: &BertConfig,
    ) -> Result<usize> {
        let Self::Questions { train, .. } = self else {
            return Ok(self.train_examples());
        };
        let maker = question_maker(settings, settings.row_maker(tokenizer, config)?)?;
        Ok(maker.questions(&train.examples)?.rows.len())
    }
}
