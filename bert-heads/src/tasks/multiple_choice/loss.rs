//! Targets and loss of choices.

use bert_core::checkpoint::{Checkpoint, LoadReport};
use bert_core::config::BertConfig;
use bert_core::nn::{BertInit, BertModel};
use burn::tensor::{Bool, Device, FloatDType, Int, Tensor, TensorData};

use super::BertForMultipleChoice;
use crate::error::Result;
use crate::task::{
    BatchLoss, LabelledBatch, LabelledRow, NEVER, Targets, TaskModel, trained_by_loss,
};

/// Rows of a batch that belong together, and the right one of each group.
#[derive(Clone, Debug, PartialEq)]
pub struct ChoiceTargets {
    /// Number of neighbouring rows of each example.
    pub counts: Vec<usize>,
    /// `[examples]`, counted from the first row of each.
    pub right: Vec<i64>,
}

impl Targets for ChoiceTargets {
    /// The right one of the rows.
    type Target = usize;

    fn new(examples: &[&LabelledRow<usize>], _seq: usize) -> Self {
        Self {
            counts: examples.iter().map(|example| example.rows.len()).collect(),
            right: examples
                .iter()
                .map(|example| example.target as i64)
                .collect(),
        }
    }

    fn weight(&self, _class_weights: Option<&[f32]>) -> f64 {
        self.right.len() as f64
    }
}

trained_by_loss!(BertForMultipleChoice, ChoiceTargets);

impl TaskModel for BertForMultipleChoice {
    type Targets = ChoiceTargets;

    fn loss(&self, batch: &LabelledBatch<ChoiceTargets>) -> BatchLoss {
        let device = self.classifier.weight.val().device();
        let scores = self.forward(batch.input(&device), 1).squeeze_dim(1); // [rows]
        let ChoiceTargets { counts, right } = &batch.targets;
        let logits = grouped(scores, counts, &device);
        BatchLoss::of_classes(logits, right, None)
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

/// The scores of neighbouring rows side by side, `[rows]` to `[groups, most rows of a group]`; what
/// a smaller group lacks is so low that it is never chosen.
fn grouped(scores: Tensor<1>, counts: &[usize], device: &Device) -> Tensor<2> {
    let most = counts.iter().copied().max().unwrap_or(0);
    let shape = [counts.len(), most];
    let scores = scores.cast(FloatDType::F32);
    if counts.iter().all(|&count| count == most) {
        return scores.reshape(shape);
    }
    let (mut indices, mut lacking, mut first) = (Vec::new(), Vec::new(), 0);
    for &count in counts {
        indices.extend((0..most).map(|choice| (first + choice.min(count - 1)) as i64));
        lacking.extend((0..most).map(|choice| choice >= count));
        first += count;
    }
    let size = indices.len();
    let indices = Tensor::<1, Int>::from_data(TensorData::new(indices, [size]), device);
    let lacking = Tensor::<2, Bool>::from_data(TensorData::new(lacking, shape), device);
    scores
        .select(0, indices)
        .reshape(shape)
        .mask_fill(lacking, NEVER)
}

#[cfg(test)]
mod tests {
    use bert_core::device::test_devices;

    use super::*;
    use crate::losses::cross_entropy;
    use crate::runner::Row;

    #[test]
    fn the_rows_of_an_example_stay_together() {
        let row = |length: u32| Row {
            ids: (1..=length).collect(),
            type_ids: vec![1; length as usize],
        };
        let choices = LabelledRow {
            rows: vec![row(2), row(3)],
            target: 1,
        };
        let single = LabelledRow::new(row(1), 0);
        let batch = LabelledBatch::<ChoiceTargets>::new(&[&choices, &single], 9, None);
        assert_eq!((batch.shape, batch.weight), ([3, 3], 2.0));
        assert_eq!(batch.input_ids, [1, 2, 9, 1, 2, 3, 1, 9, 9]);
        let (counts, right) = (vec![2, 1], vec![1, 0]);
        assert_eq!(batch.targets, ChoiceTargets { counts, right });
    }

    #[test]
    fn what_a_smaller_group_lacks_is_never_chosen() {
        for (label, device) in test_devices() {
            let device = device.autodiff();
            let scores = Tensor::<1>::from_data([1.0, 2.0, 3.0, 4.0, 5.0, 6.0], &device);
            let scores = scores.require_grad();
            let groups = grouped(scores.clone(), &[3, 1, 2], &device);
            let loss = cross_entropy(groups, Tensor::from_data([2, 0, 0], &device), None).sum;
            let gradients = scores.grad(&loss.backward()).unwrap();
            let found: Vec<f32> = gradients.try_into_vec_as().unwrap();
            let e = |x: f32| x.exp();
            let (three, two) = (e(1.0) + e(2.0) + e(3.0), e(5.0) + e(6.0));
            let expected = [
                e(1.0) / three,
                e(2.0) / three,
                e(3.0) / three - 1.0,
                0.0,
                e(5.0) / two - 1.0,
                e(6.0) / two,
            ];
            for (found, expected) in found.iter().zip(expected) {
                assert!(
                    (found - expected).abs() < 1e-6,
                    "{label}: {found} {expected}"
                );
            }
        }
    }
}
