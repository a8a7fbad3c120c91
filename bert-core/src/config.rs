//! The shape of an encoder, read from and written as Hugging Face `config.json`.

mod json;
mod preset;

use derive_new::new;
use serde_json::{Map, Value};

pub use preset::{BertSize, BertVocabulary};

use crate::activation::HiddenAct;
use crate::error::{Error, Result};
use crate::models::{
    BERT, BlockShape, ClassifierShape, Family, HeadDropout, HeadShapes, LocalLayers, Positions,
    Rotary,
};

/// Description of a network: hyper-parameters of a BERT encoder (BERT §3), and the points in which families of models
/// depart from it.
///
/// Names of fields are those of Hugging Face's `config.json` (transformers
/// `configuration_bert.py`), which is also the format on disk. What no key of it states is the
/// [family's](Family): [`positions`](Self::positions) and [`heads`](Self::heads).
#[derive(new, Clone, Debug, PartialEq)]
pub struct BertConfig {
    /// Rows of the word-embedding table.
    pub vocab_size: usize,
    /// Width of every token vector (BERT's *H*).
    pub hidden_size: usize,
    /// Number of transformer blocks (BERT's *L*).
    pub num_hidden_layers: usize,
    /// Attention heads per block (BERT's *A*); divides `hidden_size`.
    pub num_attention_heads: usize,
    /// Width of the feed-forward layer, four times `hidden_size` in the paper.
    pub intermediate_size: usize,
    /// Activation of the feed-forward layer and of the masked-LM head.
    #[new(value = "HiddenAct::Gelu")]
    pub hidden_act: HiddenAct,
    /// Dropout probability after embeddings and after each block's two outputs.
    #[new(value = "0.1")]
    pub hidden_dropout_prob: f64,
    /// Dropout probability on the attention probabilities.
    #[new(value = "0.1")]
    pub attention_probs_dropout_prob: f64,
    /// Dropout probability before the classifier of a task head; `None` stands for
    /// `hidden_dropout_prob`.
    #[new(default)]
    pub classifier_dropout: Option<f64>,
    /// Rows of the position-embedding table; see [`max_input_length`](Self::max_input_length).
    #[new(value = "512")]
    pub max_position_embeddings: usize,
    /// Rows of the segment-embedding table.
    #[new(value = "2")]
    pub type_vocab_size: usize,
    /// Standard deviation of the truncated normal that initialises weights.
    #[new(value = "0.02")]
    pub initializer_range: f64,
    /// Epsilon of every LayerNorm.
    #[new(value = "1e-12")]
    pub layer_norm_eps: f64,
    /// Id of the padding token.
    #[new(value = "0")]
    pub pad_token_id: usize,
    /// Assignment of position embeddings.
    #[new(default)]
    pub positions: Positions,
    /// Shape of the blocks.
    #[new(value = "BlockShape::PLAIN")]
    pub block: BlockShape,
    /// Rotary position embedding, if there is one.
    #[new(default)]
    pub rotary: Option<Rotary>,
    /// Layers with local attention, if there are any.
    #[new(default)]
    pub local: Option<LocalLayers>,
    /// Shapes of the task heads.
    #[new(value = "HeadShapes::PLAIN")]
    pub heads: HeadShapes,
    /// The family whose files describe the network; [`BERT`] for a new configuration.
    #[new(value = "&BERT")]
    pub family: &'static Family,
    /// Fields of `config.json` that the encoder does not interpret (`id2label`, …), kept so that
    /// they are written back.
    #[new(default)]
    pub extra: Map<String, Value>,
}

impl BertConfig {
    /// Dropout probability before the classifier of a task head.
    pub fn head_dropout_prob(&self) -> f64 {
        self.classifier_dropout.unwrap_or(self.hidden_dropout_prob)
    }

    /// Dropout probability before the layers of a classifier.
    pub fn dropout_prob_of(&self, shape: ClassifierShape) -> f64 {
        match shape.dropout {
            HeadDropout::Classifier => self.head_dropout_prob(),
            HeadDropout::Hidden => self.hidden_dropout_prob,
        }
    }

    /// Activation after the dense layer of the masked-LM head.
    pub fn masked_lm_act(&self) -> HiddenAct {
        self.heads.masked_lm.activation.unwrap_or(self.hidden_act)
    }

    /// Row of the position-embedding table for the first token.
    pub const fn first_position(&self) -> usize {
        match self.positions {
            Positions::FromZero => 0,
            Positions::AfterPadding => self.pad_token_id.saturating_add(1),
        }
    }

    /// Tokens of the longest input: the positions from the first on.
    pub const fn max_input_length(&self) -> usize {
        self.max_position_embeddings
            .saturating_sub(self.first_position())
    }

