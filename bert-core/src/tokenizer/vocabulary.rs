//! Tokenizers of a family from new vocabularies.

use tokenizers::models::bpe::{BPE, Vocab};
use tokenizers::models::unigram::Unigram;
use tokenizers::normalizers::NFC;
use tokenizers::{AddedToken, NormalizerWrapper, Tokenizer};

use super::config::FileToken;
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
        // A vocabulary may lack them, and has no more tokens than its own.
        let extra = family.tokenizer.extra_special_tokens.iter();
        let extra = extra.filter(|token| inner.token_to_id(token).is_some());
        let extra = extra.map(|token| FileToken {
            id: None,
            token: AddedToken::from(*token, true),
        });
        let extra: Vec<FileToken> = extra.collect();
        let parts = Parts {
            family,
            special_tokens: &special_tokens,
            described: &[],
            added: &extra,
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
    use crate::models::{ALBERT, BERT, CAMEMBERT, FAMILIES, MODERNBERT, ROBERTA, XLM_ROBERTA};
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
        assert_eq!(special(&CAMEMBERT), [3, 6, 1, 5, 7]);
        assert_eq!(special(&ALBERT), [1, 3, 0, 2, 4]);
        assert_eq!(special(&MODERNBERT), [0, 2, 3, 1, 4]);
    }

    /// Special tokens that `tokenizer_config.json` names beside the five, if it has the key, and the tokens of four texts as
    /// transformers' `CamembertTokenizer` gives them.
    type NamedAndFound = (Option<&'static [&'static str]>, [&'static [u32]; 4]);

    #[test]
    fn camembert_marks_the_special_tokens_that_its_class_marks() {
        const CASES: [NamedAndFound; 3] = [
            (
                None,
                [
                    &[5, 0, 9, 4, 6],
                    &[5, 9, 2, 9, 6],
                    &[5, 4, 3, 6],
                    &[5, 9, 11, 7, 10, 6],
                ],
            ),
            (
                Some(&[]),
                [
                    &[5, 5, 7, 10, 9, 3, 7, 10, 6],
                    &[5, 9, 6, 7, 10, 9, 6],
                    &[5, 3, 7, 10, 3, 6],
                    &[5, 9, 11, 7, 10, 6],
                ],
            ),
            (
                Some(&["<unk>NOTUSED"]),
                [
                    &[5, 5, 7, 10, 9, 4, 6],
                    &[5, 9, 6, 7, 10, 9, 6],
                    &[5, 4, 3, 6],
                    &[5, 9, 11, 7, 10, 6],
                ],
            ),
        ];
        let texts = [
            "<s>NOTUSED x <unk>NOTUSED",
            "x</s>NOTUSED x",
            "<unk>NOTUSED<unk>",
            "x <mask>NOTUSED",
        ];
        let [first, last] = CAMEMBERT.tokenizer.special_order;
        let special = |tokens: &[&str]| -> Vec<(String, f64)> {
            let tokens = tokens.iter();
            tokens.map(|token| ((*token).to_owned(), 0.0)).collect()
        };
        let pieces = [("▁", -2.0), ("x", -3.0), ("▁x", -2.5), ("NOTUSED", -4.0)];
        let pieces = pieces.map(|(piece, score)| (piece.to_owned(), score));
        let all = [special(first), pieces.to_vec(), special(last)].concat();
        let options = TokenizerOptions::default();
        let vocabulary = Vocabulary::Unigram(all);
        let new = BertTokenizer::of_family(&CAMEMBERT, vocabulary, &options).unwrap();
        let check = |tokenizer: &BertTokenizer, expected: [&[u32]; 4], about: &str| {
            for (text, expected) in texts.into_iter().zip(expected) {
                assert_eq!(ids(tokenizer, text), expected, "{about}: {text}");
            }
        };
        check(&new, CASES[0].1, "new");
        check(&saved(&new), CASES[0].1, "saved");
        for (named, expected) in CASES {
            let dir = tempfile::tempdir().unwrap();
            new.save(dir.path()).unwrap();
            let rewrite = |name: &str, change: &dyn Fn(&mut serde_json::Value)| {
                let path = dir.path().join(name);
                let text = std::fs::read_to_string(&path).unwrap();
                let mut value = serde_json::from_str(&text).unwrap();
                change(&mut value);
                std::fs::write(path, value.to_string()).unwrap();
            };
            rewrite("tokenizer_config.json", &|value| {
                let fields = value.as_object_mut().unwrap();
                fields.remove("additional_special_tokens");
                if let Some(named) = named {
                    fields.insert("additional_special_tokens".to_owned(), named.into());
                }
            });
            // Tokens that this file marks are marked whatever the other says.
            rewrite("tokenizer.json", &|value| {
                let added = value["added_tokens"].as_array_mut().unwrap();
                added.retain(|token| !token["content"].as_str().unwrap().ends_with("NOTUSED"));
            });
            let read = BertTokenizer::from_dir(dir.path()).unwrap();
            let about = format!("{named:?}");
            check(&read, expected, &about);
            check(&saved(&read), expected, &about);
        }
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
