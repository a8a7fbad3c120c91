//! Examples as rows with targets.

use std::fmt::{self, Display, Formatter};
use std::path::PathBuf;
use std::str::FromStr;

use bert_core::tokenizer::{BertTokenizer, EncodeOptions, TextInput};
use serde::{Deserialize, Serialize};

use super::batch::{LabelledRow, RowTarget};
use crate::datasets::{Place, RowFault, Target, TextExample, TokenExample};
use crate::error::{Error, Result};
use crate::labels::Labels;
use crate::losses::IGNORED_LABEL;
use crate::model_kind::ModelKind;
use crate::next_sentence::NEXT_SENTENCE_LABELS;
use crate::predict::Row;
use crate::sequence_classification::ProblemType;

/// Fine-tuning task.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Task {
    /// One class per text or pair of texts.
    Classify,
    /// Next-sentence prediction: does the second of two texts follow the first?
    NextSentence,
    /// Any number of labels per text or pair of texts.
    MultiLabel,
    /// A number per text or pair of texts.
    Regress,
    /// A label per word.
    Tokens,
    /// The stretch of a context that answers a question.
    Qa,
    /// The right one of several choices.
    Choice,
    /// Vectors of texts whose cosine says how alike they are.
    Similarity,
}

/// Examples, and the file they come from, which errors name.
#[derive(Clone, Debug)]
pub struct Dataset<T> {
    /// The file.
    pub path: PathBuf,
    /// Its examples.
    pub examples: Vec<T>,
}

impl Task {
    /// Problem type of this task's sequence classifier; [`ProblemType::SingleLabel`] for the tasks that
    /// have no such classifier.
    pub const fn problem_type(self) -> ProblemType {
        match self {
            Self::Classify
            | Self::NextSentence
            | Self::Tokens
            | Self::Qa
            | Self::Choice
            | Self::Similarity => ProblemType::SingleLabel,
            Self::MultiLabel => ProblemType::MultiLabel,
            Self::Regress => ProblemType::Regression,
        }
    }

    /// The task on texts that a classifier was trained for.
    pub const fn of(problem_type: ProblemType) -> Self {
        match problem_type {
            ProblemType::SingleLabel => Self::Classify,
            ProblemType::MultiLabel => Self::MultiLabel,
            ProblemType::Regression => Self::Regress,
        }
    }

    /// The kind of model that is trained for it.
    pub const fn model_kind(self) -> ModelKind {
        match self {
            Self::Classify | Self::MultiLabel | Self::Regress => ModelKind::Texts,
            Self::NextSentence => ModelKind::NextSentence,
            Self::Tokens => ModelKind::Tokens,
            Self::Qa => ModelKind::Questions,
            Self::Choice => ModelKind::Choices,
            Self::Similarity => ModelKind::Sentences,
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Classify => "classify",
            Self::NextSentence => "next-sentence",
            Self::MultiLabel => "multi-label",
            Self::Regress => "regress",
            Self::Tokens => "tokens",
            Self::Qa => "qa",
            Self::Choice => "choice",
            Self::Similarity => "similarity",
        }
    }

