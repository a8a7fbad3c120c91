//! Text to token ids and back: WordPiece as Google's and transformers' BERT cut it (`BERT §3`), or the tokens of another
//! family.
//!
//! The work is done by the `tokenizers` crate, the same code that stands behind transformers'
//! `BertTokenizer` (`models/bert/tokenization_bert.py`), so ids, offsets and truncation agree.

mod byte_bpe;
mod config;
mod encode;
mod encoding;
mod frame;
mod load;
mod options;
mod pieces;
mod save;
mod unigram;
mod vocabulary;
mod words;

pub use encode::TextInput;
pub use encoding::Encoding;
pub use frame::Frames;
pub use options::{EncodeOptions, SpecialTokens, TokenizerOptions, Truncation};
pub use pieces::{PieceCache, PieceEncoder, TextSplitter, independent_runs};
pub use vocabulary::{Vocabulary, byte_alphabet};
pub use words::WordPieces;

use tokenizers::models::wordpiece::WordPiece;
use tokenizers::pre_tokenizers::bert::BertPreTokenizer;
use tokenizers::{AddedToken, PostProcessorWrapper, PreTokenizerWrapper, Tokenizer, decoders};

use crate::models::{BERT, Family, Frame as FrameTokens};
use crate::{Error, Result};
use load::Parts;

/// The tokenizer of a model, with five special tokens; WordPiece for BERT.
///
/// Cloning copies the vocabulary; share it by reference, it is `Send` and `Sync`.
#[derive(Clone, Debug)]
pub struct BertTokenizer {
    /// Holds neither truncation nor padding: both are asked for per call.
    inner: Tokenizer,
    family: &'static Family,
    special_tokens: SpecialTokens,
    ids: SpecialIds,
    /// Special tokens around one text and around two.
    frames: Frames,
    /// Splitter for words that stand alone, where it is another than that of running text.
    word_splitter: Option<PreTokenizerWrapper>,
    vocab_size: usize,
    /// The rows that embeddings must have for all but added tokens.
    needed_rows: usize,
    model_max_length: Option<usize>,
}

#[derive(Clone, Copy, Debug)]
struct SpecialIds {
    unk: u32,
    sep: u32,
    pad: u32,
    cls: u32,
    mask: u32,
}

impl BertTokenizer {
    /// Builds a tokenizer from tokens in the order of their ids.
    ///
    /// A token that occurs twice gets the id of its last occurrence, as in transformers; the
    /// earlier id then stands for nothing.
    ///
    /// # Errors
    /// [`Error::Tokenizer`] if one of the five special tokens is not in the vocabulary.
    pub fn from_vocab(
        vocab: impl IntoIterator<Item = String>,
        options: &TokenizerOptions,
    ) -> Result<Self> {
        Self::from_tokens(vocab, options, "the vocabulary")
    }

    fn from_tokens(
        tokens: impl IntoIterator<Item = String>,
        options: &TokenizerOptions,
        origin: &str,
    ) -> Result<Self> {
        let parts = Parts {
            family: &BERT,
            special_tokens: &options.special_tokens,
            described: &[],
            added: &[],
            model_max_length: options.model_max_length,
        };
        Self::assemble(Self::wordpiece(tokens, options, &[])?, &parts, origin)
    }

    /// WordPiece over tokens in the order of their ids, with BERT's normalizer and splitter.
    fn wordpiece(
        tokens: impl IntoIterator<Item = String>,
        options: &TokenizerOptions,
        added: &[config::FileToken],
    ) -> Result<Tokenizer> {
        // The builder takes `ahash`'s map, which `tokenizers` does not re-export; an empty file
        // gives one without naming the type.
        let mut vocab = WordPiece::read_bytes(&[])
            .map_err(|source| failed("cannot make an empty vocabulary", source))?;
        vocab.extend(load::numbered(tokens.into_iter().collect(), added).zip(0u32..));
        let model = WordPiece::builder()
            .vocab(vocab)
            .unk_token(options.special_tokens.unk.clone())
            .build()
            .map_err(|source| failed("cannot build the WordPiece model", source))?;

        let mut inner = Tokenizer::new(model);
        inner
            .with_normalizer(Some(options.normalizer()))
            .map_err(|source| failed("cannot set the normalizer", source))?;
        inner.with_pre_tokenizer(Some(BertPreTokenizer));
        inner.with_decoder(Some(decoders::wordpiece::WordPiece::default()));
        Ok(inner)
    }

