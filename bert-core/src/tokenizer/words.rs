//! Texts that come as words, each with its own tokens: for labels per word (BERT §5.3).

use std::ops::Range;

use super::BertTokenizer;
use crate::Result;

/// The WordPieces of a sentence of given words, without special tokens.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WordPieces {
    ids: Vec<u32>,
    /// End of the pieces of each word; they begin where those of the word before end.
    ends: Vec<usize>,
}

impl WordPieces {
    /// The token ids of all words, one after the other.
    pub fn ids(&self) -> &[u32] {
        &self.ids
    }

    /// Number of words, with those that gave no token.
    pub fn word_count(&self) -> usize {
        self.ends.len()
    }

    /// Which of the tokens belong to a word, counted from 0; empty for a word without any.
    ///
    /// # Panics
    /// If there is no such word.
    pub fn tokens_of(&self, word: usize) -> Range<usize> {
        let start = match word {
            0 => 0,
            word => self.ends[word - 1],
        };
        start..self.ends[word]
    }

    /// The first token of each word; `None` for a word without any.
    pub fn first_tokens(&self) -> impl Iterator<Item = Option<usize>> {
        (0..self.word_count()).map(|word| {
            let tokens = self.tokens_of(word);
            (!tokens.is_empty()).then_some(tokens.start)
        })
    }
}

impl BertTokenizer {
    /// Cuts each word on its own, as transformers does with `is_split_into_words`; where spaces are part of tokens, each
    /// word gets the one before it, as with `add_prefix_space`.
    ///
    /// A word of nothing but characters that the tokenizer drops (a soft hyphen, a byte-order mark)
    /// has no token and keeps its place among the words.
    ///
    /// # Errors
    /// [`Error::Tokenizer`](crate::Error::Tokenizer) if the model of a `tokenizer.json` refuses a
    /// word.
    pub fn encode_words(&self, words: &[impl AsRef<str>]) -> Result<WordPieces> {
        let own = self.word_splitter.as_ref();
        let splitter = own.or(self.inner.get_pre_tokenizer());
        let mut pieces = WordPieces::default();
        for word in words {
            let word = self.pieces_by(splitter, word.as_ref(), 0)?;
            pieces.ids.extend_from_slice(word.get_ids());
            pieces.ends.push(pieces.ids.len());
        }
        Ok(pieces)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tokenizer::{EncodeOptions, TokenizerOptions};

    fn tokenizer() -> BertTokenizer {
        let vocab = "[PAD] [UNK] [CLS] [SEP] [MASK] play ##ing in u . s";
        let options = TokenizerOptions::default();
        BertTokenizer::from_vocab(vocab.split(' ').map(String::from), &options).unwrap()
    }

    #[test]
    fn a_word_without_tokens_keeps_its_place() {
        let words = ["Playing", "\u{ad}", "in", "U.S.", ""];
        let pieces = tokenizer().encode_words(&words).unwrap();
        assert_eq!(pieces.ids(), [5, 6, 7, 8, 9, 10, 9]);
        let first: Vec<_> = pieces.first_tokens().collect();
        assert_eq!(first, [Some(0), None, Some(2), Some(3), None]);
        assert_eq!((pieces.word_count(), pieces.tokens_of(3)), (5, 3..7));
        assert_eq!(
            tokenizer().encode_words(&[] as &[&str]).unwrap(),
            WordPieces::default()
        );
    }

    #[test]
    fn words_apart_give_the_tokens_of_the_text() {
        let tokenizer = tokenizer();
        let plain = EncodeOptions {
            add_special_tokens: false,
            ..Default::default()
        };
        let whole = tokenizer.encode("playing in [MASK] xyz", &plain).unwrap();
        let words = tokenizer
            .encode_words(&["playing", "in", "[MASK]", "xyz"])
            .unwrap();
        assert_eq!(words.ids(), whole.ids());
    }
}
