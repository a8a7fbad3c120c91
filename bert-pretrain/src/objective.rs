//! The loss of pretraining, as the trainer runs it (BERT §3.1, §A.2).

use std::collections::HashMap;
use std::path::Path;

use bert_core::batch::BertInput;
use bert_core::checkpoint::{self, Checkpoint};
use bert_core::config::BertConfig;
use bert_core::files::write_atomically;
use bert_core::nn::BertInit;
use bert_core::ops::{self, CrossEntropy};
use bert_core::tokenizer::BertTokenizer;
use bert_core::training::{MicroBatch, Sums, TrainableModel};
use burn::tensor::{DType, Device, FloatDType, Int, Tensor, TensorData};
use burn::train::{InferenceStep, TrainOutput, TrainStep};

use safetensors::{Dtype, tensor::TensorView};

use crate::Result;
use crate::instances::Instance;
use crate::model::BertForPreTraining;
use crate::settings::Settings;

/// A model that a run pretrains, with its objective.
pub trait PreTrainingModel: TrainableModel<Data = PreTrainingBatch> + Sized {
    /// A model with fresh weights, drawn from the seed of `settings`.
    ///
    /// # Errors
    /// [`bert_core::Error::Config`] for a configuration without what the objective needs.
    fn fresh(config: &BertConfig, settings: &Settings, device: &Device) -> Result<Self>;

    /// A model from a checkpoint, and the names of what that lacks, which starts fresh from the seed of `settings`.
    ///
    /// # Errors
    /// A checkpoint whose encoder is incomplete is refused.
    fn load(
        checkpoint: &Checkpoint,
        settings: &Settings,
        device: &Device,
    ) -> Result<(Self, Vec<String>)>;

    /// Writes the model as users load it into `dir`.
    ///
    /// # Errors
    /// Those of [`checkpoint::save`].
    fn write(
        &self,
        dir: &Path,
        config: &BertConfig,
        settings: &Settings,
        tokenizer: &BertTokenizer,
    ) -> Result<()>;

    /// The loss of an evaluation out of its named numbers.
    fn evaluation_loss(value: &dyn Fn(&str) -> f64) -> f64;

    /// The numbers of an evaluation out of the sums of its batches: the loss, the perplexity `exp(mlm_loss)`, parts of the
    /// loss and accuracies.
    fn evaluation_values(sums: &[f64]) -> Vec<(String, f64)> {
        let mut values: Vec<(String, f64)> = Self::values(sums, 1)
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value))
            .collect();
        let find = |name: &str| {
            let mut values = values.iter();
            values
                .find(|(other, _)| other == name)
                .map(|(_, value)| *value)
        };
        let mlm_loss = find("mlm_loss");
        // That of the batches is normalised to each of them alone.
        values[0].1 = Self::evaluation_loss(&|name| find(name).unwrap_or(0.0));
        if let Some(mlm_loss) = mlm_loss {
            values.insert(1, ("perplexity".to_owned(), mlm_loss.exp()));
        }
        values.push(("predictions".to_owned(), sums[sum::PREDICTIONS]));
        values
    }
}

/// Instances of one part of an update, padded to a rectangle, on the host.
#[derive(Clone, Debug, PartialEq)]
pub struct PreTrainingBatch {
    /// Token ids with masks, `[rows, seq]` row by row; padding is `[PAD]`.
    pub input_ids: Vec<i64>,
    /// Segments, likewise.
    pub token_type_ids: Vec<i64>,
    /// 1 where a token counts, 0 at padding, likewise.
    pub attention_mask: Vec<i64>,
    /// `[rows, seq]`.
    pub shape: [usize; 2],
    /// Masked positions, each `row * seq + column`.
    pub positions: Vec<i64>,
    /// The token that was there, one per position.
    pub labels: Vec<i64>,
    /// 0 where the second segment follows the first, 1 where it is a random one; a label per row, or none at all.
    pub next_sentence: Vec<i64>,
    /// Divisor of the summed masked-LM losses: the predictions of the whole update.
    pub predictions: f64,
    /// Divisor of the summed next-sentence losses: the rows of the whole update.
    pub rows: f64,
    /// Divisor of the summed losses of replaced tokens: the tokens of the whole update, without padding.
    pub real_tokens: f64,
}

