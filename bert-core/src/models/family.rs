//! Description of a family of encoders.

use serde_json::{Map, Value};
use tokenizers::PostProcessorWrapper;
use tokenizers::pre_tokenizers::byte_level::ByteLevel;

use super::shape::{HeadShapes, Positions};
use crate::config::BertConfig;
use crate::error::Result;

/// A family of encoders: how its files describe a network of [`BertConfig`](crate::BertConfig).
#[derive(Debug)]
pub struct Family {
    /// `model_type` of `config.json`.
    pub model_type: &'static str,
    /// Name in prose.
    pub name: &'static str,
    /// Beginning of the names of its classes in transformers.
    pub class_prefix: &'static str,
    /// `pad_token_id` of a `config.json` without it.
    pub pad_token_id: usize,
    /// Keys of `config.json`.
    pub keys: ConfigKeys,
    /// True if its encoders have a pooler.
    pub pooler: bool,
    /// True if `type_vocab_size` may be 0, which means that there are no segment embeddings.
    pub segments_optional: bool,
    /// Assignment of position embeddings.
    pub positions: Positions,
    /// Shapes of the task heads.
    pub heads: HeadShapes,
    /// Names of tensors in its files.
    pub tensors: TensorNames,
    /// Tokenizer of a directory of the family.
    pub tokenizer: TokenizerFamily,
    /// Its published model of base size.
    pub published: Published,
}

/// Published model of base size, whose shape fresh models of that size have.
#[derive(Debug)]
pub struct Published {
    /// Id on the hub.
    pub id: &'static str,
    /// Fields of its `config.json` in which it departs from the sizes of BERT base and from the family's defaults.
    pub config: fn() -> Value,
    /// True if it has a pooler.
    pub pooler: bool,
    /// Weights of its encoder, with the pooler if it has one.
    pub parameters: usize,
    /// Other models of the family, by their names in prose.
    pub others: &'static [&'static str],
}

/// Keys of a family's `config.json`, where they differ from those of BERT.
#[derive(Debug)]
pub struct ConfigKeys {
    /// BERT's key and that of the family for the same field.
    pub renamed: &'static [(&'static str, &'static str)],
    /// BERT's key and another that older files of the family have for the same field; it is read where BERT's is absent.
    pub aliases: &'static [(&'static str, &'static str)],
    /// BERT's keys that the family does not have: they are neither read nor written.
    pub without: &'static [&'static str],
    /// Values of `model_type` in files of the family from before it was one of transformers'; they are read and not written.
    pub own_model_types: &'static [&'static str],
    /// Parts of what `auto_map` names in files of the family from before it was one of transformers'.
    pub own_code: &'static [&'static str],
    /// Value of `position_embedding_type` in the files that state it.
    pub position_embedding_type: &'static str,
    /// Adds what a new model of the family states, where absent keys stand for something else than the published models have.
    pub new_model: fn(&mut Map<String, Value>),
    /// Sets the values that an absent key stands for, where they are not BERT's.
    pub defaults: fn(&mut BertConfig),
    /// Reads the keys that BERT does not have, after the others; those it takes out are [written](Self::write) back.
    pub read: fn(&mut Map<String, Value>, &mut BertConfig) -> Result<()>,
    /// Writes the keys that BERT does not have.
    pub write: fn(&BertConfig, &mut Map<String, Value>),
}

/// Names of tensors in the files of a family, where they differ from those of our parameters.
///
/// Each pair is the beginning of our name and of that in the files; `{}` stands for the number of a layer. The first pair
/// that fits counts.
#[derive(Debug)]
pub struct TensorNames {
    /// Name of the encoder in a task model, with a dot at its end; the files of an encoder alone have none.
    pub prefix: &'static str,
    /// Names of the encoder in task models from before the family was one of transformers', with a dot at their end; they are
    /// read and not written.
    pub own_prefixes: &'static [&'static str],
    /// Modules of the encoder in the files.
    pub modules: &'static [&'static str],
    /// Classifiers that transformers has no class for in this family, by the ends of BERT's classes: nothing could load them.
    pub without: &'static [&'static str],
    /// Names within the encoder, without the prefix.
    pub encoder: &'static [(&'static str, &'static str)],
    /// Names of heads.
    pub heads: &'static [(&'static str, &'static str)],
    /// Names of heads that mean other parameters in models of other classes, by the end of a class: they are read so only where
    /// `architectures` states such a class, and go before all others.
    pub by_stated_class: &'static [(&'static str, &'static [(&'static str, &'static str)])],
    /// Names of heads in models of one class, by the end of its name; they go before the others.
    pub by_class: &'static [(&'static str, &'static [(&'static str, &'static str)])],
}

