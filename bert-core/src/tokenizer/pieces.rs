//! WordPieces of running text for pretraining: ids only, many sentences, nothing framed.

use std::collections::HashMap;

use tokenizers::{Model, ModelWrapper, Normalizer};
use tokenizers::{
    NormalizerWrapper, OffsetReferential, OffsetType, PreTokenizedString, PreTokenizer,
    PreTokenizerWrapper,
};

use super::{BertTokenizer, failed};
use crate::Result;

/// Longer runs without a space are seldom met twice.
const LONGEST_REMEMBERED: usize = 32;
/// Bounds the memory of a cache to some ten megabytes.
const MOST_REMEMBERED: usize = 1 << 17;

/// Cuts text into WordPieces without `[CLS]` and `[SEP]`.
///
/// Unlike [`BertTokenizer::encode`] it reads `[MASK]` and the like in a text as the characters they
/// are written with, as google-research/bert does, so that no text can smuggle in special tokens.
/// Tokens that were added to the vocabulary without being special are not looked for either.
#[derive(Clone, Debug)]
pub struct PieceEncoder {
    text: TextSplitter,
    model: ModelWrapper,
}

/// Normalizer and splitter of a tokenizer: running text to the words that its model cuts into tokens.
#[derive(Clone, Debug)]
pub struct TextSplitter {
    normalizer: Option<NormalizerWrapper>,
    splitter: Option<PreTokenizerWrapper>,
    /// Argument `ideographs` of [`independent_runs`]; none if that does not hold of the tokenizer.
    runs: Option<bool>,
}

/// Memory of a [`PieceEncoder`] for the words it has seen; one for each thread.
///
/// It belongs to one encoder and makes it faster, never different.
#[derive(Debug, Default)]
pub struct PieceCache(HashMap<Box<str>, Box<[u32]>>);

/// Parts of a text that give the same words alone as they give together, under BERT's normalizer
/// and splitter: what stands between spaces, and with `ideographs` (if Chinese characters become
/// words) each ideograph and what stands between them.
///
/// The normalizer works on single characters, and neither spaces nor ideographs ever join others.
/// Other white space may be a control character, which is dropped and parts nothing.
pub fn independent_runs(text: &str, ideographs: bool) -> impl Iterator<Item = &str> {
    text.split(' ').flat_map(move |mut rest| {
        std::iter::from_fn(move || {
            let first = rest.chars().next()?;
            let end = match ideographs {
                true if is_ideograph(first) => first.len_utf8(),
                true => rest.find(is_ideograph).unwrap_or(rest.len()),
                false => rest.len(),
            };
            let (run, behind) = rest.split_at(end);
            rest = behind;
            Some(run)
        })
    })
}

/// Ideographs by far the most; rare ones may be left in a run.
fn is_ideograph(c: char) -> bool {
    matches!(c, '\u{4e00}'..='\u{9fff}' | '\u{3400}'..='\u{4dbf}')
}

impl BertTokenizer {
    /// An encoder for running text.
    pub fn piece_encoder(&self) -> PieceEncoder {
        PieceEncoder {
            text: self.text_splitter(),
            model: self.inner.get_model().clone(),
        }
    }

    /// Normalizer and splitter for running text.
    pub fn text_splitter(&self) -> TextSplitter {
        // Those of another tokenizer.json may look at more than single characters.
        let runs = match (self.inner.get_normalizer(), self.inner.get_pre_tokenizer()) {
            (
                Some(NormalizerWrapper::BertNormalizer(normalizer)),
                Some(PreTokenizerWrapper::BertPreTokenizer(_)),
            ) => Some(normalizer.handle_chinese_chars),
            _ => None,
        };
        TextSplitter {
            normalizer: self.inner.get_normalizer().cloned(),
            splitter: self.inner.get_pre_tokenizer().cloned(),
            runs,
        }
    }

    /// All that decides on the ids of a text, in the form of `tokenizer.json`: equal for equal
    /// tokenizers.
    ///
    /// # Errors
    /// [`Error::Tokenizer`](crate::Error::Tokenizer) if a part of it cannot be written.
    pub fn to_json(&self) -> Result<String> {
        self.inner
            .to_string(false)
            .map_err(|source| failed("cannot serialize the tokenizer", source))
    }
}

impl TextSplitter {
    /// Argument `ideographs` of [`independent_runs`], where the runs of a text give the same words alone as together.
    pub fn independent_runs(&self) -> Option<bool> {
        self.runs
    }

    /// Hands every word of `text` to `each`, as the model sees it.
    ///
    /// # Errors
    /// [`Error::Tokenizer`](crate::Error::Tokenizer) if the normalizer or the splitter refuses the text.
    pub fn for_each_word(&self, text: &str, mut each: impl FnMut(&str)) -> Result<()> {
        let words = self.split(text)?;
        for (word, _, _) in words.get_splits(OffsetReferential::Normalized, OffsetType::None) {
            each(word);
        }
        Ok(())
    }

    fn split(&self, text: &str) -> Result<PreTokenizedString> {
        let split = || -> tokenizers::Result<PreTokenizedString> {
            let mut words = PreTokenizedString::from(text);
            if let Some(normalizer) = &self.normalizer {
                words.normalize(|word| normalizer.normalize(word))?;
            }
            if let Some(splitter) = &self.splitter {
                splitter.pre_tokenize(&mut words)?;
            }
            Ok(words)
        };
        split().map_err(|source| failed("cannot part a text into words", source))
    }
}

