//! Options of a tokenizer and of a call to encode.

use tokenizers::normalizers::BertNormalizer;

use crate::models::{BERT, Family};

/// Options of the splitting of text into words before WordPiece, with the defaults of transformers' `BertTokenizer`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenizerOptions {
    /// Lower-case the text: true for the uncased models.
    pub do_lower_case: bool,
    /// Drop combining accents; `None` follows [`do_lower_case`](Self::do_lower_case).
    pub strip_accents: Option<bool>,
    /// Make every CJK ideograph a word of its own.
    pub tokenize_chinese_chars: bool,
    /// The length in tokens that [`model_max_length`](super::BertTokenizer::model_max_length) reports.
    pub model_max_length: Option<usize>,
    /// The special tokens as spelled in the vocabulary.
    pub special_tokens: SpecialTokens,
}

impl Default for TokenizerOptions {
    fn default() -> Self {
        Self {
            do_lower_case: true,
            strip_accents: None,
            tokenize_chinese_chars: true,
            model_max_length: None,
            special_tokens: SpecialTokens::default(),
        }
    }
}

impl TokenizerOptions {
    /// The normalizer of transformers' `BertTokenizer` under these options.
    pub(super) fn normalizer(&self) -> BertNormalizer {
        BertNormalizer::new(
            true,
            self.tokenize_chinese_chars,
            self.strip_accents,
            self.do_lower_case,
        )
    }
}

/// The names of the five special tokens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SpecialTokens {
    /// Stands for words the vocabulary cannot spell: `[UNK]`.
    pub unk: String,
    /// Closes a segment: `[SEP]`.
    pub sep: String,
    /// Fills rows up to a common length: `[PAD]`.
    pub pad: String,
    /// Opens the sequence: `[CLS]`.
    pub cls: String,
    /// Stands for a token to be predicted: `[MASK]`.
    pub mask: String,
}

impl Default for SpecialTokens {
    /// Those of BERT.
    fn default() -> Self {
        Self::of(&BERT)
    }
}

impl SpecialTokens {
    /// The special tokens of a family.
    pub fn of(family: &Family) -> Self {
        let [unk, sep, pad, cls, mask] = family.tokenizer.special_tokens.map(str::to_owned);
        Self {
            unk,
            sep,
            pad,
            cls,
            mask,
        }
    }

    pub(super) fn names(&self) -> [&str; 5] {
        [&self.unk, &self.sep, &self.pad, &self.cls, &self.mask]
    }
}

/// Options of one call to encode; the default is no limit and special tokens added.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EncodeOptions {
    /// The most tokens to give out, special tokens included; `None` never truncates.
    pub max_length: Option<usize>,
    /// Which tokens go when the text is longer than `max_length`.
    pub truncation: Truncation,
    /// Put `[CLS]` and `[SEP]` in place.
    pub add_special_tokens: bool,
}

impl Default for EncodeOptions {
    fn default() -> Self {
        Self {
            max_length: None,
            truncation: Truncation::LongestFirst,
            add_special_tokens: true,
        }
    }
}

impl EncodeOptions {
    /// At most `max_length` tokens, cut longest first.
    pub fn truncated(max_length: usize) -> Self {
        Self {
            max_length: Some(max_length),
            ..Self::default()
        }
    }
}

/// Which segment gives up tokens at its end, as transformers' `TruncationStrategy` for fast tokenizers.
///
/// Special tokens are never cut.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Truncation {
    /// The longer segment, until both are equal, then both.
    #[default]
    LongestFirst,
    /// Only the first segment; an error if the second alone does not fit.
    OnlyFirst,
    /// Only the second segment; an error if the first alone does not fit.
    OnlySecond,
    /// Neither: a text that does not fit is an error.
    None,
}
