//! A cross-encoder with all that it takes to ask it.

use std::path::Path;

use bert_core::checkpoint::Checkpoint;
use bert_core::tokenizer::TextInput;
use burn::tensor::Device;

use super::{RankedText, Ranking};
use crate::error::{Error, Result};
use crate::runner::PredictOptions;
use crate::tasks::logits::sigmoid;
use crate::tasks::sequence_classification::{HEAD, ProblemType, TextClassifier, TextPrediction};

/// A cross-encoder: a classifier of pairs of texts with one output.
#[derive(Debug)]
pub struct Reranker {
    classifier: TextClassifier,
}

impl Reranker {
    /// Loads model and tokenizer from a model directory.
    ///
    /// # Errors
    ///
    /// [`Error::NotAReranker`] for a classifier with more than one output, and those of
    /// [`TextClassifier::from_dir`].
    pub fn from_dir(
        dir: impl AsRef<Path>,
        options: &PredictOptions,
        device: &Device,
    ) -> Result<Self> {
        let dir = dir.as_ref();
        let checkpoint = Checkpoint::open(dir)?;
        HEAD.check(&checkpoint)?;
        let outputs = HEAD.outputs(&checkpoint)?;
        if outputs != 1 {
            return Err(Error::NotAReranker {
                dir: dir.to_owned(),
                outputs,
            });
        }
        Ok(Self {
            classifier: TextClassifier::from_dir(dir, options, device)?,
        })
    }

    /// Most tokens of a pair; longer ones are read in windows.
    pub fn max_length(&self) -> usize {
        self.classifier.max_length()
    }

    /// Outputs for the pairs of `query` with each of `texts`, in the order of the texts.
    ///
    /// # Errors
    ///
    /// Those of [`TextClassifier::predict`].
    pub fn predict(&self, query: &str, texts: &[impl AsRef<str>]) -> Result<Vec<TextPrediction>> {
        let pairs = texts
            .iter()
            .map(|text| TextInput::Pair(query, text.as_ref()));
        self.classifier.predict(pairs)
    }

    /// Score of a pair: its output through the activation that the checkpoint names, the sigmoid where
    /// it names none. The number of a regression is its own score.
    pub fn score(&self, prediction: &TextPrediction) -> f32 {
        let score = self.classifier.scored(prediction)[0];
        match self.classifier.problem_type() {
            ProblemType::MultiLabel => sigmoid(score),
            ProblemType::SingleLabel | ProblemType::Regression => score,
        }
    }

    /// The `top_k` of `texts` that go best with `query`, or all of them, by falling score; of equals
    /// the first comes first.
    ///
    /// # Errors
    ///
    /// Those of [`predict`](Self::predict).
    pub fn rank(
        &self,
        query: &str,
        texts: &[impl AsRef<str>],
        top_k: Option<usize>,
    ) -> Result<Vec<RankedText>> {
        let mut ranking = Ranking::new(top_k);
        let predictions = self.predict(query, texts)?;
        for (index, (text, prediction)) in texts.iter().zip(&predictions).enumerate() {
            ranking.add(RankedText {
                index,
                score: self.score(prediction),
                text: text.as_ref().to_owned(),
            });
        }
        Ok(ranking.into_sorted())
    }
}
