//! Settings of training.

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::sentence_embedding::{Pooling, Poolings};

/// Settings of the vectors of texts and of their loss.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SimilaritySettings {
    /// Loss to minimise.
    pub loss: SimilarityLoss,
    /// Pooling of token vectors.
    pub pooling: Poolings,
    /// True if the saved model normalises its vectors to length 1; training is the same either way.
    pub normalize: bool,
    /// Factor on the cosines before the softmax of [`SimilarityLoss::Ranking`].
    pub scale: f64,
    /// The scores that stand for the cosines 0 and 1.
    pub scores: [f64; 2],
}

/// Loss that sentence embeddings are trained with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SimilarityLoss {
    /// [`cosine_similarity_loss`](crate::tasks::similarity::cosine_similarity_loss) of pairs with scores.
    Cosine,
    /// [`multiple_negatives_ranking_loss`](super::multiple_negatives_ranking_loss) of texts
    /// and what is like them: the larger the batch, the more negatives.
    Ranking,
}

impl Default for SimilaritySettings {
    fn default() -> Self {
        Self {
            loss: SimilarityLoss::Cosine,
            pooling: Poolings::default(),
            normalize: false,
            scale: 20.0,
            scores: [0.0, 1.0],
        }
    }
}

impl SimilaritySettings {
    /// The cosine that a score stands for.
    pub fn cosine(&self, score: f64) -> f64 {
        let [low, high] = self.scores;
        (score - low) / (high - low)
    }

    pub(crate) fn check(&self) -> Result<()> {
        let refuse = |option, value: String, expected| {
            Err(Error::InvalidOption {
                option,
                value,
                expected,
            })
        };
        let [low, high] = self.scores;
        if !(low.is_finite() && high.is_finite() && low < high) {
            let value = format!("{low} to {high}");
            return refuse("scores", value, "two numbers, the lower one first");
        }
        if !(self.scale.is_finite() && self.scale > 0.0) {
            return refuse("scale", self.scale.to_string(), "a number above 0");
        }
        match self.pooling.each().contains(&Pooling::Pooler) {
            true => refuse(
                "pooling",
                self.pooling.to_string(),
                "those that sentence-transformers has: cls, mean, mean-sqrt-len, weighted-mean, max \
                 or last-token",
            ),
            false => Ok(()),
        }
    }
}
