//! Replaced token detection (ELECTRA: Clark et al. 2020): a generator fills masks, and the discriminator learns to tell its
//! tokens from those of the text.

use std::path::Path;

use bert_core::batch::BertInput;
use bert_core::checkpoint::{self, Checkpoint};
use bert_core::config::BertConfig;
use bert_core::nn::{BertEncoder, BertInit, BertModel};
use bert_core::ops::CrossEntropy;
use bert_core::tokenizer::BertTokenizer;
use bert_core::training::{MicroBatch, Sums, TrainableModel};
use bert_heads::losses::{IGNORED_LABEL, binary_cross_entropy_of_tokens};
use bert_heads::tasks::masked_lm::{BertForMaskedLm, BertMlmHead};
use bert_heads::tasks::replaced_tokens::BertForReplacedTokens;
use burn::module::Module;
use burn::nn::Linear;
use burn::tensor::{Bool, Device, FloatDType, Int, Tensor, TensorData, activation};
use burn::train::{InferenceStep, TrainOutput, TrainStep};
use rand::RngExt;

use crate::Result;
use crate::instances::stream;
use crate::model::load_with_encoder;
use crate::objective::{
    PreTrainingBatch, PreTrainingModel, cross_entropy, ints, mlm_values, zeros,
};
use crate::settings::{ReplacedTokenOptions, Settings};

/// Weight of the discriminator's loss beside the generator's (ELECTRA §3.1).
pub const DISCRIMINATOR_WEIGHT: f64 = 50.0;

/// The generator's directory beside the files of the discriminator.
pub const GENERATOR: &str = "generator";

/// Discriminator and generator in training, which share their embeddings.
#[derive(Module, Debug)]
pub struct ReplacedTokenDetection {
    /// The model that comes of it, `ElectraForPreTraining` in transformers.
    pub discriminator: BertForReplacedTokens,
    /// The generator without its embeddings.
    pub generator: Generator,
}

/// A masked LM over the embeddings of another model.
#[derive(Module, Debug)]
pub struct Generator {
    /// Projection from the width of the embeddings to that of the blocks, where that is another.
    pub projection: Option<Linear>,
    /// The transformer blocks.
    pub encoder: BertEncoder,
    /// The masked-LM head, whose decoder is the table of the embeddings.
    pub cls: BertMlmHead,
}

/// The configuration of a generator for the discriminator of `config`: `size` times as wide, with as many layers and the
/// same embeddings.
pub fn generator_config(config: &BertConfig, size: f64) -> BertConfig {
    let share = |width: usize| ((width as f64 * size).round() as usize).max(1);
    let hidden_size = share(config.hidden_size);
    let heads = (1..=share(config.num_attention_heads)).rev();
    let mut divisors = heads.filter(|heads| hidden_size.is_multiple_of(*heads));
    let width = config.embedding_width();
    BertConfig {
        hidden_size,
        num_attention_heads: divisors.next().unwrap_or(1),
        intermediate_size: share(config.intermediate_size),
        embedding_size: (width != hidden_size).then_some(width),
        ..config.clone()
    }
}

impl ReplacedTokenDetection {
    /// Models with fresh weights.
    ///
    /// # Errors
    /// [`bert_core::Error::Config`] for a family without the discriminator's head, or sizes that no generator can have.
    pub fn new(
        config: &BertConfig,
        options: ReplacedTokenOptions,
        seed: u64,
        device: &Device,
    ) -> Result<Self> {
        config.check_replaced_tokens()?;
        let init = BertInit::new(config, seed, device);
        Ok(Self {
            discriminator: BertForReplacedTokens::new(config, &init),
            generator: Generator::fresh(config, options, seed, device)?,
        })
    }

