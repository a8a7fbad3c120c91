//! Labelled texts as rows with targets.

use bert_core::tokenizer::{BertTokenizer, EncodeOptions};

use super::{ProblemType, TextTarget};
use crate::datasets::{Dataset, RowFault, Target, TextExample};
use crate::error::Result;
use crate::labels::Labels;
use crate::runner::Row;
use crate::task::LabelledRow;

impl ProblemType {
    /// Converts the target of a text, labels to their ids in `labels`.
    ///
    /// Classes that are written as numbers pass as numbers, and a single label as a list of one.
    ///
    /// # Errors
    ///
    /// [`RowFault::UnknownLabel`], or [`RowFault::WrongType`] for a target of another kind.
    pub fn target(self, target: &Target, labels: &Labels) -> Result<TextTarget, RowFault> {
        let id = |label: &String| {
            labels.id(label).ok_or_else(|| RowFault::UnknownLabel {
                label: label.clone(),
                known: labels.names().join(", "),
            })
        };
        let wrong = |expected| RowFault::WrongType {
            column: "label".to_owned(),
            expected,
            found: kind(target).to_owned(),
        };
        match (self, target) {
            (Self::SingleLabel, Target::Label(label)) => Ok(TextTarget::Class(id(label)?)),
            (Self::MultiLabel, Target::Label(label)) => {
                let chosen = id(label)?;
                let flags = (0..labels.count()).map(|label| label == chosen);
                Ok(TextTarget::Flags(flags.collect()))
            }
            (Self::MultiLabel, Target::Labels(chosen)) => {
                let mut flags = vec![false; labels.count()];
                for label in chosen {
                    flags[id(label)?] = true;
                }
                Ok(TextTarget::Flags(flags))
            }
            (Self::Regression, Target::Number(number)) => Ok(TextTarget::Number(*number as f32)),
            (Self::Regression, Target::Label(label)) => match label.parse::<f32>() {
                Ok(number) if number.is_finite() => Ok(TextTarget::Number(number)),
                _ => Err(RowFault::NotANumber {
                    column: "label".to_owned(),
                    text: label.clone(),
                }),
            },
            (Self::SingleLabel, _) => Err(wrong("one class")),
            (Self::MultiLabel, _) => Err(wrong("labels")),
            (Self::Regression, _) => Err(wrong("a number")),
        }
    }
}

fn kind(target: &Target) -> &'static str {
    match target {
        Target::None => "absent",
        Target::Label(_) => "a class",
        Target::Labels(_) => "a list of labels",
        Target::Number(_) => "a number",
    }
}

impl Dataset<TextExample> {
    /// Targets of all texts, labels as their ids in `labels`.
    ///
    /// # Errors
    ///
    /// [`Error::BadRow`](crate::Error::BadRow) naming the first example whose target is of another kind or unknown.
    pub fn targets(&self, problem_type: ProblemType, labels: &Labels) -> Result<Vec<TextTarget>> {
        self.examples
            .iter()
            .map(|example| {
                problem_type
                    .target(&example.target, labels)
                    .map_err(|fault| self.fault(example.line, fault))
            })
            .collect()
    }
}

/// Rows to train on out of texts, cut to `max_length` tokens as transformers does; also how many
/// were cut.
///
/// # Errors
///
/// Those of [`Dataset::targets`] and of the tokenizer.
pub fn text_rows(
    data: &Dataset<TextExample>,
    problem_type: ProblemType,
    labels: &Labels,
    tokenizer: &BertTokenizer,
    max_length: usize,
) -> Result<(Vec<LabelledRow<TextTarget>>, usize)> {
    let targets = data.targets(problem_type, labels)?;
    let options = EncodeOptions::truncated(max_length);
    let encodings = tokenizer.encode_batch(data.inputs(), &options)?;
    let cut = encodings
        .iter()
        .filter(|encoding| encoding.truncated() > 0)
        .count();
    let rows = encodings
        .iter()
        .zip(targets)
        .map(|(encoding, target)| LabelledRow::new(Row::of(encoding), target));
    Ok((rows.collect(), cut))
}

#[cfg(test)]
mod tests {
    use bert_core::tokenizer::TokenizerOptions;

    use super::*;

    #[test]
    fn what_does_not_fit_the_task_is_named_by_file_and_line() {
        let vocab = "[PAD] [UNK] [CLS] [SEP] [MASK] in".split(' ');
        let options = TokenizerOptions::default();
        let tokenizer = BertTokenizer::from_vocab(vocab.map(String::from), &options).unwrap();
        let labels = Labels::new(["O", "B-LOC"]).unwrap();
        let data = |target| Dataset {
            path: "train.tsv".into(),
            examples: vec![TextExample {
                text: "in".to_owned(),
                pair: None,
                target,
                line: 7,
            }],
        };
        for (task, target) in [
            (ProblemType::SingleLabel, Target::Label("?".to_owned())),
            (ProblemType::SingleLabel, Target::Number(1.0)),
            (ProblemType::Regression, Target::Label("high".to_owned())),
            (
                ProblemType::MultiLabel,
                Target::Labels(vec!["O".to_owned(), "?".to_owned()]),
            ),
            (ProblemType::Regression, Target::None),
        ] {
            let rows = text_rows(&data(target), task, &labels, &tokenizer, 9);
            let error = rows.unwrap_err().to_string();
            assert!(error.contains("train.tsv, line 7"), "{error}");
        }
        let target = Target::Labels(vec!["B-LOC".to_owned()]);
        let (rows, _) = text_rows(
            &data(target),
            ProblemType::MultiLabel,
            &labels,
            &tokenizer,
            9,
        )
        .unwrap();
        assert_eq!(rows[0].target, TextTarget::Flags(vec![false, true]));
    }
}
