//! Texts that are longer than the model reads.

use std::borrow::Cow;
use std::fmt::{self, Display, Formatter};
use std::ops::Range;
use std::str::FromStr;

use bert_core::tokenizer::{BertTokenizer, Encoding};

use crate::error::{Error, Result};

/// Treatment of a text with more tokens than the maximal length.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LongInputs {
    /// It is cut, as sentence-transformers does.
    #[default]
    Cut,
    /// It is parted into windows of about equal length, whose vectors are averaged, each with the
    /// weight of its tokens; normalisation comes last.
    Mean,
}

impl LongInputs {
    const ALL: [Self; 2] = [Self::Cut, Self::Mean];

    const fn name(self) -> &'static str {
        match self {
            Self::Cut => "cut",
            Self::Mean => "mean",
        }
    }
}

impl Display for LongInputs {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for LongInputs {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        let mut all = Self::ALL.into_iter();
        all.find(|choice| choice.name() == name)
            .ok_or_else(|| Error::UnknownChoice {
                what: "treatment of long texts",
                name: name.to_owned(),
                known: Self::ALL.map(Self::name).join(", "),
            })
    }
}

/// A row of the model: a text, or a part of one.
pub(super) struct Window<'a> {
    /// Which text.
    pub(super) text: usize,
    pub(super) ids: Cow<'a, [u32]>,
    pub(super) type_ids: Cow<'a, [u32]>,
    /// Its tokens, special ones left aside.
    pub(super) weight: usize,
}

/// The rows of texts, one text after the other; more than one for a text beyond `max_length`.
pub(super) fn windows<'a>(
    encodings: &'a [Encoding],
    tokenizer: &BertTokenizer,
    max_length: usize,
) -> Vec<Window<'a>> {
    let mut rows = Vec::with_capacity(encodings.len());
    for (text, encoding) in encodings.iter().enumerate() {
        if encoding.len() <= max_length {
            rows.push(Window {
                text,
                ids: encoding.ids().into(),
                type_ids: encoding.type_ids().into(),
                weight: 1, // the only one
            });
            continue;
        }
        let tokens = encoding.ids().iter().zip(encoding.special_tokens_mask());
        let tokens: Vec<u32> = tokens
            .filter(|(_, special)| **special == 0)
            .map(|(id, _)| *id)
            .collect();
        for part in parts(tokens.len(), max_length.saturating_sub(2).max(1)) {
            let mut ids = vec![tokenizer.cls_id()];
            ids.extend_from_slice(&tokens[part.clone()]);
            ids.push(tokenizer.sep_id());
            rows.push(Window {
                text,
                type_ids: vec![0; ids.len()].into(),
                ids: ids.into(),
                weight: part.len(),
            });
        }
    }
    rows
}

/// Splits `length` into the fewest ranges of at most `size`, as equal as possible.
fn parts(length: usize, size: usize) -> impl Iterator<Item = Range<usize>> {
    let count = length.div_ceil(size);
    (0..count).map(move |number| length * number / count..length * (number + 1) / count)
}

/// The weighted mean of the vectors of each text's rows, one text after the other.
pub(super) fn weighted_means(rows: &[Window<'_>], vectors: Vec<Vec<f32>>) -> Vec<f32> {
    let vectors: Vec<(&Window<'_>, Vec<f32>)> = rows.iter().zip(vectors).collect();
    let mut means = Vec::new();
    for text in vectors.chunk_by(|a, b| a.0.text == b.0.text) {
        let start = means.len();
        means.resize(start + text[0].1.len(), 0.0);
        let total: usize = text.iter().map(|(row, _)| row.weight).sum();
        for (row, vector) in text {
            let share = row.weight as f32 / total as f32;
            for (sum, value) in means[start..].iter_mut().zip(vector) {
                *sum += share * value;
            }
        }
    }
    means
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_about_equal_and_cover_everything() {
        let sizes = |length, size| -> Vec<usize> {
            let parts: Vec<Range<usize>> = parts(length, size).collect();
            assert!(parts.windows(2).all(|pair| pair[0].end == pair[1].start));
            assert_eq!(parts.last().map_or(0, |part| part.end), length);
            parts.iter().map(Range::len).collect()
        };
        assert_eq!(sizes(10, 4), [3, 3, 4]);
        assert_eq!(sizes(8, 4), [4, 4]);
        assert_eq!(sizes(3, 4), [3]);
        assert!(sizes(0, 4).is_empty());
    }

    #[test]
    fn rows_count_by_their_tokens() {
        let row = |text, weight| Window {
            text,
            ids: vec![].into(),
            type_ids: vec![].into(),
            weight,
        };
        let rows = [row(0, 1), row(1, 3), row(1, 1), row(2, 1)];
        let vectors = [[1.0, 2.0], [4.0, 0.0], [0.0, 8.0], [5.0, 5.0]].map(|v| v.to_vec());
        let means = weighted_means(&rows, vectors.to_vec());
        assert_eq!(means, [1.0, 2.0, 3.0, 2.0, 5.0, 5.0]);
    }

    #[test]
    fn choices_are_named() {
        for choice in LongInputs::ALL {
            assert_eq!(choice.to_string().parse::<LongInputs>().unwrap(), choice);
        }
        let error = "max".parse::<LongInputs>().unwrap_err().to_string();
        assert!(error.contains("cut, mean"), "{error}");
    }
}