impl PreTrainingBatch {
    /// Pads `instances` to the longest of them, or to `fixed` tokens.
    ///
    /// The loss is normalised to this batch alone; [`share`](Self::share) makes several one update.
    ///
    /// # Panics
    /// If an instance is longer than `fixed`.
    pub fn new(instances: &[Instance], pad_id: u32, fixed: Option<usize>) -> Self {
        let longest = instances.iter().map(|instance| instance.ids.len()).max();
        let seq = fixed.unwrap_or(longest.unwrap_or(0));
        let mut batch = Self {
            input_ids: Vec::with_capacity(instances.len() * seq),
            token_type_ids: Vec::with_capacity(instances.len() * seq),
            attention_mask: Vec::with_capacity(instances.len() * seq),
            shape: [instances.len(), seq],
            positions: Vec::new(),
            labels: Vec::new(),
            next_sentence: Vec::new(),
            predictions: 0.0,
            rows: instances.len() as f64,
            real_tokens: 0.0,
        };
        for (row, instance) in instances.iter().enumerate() {
            let length = instance.ids.len();
            assert!(
                length <= seq,
                "an instance of {length} tokens in rows of {seq}"
            );
            let padding = seq - length;
            let first = instance.segment_a_length;
            batch
                .input_ids
                .extend(instance.ids.iter().map(|&id| i64::from(id)));
            batch
                .input_ids
                .extend(std::iter::repeat_n(i64::from(pad_id), padding));
            batch.token_type_ids.extend(std::iter::repeat_n(0, first));
            batch
                .token_type_ids
                .extend(std::iter::repeat_n(1, length - first));
            batch.token_type_ids.extend(std::iter::repeat_n(0, padding));
            batch.attention_mask.extend(std::iter::repeat_n(1, length));
            batch.attention_mask.extend(std::iter::repeat_n(0, padding));
            let start = (row * seq) as i64;
            batch
                .positions
                .extend(instance.positions.iter().map(|&p| start + i64::from(p)));
            batch
                .labels
                .extend(instance.labels.iter().map(|&label| i64::from(label)));
            batch
                .next_sentence
                .extend(instance.is_random_next.map(i64::from));
        }
        batch.predictions = batch.labels.len() as f64;
        batch.real_tokens = batch.tokens() as f64;
        batch
    }

    /// Normalises the losses of `batches` as those of one large batch; `epsilon` is added to the number of predictions
    /// (google-research/bert: 1e-5).
    pub fn share(batches: &mut [Self], epsilon: f64) {
        let predictions: f64 = batches.iter().map(|batch| batch.labels.len() as f64).sum();
        let rows: f64 = batches.iter().map(|batch| batch.shape[0] as f64).sum();
        let tokens: f64 = batches.iter().map(|batch| batch.tokens() as f64).sum();
        for batch in batches {
            batch.predictions = predictions + epsilon;
            batch.rows = rows;
            batch.real_tokens = tokens;
        }
    }

    /// Tokens that are not padding.
    pub fn tokens(&self) -> usize {
        self.attention_mask
            .iter()
            .filter(|&&mask| mask == 1)
            .count()
    }

    /// Where each token of a batch stands whose masked positions are filled, `[rows · seq]`, in a row of all its tokens
    /// followed by the fillings.
    pub(crate) fn places(&self) -> Vec<i64> {
        let tokens = self.input_ids.len();
        let mut places: Vec<i64> = (0..tokens as i64).collect();
        for (filling, &position) in (tokens..).zip(&self.positions) {
            places[position as usize] = filling as i64;
        }
        places
    }

    pub(crate) fn input(&self, device: &Device) -> BertInput {
        BertInput::from_attention_mask(
            self.input_ids.clone(),
            self.token_type_ids.clone(),
            self.attention_mask.clone(),
            self.shape,
            device,
        )
    }
}

