//! Targets of texts to be compared, and the loss of a batch.

use bert_core::checkpoint::{Checkpoint, LoadReport};
use bert_core::config::BertConfig;
use bert_core::nn::{BertInit, BertModel};
use burn::tensor::Device;

use super::{cosine_similarity_loss, ranking_logits};
use crate::error::Result;
use crate::sentence_embedding::{Poolings, SentenceEncoder};
use crate::task::{
    BatchLoss, LabelledBatch, LabelledRow, Settings, Targets, TaskModel, floats, ints,
    trained_by_loss,
};

/// Target of texts to be compared.
#[derive(Clone, Debug, PartialEq)]
pub enum SimilarityTarget {
    /// The cosine that the vectors of the two rows should have.
    Cosine(f32),
    /// The second row is like the first, all others are not.
    Ranking {
        /// Factor on the cosines before the softmax.
        scale: f32,
    },
}

/// Targets of a batch of texts to be compared.
#[derive(Clone, Debug, PartialEq)]
pub enum SimilarityTargets {
    /// `[pairs]` cosines that two neighbouring rows each should have.
    Cosines(Vec<f32>),
    /// Rows that belong together: a text, one like it, and those that are not.
    Ranking {
        /// Number of neighbouring rows of each example, at least two.
        counts: Vec<usize>,
        /// Factor on the cosines before the softmax.
        scale: f32,
    },
}

impl Targets for SimilarityTargets {
    type Target = SimilarityTarget;

    fn new(examples: &[&LabelledRow<SimilarityTarget>], _seq: usize) -> Self {
        if let SimilarityTarget::Ranking { scale } = examples[0].target {
            let counts = examples.iter().map(|example| example.rows.len()).collect();
            return Self::Ranking { counts, scale };
        }
        let cosine = |example: &&LabelledRow<SimilarityTarget>| match example.target {
            SimilarityTarget::Cosine(cosine) => cosine,
            SimilarityTarget::Ranking { .. } => panic!("examples of one batch have one loss"),
        };
        Self::Cosines(examples.iter().map(cosine).collect())
    }

    fn weight(&self, _class_weights: Option<&[f32]>) -> f64 {
        match self {
            Self::Cosines(cosines) => cosines.len() as f64,
            Self::Ranking { counts, .. } => counts.len() as f64,
        }
    }
}

trained_by_loss!(SentenceEncoder, SimilarityTargets);

impl TaskModel for SentenceEncoder {
    type Targets = SimilarityTargets;

    fn loss(&self, batch: &LabelledBatch<SimilarityTargets>) -> BatchLoss {
        let table = &self.bert.embeddings.word_embeddings.weight;
        let device = table.val().device();
        let vectors = self.forward(batch.input(&device)); // [rows, dimension]
        let [rows, _] = vectors.dims();
        let select = |rows: &[i64]| vectors.clone().select(0, ints(rows, &device));
        match &batch.targets {
            SimilarityTargets::Cosines(cosines) => {
                let every_second =
                    |first: i64| -> Vec<i64> { (first..rows as i64).step_by(2).collect() };
                let [first, second] = [0, 1].map(|first| select(&every_second(first))); // [pairs, dimension]
                let cosines = floats(cosines, &device);
                BatchLoss::new(cosine_similarity_loss(first, second, cosines).sum)
            }
            SimilarityTargets::Ranking { counts, scale } => {
                let (anchors, candidates) = anchors_and_candidates(counts);
                let own: Vec<i64> = (0..counts.len() as i64).collect();
                let logits = ranking_logits(select(&anchors), select(&candidates), *scale);
                BatchLoss::of_classes(logits, &own, None)
            }
        }
    }

    fn fresh(config: &BertConfig, _outputs: usize, init: &BertInit) -> Self {
        Self::new(config, Poolings::default(), init)
    }

    fn from_encoder(
        checkpoint: &Checkpoint,
        _outputs: usize,
        init: &BertInit,
    ) -> Result<(Self, LoadReport)> {
        Self::from_encoder(checkpoint, Poolings::default(), init.device())
    }

    fn from_checkpoint(checkpoint: &Checkpoint, device: &Device) -> Result<Self> {
        let (model, _) = Self::from_encoder(checkpoint, Poolings::default(), device)?;
        Ok(model)
    }

    fn bert_mut(&mut self) -> &mut BertModel {
        &mut self.bert
    }

    fn configure(&mut self, settings: &Settings) {
        self.pooling = settings.similarity.clone().unwrap_or_default().pooling;
    }
}

/// The rows of texts, and those of what may be like them: first the like of each text in their
/// order, then everything that is unlike one of them.
fn anchors_and_candidates(counts: &[usize]) -> (Vec<i64>, Vec<i64>) {
    let (mut anchors, mut likes, mut unlike, mut first) = (Vec::new(), Vec::new(), Vec::new(), 0);
    for &count in counts {
        anchors.push(first);
        likes.push(first + 1);
        unlike.extend(first + 2..first + count as i64);
        first += count as i64;
    }
    likes.append(&mut unlike);
    (anchors, likes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn likes_come_first_and_negatives_are_everyones() {
        let (anchors, candidates) = anchors_and_candidates(&[3, 2, 4]);
        assert_eq!(anchors, [0, 3, 5]);
        assert_eq!(candidates, [1, 4, 6, 2, 7, 8]);
    }
}