    /// The names of the outputs of tasks in which data have no say in them.
    pub const fn own_labels(self) -> Option<&'static [&'static str]> {
        match self {
            Self::Classify | Self::MultiLabel | Self::Tokens => None,
            Self::NextSentence => Some(&NEXT_SENTENCE_LABELS),
            Self::Regress => Some(&["LABEL_0"]),
            Self::Qa => Some(&["start", "end"]),
            Self::Choice => Some(&["score"]),
            Self::Similarity => Some(&["similarity"]),
        }
    }

    /// Converts the target of a text, labels to their ids in `labels`.
    ///
    /// Classes that are written as numbers pass as numbers, and a single label as a list of one.
    ///
    /// # Errors
    ///
    /// [`RowFault::UnknownLabel`], or [`RowFault::WrongType`] for a target of another kind.
    pub fn target(self, target: &Target, labels: &Labels) -> Result<RowTarget, RowFault> {
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
            (Self::Classify | Self::NextSentence, Target::Label(label)) => {
                Ok(RowTarget::Class(id(label)?))
            }
            (Self::MultiLabel, Target::Label(label)) => {
                let chosen = id(label)?;
                let flags = (0..labels.count()).map(|label| label == chosen);
                Ok(RowTarget::Flags(flags.collect()))
            }
            (Self::MultiLabel, Target::Labels(chosen)) => {
                let mut flags = vec![false; labels.count()];
                for label in chosen {
                    flags[id(label)?] = true;
                }
                Ok(RowTarget::Flags(flags))
            }
            (Self::Regress, Target::Number(number)) => Ok(RowTarget::Number(*number as f32)),
            (Self::Regress, Target::Label(label)) => match label.parse::<f32>() {
                Ok(number) if number.is_finite() => Ok(RowTarget::Number(number)),
                _ => Err(RowFault::NotANumber {
                    column: "label".to_owned(),
                    text: label.clone(),
                }),
            },
            (Self::Classify | Self::NextSentence, _) => Err(wrong("one class")),
            (Self::MultiLabel, _) => Err(wrong("labels")),
            (Self::Regress, _) => Err(wrong("a number")),
            (Self::Tokens, _) => Err(wrong("a tag for every word")),
            (Self::Qa, _) => Err(wrong("an answer in a context")),
            (Self::Choice, _) => Err(wrong("the right one of its choices")),
            (Self::Similarity, _) => Err(wrong("the score of a pair")),
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

impl Display for Task {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Task {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        const ALL: [Task; 8] = [
            Task::Classify,
            Task::NextSentence,
            Task::MultiLabel,
            Task::Regress,
            Task::Tokens,
            Task::Qa,
            Task::Choice,
            Task::Similarity,
        ];
        ALL.into_iter()
            .find(|task| task.name() == name)
            .ok_or_else(|| Error::UnknownChoice {
                what: "task",
                name: name.to_owned(),
                known: ALL.map(Task::name).join(", "),
            })
    }
}

impl<T> Dataset<T> {
    /// That the example on `line` cannot be used.
    pub(crate) fn fault(&self, line: usize, fault: RowFault) -> Error {
        Error::BadRow {
            path: self.path.clone(),
            place: Place::Line(line),
            fault: fault.into(),
        }
    }
}

impl Dataset<TextExample> {
    /// The texts as the tokenizer takes them.
    pub(crate) fn inputs(&self) -> impl Iterator<Item = TextInput<'_>> {
        self.examples.iter().map(|example| match &example.pair {
            Some(pair) => TextInput::Pair(&example.text, pair),
            None => TextInput::Single(&example.text),
        })
    }

    /// Targets of all texts, labels as their ids in `labels`.
    ///
    /// # Errors
    ///
    /// [`Error::BadRow`] naming the first example whose target is of another kind or unknown.
    pub fn targets(&self, task: Task, labels: &Labels) -> Result<Vec<RowTarget>> {
        self.examples
            .iter()
            .map(|example| {
                task.target(&example.target, labels)
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
    task: Task,
    labels: &Labels,
    tokenizer: &BertTokenizer,
    max_length: usize,
) -> Result<(Vec<LabelledRow>, usize)> {
    let targets = data.targets(task, labels)?;
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

/// Rows to train on out of tagged words: the first token of a word has its label, the others are
/// ignored (transformers `run_ner.py`). Sentences are cut to `max_length` tokens; also how many were.
///
/// # Errors
///
/// [`Error::BadRow`] for a tag that is missing or unknown, and those of the tokenizer.
pub fn token_rows(
    data: &Dataset<TokenExample>,
    labels: &Labels,
    tokenizer: &BertTokenizer,
    max_length: usize,
) -> Result<(Vec<LabelledRow>, usize)> {
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
        rows.push(LabelledRow::new(row, RowTarget::Tokens(classes)));
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
        assert_eq!(
            rows[0].target,
            RowTarget::Tokens(vec![none, 0, none, 0, 1, none])
        );

        let (rows, cut) = token_rows(&data, &labels(), &tokenizer(), 5).unwrap();
        assert_eq!(
            (rows[0].rows[0].ids.as_slice(), cut),
            ([2, 5, 6, 7, 3].as_slice(), 1)
        );
        assert_eq!(
            rows[0].target,
            RowTarget::Tokens(vec![none, 0, none, 0, none])
        );
    }

    #[test]
    fn what_does_not_fit_the_task_is_named_by_file_and_line() {
        let data = sentence(&["in"], &["B-PER"]);
        let error = token_rows(&data, &labels(), &tokenizer(), 9)
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("train.conll, line 13") && error.contains("B-PER"),
            "{error}"
        );

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
            (Task::Classify, Target::Label("?".to_owned())),
            (Task::Classify, Target::Number(1.0)),
            (Task::Regress, Target::Label("high".to_owned())),
            (
                Task::MultiLabel,
                Target::Labels(vec!["O".to_owned(), "?".to_owned()]),
            ),
            (Task::Regress, Target::None),
        ] {
            let rows = text_rows(&data(target), task, &labels(), &tokenizer(), 9);
            let error = rows.unwrap_err().to_string();
            assert!(error.contains("train.tsv, line 7"), "{error}");
        }
        let target = Target::Labels(vec!["B-LOC".to_owned()]);
        let (rows, _) =
            text_rows(&data(target), Task::MultiLabel, &labels(), &tokenizer(), 9).unwrap();
        assert_eq!(rows[0].target, RowTarget::Flags(vec![false, true]));
    }
}
