//! Encoding: normalise, split, cut into tokens, truncate, frame with special tokens.

use tokenizers::parallelism::MaybeParallelIterator;
use tokenizers::utils::truncation::{
    TruncationDirection, TruncationParams, TruncationStrategy, truncate_encodings,
};
use tokenizers::{Model, OffsetType, PostProcessor, PreTokenizer, PreTokenizerWrapper};

use super::{BertTokenizer, EncodeOptions, Encoding, Truncation, failed};
use crate::{Error, Result};

/// One text, or two that become segments 0 and 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TextInput<'a> {
    /// `[CLS] A [SEP]`
    Single(&'a str),
    /// `[CLS] A [SEP] B [SEP]`, even if one of them is empty.
    Pair(&'a str, &'a str),
}

impl<'a, T: AsRef<str> + ?Sized> From<&'a T> for TextInput<'a> {
    fn from(text: &'a T) -> Self {
        Self::Single(text.as_ref())
    }
}

impl<'a, A, B> From<(&'a A, &'a B)> for TextInput<'a>
where
    A: AsRef<str> + ?Sized,
    B: AsRef<str> + ?Sized,
{
    fn from((first, second): (&'a A, &'a B)) -> Self {
        Self::Pair(first.as_ref(), second.as_ref())
    }
}

impl BertTokenizer {
    /// Encodes one text as `[CLS] A [SEP]`.
    ///
    /// # Errors
    /// [`Error::Tokenizer`] if `max_length` is below the number of special tokens or truncation
    /// cannot satisfy it, [`Error::TooLong`] if it is exceeded under [`Truncation::None`].
    pub fn encode(&self, text: &str, options: &EncodeOptions) -> Result<Encoding> {
        self.encode_input(TextInput::Single(text), options)
    }

    /// Encodes two texts as `[CLS] A [SEP] B [SEP]`.
    ///
    /// An empty second text still gets its `[SEP]`, as it does when transformers encodes a batch
    /// (called with one pair, it drops an empty second text).
    ///
    /// # Errors
    /// Those of [`encode`](Self::encode).
    pub fn encode_pair(
        &self,
        first: &str,
        second: &str,
        options: &EncodeOptions,
    ) -> Result<Encoding> {
        self.encode_input(TextInput::Pair(first, second), options)
    }

    /// Encodes many texts or pairs on all cores, in order and without padding.
    ///
    /// `RAYON_NUM_THREADS` limits the cores, `TOKENIZERS_PARALLELISM=false` uses one.
    ///
    /// # Errors
    /// Those of [`encode`](Self::encode), for the whole batch if one text fails.
    pub fn encode_batch<'a, T: Into<TextInput<'a>>>(
        &self,
        inputs: impl IntoIterator<Item = T>,
        options: &EncodeOptions,
    ) -> Result<Vec<Encoding>> {
        let inputs: Vec<TextInput<'a>> = inputs.into_iter().map(Into::into).collect();
        inputs
            .into_maybe_par_iter()
            .map(|input| self.encode_input(input, options))
            .collect()
    }

    /// Encodes a question with every window of a context too long for one sequence.
    ///
    /// Each window is at most `max_length` tokens and starts with the last `stride` context tokens
    /// of the one before, as transformers gives with `truncation="only_second"` and
    /// `return_overflowing_tokens`. Nothing is lost, so [`Encoding::truncated`] is 0 in all.
    ///
    /// # Errors
    /// [`Error::Tokenizer`] if the question leaves no more than `stride` tokens of room.
    pub fn encode_windows(
        &self,
        question: &str,
        context: &str,
        max_length: usize,
        stride: usize,
    ) -> Result<Vec<Encoding>> {
        let question = self.pieces(question, 0)?;
        let mut context = self.pieces(context, 1)?;
        let taken = question.len() + self.special_token_count(true);
        let room = max_length.saturating_sub(taken);
        if taken > max_length || (context.len() > room && room <= stride) {
            return Err(Error::Tokenizer {
                reason: format!(
                    "a question of {} tokens leaves {room} of {max_length} for the context, which \
                     must be more than the stride of {stride}: shorten it or raise max_length",
                    question.len()
                ),
                source: None,
            });
        }
        context.truncate(room, stride, TruncationDirection::Right);
        let rest = context.take_overflowing();
        std::iter::once(context)
            .chain(rest)
            .map(|window| self.frame(question.clone(), Some(window), true, 0))
            .collect()
    }

