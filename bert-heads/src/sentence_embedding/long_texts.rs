//! Texts that are longer than the model reads.

use std::borrow::Borrow;
use std::fmt::{self, Display, Formatter};
use std::str::FromStr;

use bert_core::tokenizer::{BertTokenizer, Encoding};

use crate::error::{Error, Result};
use crate::runner::Row;
use crate::runner::windows::parts;

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
pub(super) struct Window {
    /// Number of its text.
    pub(super) text: usize,
    pub(super) row: Row,
    /// Its tokens, special ones left aside.
    pub(super) weight: usize,
}

impl Borrow<Row> for Window {
    fn borrow(&self) -> &Row {
        &self.row
    }
}

/// The rows of texts, one text after the other; more than one for a text beyond `max_length`.
pub(super) fn windows(
    encodings: &[Encoding],
    tokenizer: &BertTokenizer,
    max_length: usize,
) -> Vec<Window> {
    let mut rows = Vec::with_capacity(encodings.len());
    for (text, encoding) in encodings.iter().enumerate() {
        if encoding.len() <= max_length {
            rows.push(Window {
                text,
                row: Row::of(encoding),
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
                row: Row {
                    type_ids: vec![0; ids.len()],
                    ids,
                },
                weight: part.len(),
            });
        }
    }
    rows
}

/// The weighted mean of the vectors of each text's rows, one text after the other.
pub(super) fn weighted_means(rows: &[Window], vectors: Vec<Vec<f32>>) -> Vec<f32> {
    let vectors: Vec<(&Window, Vec<f32>)> = rows.iter().zip(vectors).collect();
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
    fn rows_count_by_their_tokens() {
        let row = |text, weight| Window {
            text,
            row: Row {
                ids: vec![],
                type_ids: vec![],
            },
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