impl PieceEncoder {
    /// The ids of the tokens of `word`, which a [`TextSplitter`] gave, appended to `ids`.
    ///
    /// # Errors
    /// [`Error::Tokenizer`](crate::Error::Tokenizer) if the model refuses the word.
    pub fn encode_word(&self, word: &str, ids: &mut Vec<u32>) -> Result<()> {
        let tokens = self.model.tokenize(word);
        let tokens = tokens.map_err(|source| failed("cannot tokenize a word", source))?;
        ids.extend(tokens.into_iter().map(|token| token.id));
        Ok(())
    }

    /// The ids of the WordPieces of `text`, appended to `ids`.
    ///
    /// # Errors
    /// [`Error::Tokenizer`](crate::Error::Tokenizer) if the model of a `tokenizer.json` refuses the
    /// text.
    pub fn encode(&self, text: &str, cache: &mut PieceCache, ids: &mut Vec<u32>) -> Result<()> {
        let Some(ideographs) = self.text.runs else {
            return self.encode_anew(text, ids);
        };
        for word in independent_runs(text, ideographs) {
            if word.len() > LONGEST_REMEMBERED {
                self.encode_anew(word, ids)?;
            } else if let Some(known) = cache.0.get(word) {
                ids.extend_from_slice(known);
            } else {
                let start = ids.len();
                self.encode_anew(word, ids)?;
                if cache.0.len() < MOST_REMEMBERED {
                    cache.0.insert(word.into(), ids[start..].into());
                }
            }
        }
        Ok(())
    }

    fn encode_anew(&self, text: &str, ids: &mut Vec<u32>) -> Result<()> {
        let mut words = self.text.split(text)?;
        let pieces = words
            .tokenize(|word| self.model.tokenize(word.get()))
            .and_then(|()| words.into_encoding(None, 0, OffsetType::None))
            .map_err(|source| failed("cannot tokenize the text", source))?;
        ids.extend_from_slice(pieces.get_ids());
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tokenizer::{EncodeOptions, TokenizerOptions};

    const VOCAB: &str = "[PAD] [UNK] [CLS] [SEP] [MASK] the cat play ##ing ##s . é e [ ] mask 孙 亮 ##ı i σ ς ##σ ##ς a ##b b ' t ##e";

    fn tokenizer(lower: bool, strip: Option<bool>, chinese: bool) -> BertTokenizer {
        let options = TokenizerOptions {
            do_lower_case: lower,
            strip_accents: strip,
            tokenize_chinese_chars: chinese,
            ..Default::default()
        };
        BertTokenizer::from_vocab(VOCAB.split(' ').map(String::from), &options).unwrap()
    }

    fn pieces(tokenizer: &BertTokenizer, text: &str) -> Vec<u32> {
        let (mut cache, mut ids) = (PieceCache::default(), Vec::new());
        let encoder = tokenizer.piece_encoder();
        encoder.encode(text, &mut cache, &mut ids).unwrap();
        let first = ids.clone();
        // Now from the cache.
        encoder.encode(text, &mut cache, &mut ids).unwrap();
        assert_eq!(ids, [first.clone(), first.clone()].concat());
        first
    }

    #[test]
    fn special_tokens_in_a_text_are_its_characters() {
        let ids = pieces(&tokenizer(true, None, true), "The [MASK] plays.");
        assert_eq!(ids, [5, 13, 15, 14, 7, 9, 10]);
    }

    #[test]
    fn cutting_into_runs_changes_nothing() {
        let texts = [
            "",
            "   ",
            " the  cat's playing . ",
            "The\tcat\nPLAYS\u{a0}the\u{3000}cat\r\nthe",
            "the\u{b}cat the\u{85}cat a\u{0}b a\u{200b}b a\u{ad}b \u{fffd} b\u{feff}",
            "e\u{301} \u{301}e é É e \u{301} \u{327}\u{301}",
            "孙亮the孙 亮 ＡＢ the。cat",
            "孙\u{301}亮\u{327}e\u{301}孙，“亮！”㐀a\u{0}亮b\u{f900}\u{20000}a亮é",
            "ΣΑΣ σς ΟΔΟΣ İ ı I\u{307} \u{307}",
            "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaab the",
            "--- ... .the. [the] 'cat'",
        ];
        let plain = EncodeOptions {
            add_special_tokens: false,
            ..Default::default()
        };
        for lower in [true, false] {
            for strip in [None, Some(true), Some(false)] {
                for chinese in [true, false] {
                    let tokenizer = tokenizer(lower, strip, chinese);
                    for text in texts {
                        let whole = tokenizer.encode(text, &plain).unwrap();
                        assert_eq!(pieces(&tokenizer, text), whole.ids(), "{text:?}");
                    }
                }
            }
        }
    }

    #[test]
    fn runs_end_at_spaces_and_ideographs() {
        let runs = |ideographs| independent_runs(" a孙亮 b，c  亮", ideographs).collect::<Vec<_>>();
        assert_eq!(runs(true), ["a", "孙", "亮", "b，c", "亮"]);
        assert_eq!(runs(false), ["a孙亮", "b，c", "亮"]);
    }

    #[test]
    fn equal_tokenizers_have_equal_json() {
        let json = |lower| tokenizer(lower, None, true).to_json().unwrap();
        assert_eq!(json(true), json(true));
        assert_ne!(json(true), json(false));
    }
}
