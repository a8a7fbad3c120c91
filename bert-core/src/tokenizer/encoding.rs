//! The tokens of one text or pair of texts.

/// The tokens of one text or pair of texts: parallel lists of equal length, without padding.
#[derive(Clone, Debug, PartialEq)]
pub struct Encoding {
    inner: tokenizers::Encoding,
    /// Spelling of the tokens, where `inner` has one with the spaces of the text that it took along, or the text that an
    /// unknown one stands for.
    spelled: Option<Vec<String>>,
    is_pair: bool,
    truncated: usize,
}

impl Encoding {
    /// `spelling` gives that of a token in the vocabulary, for those that took white space of the text along and for the
    /// unknown one.
    pub(super) fn new(
        inner: tokenizers::Encoding,
        is_pair: bool,
        truncated: usize,
        unknown: u32,
        spelling: impl Fn(u32) -> Option<String>,
    ) -> Self {
        let tokens = inner.get_tokens();
        let may_have_spaces = |token: &String| token.trim().len() != token.len();
        let ids = inner.get_ids();
        let is_spelled = ids.contains(&unknown) || tokens.iter().any(may_have_spaces);
        let spelled = is_spelled.then(|| {
            let tokens = tokens.iter().zip(ids);
            tokens
                .map(|(token, &id)| spelling(id).unwrap_or_else(|| token.clone()))
                .collect()
        });
        Self {
            inner,
            spelled,
            is_pair,
            truncated,
        }
    }

    /// True if it is of two texts, of which the second may be empty.
    pub fn is_pair(&self) -> bool {
        self.is_pair
    }

    /// The number of tokens, special tokens included.
    pub fn len(&self) -> usize {
        self.inner.len()
    }

    /// True if there is not even a special token.
    pub fn is_empty(&self) -> bool {
        self.inner.is_empty()
    }

    /// The token ids.
    pub fn ids(&self) -> &[u32] {
        self.inner.get_ids()
    }

    /// The segment of each token: 0 for the first text, 1 for the second and its `[SEP]`, where the family of the
    /// tokenizer tells them apart.
    pub fn type_ids(&self) -> &[u32] {
        self.inner.get_type_ids()
    }

    /// The tokens as spelled in the vocabulary.
    pub fn tokens(&self) -> &[String] {
        match &self.spelled {
            Some(tokens) => tokens,
            None => self.inner.get_tokens(),
        }
    }

    /// Start and end of each token in its own text, counted in characters (Unicode scalar values,
    /// not bytes) of the text as given, as in transformers; special tokens have (0, 0).
    pub fn offsets(&self) -> &[(usize, usize)] {
        self.inner.get_offsets()
    }

    /// The index of the word that each token belongs to, counted from 0 in each text; `None` for
    /// special tokens that were added.
    ///
    /// Words are what stands between spaces and punctuation; each punctuation mark is one too.
    pub fn word_ids(&self) -> &[Option<u32>] {
        self.inner.get_word_ids()
    }

    /// The text that each token comes from, 0 or 1; `None` for special tokens that were added.
    pub fn sequence_ids(&self) -> Vec<Option<usize>> {
        self.inner.get_sequence_ids()
    }

    /// 1 for special tokens that were added, 0 for tokens of the text.
    pub fn special_tokens_mask(&self) -> &[u32] {
        self.inner.get_special_tokens_mask()
    }

    /// Number of tokens cut from the text to stay within the maximal length.
    pub fn truncated(&self) -> usize {
        self.truncated
    }
}
