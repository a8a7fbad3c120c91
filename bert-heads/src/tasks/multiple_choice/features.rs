//! Questions with choices as rows with targets.

use bert_core::tokenizer::{BertTokenizer, EncodeOptions, TextInput};

use crate::datasets::{ChoiceExample, Dataset};
use crate::error::Result;
use crate::runner::Row;
use crate::task::LabelledRow;

/// Rows to train on out of questions with choices: each choice with its context, cut to `max_length`
/// tokens (transformers `run_swag.py`); also how many questions were cut.
///
/// # Errors
///
/// [`Error::BadRow`](crate::Error::BadRow) for a question whose right choice is not known, and those
/// of the tokenizer.
pub fn choice_rows(
    data: &Dataset<ChoiceExample>,
    tokenizer: &BertTokenizer,
    max_length: usize,
) -> Result<(Vec<LabelledRow<usize>>, usize)> {
    let right = data.right_choices()?;
    let options = EncodeOptions::truncated(max_length);
    let mut cut = 0;
    let mut rows = Vec::with_capacity(right.len());
    for (example, right) in data.examples.iter().zip(right) {
        let pairs: Vec<_> = example.pairs().collect();
        let inputs = pairs
            .iter()
            .map(|(first, second)| TextInput::Pair(first, second));
        let encodings = tokenizer.encode_batch(inputs, &options)?;
        cut += usize::from(encodings.iter().any(|encoding| encoding.truncated() > 0));
        rows.push(LabelledRow {
            rows: encodings.iter().map(Row::of).collect(),
            target: right,
        });
    }
    Ok((rows, cut))
}

#[cfg(test)]
mod tests {
    use bert_core::tokenizer::TokenizerOptions;

    use super::*;

    #[test]
    fn choices_follow_their_context_and_need_a_right_one() {
        let vocab = "[PAD] [UNK] [CLS] [SEP] [MASK] she left slept then".split(' ');
        let vocab = vocab.map(String::from);
        let tokenizer = BertTokenizer::from_vocab(vocab, &TokenizerOptions::default()).unwrap();
        let data = |label| Dataset {
            path: "train.csv".into(),
            examples: vec![ChoiceExample {
                context: "she left".into(),
                question: Some("then she".into()),
                choices: vec!["slept".into(), "left then".into()],
                label,
                line: 7,
            }],
        };
        let (rows, cut) = choice_rows(&data(Some(1)), &tokenizer, 9).unwrap();
        assert_eq!((rows[0].target, cut), (1, 0));
        assert_eq!(rows[0].rows[1].ids, [2, 5, 6, 3, 8, 5, 6, 8, 3]);
        assert_eq!(rows[0].rows[0].type_ids, [0, 0, 0, 0, 1, 1, 1, 1]);
        assert_eq!(choice_rows(&data(Some(1)), &tokenizer, 8).unwrap().1, 1);
        let error = choice_rows(&data(None), &tokenizer, 9)
            .unwrap_err()
            .to_string();
        assert!(error.contains("train.csv, line 7"), "{error}");
    }
}
