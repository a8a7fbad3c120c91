//! The losses of fine-tuning, as the trainer runs them (BERT §4).

use std::path::Path;

use bert_core::checkpoint::{Checkpoint, LoadReport};
use bert_core::config::BertConfig;
use bert_core::models::BertModel;
use bert_core::nn::BertInit;
use bert_core::training::{MicroBatch, Sums, TrainableModel};
use burn::tensor::{Bool, DType, Device, FloatDType, Int, Tensor, TensorData};
use burn::train::{InferenceStep, TrainOutput, TrainStep};

use super::batch::{BatchTargets, LabelledBatch};
use super::settings::Settings;
use crate::error::Result;
use crate::labels::Labels;
use crate::losses::{
    IGNORED_LABEL, Loss, binary_cross_entropy_with_logits, cross_entropy, mean_squared_error,
};
use crate::runner::RowModel;
use crate::sentence_embedding::{Poolings, SentenceEncoder};
use crate::tasks::multiple_choice::BertForMultipleChoice;
use crate::tasks::next_sentence::BertForNextSentencePrediction;
use crate::tasks::question_answering::{
    BertForQuestionAnswering, SpanLogits, SpanLoss, question_answering_loss,
};
use crate::tasks::sequence_classification::{BertForSequenceClassification, ProblemType};
use crate::tasks::similarity::{cosine_similarity_loss, ranking_logits};
use crate::tasks::token_classification::BertForTokenClassification;

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

    /// Adds a fresh [`Crf`](crate::tasks::token_classification::Crf), where the model's task has a use for one and
    /// it has none yet.
    fn with_crf(self, _init: &BertInit) -> Self {
        self
    }

    /// Takes from the settings what is no weight.
    fn configure(&mut self, _settings: &Settings) {}
}

/// Places in the sums that a pass leaves behind.
mod sum {
    pub(super) const LOSS: usize = 0;
    pub(super) const CORRECT: usize = 1;
    pub(super) const COUNTED: usize = 2;
}

/// The score of what is not to be chosen: far below every score, and far above what overflows.
const NEVER: f32 = -1e9;

