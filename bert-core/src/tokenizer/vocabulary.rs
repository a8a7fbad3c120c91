//! Tokenizers of a family from new vocabularies.

use tokenizers::models::bpe::{BPE, Vocab};
use tokenizers::models::unigram::Unigram;
use tokenizers::normalizers::NFC;
use tokenizers::{NormalizerWrapper, Tokenizer};

use super::load::Parts;
use super::{BertTokenizer, SpecialTokens, TokenizerOptions, byte_bpe, failed, unigram};
use crate::models::{Family, TokenizerModel};
use crate::{Error, Result};

/// Origin of a new vocabulary, for messages.
const ORIGIN: &str = "the vocabulary";

/// A vocabulary of a family, its special tokens included.
#[derive(Clone, Debug)]
pub enum Vocabulary {
    /// WordPieces in the order of their ids.
    WordPiece(Vec<String>),
    /// Tokens of byte-level BPE in the order of their ids, and the pairs that are merged, first come first.
    ByteLevelBpe {
        /// Tokens, in the alphabet that stands for bytes.
        tokens: Vec<String>,
        /// Pairs of tokens.
        merges: Vec<(String, String)>,
    },
    /// Pieces of a Unigram model in the order of their ids, with the logarithms of their probabilities; 0 for special tokens.
    Unigram(Vec<(String, f64)>),
}

impl Vocabulary {
    /// The special tokens of `family` alone, and the bytes where its tokenizer splits words into them.
    pub fn empty(family: &Family) -> Self {
        let [first, last] = family.tokenizer.special_order;
        let special = first.iter().chain(last).map(|token| (*token).to_owned());
        match family.tokenizer.model {
            TokenizerModel::WordPiece => Self::WordPiece(special.collect()),
            TokenizerModel::ByteLevelBpe => Self::ByteLevelBpe {
                tokens: special.chain(byte_bpe::alphabet()).collect(),
                merges: Vec::new(),
            },
            TokenizerModel::Unigram(_) => {
                Self::Unigram(special.map(|token| (token, 0.0)).collect())
            }
        }
    }
}

/// Symbols that stand for bytes in byte-level tokens, in the order of their code points.
pub fn byte_alphabet() -> Vec<String> {
    byte_bpe::alphabet()
}

impl BertTokenizer {
    /// The tokenizer of `family` with a new vocabulary.
    ///
    /// `options` decide on lower case and accents for WordPiece and for the family of Unigram models that folds its text;
    /// other text stays as it is. Special tokens are the family's.
    ///
    /// # Errors
    /// [`Error::Tokenizer`] for a vocabulary of another kind than the family's, or one without a special token.
    pub fn of_family(
        family: &'static Family,
        vocabulary: Vocabulary,
        options: &TokenizerOptions,
    ) -> Result<Self> {
        let special_tokens = SpecialTokens::of(family);
        let options = TokenizerOptions {
            special_tokens: special_tokens.clone(),
            ..options.clone()
        };
        let inner = match (family.tokenizer.model, vocabulary) {
            (TokenizerModel::WordPiece, Vocabulary::WordPiece(tokens)) => {
                Self::wordpiece(tokens, &options, &[])?
            }
            (TokenizerModel::ByteLevelBpe, Vocabulary::ByteLevelBpe { tokens, merges }) => {
                byte_level(family, tokens, merges)?
            }
            (TokenizerModel::Unigram(text), Vocabulary::Unigram(pieces)) => {
                let unknown = pieces
                    .iter()
                    .position(|(piece, _)| *piece == special_tokens.unk);
                let model = Unigram::from(pieces, unknown, false)
                    .map_err(|source| failed("cannot build the Unigram model", source))?;
                let mut inner = Tokenizer::new(model);
                unigram::Settings::new(text, &options).put_parts(text, &mut inner)?;
                inner
            }
            _ => {
                return Err(Error::Tokenizer {
                    reason: format!(
                        "{} takes a vocabulary of another kind: train one for this family",
                        family.name
                    ),
                    source: None,
                });
            }
        };
        let parts = Parts {
            family,
            special_tokens: &special_tokens,
            described: &[],
            added: &[],
            model_max_length: options.model_max_length,
        };
        Self::assemble(inner, &parts, ORIGIN)
    }
}