/// Places in the sums that a pass leaves behind: the loss and the totals of the masked LM in every objective, then those of the
/// next sentences.
pub(crate) mod sum {
    use bert_core::ops::CrossEntropy;

    pub(crate) const LOSS: usize = 0;
    const MLM: usize = 1;
    pub(crate) const MLM_LOSS: usize = MLM + CrossEntropy::SUM;
    pub(crate) const MLM_CORRECT: usize = MLM + CrossEntropy::HITS;
    pub(crate) const PREDICTIONS: usize = MLM + CrossEntropy::ROWS;
    /// Place of what follows the masked LM.
    pub(crate) const NEXT: usize = MLM + CrossEntropy::TOTALS;
    pub(super) const NSP_LOSS: usize = NEXT + CrossEntropy::SUM;
    pub(super) const NSP_CORRECT: usize = NEXT + CrossEntropy::HITS;
    pub(super) const ROWS: usize = NEXT + CrossEntropy::ROWS;
}

/// Named numbers of the masked LM out of the sums of `updates` updates, the loss first.
pub(crate) fn mlm_values(sums: &[f64], updates: u64) -> Vec<(&'static str, f64)> {
    let mut values = vec![("loss", sums[sum::LOSS] / updates as f64)];
    let predictions = sums[sum::PREDICTIONS];
    if predictions > 0.0 {
        values.push(("mlm_loss", sums[sum::MLM_LOSS] / predictions));
        values.push(("mlm_accuracy", sums[sum::MLM_CORRECT] / predictions));
    }
    values
}

impl BertForPreTraining {
    /// The share of `batch` in its update's loss, `[1]`, and the sums that [`TrainableModel::values`] reads.
    pub fn loss(&self, batch: &PreTrainingBatch) -> (Tensor<1>, Sums) {
        let device = self.bert.embeddings.word_embeddings.weight.val().device();
        let logits = self.forward(batch.input(&device), &batch.positions);
        let of_rows = logits
            .seq_relationship
            .filter(|_| !batch.next_sentence.is_empty());
        let parts = [
            (logits.predictions, &batch.labels, batch.predictions),
            (of_rows, &batch.next_sentence, batch.rows),
        ];
        let mut losses = Vec::new();
        let mut sums = Vec::new();
        for (logits, labels, divisor) in parts {
            let Some(logits) = logits else {
                sums.push(zeros(CrossEntropy::TOTALS, &device));
                continue;
            };
            let CrossEntropy { sum, totals } = cross_entropy(logits, ints(labels, &device));
            losses.push(sum / divisor);
            sums.push(totals);
        }
        let loss = losses.into_iter().reduce(|loss, more| loss + more);
        let loss = loss.unwrap_or_else(|| zeros(1, &device));
        sums.insert(0, loss.clone());
        (loss, Sums::new(sums))
    }
}

/// Integers on a device, `[n]`.
pub(crate) fn ints(values: &[i64], device: &Device) -> Tensor<1, Int> {
    Tensor::from_data(TensorData::new(values.to_vec(), [values.len()]), device)
}

/// Zeros on a device, `[n]`, in f32.
pub(crate) fn zeros(n: usize, device: &Device) -> Tensor<1> {
    Tensor::from_data(TensorData::new(vec![0.0_f32; n], [n]), (device, DType::F32))
}

/// Cross-entropy of every row with its label, in f32.
pub(crate) fn cross_entropy(logits: Tensor<2>, labels: Tensor<1, Int>) -> CrossEntropy {
    ops::cross_entropy(logits.cast(FloatDType::F32), labels, None)
}

impl TrainStep for BertForPreTraining {
    type Input = MicroBatch<PreTrainingBatch>;
    type Output = Sums;

    fn step(&self, batch: Self::Input) -> TrainOutput<Sums> {
        let device = self.bert.embeddings.word_embeddings.weight.val().device();
        batch.train(self, &device, |data| self.loss(data))
    }
}

impl InferenceStep for BertForPreTraining {
    type Input = MicroBatch<PreTrainingBatch>;
    type Output = Sums;

