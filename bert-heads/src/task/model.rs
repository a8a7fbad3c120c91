//! Models that learn a task, and their share in the loss of an update (BERT §4).

use bert_core::checkpoint::{Checkpoint, LoadReport};
use bert_core::config::BertConfig;
use bert_core::nn::{BertInit, BertModel};
use bert_core::ops::CrossEntropy;
use bert_core::training::{Sums, TrainableModel};
use burn::tensor::{DType, Device, Int, Tensor, TensorData};

use super::Settings;
use super::batch::{LabelledBatch, Targets};
use crate::error::Result;
use crate::losses::cross_entropy_and_totals;
use crate::runner::RowModel;

/// A model that a run of [`finetune`](crate::finetune) can begin, continue and train.
pub trait TaskModel:
    TrainableModel<Data = LabelledBatch<<Self as TaskModel>::Targets>> + RowModel + 'static
{
    /// Targets of a batch.
    type Targets: Targets;

    /// Loss of a batch.
    fn loss(&self, batch: &LabelledBatch<Self::Targets>) -> BatchLoss;

    /// A model with fresh weights and `outputs` outputs, where its head has a choice.
    fn fresh(config: &BertConfig, outputs: usize, init: &BertInit) -> Self;

    /// The encoder of any checkpoint with a fresh head of `outputs` outputs.
    ///
    /// # Errors
    ///
    /// Those of [`Checkpoint::load_into`].
    fn from_encoder(
        checkpoint: &Checkpoint,
        outputs: usize,
        init: &BertInit,
    ) -> Result<(Self, LoadReport)>;

    /// Encoder and head of a checkpoint.
    ///
    /// # Errors
    ///
    /// Those of [`Checkpoint::load_into`], and one of this crate for a checkpoint without the head.
    fn from_checkpoint(checkpoint: &Checkpoint, device: &Device) -> Result<Self>;

    /// The encoder.
    fn bert_mut(&mut self) -> &mut BertModel;

    /// Adds a fresh [`Crf`](crate::tasks::token_classification::Crf), where the model can have one and
    /// has none yet.
    #[must_use]
    fn with_crf(self, _init: &BertInit) -> Self {
        self
    }

    /// Takes from the settings what is no weight.
    fn configure(&mut self, _settings: &Settings) {}
}

/// Summed loss of a batch, and what it says of accuracy.
pub struct BatchLoss {
    /// Sum over the examples, `[1]`.
    pub sum: Tensor<1>,
    /// Totals of a cross-entropy, which count hits; `None` where outputs are no exclusive classes.
    pub totals: Option<Tensor<1>>,
}

impl BatchLoss {
    /// A loss of outputs that are no exclusive classes.
    pub fn new(sum: Tensor<1>) -> Self {
        Self { sum, totals: None }
    }

    /// Cross-entropy of rows of logits.
    ///
    /// # Shapes
    ///
    /// - logits: `[rows, classes]`
    /// - labels: one per row, or [`IGNORED_LABEL`](crate::losses::IGNORED_LABEL)
    /// - class_weights: one per class
    pub fn of_classes(logits: Tensor<2>, labels: &[i64], class_weights: Option<&[f32]>) -> Self {
        let device = logits.device();
        let class_weights = class_weights.map(|weights| floats(weights, &device));
        let labels = ints(labels, &device);
        let CrossEntropy { sum, totals } = cross_entropy_and_totals(logits, labels, class_weights);
        Self {
            sum,
            totals: Some(totals),
        }
    }
}

/// Places in the sums that a pass leaves behind: the loss, then the totals of its cross-entropy.
mod sum {
    use bert_core::ops::CrossEntropy;

    pub(super) const LOSS: usize = 0;
    pub(super) const HITS: usize = 1 + CrossEntropy::HITS;
    pub(super) const ROWS: usize = 1 + CrossEntropy::ROWS;
}

/// Score of what is not to be chosen: far below every score, and far above what overflows.
pub(crate) const NEVER: f32 = -1e9;

/// The share of `batch` in its update's loss, `[1]`, and the sums that [`values`] reads.
pub(crate) fn share<M: TaskModel>(
    model: &M,
    batch: &LabelledBatch<M::Targets>,
) -> (Tensor<1>, Sums) {
    let BatchLoss { sum, totals } = model.loss(batch);
    let loss = sum / batch.weight;
    let totals = totals.unwrap_or_else(|| floats(&[0.0; CrossEntropy::TOTALS], &loss.device()));
    let sums = Sums::new(vec![loss.clone(), totals]);
    (loss, sums)
}

/// Integers on a device, `[values]`.
pub(crate) fn ints(values: &[i64], device: &Device) -> Tensor<1, Int> {
    let data = TensorData::new(values.to_vec(), [values.len()]);
    Tensor::from_data(data, device)
}

/// Numbers on a device in f32, `[values]`.
pub(crate) fn floats(values: &[f32], device: &Device) -> Tensor<1> {
    let data = TensorData::new(values.to_vec(), [values.len()]);
    Tensor::from_data(data, (device, DType::F32))
}

/// Loss and accuracy from the sums of some updates.
pub(crate) fn values(sums: &[f64], updates: u64) -> Vec<(&'static str, f64)> {
    let mut values = vec![("loss", sums[sum::LOSS] / updates as f64)];
    if sums[sum::ROWS] > 0.0 {
        values.push(("accuracy", sums[sum::HITS] / sums[sum::ROWS]));
    }
    values
}

/// The steps of a [`TaskModel`], as the trainer runs them.
macro_rules! trained_by_loss {
    ($model:ty, $targets:ty) => {
        impl burn::train::TrainStep for $model {
            type Input = bert_core::training::MicroBatch<crate::task::LabelledBatch<$targets>>;
            type Output = bert_core::training::Sums;

            fn step(&self, batch: Self::Input) -> burn::train::TrainOutput<Self::Output> {
                let device = crate::runner::RowModel::device(self);
                batch.train(self, &device, |data| crate::task::share(self, data))
            }
        }

        impl burn::train::InferenceStep for $model {
            type Input = bert_core::training::MicroBatch<crate::task::LabelledBatch<$targets>>;
            type Output = bert_core::training::Sums;

            fn step(&self, batch: Self::Input) -> Self::Output {
                crate::task::share(self, &batch.data).1
            }
        }

        impl bert_core::training::TrainableModel for $model {
            type Data = crate::task::LabelledBatch<$targets>;

            fn values(sums: &[f64], updates: u64) -> Vec<(&'static str, f64)> {
                crate::task::values(sums, updates)
            }
        }
    };
}
pub(crate) use trained_by_loss;
