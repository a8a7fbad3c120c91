//! Loss of a batch, which is that of two classes of texts.

use bert_core::checkpoint::{Checkpoint, LoadReport};
use bert_core::config::BertConfig;
use bert_core::nn::{BertInit, BertModel};
use burn::tensor::Device;

use super::BertForNextSentencePrediction;
use crate::error::Result;
use crate::task::{BatchLoss, LabelledBatch, TaskModel, trained_by_loss};
use crate::tasks::sequence_classification::{TextTargets, text_loss};

trained_by_loss!(BertForNextSentencePrediction, TextTargets);

impl TaskModel for BertForNextSentencePrediction {
    type Targets = TextTargets;

    fn loss(&self, batch: &LabelledBatch<TextTargets>) -> BatchLoss {
        text_loss(self, batch)
    }

    fn fresh(config: &BertConfig, _outputs: usize, init: &BertInit) -> Self {
        Self::new(config, init)
    }

    fn from_encoder(
        checkpoint: &Checkpoint,
        _outputs: usize,
        init: &BertInit,
    ) -> Result<(Self, LoadReport)> {
        Self::from_encoder(checkpoint, init)
    }

    fn from_checkpoint(checkpoint: &Checkpoint, device: &Device) -> Result<Self> {
        Self::from_checkpoint(checkpoint, device)
    }

    fn bert_mut(&mut self) -> &mut BertModel {
        &mut self.bert
    }
}
