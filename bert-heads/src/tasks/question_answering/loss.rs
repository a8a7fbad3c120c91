//! Targets and loss of answers.

use bert_core::checkpoint::{Checkpoint, LoadReport};
use bert_core::config::BertConfig;
use bert_core::nn::{BertInit, BertModel};
use burn::tensor::{Device, FloatDType};

use super::{BertForQuestionAnswering, SpanLogits, SpanLoss, question_answering_loss};
use crate::error::Result;
use crate::task::{
    BatchLoss, LabelledBatch, LabelledRow, NEVER, Targets, TaskModel, ints, trained_by_loss,
};

/// Answers in the rows of a batch.
#[derive(Clone, Debug, PartialEq)]
pub struct SpanTargets {
    /// `[rows]` first tokens.
    pub starts: Vec<i64>,
    /// `[rows]` last tokens.
    pub ends: Vec<i64>,
}

impl Targets for SpanTargets {
    /// The first and the last token of an answer; twice 0, where `[CLS]` stands, for none.
    type Target = (usize, usize);

    fn new(examples: &[&LabelledRow<(usize, usize)>], _seq: usize) -> Self {
        let spans = examples.iter().map(|example| example.target);
        let (starts, ends) = spans.map(|(start, end)| (start as i64, end as i64)).unzip();
        Self { starts, ends }
    }

    fn weight(&self, _class_weights: Option<&[f32]>) -> f64 {
        self.starts.len() as f64
    }
}

trained_by_loss!(BertForQuestionAnswering, SpanTargets);

impl TaskModel for BertForQuestionAnswering {
    type Targets = SpanTargets;

    fn loss(&self, batch: &LabelledBatch<SpanTargets>) -> BatchLoss {
        let device = self.qa_outputs.weight.val().device();
        let input = batch.input(&device);
        let mask_pad = input.mask_pad.clone(); // [rows, seq]
        // No answer begins or ends at padding, so that a row's loss is not that of its batch; transformers counts it.
        let logits = self.forward(input);
        let [start, end] = [logits.start, logits.end].map(|scores| {
            scores
                .cast(FloatDType::F32)
                .mask_fill(mask_pad.clone(), NEVER)
        }); // [rows, seq] each
        let SpanLoss { start, end } = question_answering_loss(
            SpanLogits { start, end },
            ints(&batch.targets.starts, &device),
            ints(&batch.targets.ends, &device),
        );
        BatchLoss::new((start.sum + end.sum) * 0.5)
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

#[cfg(test)]
mod tests {
    use bert_core::device::test_devices;

    use super::*;
    use crate::runner::Row;

    #[test]
    fn the_loss_of_a_question_is_that_of_the_question_alone() {
        let row = |length: u32, first, last| {
            let row = Row {
                ids: (1..=length).collect(),
                type_ids: vec![0; length as usize],
            };
            LabelledRow::new(row, (first, last))
        };
        let config = BertConfig::new(50, 12, 2, 3, 20);
        for (label, device) in test_devices() {
            let init = BertInit::new(&config, 7, &device);
            let model = <BertForQuestionAnswering as TaskModel>::fresh(&config, 2, &init);
            let of = |rows: &[&LabelledRow<(usize, usize)>]| {
                let batch = LabelledBatch::<SpanTargets>::new(rows, 0, None);
                let sum = model.loss(&batch).sum;
                sum.into_scalar::<f32>()
            };
            let (short, long) = (row(4, 1, 2), row(13, 5, 9));
            // With so much padding that the batch is packed, and with less.
            for other in [row(5, 0, 0), row(12, 2, 3)] {
                for rows in [[&other, &long], [&other, &short]] {
                    let alone: f32 = rows.iter().map(|row| of(&[row])).sum();
                    let together = of(&rows);
                    assert!(
                        (together - alone).abs() < 1e-5,
                        "{label}: {together} instead of {alone}"
                    );
                }
            }
        }
    }
}
