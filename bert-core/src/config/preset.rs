//! The published sizes and vocabularies by name.

use serde_json::{Map, Value};

use super::BertConfig;
use crate::error::{Error, Result};
use crate::models::Family;

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

    /// The configuration of a size in a family: that of the [published](crate::models::Published) model for `base`, and the
    /// sizes of the preset called `name` [in the family](Self::in_family) otherwise.
    ///
    /// # Errors
    ///
    /// [`Error::Config`] naming `preset` for an unknown one, or the field in which its sizes do not suit the family.
    pub fn preset_in_family(name: &str, family: &'static Family) -> Result<Self> {
        let sizes = Self::preset_by_name(name)?;
        if name == BertSize::Base.name() {
            let mut fields = sizes.sizes_in(family);
            if let Value::Object(published) = (family.published.config)() {
                fields.extend(published);
            }
            return Self::of_fields(fields);
        }
        let is_there = family.pad_token_id < sizes.vocab_size;
        sizes.in_family(family, if is_there { family.pad_token_id } else { 0 })
    }

    /// The five sizes, as fields of a family's `config.json`.
    fn sizes_in(&self, family: &Family) -> Map<String, Value> {
        let mut fields = Map::new();
        for (name, value) in [
            ("vocab_size", self.vocab_size),
            ("hidden_size", self.hidden_size),
            ("num_hidden_layers", self.num_hidden_layers),
            ("num_attention_heads", self.num_attention_heads),
            ("intermediate_size", self.intermediate_size),
        ] {
            let mut renamed = family.keys.renamed.iter();
            let name = renamed
                .find(|(ours, _)| *ours == name)
                .map_or(name, |(_, theirs)| theirs);
            fields.insert(name.to_owned(), value.into());
        }
        fields.insert("model_type".to_owned(), family.model_type.into());
        fields
    }

    /// The configuration of fields that no file has.
    fn of_fields(fields: Map<String, Value>) -> Result<Self> {
        let mut config = Self::from_json(fields)?;
        config.extra.shift_remove("model_type");
        Ok(config)
    }

    /// A network of a family with the five sizes of this configuration, and everything else as a [new
    /// model](crate::models::ConfigKeys::new_model) of the family has it, but for the tables of positions and segments: as
    /// many positions as this configuration has inputs, and one segment where the family's tokens are all of one.
    ///
    /// # Errors
    ///
    /// [`Error::Config`] naming the field in which the sizes do not suit the family.
    pub fn in_family(&self, family: &'static Family, pad_token_id: usize) -> Result<Self> {
        let mut fields = self.sizes_in(family);
        (family.keys.new_model)(&mut fields);
        let mut config = Self::of_fields(fields)?;
        config.pad_token_id = pad_token_id;
        if config.first_position() > 0 {
            config.max_position_embeddings = self.max_input_length() + config.first_position();
        }
        if !family.tokenizer.segments {
            config.type_vocab_size = config.type_vocab_size.min(1);
        }
        config.validate()?;
        Ok(config)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::models::{BERT, FAMILIES, ROBERTA};

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
    fn sizes_in_every_family_are_read_back() {
        let sizes = BertConfig::preset_by_name("tiny").unwrap();
        assert_eq!(sizes.in_family(&BERT, 0).unwrap(), sizes);
        for family in FAMILIES {
            let pad = family.pad_token_id;
            let config = sizes.in_family(family, pad).unwrap();
            assert_eq!(*config.family, *family);
            assert_eq!(config.hidden_size, sizes.hidden_size, "{}", family.name);
            let read = BertConfig::from_json(config.to_json()).unwrap();
            assert_eq!(read.to_json(), config.to_json(), "{}", family.name);
        }
        let roberta = sizes.in_family(&ROBERTA, 1).unwrap();
        assert_eq!(
            (roberta.max_position_embeddings, roberta.type_vocab_size),
            (514, 1)
        );
        assert_eq!(roberta.max_input_length(), 512);
    }

    #[test]
    fn the_base_size_of_every_family_is_the_published_one() {
        for family in FAMILIES {
            let base = BertConfig::preset_in_family("base", family).unwrap();
            let published = &family.published;
            assert_eq!(*base.family, *family);
            let parameters = base.num_params(published.pooler);
            assert_eq!(parameters, published.parameters, "{}", published.id);
            let read = BertConfig::from_json(base.to_json()).unwrap();
            assert_eq!(read.to_json(), base.to_json(), "{}", family.name);
            let tiny = BertConfig::preset_in_family("tiny", family).unwrap();
            assert_eq!((tiny.hidden_size, tiny.num_hidden_layers), (128, 2));
        }
        let bert = BertConfig::preset_by_name("base").unwrap();
        assert_eq!(BertConfig::preset_in_family("base", &BERT).unwrap(), bert);
        assert!(BertConfig::preset_in_family("huge", &BERT).is_err());
    }

    #[test]
    fn unknown_presets_list_the_known_ones() {
        let message = BertConfig::preset_by_name("huge-uncased")
            .unwrap_err()
            .to_string();
        assert!(message.contains("huge-uncased") && message.contains("medium"));
        assert!(BertConfig::preset_by_name("base-klingon").is_err());
    }
}