/// The share of `batch` in its update's loss, `[1]`, and the sums that [`values`] reads.
fn loss(model: &impl RowModel, batch: &LabelledBatch) -> (Tensor<1>, Sums) {
    let device = model.device();
    let input = batch.input(&device);
    let mask_pad = input.mask_pad.clone(); // [rows, seq]
    let logits = model.row_logits(input); // [rows, seq or 1, outputs]
    let [rows, positions, outputs] = logits.dims();
    if let (BatchTargets::Tokens(classes), Some(crf)) = (&batch.targets, model.crf()) {
        let loss = crf.loss(logits, classes) / batch.weight;
        // The highest logits are not what is predicted: there is no accuracy to report.
        let nothing = || Tensor::zeros([1], (&device, DType::F32));
        let sums = Sums::new(vec![loss.clone(), nothing(), nothing()]);
        return (loss, sums);
    }
    let flat = || logits.clone().reshape([rows * positions, outputs]);
    let scalar = |value: f64| Tensor::<1>::from_data([value as f32], (&device, DType::F32));
    let floats = |values: &[f32], shape| {
        Tensor::<2>::from_data(
            TensorData::new(values.to_vec(), shape),
            (&device, DType::F32),
        )
    };
    let ints = |values: &[i64]| {
        let data = TensorData::new(values.to_vec(), [values.len()]);
        Tensor::<1, Int>::from_data(data, &device)
    };
    let (Loss { sum, .. }, correct, counted) = match &batch.targets {
        BatchTargets::Classes(classes) | BatchTargets::Tokens(classes) => {
            let classes = ints(classes);
            let weights = batch.class_weights.as_ref().map(|weights| {
                let data = TensorData::new(weights.to_vec(), [weights.len()]);
                Tensor::<1>::from_data(data, (&device, DType::F32))
            });
            let (correct, counted) = right(flat(), classes.clone());
            (cross_entropy(flat(), classes, weights), correct, counted)
        }
        BatchTargets::Flags(flags) => {
            let flags = floats(flags, [rows, outputs]);
            let loss = binary_cross_entropy_with_logits(flat(), flags);
            (loss, scalar(0.0), scalar(0.0))
        }
        BatchTargets::Numbers(numbers) => {
            let loss = mean_squared_error(flat(), floats(numbers, [rows, 1]));
            (loss, scalar(0.0), scalar(0.0))
        }
        BatchTargets::Spans(starts, ends) => {
            // No answer begins or ends at padding, so that a row's loss is not that of its batch; transformers counts it.
            let column = |index| {
                let scores = logits.clone().narrow(2, index, 1).squeeze_dim::<2>(2);
                scores
                    .cast(FloatDType::F32)
                    .mask_fill(mask_pad.clone(), NEVER)
            };
            let [start, end] = [column(0), column(1)]; // [rows, seq] each
            let SpanLoss { start, end } =
                question_answering_loss(SpanLogits { start, end }, ints(starts), ints(ends));
            let loss = Loss {
                sum: (start.sum + end.sum) * 0.5,
                weight: start.weight,
            };
            (loss, scalar(0.0), scalar(0.0))
        }
        BatchTargets::Choices {
            counts,
            right: choices,
        } => {
            let logits = grouped(flat().reshape([rows]), counts, &device);
            let choices = ints(choices);
            let (correct, counted) = right(logits.clone(), choices.clone());
            (cross_entropy(logits, choices, None), correct, counted)
        }
        BatchTargets::Cosines(cosines) => {
            let rows = |first: i64| {
                let rows: Vec<i64> = (first..rows as i64).step_by(2).collect();
                flat().select(0, ints(&rows)) // [pairs, hidden]
            };
            let data = TensorData::new(cosines.clone(), [cosines.len()]);
            let cosines = Tensor::<1>::from_data(data, (&device, DType::F32));
            let loss = cosine_similarity_loss(rows(0), rows(1), cosines);
            (loss, scalar(0.0), scalar(0.0))
        }
        BatchTargets::Likes { counts, scale } => {
            let (anchors, candidates) = anchors_and_candidates(counts);
            let own = Tensor::<1, Int>::arange(0..counts.len() as i64, &device);
            let anchors = flat().select(0, ints(&anchors)); // [texts, hidden]
            let candidates = flat().select(0, ints(&candidates)); // [candidates, hidden]
            let logits = ranking_logits(anchors, candidates, *scale);
            let (correct, counted) = right(logits.clone(), own.clone());
            (cross_entropy(logits, own, None), correct, counted)
        }
    };
    let loss = sum / batch.weight;
    let sums = Sums::new(vec![loss.clone(), correct, counted]);
    (loss, sums)
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

/// The scores of neighbouring rows side by side, `[rows]` to `[groups, most rows of a group]`; what
/// a smaller group lacks is so low that it is never chosen.
fn grouped(scores: Tensor<1>, counts: &[usize], device: &Device) -> Tensor<2> {
    let most = counts.iter().copied().max().unwrap_or(0);
    let shape = [counts.len(), most];
    let scores = scores.cast(FloatDType::F32);
    if counts.iter().all(|&count| count == most) {
        return scores.reshape(shape);
    }
    let (mut places, mut lacking, mut first) = (Vec::new(), Vec::new(), 0);
    for &count in counts {
        places.extend((0..most).map(|choice| (first + choice.min(count - 1)) as i64));
        lacking.extend((0..most).map(|choice| choice >= count));
        first += count;
    }
    let size = places.len();
    let places = Tensor::<1, Int>::from_data(TensorData::new(places, [size]), device);
    let lacking = Tensor::<2, Bool>::from_data(TensorData::new(lacking, shape), device);
    scores
        .select(0, places)
        .reshape(shape)
        .mask_fill(lacking, NEVER)
}

/// How many labelled rows have their label as the highest logit, and how many are labelled, `[1]`
/// each.
fn right(logits: Tensor<2>, classes: Tensor<1, Int>) -> (Tensor<1>, Tensor<1>) {
    let classes = classes.inner();
    let labelled = classes.clone().not_equal_elem(IGNORED_LABEL);
    let best = logits.inner().argmax(1).squeeze_dim::<1>(1);
    let count =
        |rows: Tensor<1, Bool>| Tensor::from_inner(rows.float().cast(FloatDType::F32).sum());
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

/// Implements for a [`RowModel`] what the run and the trainer require; only making it fresh and
/// saving it differ from task to task.
macro_rules! trainable {
    (
        $model:ty,
        outputs: ($($outputs:ident)?),
        |$self:ident, $dir:ident, $config:ident, $labels:ident, $problem_type:ident| $save:expr
        $(; $($more:tt)*)?
    ) => {
        impl TaskModel for $model {
            fn fresh(config: &BertConfig, _outputs: usize, init: &BertInit) -> Self {
                $(let $outputs = _outputs;)?
                Self::new(config, $($outputs,)? init)
            }

            fn from_encoder(
                checkpoint: &Checkpoint,
                _outputs: usize,
                init: &BertInit,
            ) -> Result<(Self, LoadReport)> {
                $(let $outputs = _outputs;)?
                Self::from_encoder(checkpoint, $($outputs,)? init)
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

            $($($more)*)?
        }

        trained_by_rows!($model);
    };
}

/// The steps of a model whose loss is that of its rows.
macro_rules! trained_by_rows {
    ($model:ty) => {
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
    outputs: (outputs),
    |self, dir, config, labels, problem_type| self.save(dir, config, labels, problem_type)
);
trainable!(
    BertForTokenClassification,
    outputs: (outputs),
    |self, dir, config, labels, _problem_type| self.save(dir, config, labels);
    fn with_crf(self, init: &BertInit) -> Self {
        match self.crf {
            Some(_) => self,
            None => Self::with_crf(self, init),
        }
    }
);
trainable!(
    BertForQuestionAnswering,
    outputs: (),
    |self, dir, config, _labels, _problem_type| self.save(dir, config)
);
trainable!(
    BertForMultipleChoice,
    outputs: (),
    |self, dir, config, _labels, _problem_type| self.save(dir, config)
);

trainable!(
    BertForNextSentencePrediction,
    outputs: (),
    |self, dir, config, _labels, _problem_type| self.save(dir, config)
);

trained_by_rows!(SentenceEncoder);

impl TaskModel for SentenceEncoder {
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

    fn save(
        &self,
        dir: &Path,
        config: &BertConfig,
        _labels: &Labels,
        _problem_type: ProblemType,
    ) -> Result<()> {
        self.save(dir, config)
    }

    fn bert_mut(&mut self) -> &mut BertModel {
        &mut self.bert
    }

    fn configure(&mut self, settings: &Settings) {
        self.pooling = settings.similarity.clone().unwrap_or_default().pooling;
    }
}

#[cfg(test)]
mod tests {
    use bert_core::device::test_devices;

    use super::super::batch::{LabelledRow, RowTarget};
    use super::*;
    use crate::runner::Row;

    #[test]
    fn likes_come_first_and_negatives_are_everyones() {
        let (anchors, candidates) = anchors_and_candidates(&[3, 2, 4]);
        assert_eq!(anchors, [0, 3, 5]);
        assert_eq!(candidates, [1, 4, 6, 2, 7, 8]);
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

    #[test]
    fn the_loss_of_a_question_is_that_of_the_question_alone() {
        let row = |length: u32, first, last| {
            let row = Row {
                ids: (1..=length).collect(),
                type_ids: vec![0; length as usize],
            };
            LabelledRow::new(row, RowTarget::Span(first, last))
        };
        let config = BertConfig::new(50, 12, 2, 3, 20);
        for (label, device) in test_devices() {
            let init = BertInit::new(&config, 7, &device);
            let model = <BertForQuestionAnswering as TaskModel>::fresh(&config, 2, &init);
            let of = |rows: &[&LabelledRow]| {
                let batch = LabelledBatch::new(rows, 0, None);
                let sum = loss(&model, &batch).0 * batch.weight;
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