    fn encode_input(&self, input: TextInput<'_>, options: &EncodeOptions) -> Result<Encoding> {
        let (first, second) = match input {
            TextInput::Single(text) => (self.pieces(text, 0)?, None),
            TextInput::Pair(first, second) => {
                (self.pieces(first, 0)?, Some(self.pieces(second, 1)?))
            }
        };
        let length = total_len(&first, second.as_ref());
        let (mut first, mut second) = self.truncate(first, second, options)?;
        let truncated = length - total_len(&first, second.as_ref());
        // Framing would otherwise combine the cut parts of both into encodings nobody asked for.
        first.take_overflowing();
        if let Some(second) = &mut second {
            second.take_overflowing();
        }
        self.frame(first, second, options.add_special_tokens, truncated)
    }

    /// All WordPieces of one text, untruncated and without special tokens.
    ///
    /// Truncation stored in the `tokenizers` object would stop early here. The number of cut
    /// tokens would be lost, and so would which of two segments was the longer, on which
    /// longest-first depends.
    pub(super) fn pieces(&self, text: &str, type_id: u32) -> Result<tokenizers::Encoding> {
        self.pieces_by(self.inner.get_pre_tokenizer(), text, type_id)
    }

    /// [`pieces`](Self::pieces) with a given splitter.
    pub(super) fn pieces_by(
        &self,
        splitter: Option<&PreTokenizerWrapper>,
        text: &str,
        type_id: u32,
    ) -> Result<tokenizers::Encoding> {
        let pieces = || -> tokenizers::Result<tokenizers::Encoding> {
            let mut words = self
                .inner
                .get_added_vocabulary()
                .extract_and_normalize(self.inner.get_normalizer(), text);
            if let Some(splitter) = splitter {
                splitter.pre_tokenize(&mut words)?;
            }
            self.inner
                .get_model()
                .tokenize_in_pretokenized(&mut words, None)?;
            words.into_encoding(None, type_id, OffsetType::Char)
        };
        pieces().map_err(|source| failed("cannot tokenize the text", source))
    }

    fn truncate(
        &self,
        first: tokenizers::Encoding,
        second: Option<tokenizers::Encoding>,
        options: &EncodeOptions,
    ) -> Result<(tokenizers::Encoding, Option<tokenizers::Encoding>)> {
        let Some(max_length) = options.max_length else {
            return Ok((first, second));
        };
        let special = match options.add_special_tokens {
            true => self.special_token_count(second.is_some()),
            false => 0,
        };
        let Some(budget) = max_length.checked_sub(special) else {
            return Err(Error::Tokenizer {
                reason: format!(
                    "max_length {max_length} has no room for the {special} special tokens: raise \
                     it to {special} or more"
                ),
                source: None,
            });
        };
        let strategy = match options.truncation {
            Truncation::LongestFirst => TruncationStrategy::LongestFirst,
            Truncation::OnlyFirst => TruncationStrategy::OnlyFirst,
            Truncation::OnlySecond => TruncationStrategy::OnlySecond,
            Truncation::None => {
                let length = total_len(&first, second.as_ref()) + special;
                return match length > max_length {
                    true => Err(Error::TooLong {
                        length,
                        maximum: max_length,
                    }),
                    false => Ok((first, second)),
                };
            }
        };
        let params = TruncationParams {
            direction: TruncationDirection::Right,
            max_length: budget,
            strategy,
            stride: 0,
        };
        truncate_encodings(first, second, &params).map_err(|source| {
            let strategy = strategy.as_ref();
            failed(
                format!("cannot truncate to {max_length} tokens with {strategy}: use longest_first or raise max_length"),
                source,
            )
        })
    }

    fn frame(
        &self,
        first: tokenizers::Encoding,
        second: Option<tokenizers::Encoding>,
        add_special_tokens: bool,
        truncated: usize,
    ) -> Result<Encoding> {
        let is_pair = second.is_some();
        let mut encoding = self
            .inner
            .get_post_processor()
            .expect("every constructor installs one")
            .process(first, second, add_special_tokens)
            .map_err(|source| failed("cannot add the special tokens", source))?;
        if !self.family.tokenizer.segments {
            encoding.set_type_ids(vec![0; encoding.len()]);
        }
        let spelling = |id| self.token(id);
        let unknown = self.unk_id();
        Ok(Encoding::new(
            encoding, is_pair, truncated, unknown, spelling,
        ))
    }
}

fn total_len(first: &tokenizers::Encoding, second: Option<&tokenizers::Encoding>) -> usize {
    first.len() + second.map_or(0, |encoding| encoding.len())
}

#[cfg(test)]
mod tests {
    use super::super::tests::tiny;
    use super::*;
    use crate::tokenizer::TokenizerOptions;

    fn options(max_length: usize, truncation: Truncation) -> EncodeOptions {
        EncodeOptions {
            max_length: Some(max_length),
            truncation,
            ..Default::default()
        }
    }

