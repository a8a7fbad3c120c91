//! The shape of an encoder, read from and written as Hugging Face `config.json`.

pub(crate) mod json;
mod preset;

use derive_new::new;
use serde_json::{Map, Value};

pub use preset::{BertSize, BertVocabulary};

use crate::activation::HiddenAct;
use crate::error::{Error, Result};
use crate::models::{
    BERT, BlockDropout, BlockShape, ClassifierShape, Convolution, EmbeddingProjection, Family,
    GateShape, HeadDropout, HeadShapes, LocalLayers, Positions, RelativePositions, Rotary,
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
    /// Width of the embeddings, from which a projection leads to `hidden_size`; `None` if they have `hidden_size` and no
    /// projection.
    #[new(default)]
    pub embedding_size: Option<usize>,
    /// Place of that projection.
    #[new(default)]
    pub embedding_projection: EmbeddingProjection,
    /// Blocks with parameters of their own, if fewer than `num_hidden_layers`: each runs in several layers in turn.
    #[new(default)]
    pub num_hidden_groups: Option<usize>,
    /// Dropout within blocks.
    #[new(value = "BlockDropout::PLAIN")]
    pub block_dropout: BlockDropout,
    /// Dropout probability within the feed-forward layer, before its narrowing half, unless
    /// [`block_dropout`](Self::block_dropout) says that it is `hidden_dropout_prob`.
    #[new(default)]
    pub mlp_dropout: f64,
    /// Assignment of position embeddings.
    #[new(default)]
    pub positions: Positions,
    /// Shape of the blocks.
    #[new(value = "BlockShape::PLAIN")]
    pub block: BlockShape,
    /// Rotary position embedding, if there is one.
    #[new(default)]
    pub rotary: Option<Rotary>,
    /// Relative positions in the scores of attention.
    #[new(default)]
    pub relative: RelativePositions,
    /// Convolution beside the first layer, if there is one.
    #[new(default)]
    pub convolution: Option<Convolution>,
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

    /// Dropout probability before the outputs of a classifier.
    pub fn dropout_prob_of(&self, shape: ClassifierShape) -> f64 {
        self.dropout_prob(shape.dropout)
    }

    /// Dropout probability of a place in a head.
    pub fn dropout_prob(&self, dropout: HeadDropout) -> f64 {
        match dropout {
            HeadDropout::Classifier => self.head_dropout_prob(),
            HeadDropout::Hidden => self.hidden_dropout_prob,
            HeadDropout::Key(key, absent) => {
                let stated = self.extra.get(key).and_then(Value::as_f64);
                stated.unwrap_or(absent)
            }
            HeadDropout::None => 0.0,
        }
    }

    /// Dropout probability after the projection of attention.
    pub(crate) fn attention_dropout_prob(&self) -> f64 {
        match self.block_dropout {
            BlockDropout {
                attention: false, ..
            } => 0.0,
            BlockDropout {
                as_attention: true, ..
            } => self.attention_probs_dropout_prob,
            _ => self.hidden_dropout_prob,
        }
    }

    /// Dropout probability within the feed-forward layer, before its narrowing half.
    pub(crate) fn widened_dropout_prob(&self) -> f64 {
        match self.block_dropout.widened {
            true => self.hidden_dropout_prob,
            false => self.mlp_dropout,
        }
    }

    /// Dropout probability after the feed-forward layer.
    pub(crate) fn feed_forward_dropout_prob(&self) -> f64 {
        match self.block_dropout.feed_forward {
            true => self.hidden_dropout_prob,
            false => 0.0,
        }
    }

    /// Keys of the family's own that state a head's dropout probability, and their values.
    fn dropouts_of_heads(&self) -> impl Iterator<Item = (&'static str, f64)> {
        let heads = self.heads;
        let shapes = [
            heads.sequence,
            heads.token,
            heads.question_answering,
            heads.choice,
        ];
        let of_shape = |shape: ClassifierShape| {
            let hidden = shape.hidden.map(|layer| layer.dropout);
            [Some(shape.dropout), hidden].into_iter().flatten()
        };
        shapes
            .into_iter()
            .flat_map(of_shape)
            .filter_map(|dropout| match dropout {
                HeadDropout::Key(key, _) => Some((key, self.dropout_prob(dropout))),
                _ => None,
            })
    }

    /// Refuses a head's dropout probability that is not a number.
    fn check_dropouts_of_heads(&self) -> Result<()> {
        for (key, _) in self.dropouts_of_heads() {
            if let Some(value) = self.extra.get(key)
                && !(value.is_number() || value.is_null())
            {
                return Err(Error::config(
                    key,
                    format!("is {value}, but must be a number"),
                ));
            }
        }
        Ok(())
    }

    /// Activation after the dense layer of the masked-LM head.
    pub fn masked_lm_act(&self) -> HiddenAct {
        self.heads.masked_lm.activation.unwrap_or(self.hidden_act)
    }

    /// Width of the embeddings, and of the masked-LM head.
    pub const fn embedding_width(&self) -> usize {
        match self.embedding_size {
            Some(width) => width,
            None => self.hidden_size,
        }
    }

    /// Blocks with parameters of their own.
    pub const fn num_blocks(&self) -> usize {
        match self.num_hidden_groups {
            Some(groups) => groups,
            None => self.num_hidden_layers,
        }
    }

    /// Row of the position-embedding table for the first token.
    pub const fn first_position(&self) -> usize {
        match self.positions {
            Positions::FromZero | Positions::None => 0,
            Positions::AfterPadding => self.pad_token_id.saturating_add(1),
            Positions::AfterToken(id) => id + 1,
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

    /// Refuses a head for replaced tokens where the family has none.
    ///
    /// # Errors
    ///
    /// [`Error::Config`] naming `model_type`.
    pub fn check_replaced_tokens(&self) -> Result<()> {
        match self.heads.replaced_tokens {
            true => Ok(()),
            false => Err(Error::config(
                "model_type",
                format!(
                    "is \"{}\", whose models have no head for replaced tokens: use one of ELECTRA's family, \"electra\"",
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

    /// Outputs of the widening half of the feed-forward layer.
    pub(crate) const fn widened_size(&self) -> usize {
        match self.block.gate {
            GateShape::None | GateShape::Apart => self.intermediate_size,
            GateShape::FirstHalf | GateShape::SecondHalf => 2 * self.intermediate_size,
        }
    }

    /// Width of one attention head.
    pub const fn head_size(&self) -> usize {
        self.hidden_size / self.num_attention_heads
    }

    /// Number of weights of the encoder, with or without the pooler.
    pub const fn num_params(&self, with_pooler: bool) -> usize {
        let (h, e) = (self.hidden_size, self.embedding_width());
        let block = self.block;
        let norm_vectors = 1 + block.norm_bias as usize;
        let norm = norm_vectors * h;
        let positions = match self.positions {
            Positions::None => 0,
            _ => self.max_position_embeddings,
        };
        let (normalised, projection) = match (self.embedding_size, self.embedding_projection) {
            (Some(_), EmbeddingProjection::AfterNorm) => (e, e * h + h),
            (Some(_), EmbeddingProjection::BeforeNorm) => (h, e * h),
            (None, _) => (h, 0),
        };
        let tables = (self.vocab_size + positions + self.type_vocab_size) * e
            + norm_vectors * normalised
            + projection;
        let attention = 4 * (h * h + block.attention_bias as usize * h) + norm;
        let gated = match block.gate {
            GateShape::None => 1,
            GateShape::FirstHalf | GateShape::SecondHalf | GateShape::Apart => 2,
        };
        let [widens, narrows] = block.feed_forward_bias;
        let widened = gated * self.intermediate_size;
        let biases = widens as usize * widened + narrows as usize * h;
        // Norms before are as many as those after: the first block has one less, and one is behind the last.
        let feed_forward = h * (widened + self.intermediate_size) + biases + norm;
        let pooler = if with_pooler { h * h + h } else { 0 };
        let relative = match self.relative {
            RelativePositions::None => 0,
            RelativePositions::Bias { buckets } => buckets * self.num_attention_heads,
            RelativePositions::Disentangled(shape) => {
                let table = 2 * shape.span() * h + shape.norm as usize * norm;
                table + self.num_blocks() * shape.own_projections() * (h * h + h)
            }
        };
        let convolution = match self.convolution {
            Some(shape) => shape.kernel * h * h + h + norm,
            None => 0,
        };
        tables + relative + convolution + self.num_blocks() * (attention + feed_forward) + pooler
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
            ("embedding_size", self.embedding_width()),
            ("num_hidden_groups", self.num_blocks()),
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
            ("embedding_size", self.embedding_width(), 1 << 16),
        ] {
            if value > most {
                return Err(Error::config(
                    field,
                    format!("is {value}, far beyond any BERT (at most {most} are built)"),
                ));
            }
        }
        if self.type_vocab_size == 0 && !self.family.segments_optional {
            let reason = "is 0 but must be at least 1";
            return Err(Error::config("type_vocab_size", reason));
        }
        if self.num_hidden_groups.is_some()
            && !self.num_hidden_layers.is_multiple_of(self.num_blocks())
        {
            return Err(Error::config(
                "num_hidden_groups",
                format!(
                    "{} groups do not divide num_hidden_layers {}",
                    self.num_blocks(),
                    self.num_hidden_layers
                ),
            ));
        }
        if self.max_input_length() == 0 {
            return Err(Error::config(
                "max_position_embeddings",
                format!(
                    "is {}, but positions begin at {}, one beyond that of padding",
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
        if let Some(Rotary {
            theta,
            local_theta,
            scale,
        }) = self.rotary
        {
            if !self.head_size().is_multiple_of(2) {
                return Err(Error::config(
                    "num_attention_heads",
                    format!(
                        "{} heads of width {} cannot have rotary positions, which take an even width",
                        self.num_attention_heads,
                        self.head_size()
                    ),
                ));
            }
            let positive = |value: f64| value.is_finite() && value > 0.0;
            for (field, value) in [
                ("rope_theta", theta),
                ("rope_theta", local_theta),
                ("rope_parameters", scale),
            ] {
                if !positive(value) {
                    return Err(Error::config(field, format!("{value} is not positive")));
                }
            }
        }
        if let Some(local) = &self.local
            && local.layers.len() != self.num_hidden_layers
        {
            return Err(Error::config(
                "layer_types",
                format!(
                    "has {} entries, but num_hidden_layers is {}",
                    local.layers.len(),
                    self.num_hidden_layers
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
            ("mlp_dropout", self.mlp_dropout),
        ]
        .into_iter()
        .chain(self.dropouts_of_heads())
        {
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
