//! Predicting masked tokens (BERT §3.1, task 1).

use std::sync::Arc;

use bert_core::activation::HiddenAct;
use bert_core::batch::BertInput;
use bert_core::checkpoint::{Checkpoint, Loading};
use bert_core::config::BertConfig;
use bert_core::inference::{Weights, prepare, quantize_table};
use bert_core::nn::{BertInit, BertModel};
use bert_core::ops::{self, CrossEntropy, PackedWeight};
use burn::module::{Module, Param};
use burn::nn::{LayerNorm, Linear};
use burn::tensor::{Device, Int, Tensor};

use crate::error::{Error, Result};
use crate::losses::cross_entropy_and_totals;

/// The parameters of the head in a network of `config`, spelled as those of BERT.
fn parameters(config: &BertConfig) -> impl Iterator<Item = &'static str> {
    let shape = config.heads.masked_lm;
    let parameters = [
        (shape.decoder_bias, "cls.predictions.bias"),
        (true, "cls.predictions.transform.dense.weight"),
        (shape.dense_bias, "cls.predictions.transform.dense.bias"),
        (true, "cls.predictions.transform.LayerNorm.weight"),
        (
            config.block.norm_bias,
            "cls.predictions.transform.LayerNorm.bias",
        ),
    ];
    let parameters = parameters.into_iter().filter(|(is_there, _)| *is_there);
    parameters.map(|(_, name)| name)
}

/// The encoder with the masked-LM head; `BertForMaskedLM` in transformers.
#[derive(Module, Debug)]
pub struct BertForMaskedLm {
    /// The encoder. Its word embeddings are also the decoder of the head, unless that has its own.
    pub bert: BertModel,
    /// The head.
    pub cls: BertMlmHead,
}

/// The head under the name it has in checkpoints, `cls.predictions`.
#[derive(Module, Debug)]
pub struct BertMlmHead {
    /// Transform and bias.
    pub predictions: BertLmPrediction,
}

/// Scores over the vocabulary (modeling.py `get_masked_lm_output`).
///
/// The decoder is the word-embedding table itself, which the caller hands over: one parameter,
/// trained through both uses. Where `tie_word_embeddings` of the configuration is false, it is a table of its own.
#[derive(Module, Debug)]
pub struct BertLmPrediction {
    /// Applied to a token vector before it is compared with the table.
    pub transform: BertPredictionTransform,
    /// One number per vocabulary entry, unless the family's decoder has none.
    pub bias: Option<Param<Tensor<1>>>,
    /// The decoder, if it is not the word-embedding table.
    pub decoder: Option<BertLmDecoder>,
    /// The decoder's table in 8 bits, in place of the other two where no gradient is asked for.
    #[module(skip)]
    quantized: Option<Arc<PackedWeight>>,
}

/// An untied decoder.
#[derive(Module, Debug)]
pub struct BertLmDecoder {
    /// `[vocab_size, embedding]`, as the word embeddings.
    pub weight: Param<Tensor<2>>,
}

/// Dense layer, activation and LayerNorm.
#[derive(Module, Debug)]
pub struct BertPredictionTransform {
    /// Projection from the hidden size to the width of the embeddings.
    pub dense: Linear,
    /// Normalisation of the activated projection.
    pub layer_norm: LayerNorm,
    layer_norm_eps: f64,
    #[module(skip)]
    hidden_act: HiddenAct,
}

impl BertForMaskedLm {
    /// A model with fresh weights, without a pooler, as transformers builds it.
    pub fn new(config: &BertConfig, init: &BertInit) -> Self {
        Self {
            bert: BertModel::new(config, false, init),
            cls: BertMlmHead {
                predictions: BertLmPrediction::new(config, init),
            },
        }
    }

    /// Loads encoder and head on `device`, strictly, from a checkpoint of `BertForMaskedLM` or
    /// `BertForPreTraining`.
    ///
    /// # Errors
    ///
    /// [`Error::NoMaskedLmHead`] naming the absent tensors if the checkpoint was saved without the
    /// head, and those of [`Checkpoint::load_into`].
    pub fn from_checkpoint(checkpoint: &Checkpoint, device: &Device) -> Result<Self> {
        let config = checkpoint.config();
        checkpoint.note_replaced_tokens();
        let untied = !config.ties_word_embeddings();
        let decoder = untied.then_some("cls.predictions.decoder.weight");
        let missing: Vec<_> = parameters(config)
            .chain(decoder)
            .filter(|name| !checkpoint.contains(name))
            .map(|name| checkpoint.file_name(name))
            .collect();
        if !missing.is_empty() {
            return Err(Error::NoMaskedLmHead {
                dir: checkpoint.dir().to_owned(),
                remedy: remedy(checkpoint, decoder),
                missing,
            });
        }
        checkpoint.note_stale_decoder()?;
        let fresh = Self::new(config, &BertInit::new(config, 0, device));
        let (model, _) = checkpoint.load_into(fresh, Loading::Strict)?;
        Ok(model)
    }

    /// The model for inference, encoder and head held as `weights`.
    ///
    /// # Errors
    ///
    /// Those of [`prepare`].
    pub fn prepared(self, weights: Weights) -> Result<Self> {
        let mut model = prepare(self, weights)?;
        if weights == Weights::Int8 {
            let tied = &model.bert.embeddings.word_embeddings.weight;
            let predictions = &mut model.cls.predictions;
            let own = predictions.decoder.as_ref().map(|own| &own.weight);
            let table = quantize_table("cls.predictions.decoder.weight", own.unwrap_or(tied))?;
            predictions.quantized = Some(table);
        }
        Ok(model)
    }