/// Conventions of a family's tokenizer.
#[derive(Debug)]
pub struct TokenizerFamily {
    /// Classes of transformers that are built alike, without `Fast` at the end; the first is the one that is saved, or
    /// `PreTrainedTokenizerFast` where there is none.
    pub classes: &'static [&'static str],
    /// Splitting of words into tokens.
    pub model: TokenizerModel,
    /// Special tokens where no file names them: unknown, separator, padding, first, mask.
    pub special_tokens: [&'static str; 5],
    /// Special tokens beyond those five that its class marks where no file names any.
    pub extra_special_tokens: &'static [&'static str],
    /// Special tokens of a new vocabulary in the order of their ids: those at its beginning, and those at its end.
    pub special_order: [&'static [&'static str]; 2],
    /// True if a new byte-level vocabulary is one of composed characters (NFC).
    pub composes: bool,
    /// True if the mask token takes the white space before it.
    pub mask_takes_space: bool,
    /// True if the tokens of a second text have segment 1.
    pub segments: bool,
    /// Special tokens around one text and two, where no `tokenizer.json` states them.
    pub frame: fn(Frame) -> PostProcessorWrapper,
}

/// Splitting of words into tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenizerModel {
    /// WordPiece after BERT's normalizer and splitter; `vocab.txt`.
    WordPiece,
    /// Byte-pair encoding of bytes, spaces being part of tokens; `vocab.json` and `merges.txt`.
    ByteLevelBpe,
    /// Unigram language model over pieces that carry the space before a word as `▁`; `tokenizer.json` alone.
    Unigram(UnigramText),
}

/// Normalizer and splitter before a Unigram model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UnigramText {
    /// Words between white space, once characters are mapped by the table that belongs to the vocabulary.
    Words,
    /// Words between white space, after plain quotation marks, and without accents and in lower case unless
    /// `keep_accents` and `do_lower_case` say otherwise; then the table of the vocabulary.
    Folded,
    /// Running text in composed characters, each run of white space being one space; in lower case with
    /// `do_lower_case`, punctuation apart with `split_by_punct`.
    Running,
}

/// Arguments of [`TokenizerFamily::frame`].
#[derive(Clone, Debug)]
pub struct Frame {
    /// Separator with its id.
    pub separator: (String, u32),
    /// First token with its id.
    pub first: (String, u32),
    /// The splitter, where it is a byte-level one.
    pub splitter: Option<ByteLevel>,
}

impl ConfigKeys {
    /// BERT's keys.
    pub const PLAIN: Self = Self {
        renamed: &[],
        aliases: &[],
        without: &[],
        own_model_types: &[],
        own_code: &[],
        position_embedding_type: "absolute",
        new_model: |_| {},
        defaults: |_| {},
        read: |_, _| Ok(()),
        write: |_, _| {},
    };
}

impl TensorNames {
    /// BERT's names.
    pub const PLAIN: Self = Self {
        prefix: "bert.",
        own_prefixes: &[],
        modules: &["embeddings", "encoder", "pooler"],
        without: &[],
        encoder: &[],
        heads: &[],
        by_stated_class: &[],
        by_class: &[],
    };
}

impl Family {
    /// The class of transformers with this ending: `ForMaskedLM`, `Model`, …
    pub fn class(&self, ending: &str) -> String {
        format!("{}{ending}", self.class_prefix)
    }

    /// True if transformers has a class of the family for the classifier of BERT's class with this ending.
    pub fn has_class(&self, ending: &str) -> bool {
        !self.tensors.without.contains(&ending)
    }
}

impl PartialEq for Family {
    fn eq(&self, other: &Self) -> bool {
        self.model_type == other.model_type
    }
}

impl Eq for Family {}
