//! Targets and losses of texts.

use bert_core::checkpoint::{Checkpoint, LoadReport};
use bert_core::config::BertConfig;
use bert_core::nn::{BertInit, BertModel};
use burn::tensor::{Device, Tensor};

use super::BertForSequenceClassification;
use crate::error::Result;
use crate::losses::{binary_cross_entropy_with_logits, mean_squared_error};
use crate::runner::RowModel;
use crate::task::{
    BatchLoss, LabelledBatch, LabelledRow, Targets, TaskModel, floats, trained_by_loss,
    weight_of_classes,
};

/// Target of a text.
#[derive(Clone, Debug, PartialEq)]
pub enum TextTarget {
    /// One class.
    Class(usize),
    /// One flag per label, true if it applies.
    Flags(Vec<bool>),
    /// A number.
    Number(f32),
}

/// Targets of the texts of a batch.
#[derive(Clone, Debug, PartialEq)]
pub enum TextTargets {
    /// `[rows]` classes.
    Classes(Vec<i64>),
    /// `[rows, labels]`, 1 where the label applies and 0 where not.
    Flags(Vec<f32>),
    /// `[rows]` numbers.
    Numbers(Vec<f32>),
}

impl Targets for TextTargets {
    type Target = TextTarget;

    fn new(examples: &[&LabelledRow<TextTarget>], _seq: usize) -> Self {
        let mut targets = match examples[0].target {
            TextTarget::Class(_) => Self::Classes(Vec::new()),
            TextTarget::Flags(_) => Self::Flags(Vec::new()),
            TextTarget::Number(_) => Self::Numbers(Vec::new()),
        };
        for example in examples {
            match (&mut targets, &example.target) {
                (Self::Classes(all), TextTarget::Class(class)) => all.push(*class as i64),
                (Self::Flags(all), TextTarget::Flags(flags)) => {
                    all.extend(flags.iter().map(|&flag| if flag { 1.0 } else { 0.0 }));
                }
                (Self::Numbers(all), TextTarget::Number(number)) => all.push(*number),
                _ => panic!("texts of one batch have targets of one kind"),
            }
        }
        targets
    }

    fn weight(&self, class_weights: Option<&[f32]>) -> f64 {
        match self {
            Self::Classes(classes) => weight_of_classes(classes, class_weights),
            Self::Flags(values) | Self::Numbers(values) => values.len() as f64,
        }
    }
}

/// Loss of a batch of texts by a model with one row of outputs for each.
pub(crate) fn text_loss(model: &impl RowModel, batch: &LabelledBatch<TextTargets>) -> BatchLoss {
    let device = model.device();
    let logits: Tensor<2> = model.row_logits(batch.input(&device)).squeeze_dim(1); // [rows, outputs]
    let shape = logits.dims();
    match &batch.targets {
        TextTargets::Classes(classes) => {
            BatchLoss::of_classes(logits, classes, batch.class_weights.as_deref())
        }
        TextTargets::Flags(flags) => {
            let flags = floats(flags, &device).reshape(shape);
            BatchLoss::new(binary_cross_entropy_with_logits(logits, flags).sum)
        }
        TextTargets::Numbers(numbers) => {
            let numbers = floats(numbers, &device).unsqueeze_dim(1); // [rows, 1]
            BatchLoss::new(mean_squared_error(logits, numbers).sum)
        }
    }
}

trained_by_loss!(BertForSequenceClassification, TextTargets);

impl TaskModel for BertForSequenceClassification {
    type Targets = TextTargets;

    fn loss(&self, batch: &LabelledBatch<TextTargets>) -> BatchLoss {
        text_loss(self, batch)
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
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::runner::Row;

    fn row(target: TextTarget) -> LabelledRow<TextTarget> {
        let row = Row {
            ids: vec![1, 2],
            type_ids: vec![1; 2],
        };
        LabelledRow::new(row, target)
    }

    #[test]
    fn an_update_weighs_what_its_labels_weigh() {
        let rows = [0, 1, 1].map(|class| row(TextTarget::Class(class)));
        let weights: Arc<[f32]> = [0.5, 2.0].into();
        let batch = |rows: &[&LabelledRow<TextTarget>]| {
            LabelledBatch::<TextTargets>::new(rows, 0, Some(weights.clone()))
        };
        let mut parts = [batch(&[&rows[0], &rows[1]]), batch(&[&rows[2]])];
        assert_eq!((parts[0].weight, parts[1].weight), (2.5, 2.0));
        LabelledBatch::share(&mut parts);
        assert_eq!((parts[0].weight, parts[1].weight), (4.5, 4.5));
        let flags = row(TextTarget::Flags(vec![true, false, true]));
        let batch = LabelledBatch::<TextTargets>::new(&[&flags, &flags], 0, None);
        assert_eq!(batch.weight, 6.0);
    }
}
