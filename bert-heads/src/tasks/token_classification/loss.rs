//! Targets and loss of words.

use bert_core::checkpoint::{Checkpoint, LoadReport};
use bert_core::config::BertConfig;
use bert_core::nn::{BertInit, BertModel};
use burn::tensor::Device;

use super::BertForTokenClassification;
use crate::error::Result;
use crate::losses::IGNORED_LABEL;
use crate::task::{
    BatchLoss, LabelledBatch, LabelledRow, Targets, TaskModel, trained_by_loss, weight_of_classes,
};

/// Targets of the tokens of a batch: `[rows, seq]` classes, or [`IGNORED_LABEL`].
#[derive(Clone, Debug, PartialEq)]
pub struct TokenTargets(pub Vec<i64>);

impl Targets for TokenTargets {
    /// A class for each token, or [`IGNORED_LABEL`].
    type Target = Vec<i64>;

    fn new(examples: &[&LabelledRow<Vec<i64>>], seq: usize) -> Self {
        let mut classes = Vec::with_capacity(examples.len() * seq);
        for example in examples {
            let end = classes.len() + seq;
            classes.extend_from_slice(&example.target);
            classes.resize(end, IGNORED_LABEL);
        }
        Self(classes)
    }

    fn weight(&self, class_weights: Option<&[f32]>) -> f64 {
        weight_of_classes(&self.0, class_weights)
    }
}

trained_by_loss!(BertForTokenClassification, TokenTargets);

impl TaskModel for BertForTokenClassification {
    type Targets = TokenTargets;

    fn loss(&self, batch: &LabelledBatch<TokenTargets>) -> BatchLoss {
        let device = self.classifier.weight.val().device();
        let logits = self.forward(batch.input(&device)); // [rows, seq, labels]
        let TokenTargets(classes) = &batch.targets;
        if let Some(crf) = &self.crf {
            // The highest logits are not what is predicted: there is no accuracy to report.
            return BatchLoss::new(crf.loss(logits, classes));
        }
        let [rows, seq, labels] = logits.dims();
        let logits = logits.reshape([rows * seq, labels]);
        BatchLoss::of_classes(logits, classes, batch.class_weights.as_deref())
    }

    fn fresh(config: &BertConfig, outputs: usize, init: &BertInit) -> Self {
        Self::new(config, outputs, init)
    }

    fn from_encoder(
        checkpoint: &Checkpoint,
        outputs: usize,
        init: &BertInit,
    ) -> Result<(Self, LoadReport)> {
        Self::from_encoder(checkpoint, outputs, init)
    }

    fn from_checkpoint(checkpoint: &Checkpoint, device: &Device) -> Result<Self> {
        Self::from_checkpoint(checkpoint, device)
    }

    fn bert_mut(&mut self) -> &mut BertModel {
        &mut self.bert
    }

    fn with_crf(self, init: &BertInit) -> Self {
        match self.crf {
            Some(_) => self,
            None => Self::with_crf(self, init),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runner::Row;

    #[test]
    fn rows_are_padded_with_their_labels() {
        let row = |length: u32, classes: Vec<i64>| {
            let row = Row {
                ids: (1..=length).collect(),
                type_ids: vec![1; length as usize],
            };
            LabelledRow::new(row, classes)
        };
        let rows = [row(2, vec![3, 0]), row(3, vec![IGNORED_LABEL, 1, 2])];
        let batch = LabelledBatch::<TokenTargets>::new(&rows.each_ref(), 9, None);
        assert_eq!(
            (batch.shape, batch.tokens(), batch.weight),
            ([2, 3], 5, 4.0)
        );
        assert_eq!(batch.input_ids, [1, 2, 9, 1, 2, 3]);
        assert_eq!(batch.token_type_ids, [1, 1, 0, 1, 1, 1]);
        assert_eq!(batch.attention_mask, [1, 1, 0, 1, 1, 1]);
        let classes = [3, 0, IGNORED_LABEL, IGNORED_LABEL, 1, 2];
        assert_eq!(batch.targets.0, classes);
    }
}