    /// Models from the checkpoint of a discriminator or of an encoder, with the generator in its directory
    /// [`GENERATOR`] if that is of the size of `options`, or of any without them; and the names of what starts fresh from
    /// `seed` in its absence.
    ///
    /// # Errors
    /// Those of [`new`](Self::new), and [`bert_core::Error::MissingTensors`] for an incomplete encoder.
    pub fn from_checkpoint(
        checkpoint: &Checkpoint,
        options: Option<ReplacedTokenOptions>,
        seed: u64,
        device: &Device,
    ) -> Result<(Self, Vec<String>)> {
        let config = checkpoint.config();
        config.check_replaced_tokens()?;
        let init = BertInit::new(config, seed, device);
        let fresh = BertForReplacedTokens::new(config, &init);
        let (discriminator, report) = load_with_encoder(checkpoint, fresh)?;
        let mut missing = report.missing;
        let dir = checkpoint.dir().join(GENERATOR);
        let found = match dir.join("config.json").is_file() {
            true => Some(Checkpoint::open(&dir)?),
            false => None,
        };
        let found = found.filter(|found| fits(found.config(), config, options));
        let generator = match found {
            Some(found) => {
                let init = BertInit::new(found.config(), seed, device);
                let fresh = BertForMaskedLm::new(found.config(), &init);
                let (model, report) = load_with_encoder(&found, fresh)?;
                let of_generator = |name| format!("{GENERATOR}/{name}");
                missing.extend(report.missing.into_iter().map(of_generator));
                Generator::of(model)
            }
            None => {
                missing.push(GENERATOR.to_owned());
                Generator::fresh(config, options.unwrap_or_default(), seed, device)?
            }
        };
        let model = Self {
            discriminator,
            generator,
        };
        Ok((model, missing))
    }

    /// The generator as a model of its own, whose embeddings are those of the discriminator.
    pub fn masked_lm(&self) -> BertForMaskedLm {
        let Generator {
            projection,
            encoder,
            cls,
        } = self.generator.clone();
        BertForMaskedLm {
            bert: BertModel {
                embeddings: self.discriminator.bert.embeddings.sharing(projection),
                encoder,
                pooler: None,
            },
            cls,
        }
    }

    fn device(&self) -> Device {
        let embeddings = &self.discriminator.bert.embeddings;
        embeddings.word_embeddings.weight.val().device()
    }

    /// The share of `batch` in its update's loss, `[1]`, and the sums that [`TrainableModel::values`] reads; `seed` decides
    /// on the generator's tokens.
    pub fn loss(&self, batch: &PreTrainingBatch, seed: u64) -> (Tensor<1>, Sums) {
        let device = self.device();
        let mut input = batch.input(&device);
        let (mut mlm_loss, mut mlm_totals, mut replaced) = (None, None, None);
        if !batch.labels.is_empty() {
            let labels = ints(&batch.labels, &device);
            let positions = ints(&batch.positions, &device);
            let logits = self.masked_lm().forward(input.clone(), positions); // [n, vocab_size]
            let drawn = draw(logits.clone().detach(), seed);
            let CrossEntropy { sum, totals } = cross_entropy(logits, labels.clone());
            mlm_loss = Some(sum / batch.predictions);
            mlm_totals = Some(totals);
            let places = ints(&batch.places(), &device);
            input.input_ids = put(input.input_ids, drawn.clone(), places.clone());
            replaced = Some((drawn.not_equal(labels).int(), places));
        }
        let labels = token_labels(&input, replaced); // [rows, seq]
        let logits = self.discriminator.forward(input); // [rows, seq]
        let counts = hits(&logits, &labels);
        let detection = binary_cross_entropy_of_tokens(logits, labels).sum;
        let mut loss = detection.clone() * (DISCRIMINATOR_WEIGHT / batch.real_tokens);
        if let Some(mlm_loss) = mlm_loss {
            loss = mlm_loss + loss;
        }
        let mlm_totals = mlm_totals.unwrap_or_else(|| zeros(CrossEntropy::TOTALS, &device));
        let mut sums = vec![loss.clone(), mlm_totals, detection];
        sums.extend(counts);
        (loss, Sums::new(sums))
    }
}