    /// Completes a tokenizer whose model and normalizer stand: added and special tokens, the frame of the family
    /// (`[CLS] A [SEP] B [SEP]`, `BERT §3`, Figure 2), and the ids looked up once.
    fn assemble(mut inner: Tokenizer, parts: &Parts<'_>, origin: &str) -> Result<Self> {
        let &Parts {
            family,
            special_tokens,
            ..
        } = parts;
        inner
            .with_truncation(None)
            .map_err(|source| failed("cannot drop the stored truncation", source))?;
        inner.with_padding(None);
        load::add_file_tokens(&mut inner, parts.added, origin)?;

        // Only looked up, never appended as transformers does: a token that the weights have no
        // embedding for would fail later and further from the cause.
        let missing: Vec<&str> = special_tokens
            .names()
            .into_iter()
            .filter(|name| inner.token_to_id(name).is_none())
            .collect();
        if !missing.is_empty() {
            return Err(Error::Tokenizer {
                reason: format!(
                    "{origin} lacks the special token(s) {}: use the vocabulary of this model, or \
                     name its own special tokens in tokenizer_config.json",
                    missing.join(", ")
                ),
                source: None,
            });
        }
        let known = inner.get_added_tokens_decoder();
        let unmarked: Vec<AddedToken> = special_tokens
            .names()
            .into_iter()
            .filter(|name| !known.values().any(|token| token.content == *name))
            .map(|name| parts.special(name))
            .collect();
        inner
            .add_special_tokens(unmarked)
            .map_err(|source| failed("cannot mark the special tokens", source))?;

        let id = |name: &str| inner.token_to_id(name).expect("checked above");
        let ids = SpecialIds {
            unk: id(&special_tokens.unk),
            sep: id(&special_tokens.sep),
            pad: id(&special_tokens.pad),
            cls: id(&special_tokens.cls),
            mask: id(&special_tokens.mask),
        };
        let processor = match inner.get_post_processor() {
            Some(stored) => stored.clone(),
            None => family_frame(family, special_tokens, ids, &inner),
        };
        let frames = Frames::new(&processor, family.tokenizer.segments)?;
        inner.with_post_processor(Some(processor));
        let (vocab_size, needed_rows) = rows(&inner);
        Ok(Self {
            word_splitter: byte_bpe::word_splitter(&inner),
            inner,
            family,
            special_tokens: special_tokens.clone(),
            ids,
            frames,
            vocab_size,
            needed_rows,
            model_max_length: parts.model_max_length,
        })
    }

    /// The special tokens' frame that the class of transformers makes.
    fn family_frame(&self) -> PostProcessorWrapper {
        family_frame(self.family, &self.special_tokens, self.ids, &self.inner)
    }

    /// The id that fills rows up to a common length.
    pub fn pad_id(&self) -> u32 {
        self.ids.pad
    }

    /// The id in front of every sequence, whose last hidden state feeds the pooler.
    pub fn cls_id(&self) -> u32 {
        self.ids.cls
    }

    /// The id that closes every segment.
    pub fn sep_id(&self) -> u32 {
        self.ids.sep
    }

    /// The id that stands for a token to be predicted (`BERT §3.1`).
    pub fn mask_id(&self) -> u32 {
        self.ids.mask
    }

    /// The id of words the vocabulary cannot spell.
    pub fn unk_id(&self) -> u32 {
        self.ids.unk
    }