    /// Scores of every vocabulary entry at some positions of a batch.
    ///
    /// Positions are gathered before the end of the last block and before the head, whose projection to the vocabulary costs
    /// more than several layers of the encoder.
    ///
    /// # Shapes
    ///
    /// - input: `[batch, seq]` ids, segments and padding
    /// - positions: `[n]`, each `row * seq + column`
    /// - output: `[n, vocab_size]` logits
    pub fn forward(&self, input: BertInput, positions: Tensor<1, Int>) -> Tensor<2> {
        let gathered = self.bert.forward_at(input, positions); // [n, hidden]
        let table = self.bert.embeddings.word_embeddings.weight.val();
        self.cls.predictions.forward(gathered, table)
    }
}

impl BertLmPrediction {
    /// A head for `config`.
    pub fn new(config: &BertConfig, init: &BertInit) -> Self {
        Self {
            transform: BertPredictionTransform::new(config, init),
            bias: (config.heads.masked_lm.decoder_bias).then(|| init.zeros(config.vocab_size)),
            decoder: (!config.ties_word_embeddings()).then(|| BertLmDecoder::new(config, init)),
            quantized: None,
        }
    }

    /// `transform(hidden) · tableᵀ + bias`, the last if there is one, with the table of an untied decoder in place of that given.
    ///
    /// # Shapes
    ///
    /// - hidden: `[n, hidden]`
    /// - table: `[vocab_size, embedding]`, the word embeddings
    /// - output: `[n, vocab_size]`
    pub fn forward(&self, hidden: Tensor<2>, table: Tensor<2>) -> Tensor<2> {
        let own = self.decoder.as_ref().map(|decoder| decoder.weight.val());
        let table = own.unwrap_or(table); // [vocab_size, embedding]
        let transformed = self.transform.forward(hidden); // [n, embedding]
        let bias = match &self.bias {
            Some(bias) => bias.val(),
            None => Tensor::zeros([table.dims()[0]], (&table.device(), table.dtype())),
        };
        let infers = !transformed.device().is_autodiff();
        match self.quantized.as_ref().filter(|_| infers) {
            Some(table) => ops::linear_packed_table(transformed, table.clone(), bias),
            None => ops::linear_table(transformed, table, bias),
        }
    }
}

impl BertLmDecoder {
    /// A table for `config`, drawn as word embeddings are.
    pub fn new(config: &BertConfig, init: &BertInit) -> Self {
        Self {
            weight: init
                .embedding(config.vocab_size, config.embedding_width())
                .weight,
        }
    }
}

impl BertPredictionTransform {
    /// A transform for `config`, with its activation.
    pub fn new(config: &BertConfig, init: &BertInit) -> Self {
        Self {
            dense: init.linear_with(
                config.hidden_size,
                config.embedding_width(),
                config.heads.masked_lm.dense_bias,
            ),
            layer_norm: init.layer_norm(config.embedding_width()),
            layer_norm_eps: config.layer_norm_eps,
            hidden_act: config.masked_lm_act(),
        }
    }

    /// `LayerNorm(activation(dense(hidden)))`.
    ///
    /// # Shapes
    ///
    /// - hidden: `[n, hidden]`
    /// - output: `[n, embedding]`
    pub fn forward(&self, hidden: Tensor<2>) -> Tensor<2> {
        let activated = self.hidden_act.after_linear(hidden, &self.dense);
        ops::layer_norm(activated, &self.layer_norm, self.layer_norm_eps)
    }
}

/// Remedy for a head without some of its tensors, of which `decoder` may be one.
fn remedy(checkpoint: &Checkpoint, decoder: Option<&str>) -> String {
    let config = checkpoint.config();
    let head_is_there = parameters(config).all(|name| checkpoint.contains(name));
    if decoder.is_some() && head_is_there {
        return "set tie_word_embeddings of config.json to true if the word embeddings are its decoder, \
                or use a checkpoint with one of its own"
            .to_owned();
    }
    let pretraining = config.heads.next_sentence;
    let pretraining = pretraining.then(|| config.family.class("ForPreTraining"));
    let classes: Vec<_> = [config.family.class("ForMaskedLM")]
        .into_iter()
        .chain(pretraining)
        .collect();
    format!("use a checkpoint of {}", classes.join(" or "))
}

/// Mean cross-entropy in nats, computed in f32.
///
/// Without any labelled row it is NaN, as in transformers. Gathering the labelled positions first, as
/// [`forward`](BertForMaskedLm::forward) does with its `positions`, spares the logits of all others.
///
/// # Shapes
///
/// - logits: `[n, vocab_size]`
/// - labels: `[n]` token ids, or [`IGNORED_LABEL`](crate::losses::IGNORED_LABEL)
/// - output: `[1]`
pub fn masked_lm_loss(logits: Tensor<2>, labels: Tensor<1, Int>) -> Tensor<1> {
    let CrossEntropy { sum, totals } = cross_entropy_and_totals(logits, labels, None);
    sum / totals.narrow(0, CrossEntropy::ROWS, 1)
}
