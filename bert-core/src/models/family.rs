//! Description of a family of encoders.

use tokenizers::PostProcessorWrapper;
use tokenizers::pre_tokenizers::byte_level::ByteLevel;

use super::shape::{HeadShapes, Positions};

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
    /// Assignment of position embeddings.
    pub positions: Positions,
    /// Shapes of the task heads.
    pub heads: HeadShapes,
    /// Names of tensors in its files.
    pub tensors: TensorNames,
    /// Tokenizer of a directory of the family.
    pub tokenizer: TokenizerFamily,
}

/// Names of tensors in the files of a family, where they differ from those of our parameters.
///
/// Each pair is the beginning of our name, the encoder being under `bert.`, and of that in the files; the first pair that
/// fits counts.
#[derive(Debug)]
pub struct TensorNames {
    /// Names in every model.
    pub renamed: &'static [(&'static str, &'static str)],
    /// Names in models whose classifier has a hidden layer, `pre_classifier`; they go before the others.
    pub hidden_classifier: &'static [(&'static str, &'static str)],
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

impl Family {
    /// The class of transformers with this ending: `ForMaskedLM`, `Model`, …
    pub fn class(&self, ending: &str) -> String {
        format!("{}{ending}", self.class_prefix)
    }
}

impl PartialEq for Family {
    fn eq(&self, other: &Self) -> bool {
        self.model_type == other.model_type
    }
}

impl Eq for Family {}