    /// The family whose conventions it follows.
    pub fn family(&self) -> &'static Family {
        self.family
    }

    /// The special tokens as spelled in the vocabulary.
    pub fn special_tokens(&self) -> &SpecialTokens {
        &self.special_tokens
    }

    /// The highest id plus one, added tokens included: the rows of word embeddings that cover every token.
    ///
    /// Lines at the end of a vocabulary that no text can give, blank ones above all, do not count.
    pub fn vocab_size(&self) -> usize {
        self.vocab_size
    }

    /// The length the tokenizer's files ask to stay within, in tokens; `None` if they set no limit.
    ///
    /// Encoding never applies it by itself, see [`EncodeOptions::max_length`].
    pub fn model_max_length(&self) -> Option<usize> {
        self.model_max_length
    }

    /// The token of an id, with its `##` if it continues a word.
    pub fn token(&self, id: u32) -> Option<String> {
        self.inner.id_to_token(id)
    }

    /// The beginning of a word that a token stands for: the token itself, and where tokens carry the space before a word,
    /// what follows that space. `None` for tokens without one there, and beyond the vocabulary.
    pub fn word_beginning(&self, id: u32) -> Option<String> {
        let token = self.token(id)?;
        let splitter = self.inner.get_pre_tokenizer();
        if unigram::has_spaces(splitter) {
            token.strip_prefix(unigram::SPACE).map(str::to_owned)
        } else if byte_bpe::byte_level(&self.inner).is_some() {
            let text = self.decode(&[id], true).ok()?;
            text.strip_prefix(' ').map(str::to_owned)
        } else {
            Some(token)
        }
    }

    /// True if a token continues the word before it: a `##` piece, or, where tokens carry the space before a word, one
    /// without a space that is not special.
    pub fn continues_word(&self, id: u32) -> bool {
        let Some(token) = self.token(id) else {
            return false;
        };
        let carries_spaces = unigram::has_spaces(self.inner.get_pre_tokenizer())
            || byte_bpe::byte_level(&self.inner).is_some();
        match carries_spaces {
            true => {
                let added = self.inner.get_added_vocabulary();
                !added.is_special_token(&token) && self.word_beginning(id).is_none()
            }
            false => token.starts_with("##"),
        }
    }

    /// The id of a token as spelled in the vocabulary; unlike encoding, it never answers `[UNK]`.
    pub fn id(&self, token: &str) -> Option<u32> {
        self.inner.token_to_id(token)
    }

    /// Joins tokens to text: `##` pieces are glued, and spaces before punctuation dropped.
    ///
    /// Ids outside the vocabulary are left out, as in transformers.
    ///
    /// # Errors
    /// [`Error::Tokenizer`] if the decoder of a `tokenizer.json` fails.
    pub fn decode(&self, ids: &[u32], skip_special_tokens: bool) -> Result<String> {
        self.inner
            .decode(ids, skip_special_tokens)
            .map_err(|source| failed("cannot decode", source))
    }

    /// Checks that the vocabulary belongs to embeddings of `vocab_size` rows: every token of it that a text can give has
    /// one.
    ///
    /// Fewer tokens than rows is fine: vocabularies are often padded to a round number. Added tokens may lie beyond, as in
    /// transformers; a text that uses one is refused by the [batcher](crate::batch::BertBatcher::for_model).
    ///
    /// # Errors
    /// [`Error::VocabularyMismatch`] with the highest id if it does not fit.
    pub fn check_vocab(&self, vocab_size: usize) -> Result<()> {
        check_rows(self.needed_rows, vocab_size)
    }

    /// [`check_vocab`](Self::check_vocab) with added tokens, for code that draws tokens from the whole vocabulary.
    ///
    /// # Errors
    /// [`Error::VocabularyMismatch`] with the highest id if it does not fit.
    pub fn check_every_token(&self, vocab_size: usize) -> Result<()> {
        check_rows(self.vocab_size, vocab_size)
    }
}

fn family_frame(
    family: &Family,
    special_tokens: &SpecialTokens,
    ids: SpecialIds,
    inner: &Tokenizer,
) -> PostProcessorWrapper {
    (family.tokenizer.frame)(FrameTokens {
        separator: (special_tokens.sep.clone(), ids.sep),
        first: (special_tokens.cls.clone(), ids.cls),
        splitter: byte_bpe::byte_level(inner),
    })
}

fn check_rows(needed: usize, vocab_size: usize) -> Result<()> {
    if needed > vocab_size {
        return Err(Error::VocabularyMismatch {
            id: needed - 1,
            vocab_size,
        });
    }
    Ok(())
}

/// True if no text gives this token, because text is cut at white space before it is looked up; lines of white space end
/// many a vocabulary.
fn is_out_of_reach(token: &str) -> bool {
    token.is_empty() || token.contains(char::is_whitespace)
}

/// The rows that cover every token within reach, and those of them that are not added tokens.
fn rows(inner: &Tokenizer) -> (usize, usize) {
    let added = inner.get_added_tokens_decoder();
    let splitter = inner.get_pre_tokenizer();
    let cuts_at_spaces = matches!(splitter, Some(PreTokenizerWrapper::BertPreTokenizer(_)));
    let (mut all, mut needed) = (0, 0);
    for (token, id) in inner.get_vocab(true) {
        let rows = id as usize + 1;
        if added.contains_key(&id) {
            all = rows.max(all);
        } else if !(token.is_empty() || cuts_at_spaces && is_out_of_reach(&token)) {
            (all, needed) = (rows.max(all), rows.max(needed));
        }
    }
    (all, needed)
}

