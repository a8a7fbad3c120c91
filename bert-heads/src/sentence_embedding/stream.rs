//! Vectors for a stream of any length in bounded memory.

use std::io;

use bert_core::tokenizer::Encoding;

use super::{LongInputs, SentenceEmbedder, SentenceEmbedding, TokenEmbeddings};
use crate::error::{Error, Result};
use crate::runner::in_windows_of;

/// Texts that are read, sorted by length and embedded together.
const WINDOW_TEXTS: usize = 4096;
/// Bytes of token vectors that a window may come to hold.
const WINDOW_VECTOR_BYTES: usize = 128 << 20;

/// Progress of a stream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Texts embedded so far.
    pub texts: usize,
    /// Their tokens, special tokens included and padding left out.
    pub tokens: usize,
}

/// Counts of the texts and tokens of a stream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// Texts embedded.
    pub texts: usize,
    /// Their tokens, special tokens included and padding left out.
    pub tokens: usize,
    /// Texts that were cut to the maximal length.
    pub truncated_texts: usize,
    /// Tokens that were cut off.
    pub truncated_tokens: usize,
    /// Position of the first text that was cut, counted from 0.
    pub first_truncated: Option<usize>,
}

impl Summary {
    fn add(&mut self, index: usize, tokens: usize, truncated: usize) {
        self.texts += 1;
        self.tokens += tokens;
        if truncated > 0 {
            self.truncated_texts += 1;
            self.truncated_tokens += truncated;
            self.first_truncated.get_or_insert(index);
        }
    }
}

impl SentenceEmbedder {
    /// Embeds one text per line and hands every vector to `sink` in the order of the input.
    ///
    /// Texts are read in windows of a few thousand, sorted by length inside a window so that little
    /// is spent on padding; memory does not grow with the stream. `progress` is called after every
    /// batch, before the window is complete and its vectors are given out.
    ///
    /// # Errors
    ///
    /// [`Error::Line`] naming a line that cannot be read, those of [`embed`](Self::embed), and
    /// whatever `sink` returns. Vectors of earlier windows have been given out by then.
    pub fn embed_lines<E: From<Error>>(
        &self,
        lines: impl IntoIterator<Item = io::Result<String>>,
        progress: impl FnMut(Progress),
        sink: impl FnMut(SentenceEmbedding) -> Result<(), E>,
    ) -> Result<Summary, E> {
        let long = self.long_texts;
        self.stream(lines, (WINDOW_TEXTS, long), Self::pooled, progress, sink)
    }

    /// [`embed_lines`](Self::embed_lines) with one vector per token of each text.
    ///
    /// # Errors
    ///
    /// Those of [`embed_lines`](Self::embed_lines).
    pub fn embed_line_tokens<E: From<Error>>(
        &self,
        lines: impl IntoIterator<Item = io::Result<String>>,
        progress: impl FnMut(Progress),
        sink: impl FnMut(TokenEmbeddings) -> Result<(), E>,
    ) -> Result<Summary, E> {
        let text_bytes = self.max_length() * self.token_dimension() * size_of::<f32>();
        let texts = (WINDOW_VECTOR_BYTES / text_bytes.max(1)).clamp(1, WINDOW_TEXTS);
        let window = (texts, LongInputs::Cut);
        self.stream(lines, window, Self::per_token, progress, sink)
    }

    fn stream<T, E: From<Error>>(
        &self,
        lines: impl IntoIterator<Item = io::Result<String>>,
        (window_texts, long): (usize, LongInputs),
        embed: impl Fn(&Self, &[Encoding], usize, &mut dyn FnMut(usize, usize)) -> Result<Vec<T>>,
        mut progress: impl FnMut(Progress),
        mut sink: impl FnMut(T) -> Result<(), E>,
    ) -> Result<Summary, E> {
        let mut summary = Summary::default();
        let mut so_far = Progress::default();
        let lines = (1..)
            .zip(lines)
            .map(|(line, text)| text.map_err(|source| E::from(Error::Line { line, source })));
        let embed_window = |first, texts: &[String]| -> Result<Vec<_>, E> {
            let encodings = self.encode(texts, long)?;
            let mut done = |texts: usize, tokens: usize| {
                so_far.texts += texts;
                so_far.tokens += tokens;
                progress(so_far);
            };
            let embedded = embed(self, &encodings, first, &mut done)?.into_iter();
            let lengths = encodings.iter();
            let lengths = lengths.map(|encoding| (encoding.len(), encoding.truncated()));
            Ok(embedded.zip(lengths).collect())
        };
        in_windows_of(
            window_texts,
            lines,
            String::len,
            embed_window,
            |index, _, (embedding, (tokens, truncated))| {
                summary.add(index, tokens, truncated);
                sink(embedding)
            },
        )?;
        Ok(summary)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_summary_counts_what_was_cut() {
        let mut summary = Summary::default();
        for (index, truncated) in [(0, 0), (1, 7), (2, 5)] {
            summary.add(index, 13, truncated);
        }
        assert_eq!(
            summary,
            Summary {
                texts: 3,
                tokens: 39,
                truncated_texts: 2,
                truncated_tokens: 12,
                first_truncated: Some(1)
            }
        );
    }
}