impl Generator {
    fn fresh(
        config: &BertConfig,
        options: ReplacedTokenOptions,
        seed: u64,
        device: &Device,
    ) -> Result<Self> {
        let config = generator_config(config, options.generator_size);
        config.validate()?;
        // Other weights than the discriminator's where both are of one size.
        let init = BertInit::new(&config, seed.wrapping_add(1), device);
        Ok(Self::of(BertForMaskedLm::new(&config, &init)))
    }

    fn of(model: BertForMaskedLm) -> Self {
        Self {
            projection: model.bert.embeddings.projection,
            encoder: model.bert.encoder,
            cls: model.cls,
        }
    }
}

/// True if a generator of `found` shares the embeddings of a discriminator of `config`, and is of the size that `options` ask
/// for.
fn fits(found: &BertConfig, config: &BertConfig, options: Option<ReplacedTokenOptions>) -> bool {
    let tables = |config: &BertConfig| {
        [
            config.vocab_size,
            config.embedding_width(),
            config.max_position_embeddings,
            config.type_vocab_size,
        ]
    };
    let sizes = |config: &BertConfig| {
        [
            config.hidden_size,
            config.num_hidden_layers,
            config.num_attention_heads,
            config.intermediate_size,
        ]
    };
    let expected = options.map(|options| generator_config(config, options.generator_size));
    tables(found) == tables(config)
        && expected.is_none_or(|expected| sizes(&expected) == sizes(found))
}

/// A token for each row, drawn by the probabilities that its logits stand for.
///
/// Random numbers are drawn on the host, one for each row, so that every backend draws the same but for rounding.
///
/// # Shapes
/// - logits: `[n, vocab_size]`
/// - output: `[n]`
fn draw(logits: Tensor<2>, seed: u64) -> Tensor<1, Int> {
    let [rows, vocab_size] = logits.dims();
    let device = logits.device();
    let mut random = stream(seed, &[]);
    let chances: Vec<f32> = (0..rows).map(|_| random.random()).collect();
    let chances = Tensor::<2>::from_data(TensorData::new(chances, [rows, 1]), &device);
    let cumulative = activation::softmax(logits.cast(FloatDType::F32), 1).cumsum(1); // [n, vocab_size]
    // The sum of all is 1 but for rounding.
    let total = cumulative.clone().narrow(1, vocab_size - 1, 1); // [n, 1]
    let below = cumulative.lower_equal((chances * total).expand([rows, vocab_size]));
    let drawn = below.int().sum_dim(1).squeeze_dim::<1>(1); // [n]
    drawn.clamp_max(vocab_size as i64 - 1)
}

/// `tokens` with some of `others` among them, as `places` has it; see [`PreTrainingBatch::places`].
///
/// # Shapes
/// - tokens, output: `[rows, seq]`
/// - others: `[n]`
/// - places: `[rows · seq]`
fn put(tokens: Tensor<2, Int>, others: Tensor<1, Int>, places: Tensor<1, Int>) -> Tensor<2, Int> {
    let [rows, seq] = tokens.dims();
    let all = Tensor::cat(vec![tokens.reshape([rows * seq]), others], 0);
    all.select(0, places).reshape([rows, seq])
}

/// 1 for tokens that are replaced, 0 for others, [`IGNORED_LABEL`] for padding, `[rows, seq]`; `replaced` has 1 or 0 for each
/// of the masked, and their places.
fn token_labels(
    input: &BertInput,
    replaced: Option<(Tensor<1, Int>, Tensor<1, Int>)>,
) -> Tensor<2, Int> {
    let labels = Tensor::<2, Int>::zeros(input.dims(), &input.device());
    let labels = match replaced {
        Some((replaced, places)) => put(labels, replaced, places),
        None => labels,
    };
    labels.mask_fill(input.mask_pad.clone(), IGNORED_LABEL)
}

