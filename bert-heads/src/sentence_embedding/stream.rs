//! Vectors for a stream of any length in bounded memory.

use std::io;

use bert_core::tokenizer::Encoding;

use super::{LongInputs, SentenceEmbedder, SentenceEmbedding, TokenEmbeddings};
use crate::error::{Error, Result};

/// Texts that are read, sorted by length and embedded together.
const WINDOW_TEXTS: usize = 4096;
/// Bytes after which a window closes early.
const WINDOW_BYTES: usize = 1 << 20;
/// Bytes of token vectors that a window may come to hold.
const WINDOW_VECTOR_BYTES: usize = 128 << 20;

/// How far a stream has come.
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
        let mut lines = lines.into_iter();
        let mut summary = Summary::default();
        loop {
            let offset = summary.texts;
            let window = read_window(&mut lines, offset, window_texts)?;
            if window.is_empty() {
                return Ok(summary);
            }
            let encodings = self.encode(&window, long)?;
            drop(window);

            let mut so_far = Progress {
                texts: summary.texts,
                tokens: summary.tokens,
            };
            let mut done = |texts: usize, tokens: usize| {
                so_far.texts += texts;
                so_far.tokens += tokens;
                progress(so_far);
            };
            for result in embed(self, &encodings, offset, &mut done)? {
                sink(result)?;
            }
            for (index, encoding) in encodings.iter().enumerate() {
                summary.add(offset + index, encoding.len(), encoding.truncated());
            }
        }
    }
}

/// The next texts of the stream, of which the first is number `offset`; none at its end.
fn read_window(
    lines: &mut impl Iterator<Item = io::Result<String>>,
    offset: usize,
    window_texts: usize,
) -> Result<Vec<String>> {
    let mut texts = Vec::new();
    let mut bytes = 0;
    while texts.len() < window_texts && bytes < WINDOW_BYTES {
        let Some(line) = lines.next() else { break };
        let text = line.map_err(|source| Error::Line {
            line: offset + texts.len() + 1,
            source,
        })?;
        bytes += text.len();
        texts.push(text);
    }
    Ok(texts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_close_by_count_and_by_bytes() {
        let texts = [
            "a".to_owned(),
            "b".repeat(WINDOW_BYTES),
            "c".to_owned(),
            "d".to_owned(),
        ];
        let mut lines = texts.into_iter().map(Ok);
        let counts: Vec<usize> =
            std::iter::repeat_with(|| read_window(&mut lines, 0, 37).unwrap().len())
                .take(3)
                .collect();
        assert_eq!(counts, [2, 2, 0]);
        let mut lines = (0..7).map(|n| Ok(n.to_string()));
        assert_eq!(read_window(&mut lines, 0, 5).unwrap().len(), 5);
        assert_eq!(read_window(&mut lines, 5, 5).unwrap(), ["5", "6"]);
    }

    #[test]
    fn a_line_that_cannot_be_read_is_named() {
        let mut lines = [Ok("a".to_owned()), Err(io::Error::other("gone"))].into_iter();
        let error = read_window(&mut lines, 13, 5).unwrap_err();
        assert!(matches!(error, Error::Line { line: 15, .. }), "{error}");
    }

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