    /// Refuses a head for next sentences where the family has none.
    ///
    /// # Errors
    ///
    /// [`Error::Config`] naming `model_type`.
    pub fn check_next_sentence(&self) -> Result<()> {
        match self.heads.next_sentence {
            true => Ok(()),
            false => Err(Error::config(
                "model_type",
                format!(
                    "is \"{}\", whose models have no head for next sentences: leave them out, or use a model with one",
                    self.family.model_type
                ),
            )),
        }
    }

    /// True if the decoder of a masked-LM head is the word-embedding table, as it is unless `tie_word_embeddings` is false.
    pub fn ties_word_embeddings(&self) -> bool {
        self.extra.get("tie_word_embeddings") != Some(&Value::Bool(false))
    }

    /// Bases of the rotary position embeddings: none, that of all layers, or those of global and of local layers.
    pub(crate) fn rotary_bases(&self) -> Vec<f64> {
        let Some(rotary) = self.rotary else {
            return Vec::new();
        };
        match self.local {
            Some(_) if rotary.local_theta != rotary.theta => vec![rotary.theta, rotary.local_theta],
            _ => vec![rotary.theta],
        }
    }

    /// Tokens on either side that the layer with this number attends to, counted from 0; none if it attends to all.
    pub(crate) fn reach_of(&self, layer: usize) -> Option<usize> {
        let local = self.local.as_ref()?;
        let is_local = local.layers.get(layer).copied().unwrap_or(false);
        is_local.then_some(local.reach)
    }

    /// Width of one attention head.
    pub const fn head_size(&self) -> usize {
        self.hidden_size / self.num_attention_heads
    }

    /// Number of weights of the encoder, with or without the pooler.
    pub const fn num_params(&self, with_pooler: bool) -> usize {
        let h = self.hidden_size;
        let norm = 2 * h;
        let tables =
            (self.vocab_size + self.max_position_embeddings + self.type_vocab_size) * h + norm;
        let attention = 4 * (h * h + h) + norm;
        let feed_forward = 2 * h * self.intermediate_size + self.intermediate_size + h + norm;
        let pooler = if with_pooler { h * h + h } else { 0 };
        tables + self.num_hidden_layers * (attention + feed_forward) + pooler
    }

    /// Checks that the numbers describe a network that can be built.
    ///
    /// # Errors
    ///
    /// [`Error::Config`] naming the first field that cannot be.
    pub fn validate(&self) -> Result<()> {
        for (field, value) in [
            ("vocab_size", self.vocab_size),
            ("hidden_size", self.hidden_size),
            ("num_hidden_layers", self.num_hidden_layers),
            ("num_attention_heads", self.num_attention_heads),
            ("intermediate_size", self.intermediate_size),
            ("max_position_embeddings", self.max_position_embeddings),
            ("type_vocab_size", self.type_vocab_size),
        ] {
            if value == 0 {
                return Err(Error::config(field, "is 0 but must be at least 1"));
            }
        }
        // A damaged file must not make the loader build until memory runs out.
        for (field, value, most) in [
            ("num_hidden_layers", self.num_hidden_layers, 1 << 10),
            ("hidden_size", self.hidden_size, 1 << 16),
            ("intermediate_size", self.intermediate_size, 1 << 18),
            ("vocab_size", self.vocab_size, 1 << 24),
            (
                "max_position_embeddings",
                self.max_position_embeddings,
                1 << 20,
            ),
            ("type_vocab_size", self.type_vocab_size, 1 << 16),
        ] {
            if value > most {
                return Err(Error::config(
                    field,
                    format!("is {value}, far beyond any BERT (at most {most} are built)"),
                ));
            }
        }
        if self.max_input_length() == 0 {
            return Err(Error::config(
                "max_position_embeddings",
                format!(
                    "is {}, but positions begin at {}, one beyond pad_token_id",
                    self.max_position_embeddings,
                    self.first_position()
                ),
            ));
        }
        if !self.hidden_size.is_multiple_of(self.num_attention_heads) {
            return Err(Error::config(
                "num_attention_heads",
                format!(
                    "{} heads do not divide hidden_size {}",
                    self.num_attention_heads, self.hidden_size
                ),
            ));
        }
        for (field, value) in [
            ("hidden_dropout_prob", self.hidden_dropout_prob),
            (
                "attention_probs_dropout_prob",
                self.attention_probs_dropout_prob,
            ),
            ("classifier_dropout", self.head_dropout_prob()),
        ] {
            if !(0.0..1.0).contains(&value) {
                return Err(Error::config(
                    field,
                    format!("{value} is not a probability in [0, 1)"),
                ));
            }
        }
        for (field, value) in [
            ("layer_norm_eps", self.layer_norm_eps),
            ("initializer_range", self.initializer_range),
        ] {
            if !(value.is_finite() && value > 0.0) {
                return Err(Error::config(field, format!("{value} is not positive")));
            }
        }
        Ok(())
    }
}