    fn step(&self, batch: Self::Input) -> Sums {
        self.loss(&batch.data).1
    }
}

impl TrainableModel for BertForPreTraining {
    type Data = PreTrainingBatch;

    fn values(sums: &[f64], updates: u64) -> Vec<(&'static str, f64)> {
        let ratio = |numerator: usize, denominator: usize| sums[numerator] / sums[denominator];
        let mut values = mlm_values(sums, updates);
        if sums[sum::ROWS] > 0.0 {
            values.push(("nsp_loss", ratio(sum::NSP_LOSS, sum::ROWS)));
            values.push(("nsp_accuracy", ratio(sum::NSP_CORRECT, sum::ROWS)));
        }
        values
    }
}

impl PreTrainingModel for BertForPreTraining {
    fn fresh(config: &BertConfig, settings: &Settings, device: &Device) -> Result<Self> {
        let init = BertInit::new(config, settings.seed, device);
        Ok(Self::new(config, settings.pairs.next_sentence, &init))
    }

    fn load(
        checkpoint: &Checkpoint,
        settings: &Settings,
        device: &Device,
    ) -> Result<(Self, Vec<String>)> {
        let next_sentence = settings.pairs.next_sentence;
        let (model, report) =
            Self::from_checkpoint(checkpoint, next_sentence, settings.seed, device)?;
        Ok((model, report.missing))
    }

    fn write(
        &self,
        dir: &Path,
        config: &BertConfig,
        _settings: &Settings,
        tokenizer: &BertTokenizer,
    ) -> Result<()> {
        checkpoint::save(dir, self, config, &self.architecture(config))?;
        Ok(tokenizer.save(dir)?)
    }

    fn evaluation_loss(value: &dyn Fn(&str) -> f64) -> f64 {
        value("mlm_loss") + value("nsp_loss")
    }
}

/// The share of predictions in `batches` that always guessing their most frequent token would get right.
pub fn unigram_accuracy(batches: &[PreTrainingBatch]) -> f64 {
    let mut counts: HashMap<i64, usize> = HashMap::new();
    for label in batches.iter().flat_map(|batch| &batch.labels) {
        *counts.entry(*label).or_default() += 1;
    }
    let total: usize = counts.values().sum();
    counts
        .values()
        .max()
        .map_or(0.0, |&most| most as f64 / total as f64)
}

/// Writes `batches` as safetensors: `N.input_ids`, `N.token_type_ids`, `N.attention_mask` `[rows, seq]`, `N.positions` and
/// `N.labels` `[predictions]`, `N.next_sentence` `[rows]` or `[0]`, all I64, for batch N from 0.
///
/// # Errors
/// [`bert_core::Error::Io`] naming the file.
pub fn export(path: &Path, batches: &[PreTrainingBatch]) -> Result<()> {
    let mut tensors: Vec<(String, Vec<usize>, Vec<u8>)> = Vec::new();
    for (number, batch) in batches.iter().enumerate() {
        let shape = batch.shape.to_vec();
        let fields = [
            ("input_ids", shape.clone(), &batch.input_ids),
            ("token_type_ids", shape.clone(), &batch.token_type_ids),
            ("attention_mask", shape, &batch.attention_mask),
            ("positions", vec![batch.positions.len()], &batch.positions),
            ("labels", vec![batch.labels.len()], &batch.labels),
            (
                "next_sentence",
                vec![batch.next_sentence.len()],
                &batch.next_sentence,
            ),
        ];
        for (name, shape, values) in fields {
            let bytes = values
                .iter()
                .flat_map(|value| value.to_le_bytes())
                .collect();
            tensors.push((format!("{number}.{name}"), shape, bytes));
        }
    }
    let views = tensors.iter().map(|(name, shape, bytes)| {
        let view = TensorView::new(Dtype::I64, shape.clone(), bytes).expect("eight bytes a value");
        (name.as_str(), view)
    });
    let bytes = safetensors::serialize(views, None::<HashMap<String, String>>)
        .map_err(|error| bert_core::Error::malformed(path, "safetensors", error))?;
    Ok(write_atomically(path, &bytes)?)
}
