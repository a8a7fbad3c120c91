//! Predictions of fine-tuned models for texts: classes, numbers, entities, for streams of any length.
//!
//! | task | here | gives |
//! | --- | --- | --- |
//! | texts, pairs of texts | [`TextClassifier`] | [`TextPrediction`] |
//! | words | [`TokenTagger`] | [`WordTag`], [`FoundEntity`] |
//! | choices | [`ChoicePicker`] | [`Choice`] |
//! | questions on a context | [`QuestionAnswerer`] | [`FoundAnswer`] |
//!
//! A text that is longer than the model reads is read in overlapping [windows](RowMaker), never cut:
//! the logits of a text are the mean of those of its windows, or the highest ([`LongTexts`]), and a
//! word's are those of the window in which it has most context.

use bert_core::checkpoint::Checkpoint;
use bert_core::inference::{Weights, prepare};
use burn::module::Module;

use crate::error::{Error, Result};
use crate::finetune::Task;
use crate::labels::Labels;

mod choices;
mod classify;
mod evaluate;
mod long_texts;
mod questions;
mod rows;
mod similarity;
mod stream;
mod tag;

pub use choices::{Choice, ChoicePicker};
pub use classify::{Answer, TextClassifier, TextPrediction};
pub use long_texts::LongTexts;
pub use questions::{
    AnswerCandidate, FoundAnswer, QuestionAnswerer, QuestionMaker, QuestionOptions, QuestionRows,
    QuestionSettings,
};
pub use rows::{Row, RowMaker, TextRows, WordRows};
pub use stream::{WINDOW_TEXTS, in_windows};
pub use tag::{FoundEntity, TaggedText, TaggedWord, TokenTagger, WordTag};

pub(crate) use choices::{ChoiceRows, choice_logits, score_choices};
pub(crate) use classify::{argmax, sigmoid, softmax, text_logits};
pub(crate) use evaluate::{gold_tags, score_texts, score_tokens, tag_metrics, text_metrics};
pub(crate) use questions::{
    QuestionEvaluation, answers_language, best_null_threshold, naming, score_questions,
};
pub(crate) use rows::RowModel;
pub(crate) use similarity::{row_similarities, score_similarity};
pub(crate) use tag::{TextWord, word_logits, words};

/// Facts about a model that overrule its files.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Overrule {
    /// The task of its head, in place of the class in `architectures` and of `problem_type`.
    pub task: Option<Task>,
    /// The names of its outputs, in place of `id2label`.
    pub labels: Option<Labels>,
}

impl Overrule {
    /// The names of a head's outputs: those given, as many as it has, else those of its configuration.
    pub(crate) fn labels(&self, checkpoint: &Checkpoint, outputs: usize) -> Result<Labels> {
        match &self.labels {
            None => Labels::of_head(checkpoint, outputs),
            Some(labels) if labels.count() == outputs => Ok(labels.clone()),
            Some(labels) => Err(Error::LabelNames {
                labels: labels.count(),
                outputs,
            }),
        }
    }
}

/// How a model is run over texts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PredictOptions {
    /// Most tokens of a row, special tokens included; by default as many as the model has positions.
    pub max_length: Option<usize>,
    /// Tokens that neighbouring windows of a long text share at least; by default a quarter of the
    /// maximal length.
    pub overlap: Option<usize>,
    /// How the outputs of a long text are made of those of its windows.
    pub long_texts: LongTexts,
    /// Most tokens of a batch, padding included.
    pub batch_tokens: usize,
    /// How the weights of the encoder are held.
    pub weights: Weights,
}

impl Default for PredictOptions {
    fn default() -> Self {
        Self {
            max_length: None,
            overlap: None,
            long_texts: LongTexts::default(),
            batch_tokens: crate::sentence_embedding::BATCH_TOKENS,
            weights: Weights::default(),
        }
    }
}

impl PredictOptions {
    /// A loaded model as these options want its weights held.
    fn hold<M: Module>(&self, model: M) -> Result<M> {
        Ok(prepare(model, self.weights)?)
    }
}
