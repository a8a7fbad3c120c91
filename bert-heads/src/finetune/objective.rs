//! The losses of fine-tuning, as the trainer runs them (BERT §4).

use std::path::Path;

use bert_core::checkpoint::{Checkpoint, LoadReport};
use bert_core::config::BertConfig;
use bert_core::init::BertInit;
use bert_core::model::BertModel;
use bert_core::training::{MicroBatch, Sums, TrainableModel};
use burn::tensor::{DType, Device, FloatDType, Int, Tensor, TensorData};
use burn::train::{InferenceStep, TrainOutput, TrainStep};

use super::batch::{BatchTargets, LabelledBatch};
use crate::error::Result;
use crate::labels::Labels;
use crate::losses::{
    IGNORED_LABEL, Loss, binary_cross_entropy_with_logits, cross_entropy, mean_squared_error,
};
use crate::predict::RowModel;
use crate::sequence_classification::{BertForSequenceClassification, ProblemType};
use crate::token_classification::BertForTokenClassification;

/// A task model that [`FineTuning`](super::FineTuning) can begin, go on with and save.
pub(super) trait TaskModel: TrainableModel<Data = LabelledBatch> + RowModel {
    fn fresh(config: &BertConfig, outputs: usize, init: &BertInit) -> Self;

    fn from_encoder(
        checkpoint: &Checkpoint,
        outputs: usize,
        init: &BertInit,
    ) -> Result<(Self, LoadReport)>;

    fn from_checkpoint(checkpoint: &Checkpoint, device: &Device) -> Result<Self>;

    fn save(
        &self,
        dir: &Path,
        config: &BertConfig,
        labels: &Labels,
        problem_type: ProblemType,
    ) -> Result<()>;

    fn bert_mut(&mut self) -> &mut BertModel;
}

/// Places in the sums that a pass leaves behind.
mod sum {
    pub(super) const LOSS: usize = 0;
    pub(super) const CORRECT: usize = 1;
    pub(super) const COUNTED: usize = 2;
}

/// The share of `batch` in its update's loss, `[1]`, and the sums that [`values`] reads.
fn loss(model: &impl RowModel, batch: &LabelledBatch) -> (Tensor<1>, Sums) {
    let device = model.device();
    let logits = model.row_logits(batch.input(&device)); // [rows, seq or 1, outputs]
    let [rows, positions, outputs] = logits.dims();
    let logits = logits.reshape([rows * positions, outputs]);
    let scalar = |value: f64| Tensor::<1>::from_data([value as f32], (&device, DType::F32));
    let flat = |values: &[f32], shape| {
        Tensor::<2>::from_data(
            TensorData::new(values.to_vec(), shape),
            (&device, DType::F32),
        )
    };
    let (Loss { sum, .. }, correct, counted) = match &batch.targets {
        BatchTargets::Classes(classes) | BatchTargets::Tokens(classes) => {
            let count = classes.len();
            let data = TensorData::new(classes.clone(), [count]);
            let classes = Tensor::<1, Int>::from_data(data, &device);
            let weights = batch.class_weights.as_ref().map(|weights| {
                let data = TensorData::new(weights.to_vec(), [weights.len()]);
                Tensor::<1>::from_data(data, (&device, DType::F32))
            });
            let (correct, counted) = right(logits.clone(), classes.clone());
            (cross_entropy(logits, classes, weights), correct, counted)
        }
        BatchTargets::Flags(flags) => {
            let flags = flat(flags, [rows, outputs]);
            let loss = binary_cross_entropy_with_logits(logits, flags);
            (loss, scalar(0.0), scalar(0.0))
        }
        BatchTargets::Numbers(numbers) => {
            let loss = mean_squared_error(logits, flat(numbers, [rows, 1]));
            (loss, scalar(0.0), scalar(0.0))
        }
    };
    let loss = sum / batch.weight;
    let sums = Sums::new(vec![loss.clone(), correct, counted]);
    (loss, sums)
}

/// How many labelled rows have their label as the highest logit, and how many are labelled, `[1]`
/// each.
fn right(logits: Tensor<2>, classes: Tensor<1, Int>) -> (Tensor<1>, Tensor<1>) {
    let classes = classes.inner();
    let labelled = classes.clone().not_equal_elem(IGNORED_LABEL);
    let best = logits.inner().argmax(1).squeeze_dim::<1>(1);
    let count = |rows: Tensor<1, burn::tensor::Bool>| {
        Tensor::from_inner(rows.float().cast(FloatDType::F32).sum())
    };
    let correct = best.equal(classes).bool_and(labelled.clone());
    (count(correct), count(labelled))
}

fn values(sums: &[f64], updates: u64) -> Vec<(&'static str, f64)> {
    let mut values = vec![("loss", sums[sum::LOSS] / updates as f64)];
    if sums[sum::COUNTED] > 0.0 {
        values.push(("accuracy", sums[sum::CORRECT] / sums[sum::COUNTED]));
    }
    values
}

/// What the run and the trainer ask of a model that is a [`RowModel`]; only saving differs between the two.
macro_rules! trainable {
    ($model:ty, |$self:ident, $dir:ident, $config:ident, $labels:ident, $problem_type:ident| $save:expr) => {
        impl TaskModel for $model {
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

            fn save(
                &$self,
                $dir: &Path,
                $config: &BertConfig,
                $labels: &Labels,
                $problem_type: ProblemType,
            ) -> Result<()> {
                $save
            }

            fn bert_mut(&mut self) -> &mut BertModel {
                &mut self.bert
            }
        }

        impl TrainStep for $model {
            type Input = MicroBatch<LabelledBatch>;
            type Output = Sums;

            fn step(&self, batch: Self::Input) -> TrainOutput<Sums> {
                RowModel::device(self).seed(batch.seed);
                let (loss, sums) = loss(self, &batch.data);
                let gradients = (loss * batch.loss_scale).backward();
                TrainOutput::new(self, gradients, sums)
            }
        }

        impl InferenceStep for $model {
            type Input = MicroBatch<LabelledBatch>;
            type Output = Sums;

            fn step(&self, batch: Self::Input) -> Sums {
                loss(self, &batch.data).1
            }
        }

        impl TrainableModel for $model {
            type Data = LabelledBatch;

            fn values(sums: &[f64], updates: u64) -> Vec<(&'static str, f64)> {
                values(sums, updates)
            }
        }
    };
}

trainable!(
    BertForSequenceClassification,
    |self, dir, config, labels, problem_type| self.save(dir, config, labels, problem_type)
);
trainable!(
    BertForTokenClassification,
    |self, dir, config, labels, _problem_type| self.save(dir, config, labels)
);