/// Byte-level BPE with the splitter of the family's class.
fn byte_level(
    family: &Family,
    tokens: Vec<String>,
    merges: Vec<(String, String)>,
) -> Result<Tokenizer> {
    let vocab: Vocab = tokens.into_iter().zip(0..).collect();
    let model = BPE::builder()
        .vocab_and_merges(vocab, merges)
        .build()
        .map_err(|source| failed("cannot build the BPE model", source))?;
    let mut inner = Tokenizer::new(model);
    byte_bpe::set_parts(&mut inner, byte_bpe::plain())?;
    let composing = family
        .tokenizer
        .composes
        .then(|| NormalizerWrapper::from(NFC));
    inner
        .with_normalizer(composing)
        .map_err(|source| failed("cannot set the normalizer", source))?;
    Ok(inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::models::{ALBERT, BERT, FAMILIES, MODERNBERT, ROBERTA, XLM_ROBERTA};
    use crate::tokenizer::EncodeOptions;

    fn tokens(list: &str) -> Vec<String> {
        list.split(' ').map(str::to_owned).collect()
    }

    /// The tokenizer, and what is read of what it saves.
    fn saved(tokenizer: &BertTokenizer) -> BertTokenizer {
        let dir = tempfile::tempdir().unwrap();
        tokenizer.save(dir.path()).unwrap();
        BertTokenizer::from_dir(dir.path()).unwrap()
    }

    fn ids(tokenizer: &BertTokenizer, text: &str) -> Vec<u32> {
        let encoded = tokenizer.encode(text, &EncodeOptions::default()).unwrap();
        encoded.ids().to_vec()
    }

    #[test]
    fn every_family_has_its_special_tokens_and_frame() {
        for family in FAMILIES {
            let options = TokenizerOptions::default();
            let tokenizer =
                BertTokenizer::of_family(family, Vocabulary::empty(family), &options).unwrap();
            let (cls, sep) = (tokenizer.cls_id(), tokenizer.sep_id());
            for tokenizer in [&tokenizer, &saved(&tokenizer)] {
                assert_eq!(ids(tokenizer, ""), [cls, sep], "{}", family.name);
                let mask = tokenizer.special_tokens().mask.clone();
                let masked = ids(tokenizer, &mask);
                assert_eq!(masked, [cls, tokenizer.mask_id(), sep], "{}", family.name);
            }
        }
    }

    #[test]
    fn ids_of_special_tokens_are_those_of_published_vocabularies() {
        let special = |family| {
            let empty = Vocabulary::empty(family);
            let tokenizer =
                BertTokenizer::of_family(family, empty, &TokenizerOptions::default()).unwrap();
            [
                tokenizer.unk_id(),
                tokenizer.sep_id(),
                tokenizer.pad_id(),
                tokenizer.cls_id(),
                tokenizer.mask_id(),
            ]
        };
        assert_eq!(special(&BERT), [1, 3, 0, 2, 4]);
        assert_eq!(special(&ROBERTA), [3, 2, 1, 0, 4]);
        assert_eq!(special(&XLM_ROBERTA), [3, 2, 1, 0, 4]);
        assert_eq!(special(&ALBERT), [1, 3, 0, 2, 4]);
        assert_eq!(special(&MODERNBERT), [0, 2, 3, 1, 4]);
    }

    #[test]
    fn merges_apply_in_their_order_and_are_saved_beside() {
        let mut all = tokens("<s> <pad> </s> <unk>");
        all.extend(byte_alphabet());
        all.extend(tokens("ab abc bc Ġabc <mask>"));
        let merges = [("a", "b"), ("ab", "c"), ("b", "c"), ("Ġ", "abc")];
        let merges = merges.map(|(first, second)| (first.to_owned(), second.to_owned()));
        let vocabulary = Vocabulary::ByteLevelBpe {
            tokens: all,
            merges: merges.to_vec(),
        };
        let options = TokenizerOptions::default();
        let tokenizer = BertTokenizer::of_family(&ROBERTA, vocabulary, &options).unwrap();
        let expected = [0, 261, 263, 262, 264, 2];
        assert_eq!(ids(&tokenizer, "abc abcbc <mask>"), expected);
        let dir = tempfile::tempdir().unwrap();
        tokenizer.save(dir.path()).unwrap();
        let read = || {
            ids(
                &BertTokenizer::from_dir(dir.path()).unwrap(),
                "abc abcbc <mask>",
            )
        };
        assert_eq!(read(), expected);
        // Without the file that is preferred, vocab.json and merges.txt are read.
        std::fs::remove_file(dir.path().join("tokenizer.json")).unwrap();
        assert_eq!(read(), expected);
    }

    #[test]
    fn a_vocabulary_of_another_kind_is_refused() {
        let options = TokenizerOptions::default();
        let error = BertTokenizer::of_family(&ROBERTA, Vocabulary::empty(&BERT), &options);
        let error = error.unwrap_err().to_string();
        assert!(error.contains("RoBERTa"), "{error}");
    }
}