/// An error whose cause lies in the `tokenizers` crate.
fn failed(reason: impl Into<String>, source: tokenizers::Error) -> Error {
    Error::Tokenizer {
        reason: reason.into(),
        source: Some(source),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(super) fn tiny(options: &TokenizerOptions) -> BertTokenizer {
        let vocab = "[PAD] [UNK] [CLS] [SEP] [MASK] the cat play ##ing ##s . é"
            .split(' ')
            .map(String::from);
        BertTokenizer::from_vocab(vocab, options).unwrap()
    }

    #[test]
    fn special_ids_are_looked_up_by_name() {
        let tokenizer = tiny(&TokenizerOptions::default());
        let ids = [
            tokenizer.pad_id(),
            tokenizer.unk_id(),
            tokenizer.cls_id(),
            tokenizer.sep_id(),
            tokenizer.mask_id(),
        ];
        assert_eq!(ids, [0, 1, 2, 3, 4]);
        assert_eq!(tokenizer.vocab_size(), 12);
        assert_eq!(tokenizer.token(8).as_deref(), Some("##ing"));
        assert_eq!(tokenizer.token(12), None);
        assert_eq!(tokenizer.id("cat"), Some(6));
        assert_eq!(tokenizer.id("dog"), None);
    }

    #[test]
    fn a_special_token_in_the_text_is_one_token() {
        let tokenizer = tiny(&TokenizerOptions::default());
        let encoding = tokenizer
            .encode("The [MASK] plays.", &EncodeOptions::default())
            .unwrap();
        assert_eq!(encoding.ids(), [2, 5, 4, 7, 9, 10, 3]);
        assert_eq!(
            tokenizer.decode(encoding.ids(), true).unwrap(),
            "the plays."
        );
        assert_eq!(
            tokenizer.decode(encoding.ids(), false).unwrap(),
            "[CLS] the [MASK] plays. [SEP]"
        );
    }

    #[test]
    fn accents_follow_lower_casing_unless_told() {
        let text = "É";
        let with = |options: TokenizerOptions| {
            let encoding = tiny(&options).encode(text, &EncodeOptions::default());
            encoding.unwrap().tokens()[1].clone()
        };
        // "e" is not in the vocabulary, "é" is.
        assert_eq!(with(TokenizerOptions::default()), "[UNK]");
        let kept = TokenizerOptions {
            strip_accents: Some(false),
            ..Default::default()
        };
        assert_eq!(with(kept), "é");
    }

    #[test]
    fn tokens_are_spelled_as_in_the_vocabulary() {
        let vocab = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK] ", "the"];
        let mut options = TokenizerOptions::default();
        options.special_tokens.mask = "[MASK] ".to_owned();
        let tokenizer = BertTokenizer::from_vocab(vocab.map(String::from), &options).unwrap();
        let encoding = tokenizer.encode("the [MASK] the", &EncodeOptions::default());
        let encoding = encoding.unwrap();
        assert_eq!(
            encoding.tokens(),
            ["[CLS]", "the", "[MASK] ", "the", "[SEP]"]
        );
    }

    #[test]
    fn the_last_of_two_equal_tokens_wins() {
        let vocab = ["[PAD]", "a", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "b"];
        let tokenizer =
            BertTokenizer::from_vocab(vocab.map(String::from), &TokenizerOptions::default())
                .unwrap();
        assert_eq!(tokenizer.id("a"), Some(6));
        assert_eq!(tokenizer.token(1), None);
        assert_eq!(tokenizer.vocab_size(), 8);
    }

    #[test]
    fn missing_special_tokens_are_named() {
        let vocab = ["[PAD]", "[UNK]", "[CLS]"].map(String::from);
        let error = BertTokenizer::from_vocab(vocab, &TokenizerOptions::default()).unwrap_err();
        assert!(error.to_string().contains("[SEP], [MASK]"), "{error}");
    }

    #[test]
    fn a_vocabulary_larger_than_the_embeddings_is_refused() {
        let tokenizer = tiny(&TokenizerOptions::default());
        tokenizer.check_vocab(12).unwrap();
        tokenizer.check_vocab(16).unwrap();
        let error = tokenizer.check_vocab(11).unwrap_err();
        assert!(matches!(
            error,
            Error::VocabularyMismatch {
                id: 11,
                vocab_size: 11
            }
        ));
    }
}