    #[test]
    fn a_cut_keeps_sep_and_is_counted() {
        let tokenizer = tiny(&TokenizerOptions::default());
        let encoding = tokenizer
            .encode("the cat playing", &EncodeOptions::truncated(4))
            .unwrap();
        assert_eq!(encoding.ids(), [2, 5, 6, 3]);
        assert_eq!(encoding.truncated(), 2);
        let whole = tokenizer
            .encode("the cat playing", &EncodeOptions::truncated(6))
            .unwrap();
        assert_eq!(whole.len(), 6);
        assert_eq!(whole.truncated(), 0);
    }

    #[test]
    fn longest_first_gives_the_odd_token_to_the_longer_segment() {
        let tokenizer = tiny(&TokenizerOptions::default());
        let (long, short) = ("the ".repeat(50), "cat ".repeat(30));
        let first_segment = |a: &str, b: &str| {
            let encoding = tokenizer.encode_pair(a, b, &EncodeOptions::truncated(10));
            let encoding = encoding.unwrap();
            assert_eq!((encoding.len(), encoding.truncated()), (10, 73));
            encoding.type_ids().iter().filter(|id| **id == 0).count() - 2
        };
        assert_eq!(first_segment(&long, &short), 4);
        assert_eq!(first_segment(&short, &long), 3);
    }

    #[test]
    fn what_cannot_be_cut_is_an_error() {
        let tokenizer = tiny(&TokenizerOptions::default());
        let text = "the cat playing";
        for (max_length, truncation) in [
            (6, Truncation::OnlyFirst),
            (6, Truncation::OnlySecond),
            (2, Truncation::LongestFirst),
        ] {
            let error = tokenizer
                .encode_pair(text, text, &options(max_length, truncation))
                .unwrap_err();
            assert!(matches!(error, Error::Tokenizer { .. }), "{error}");
        }
        let error = tokenizer
            .encode(text, &options(4, Truncation::OnlySecond))
            .unwrap_err();
        assert!(matches!(error, Error::Tokenizer { .. }), "{error}");
        let error = tokenizer
            .encode(text, &options(5, Truncation::None))
            .unwrap_err();
        assert!(matches!(
            error,
            Error::TooLong {
                length: 6,
                maximum: 5
            }
        ));
    }

    #[test]
    fn a_batch_keeps_the_order_and_takes_pairs() {
        let tokenizer = tiny(&TokenizerOptions::default());
        let texts: Vec<String> = (0..37).map(|n| "cat ".repeat(n)).collect();
        let batch = tokenizer
            .encode_batch(&texts, &EncodeOptions::default())
            .unwrap();
        let lengths: Vec<usize> = batch.iter().map(Encoding::len).collect();
        assert_eq!(lengths, (2..39).collect::<Vec<_>>());

        let pairs = [("the", "cat"), ("cat", "")];
        let batch = tokenizer
            .encode_batch(pairs, &EncodeOptions::default())
            .unwrap();
        assert_eq!(batch[0].ids(), [2, 5, 3, 6, 3]);
        assert_eq!(batch[0].type_ids(), [0, 0, 0, 1, 1]);
        assert_eq!(batch[1].ids(), [2, 6, 3, 3]);
    }

    #[test]
    fn word_and_sequence_ids_tell_pieces_apart() {
        let tokenizer = tiny(&TokenizerOptions::default());
        let encoding = tokenizer
            .encode_pair("the cat.", "playing", &EncodeOptions::default())
            .unwrap();
        let spelled = |ids: Vec<Option<usize>>| -> String {
            let one = |id: Option<usize>| id.map_or("-".into(), |id| id.to_string());
            ids.into_iter().map(one).collect()
        };
        let words = encoding
            .word_ids()
            .iter()
            .map(|id| id.map(|id| id as usize));
        assert_eq!(spelled(words.collect()), "-012-00-");
        assert_eq!(spelled(encoding.sequence_ids()), "-000-11-");
        assert_eq!(encoding.special_tokens_mask(), [1, 0, 0, 0, 1, 0, 0, 1]);
        assert_eq!(encoding.offsets()[5..7], [(0, 4), (4, 7)]);
    }

    #[test]
    fn windows_cover_the_context_and_refuse_a_stride_without_room() {
        let tokenizer = tiny(&TokenizerOptions::default());
        let context = "the cat . the cat";
        let windows = tokenizer.encode_windows("cat", context, 7, 1).unwrap();
        let ids: Vec<&[u32]> = windows.iter().map(Encoding::ids).collect();
        assert_eq!(ids, [[2, 6, 3, 5, 6, 10, 3], [2, 6, 3, 10, 5, 6, 3]]);
        assert!(tokenizer.encode_windows("cat", context, 7, 3).is_err());
        assert_eq!(tokenizer.encode_windows("cat", "", 7, 3).unwrap().len(), 1);
    }
}
