//! The shape of a BERT encoder, read from and written as Hugging Face `config.json`.

use std::path::Path;

use derive_new::new;
use serde_json::{Map, Value, json};

use crate::activation::HiddenAct;
use crate::error::{Error, Result};

/// Hyper-parameters of a BERT encoder (BERT §3).
///
/// Field names are those of Hugging Face's `config.json` (transformers
/// `configuration_bert.py`), which is also the format on disk.
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
    /// Rows of the position-embedding table: the longest input in tokens.
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
    /// Fields of `config.json` that the encoder does not interpret (`id2label`, …), kept so that
    /// they are written back.
    #[new(default)]
    pub extra: Map<String, Value>,
}

/// Encoder sizes published with BERT (Devlin et al. 2019) and its compact models (Turc et al. 2019).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BertSize {
    /// 2 layers, hidden 128.
    Tiny,
    /// 4 layers, hidden 256.
    Mini,
    /// 4 layers, hidden 512.
    Small,
    /// 8 layers, hidden 512.
    Medium,
    /// 12 layers, hidden 768.
    Base,
    /// 24 layers, hidden 1024.
    Large,
}

impl BertSize {
    /// All sizes, smallest first.
    pub const ALL: [Self; 6] = [
        Self::Tiny,
        Self::Mini,
        Self::Small,
        Self::Medium,
        Self::Base,
        Self::Large,
    ];

    /// `(num_hidden_layers, hidden_size)`; heads are `hidden_size / 64`, the feed-forward layer
    /// four times `hidden_size`.
    const fn dimensions(self) -> (usize, usize) {
        match self {
            Self::Tiny => (2, 128),
            Self::Mini => (4, 256),
            Self::Small => (4, 512),
            Self::Medium => (8, 512),
            Self::Base => (12, 768),
            Self::Large => (24, 1024),
        }
    }

    /// The name used on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Tiny => "tiny",
            Self::Mini => "mini",
            Self::Small => "small",
            Self::Medium => "medium",
            Self::Base => "base",
            Self::Large => "large",
        }
    }
}

/// Vocabularies published with BERT; each fixes the size of the word-embedding table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BertVocabulary {
    /// English, lower-cased: 30,522 entries.
    Uncased,
    /// English, cased: 28,996 entries.
    Cased,
    /// Simplified and traditional Chinese: 21,128 entries.
    Chinese,
    /// 104 languages, cased: 119,547 entries.
    MultilingualCased,
}

impl BertVocabulary {
    /// All vocabularies.
    pub const ALL: [Self; 4] = [
        Self::Uncased,
        Self::Cased,
        Self::Chinese,
        Self::MultilingualCased,
    ];

    /// Entries in the published `vocab.txt`.
    pub const fn vocab_size(self) -> usize {
        match self {
            Self::Uncased => 30_522,
            Self::Cased => 28_996,
            Self::Chinese => 21_128,
            Self::MultilingualCased => 119_547,
        }
    }

    /// The name used in preset names and on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Uncased => "uncased",
            Self::Cased => "cased",
            Self::Chinese => "chinese",
            Self::MultilingualCased => "multilingual-cased",
        }
    }
}

impl BertConfig {
    /// The published configuration of `size` with the table of `vocabulary`.
    ///
    /// # Example
    ///
    /// ```
    /// use bert_core::config::{BertConfig, BertSize, BertVocabulary};
    ///
    /// let config = BertConfig::preset(BertSize::Base, BertVocabulary::Uncased);
    /// assert_eq!(config.num_params(true), 109_482_240);
    /// ```
    pub fn preset(size: BertSize, vocabulary: BertVocabulary) -> Self {
        let (layers, hidden) = size.dimensions();
        Self::new(
            vocabulary.vocab_size(),
            hidden,
            layers,
            hidden / 64,
            4 * hidden,
        )
    }

    /// The configuration named `size-vocabulary`, such as `base-uncased`; the vocabulary defaults
    /// to uncased.
    ///
    /// # Errors
    ///
    /// [`Error::Config`] naming `preset` when either part is unknown.
    pub fn preset_by_name(name: &str) -> Result<Self> {
        let (size, vocabulary) = name.split_once('-').unwrap_or((name, "uncased"));
        let size = BertSize::ALL.into_iter().find(|s| s.name() == size);
        let vocabulary = BertVocabulary::ALL
            .into_iter()
            .find(|v| v.name() == vocabulary);
        match (size, vocabulary) {
            (Some(size), Some(vocabulary)) => Ok(Self::preset(size, vocabulary)),
            _ => Err(Error::config(
                "preset",
                format!(
                    "`{name}` is unknown; sizes are {}, vocabularies {}, joined by `-` as in base-uncased",
                    BertSize::ALL.map(BertSize::name).join(", "),
                    BertVocabulary::ALL.map(BertVocabulary::name).join(", "),
                ),
            )),
        }
    }

