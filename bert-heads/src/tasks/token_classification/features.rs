//! Tagged words as rows with targets.

use bert_core::tokenizer::BertTokenizer;

use crate::datasets::{Dataset, RowFault, TokenExample};
use crate::error::Result;
use crate::labels::Labels;
use crate::losses::IGNORED_LABEL;
use crate::runner::Row;
use crate::task::LabelledRow;

/// Rows to train on out of tagged words: the first token of a word has its label, the others are
/// ignored (transformers `run_ner.py`). Sentences are cut to `max_length` tokens; also how many were.
///
/// # Errors
///
/// [`Error::BadRow`](crate::Error::BadRow) for a tag that is missing or unknown, and those of the tokenizer.
pub fn token_rows(
    data: &Dataset<TokenExample>,
    labels: &Labels,
    tokenizer: &BertTokenizer,
    max_length: usize,
) -> Result<(Vec<LabelledRow<Vec<i64>>>, usize)> {
    let room = max_length.saturating_sub(2);
    let mut cut = 0;
    let mut rows = Vec::with_capacity(data.examples.len());
    for example in &data.examples {
        let fault = |fault| data.fault(example.line, fault);
        let tags = example.tags.as_ref().ok_or_else(|| {
            fault(RowFault::TagCount {
                words: example.words.len(),
                tags: 0,
            })
        })?;
        let pieces = tokenizer.encode_words(&example.words)?;
        let mut classes = vec![IGNORED_LABEL; pieces.ids().len() + 2];
        for (tag, token) in tags.iter().zip(pieces.first_tokens()) {
            let class = labels.id(tag).ok_or_else(|| {
                fault(RowFault::UnknownLabel {
                    label: tag.clone(),
                    known: labels.names().join(", "),
                })
            })?;
            if let Some(token) = token {
                classes[token + 1] = class as i64; // [CLS] stands before
            }
        }
        let kept = pieces.ids().len().min(room);
        cut += usize::from(kept < pieces.ids().len());
        classes.truncate(kept + 1);
        classes.push(IGNORED_LABEL);
        let mut ids = vec![tokenizer.cls_id()];
        ids.extend_from_slice(&pieces.ids()[..kept]);
        ids.push(tokenizer.sep_id());
        let row = Row {
            type_ids: vec![0; ids.len()],
            ids,
        };
        rows.push(LabelledRow::new(row, classes));
    }
    Ok((rows, cut))
}

#[cfg(test)]
mod tests {
    use super::*;
    use bert_core::tokenizer::TokenizerOptions;

    fn tokenizer() -> BertTokenizer {
        let vocab = "[PAD] [UNK] [CLS] [SEP] [MASK] play ##ing in paris".split(' ');
        BertTokenizer::from_vocab(vocab.map(String::from), &TokenizerOptions::default()).unwrap()
    }

    fn labels() -> Labels {
        Labels::new(["O", "B-LOC"]).unwrap()
    }

    fn sentence(words: &[&str], tags: &[&str]) -> Dataset<TokenExample> {
        let owned = |words: &[&str]| words.iter().map(|&word| word.to_owned()).collect();
        Dataset {
            path: "train.conll".into(),
            examples: vec![TokenExample {
                words: owned(words),
                tags: Some(owned(tags)),
                line: 13,
            }],
        }
    }

    #[test]
    fn first_tokens_are_labelled_and_a_word_without_one_shifts_nothing() {
        let words = ["playing", "\u{ad}", "in", "Paris"];
        let data = sentence(&words, &["O", "B-LOC", "O", "B-LOC"]);
        let (rows, cut) = token_rows(&data, &labels(), &tokenizer(), 32).unwrap();
        assert_eq!(
            (rows[0].rows[0].ids.as_slice(), cut),
            ([2, 5, 6, 7, 8, 3].as_slice(), 0)
        );
        let none = IGNORED_LABEL;
        assert_eq!(rows[0].target, vec![none, 0, none, 0, 1, none]);

        let (rows, cut) = token_rows(&data, &labels(), &tokenizer(), 5).unwrap();
        assert_eq!(
            (rows[0].rows[0].ids.as_slice(), cut),
            ([2, 5, 6, 7, 3].as_slice(), 1)
        );
        assert_eq!(rows[0].target, vec![none, 0, none, 0, none]);
    }

    #[test]
    fn an_unknown_tag_is_named_by_file_and_line() {
        let data = sentence(&["in"], &["B-PER"]);
        let error = token_rows(&data, &labels(), &tokenizer(), 9)
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("train.conll, line 13") && error.contains("B-PER"),
            "{error}"
        );
    }
}