/// Counts of tokens in the order of the sums, `[1]` each: all, predicted right, replaced, predicted as replaced, and both.
fn hits(logits: &Tensor<2>, labels: &Tensor<2, Int>) -> [Tensor<1>; 5] {
    let labels = labels.clone().inner();
    let real = labels.clone().not_equal_elem(IGNORED_LABEL);
    let replaced = labels.equal_elem(1);
    let predicted = logits
        .clone()
        .inner()
        .greater_elem(0.0)
        .bool_and(real.clone());
    let right = predicted
        .clone()
        .equal(replaced.clone())
        .bool_and(real.clone());
    let count = |tokens: Tensor<2, Bool>| tokens.float().cast(FloatDType::F32).sum();
    let both = predicted.clone().bool_and(replaced.clone());
    [real, right, replaced, predicted, both].map(count)
}

/// Places in the sums, behind those of the masked LM.
mod sum {
    use crate::objective::sum::NEXT;

    pub(super) const LOSS: usize = NEXT;
    pub(super) const TOKENS: usize = NEXT + 1;
    pub(super) const CORRECT: usize = NEXT + 2;
    pub(super) const REPLACED: usize = NEXT + 3;
    pub(super) const PREDICTED: usize = NEXT + 4;
    pub(super) const HITS: usize = NEXT + 5;
}

impl TrainStep for ReplacedTokenDetection {
    type Input = MicroBatch<PreTrainingBatch>;
    type Output = Sums;

    fn step(&self, batch: Self::Input) -> TrainOutput<Sums> {
        batch.train(self, &self.device(), |data| self.loss(data, batch.seed))
    }
}

impl InferenceStep for ReplacedTokenDetection {
    type Input = MicroBatch<PreTrainingBatch>;
    type Output = Sums;

    fn step(&self, batch: Self::Input) -> Sums {
        self.loss(&batch.data, batch.seed).1
    }
}

impl TrainableModel for ReplacedTokenDetection {
    type Data = PreTrainingBatch;

    fn values(sums: &[f64], updates: u64) -> Vec<(&'static str, f64)> {
        let mut values = mlm_values(sums, updates);
        for (name, part, whole) in [
            ("rtd_loss", sum::LOSS, sum::TOKENS),
            ("rtd_accuracy", sum::CORRECT, sum::TOKENS),
            ("rtd_precision", sum::HITS, sum::PREDICTED),
            ("rtd_recall", sum::HITS, sum::REPLACED),
            ("replaced", sum::REPLACED, sum::TOKENS),
        ] {
            if sums[whole] > 0.0 {
                values.push((name, sums[part] / sums[whole]));
            }
        }
        values
    }
}

impl PreTrainingModel for ReplacedTokenDetection {
    fn fresh(config: &BertConfig, settings: &Settings, device: &Device) -> Result<Self> {
        let options = settings.replaced_tokens.unwrap_or_default();
        Self::new(config, options, settings.seed, device)
    }

    fn load(
        checkpoint: &Checkpoint,
        settings: &Settings,
        device: &Device,
    ) -> Result<(Self, Vec<String>)> {
        let options = settings.replaced_tokens.unwrap_or_default();
        Self::from_checkpoint(checkpoint, Some(options), settings.seed, device)
    }

    fn write(
        &self,
        dir: &Path,
        config: &BertConfig,
        settings: &Settings,
        tokenizer: &BertTokenizer,
    ) -> Result<()> {
        let options = settings.replaced_tokens.unwrap_or_default();
        let of_generator = generator_config(config, options.generator_size);
        let class = config.family.class("ForMaskedLM");
        checkpoint::save(
            dir.join(GENERATOR),
            &self.masked_lm(),
            &of_generator,
            &class,
        )?;
        tokenizer.save(&dir.join(GENERATOR))?;
        let class = BertForReplacedTokens::architecture(config);
        checkpoint::save(dir, &self.discriminator, config, &class)?;
        Ok(tokenizer.save(dir)?)
    }

    fn evaluation_loss(value: &dyn Fn(&str) -> f64) -> f64 {
        value("mlm_loss") + DISCRIMINATOR_WEIGHT * value("rtd_loss")
    }
}