    /// Dropout probability before the classifier of a task head.
    pub fn head_dropout_prob(&self) -> f64 {
        self.classifier_dropout.unwrap_or(self.hidden_dropout_prob)
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

    /// Reads `config.json`.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] or [`Error::Malformed`] for the file, [`Error::Config`] naming the field that
    /// is missing or out of range.
    pub fn from_file(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let text = std::fs::read_to_string(path).map_err(|error| Error::io("read", path, error))?;
        let value: Value = serde_json::from_str(&text)
            .map_err(|error| Error::malformed(path, "config.json", error))?;
        match value {
            Value::Object(fields) => Self::from_json(fields),
            _ => Err(Error::malformed(path, "config.json", "it is not an object")),
        }
    }

    /// Interprets the fields of a `config.json`.
    ///
    /// The five sizes are required; everything else has the default of transformers'
    /// `BertConfig`.
    ///
    /// # Errors
    ///
    /// [`Error::Config`] naming the field.
    pub fn from_json(mut fields: Map<String, Value>) -> Result<Self> {
        refuse_unsupported(&fields)?;
        let mut config = Self::new(
            require(&mut fields, "vocab_size")?,
            require(&mut fields, "hidden_size")?,
            require(&mut fields, "num_hidden_layers")?,
            require(&mut fields, "num_attention_heads")?,
            require(&mut fields, "intermediate_size")?,
        );
        if let Some(name) = take(&mut fields, "hidden_act", as_string)? {
            config.hidden_act = name.parse()?;
        }
        let float = |fields: &mut _, name, slot: &mut f64| -> Result<()> {
            take(fields, name, as_float).map(|value| *slot = value.unwrap_or(*slot))
        };
        float(
            &mut fields,
            "hidden_dropout_prob",
            &mut config.hidden_dropout_prob,
        )?;
        float(
            &mut fields,
            "attention_probs_dropout_prob",
            &mut config.attention_probs_dropout_prob,
        )?;
        config.classifier_dropout = take(&mut fields, "classifier_dropout", as_float)?;
        float(
            &mut fields,
            "initializer_range",
            &mut config.initializer_range,
        )?;
        float(&mut fields, "layer_norm_eps", &mut config.layer_norm_eps)?;
        let size = |fields: &mut _, name, slot: &mut usize| -> Result<()> {
            take(fields, name, as_size).map(|value| *slot = value.unwrap_or(*slot))
        };
        size(
            &mut fields,
            "max_position_embeddings",
            &mut config.max_position_embeddings,
        )?;
        size(&mut fields, "type_vocab_size", &mut config.type_vocab_size)?;
        size(&mut fields, "pad_token_id", &mut config.pad_token_id)?;
        config.extra = fields;
        config.validate()?;
        Ok(config)
    }

    /// The fields of a `config.json` that transformers reads back.
    pub fn to_json(&self) -> Map<String, Value> {
        let known = json!({
            "model_type": "bert",
            "vocab_size": self.vocab_size,
            "hidden_size": self.hidden_size,
            "num_hidden_layers": self.num_hidden_layers,
            "num_attention_heads": self.num_attention_heads,
            "intermediate_size": self.intermediate_size,
            "hidden_act": self.hidden_act.name(),
            "hidden_dropout_prob": self.hidden_dropout_prob,
            "attention_probs_dropout_prob": self.attention_probs_dropout_prob,
            "classifier_dropout": self.classifier_dropout,
            "max_position_embeddings": self.max_position_embeddings,
            "type_vocab_size": self.type_vocab_size,
            "initializer_range": self.initializer_range,
            "layer_norm_eps": self.layer_norm_eps,
            "pad_token_id": self.pad_token_id,
        });
        let Value::Object(mut fields) = known else {
            unreachable!("json! of an object literal is an object");
        };
        for (name, value) in &self.extra {
            fields.entry(name).or_insert_with(|| value.clone());
        }
        fields
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

/// Refuses architectures that share BERT's field names but compute something else.
fn refuse_unsupported(fields: &Map<String, Value>) -> Result<()> {
    if let Some(kind) = fields.get("model_type")
        && kind != "bert"
    {
        return Err(Error::config(
            "model_type",
            format!("is {kind}, but only \"bert\" checkpoints are read"),
        ));
    }
    if let Some(kind) = fields.get("position_embedding_type")
        && kind != "absolute"
    {
        return Err(Error::config(
            "position_embedding_type",
            format!("is {kind}, but BERT's positions are \"absolute\""),
        ));
    }
    for field in ["is_decoder", "add_cross_attention"] {
        if fields.get(field) == Some(&Value::Bool(true)) {
            return Err(Error::config(
                field,
                "is true, but this model is an encoder without cross-attention",
            ));
        }
    }
    Ok(())
}

fn take<T: Describe>(
    fields: &mut Map<String, Value>,
    name: &str,
    convert: impl Fn(&Value) -> Option<T>,
) -> Result<Option<T>> {
    match fields.shift_remove(name) {
        None | Some(Value::Null) => Ok(None),
        Some(value) => match convert(&value) {
            Some(value) => Ok(Some(value)),
            None => Err(Error::config(
                name,
                format!("is {value}, but must be {}", T::WHAT),
            )),
        },
    }
}

fn require(fields: &mut Map<String, Value>, name: &str) -> Result<usize> {
    take(fields, name, as_size)?
        .ok_or_else(|| Error::config(name, "is missing; BERT's config.json must state it"))
}

/// What a field of this type must hold, for messages.
trait Describe {
    const WHAT: &'static str;
}
impl Describe for usize {
    const WHAT: &'static str = "a whole number";
}
impl Describe for f64 {
    const WHAT: &'static str = "a number";
}
impl Describe for String {
    const WHAT: &'static str = "a string";
}

fn as_size(value: &Value) -> Option<usize> {
    usize::try_from(value.as_u64()?).ok()
}

fn as_float(value: &Value) -> Option<f64> {
    value.as_f64()
}

fn as_string(value: &Value) -> Option<String> {
    value.as_str().map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(text: &str) -> Map<String, Value> {
        serde_json::from_str(text).unwrap()
    }

    const MINIMAL: &str = r#"{"vocab_size": 99, "hidden_size": 32, "num_hidden_layers": 5,
        "num_attention_heads": 4, "intermediate_size": 37}"#;

    #[test]
    fn parameter_counts_are_the_published_ones() {
        for (name, expected) in [
            ("base-uncased", 109_482_240),
            ("large-uncased", 335_141_888),
            ("tiny", 4_385_920),
            ("mini", 11_170_560),
            ("small", 28_763_648),
            ("medium", 41_373_184),
        ] {
            let config = BertConfig::preset_by_name(name).unwrap();
            assert_eq!(config.num_params(true), expected, "{name}");
        }
    }

    #[test]
    fn unknown_presets_list_the_known_ones() {
        let message = BertConfig::preset_by_name("huge-uncased")
            .unwrap_err()
            .to_string();
        assert!(message.contains("huge-uncased") && message.contains("medium"));
        assert!(BertConfig::preset_by_name("base-klingon").is_err());
    }

    #[test]
    fn absent_fields_take_the_defaults_of_transformers() {
        let config = BertConfig::from_json(fields(MINIMAL)).unwrap();
        assert_eq!(config, BertConfig::new(99, 32, 5, 4, 37));
        assert_eq!(config.layer_norm_eps, 1e-12);
    }

    #[test]
    fn a_head_has_its_own_dropout_or_that_of_the_encoder() {
        let mut with = fields(MINIMAL);
        with.insert("hidden_dropout_prob".into(), json!(0.2));
        for (stated, expected) in [(json!(null), 0.2), (json!(0.0), 0.0), (json!(0.35), 0.35)] {
            with.insert("classifier_dropout".into(), stated.clone());
            let config = BertConfig::from_json(with.clone()).unwrap();
            assert_eq!(config.head_dropout_prob(), expected);
            assert_eq!(config.to_json()["classifier_dropout"], stated);
        }
    }

    #[test]
    fn unknown_fields_survive_a_round_trip() {
        let mut before = fields(MINIMAL);
        before.insert("id2label".into(), json!({"0": "PER"}));
        let config = BertConfig::from_json(before).unwrap();
        let again = BertConfig::from_json(config.to_json()).unwrap();
        assert_eq!(config.extra["id2label"], again.extra["id2label"]);
        assert_eq!(config.to_json(), again.to_json());
    }

    #[test]
    fn each_bad_field_is_named() {
        for (field, value) in [
            ("hidden_act", json!("swish")),
            ("num_attention_heads", json!(5)),
            ("num_attention_heads", json!(0)),
            ("vocab_size", json!(-1)),
            ("vocab_size", json!("many")),
            ("num_hidden_layers", json!(100_000_000)),
            ("hidden_size", json!(1_u64 << 62)),
            ("hidden_dropout_prob", json!(1.0)),
            ("attention_probs_dropout_prob", json!("0.1")),
            ("classifier_dropout", json!(1.5)),
            ("classifier_dropout", json!("0.1")),
            ("layer_norm_eps", json!(0.0)),
            ("model_type", json!("roberta")),
            ("position_embedding_type", json!("relative_key")),
            ("is_decoder", json!(true)),
        ] {
            let mut broken = fields(MINIMAL);
            broken.insert(field.into(), value.clone());
            let message = BertConfig::from_json(broken).unwrap_err().to_string();
            assert!(message.contains(field), "{field}={value}: {message}");
        }
        for field in [
            "vocab_size",
            "hidden_size",
            "num_hidden_layers",
            "num_attention_heads",
            "intermediate_size",
        ] {
            let mut broken = fields(MINIMAL);
            broken.shift_remove(field);
            let message = BertConfig::from_json(broken).unwrap_err().to_string();
            assert!(message.contains(field), "{message}");
        }
    }
}
