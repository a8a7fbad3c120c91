//! Settings of windows of contexts and of answers, kept with the model.

use std::path::Path;

use bert_core::files::write_atomically;
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::metrics::squad::AnswerLanguage;

/// The file beside the weights.
const FILE: &str = "question_answering.json";

/// Settings of windows of contexts and of answers; the defaults are those of `run_squad.py`.
///
/// `bert finetune` writes it beside the weights, and [`QuestionAnswerer`](super::QuestionAnswerer)
/// reads it there: a threshold belongs to the weights that it was searched for.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct QuestionSettings {
    /// Most tokens of a window with its question, special tokens included.
    pub max_length: usize,
    /// Tokens of the context from the beginning of a window to that of the next (`doc_stride` of
    /// `run_squad.py`; that of transformers' tokenizers counts the tokens that two windows share).
    pub doc_stride: usize,
    /// Tokens that questions are cut to.
    pub max_query_length: usize,
    /// Answers that are kept of a question, and tokens of a window that may begin or end one.
    pub n_best: usize,
    /// Most tokens of an answer.
    pub max_answer_length: usize,
    /// A question has no answer if the score of "no answer" exceeds that of the best one by more
    /// than this. `None` for a model that always answers (SQuAD 1.1).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub null_threshold: Option<f64>,
    /// Language by whose rule answers are scored; by default found from the answers that are known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answers_language: Option<AnswerLanguage>,
}

/// Overrides of the settings in a model's file.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct QuestionOptions {
    /// See [`QuestionSettings::max_length`].
    pub max_length: Option<usize>,
    /// See [`QuestionSettings::doc_stride`].
    pub doc_stride: Option<usize>,
    /// See [`QuestionSettings::max_query_length`].
    pub max_query_length: Option<usize>,
    /// See [`QuestionSettings::n_best`].
    pub n_best: Option<usize>,
    /// See [`QuestionSettings::max_answer_length`].
    pub max_answer_length: Option<usize>,
    /// See [`QuestionSettings::null_threshold`].
    pub null_threshold: Option<f64>,
    /// See [`QuestionSettings::answers_language`].
    pub answers_language: Option<AnswerLanguage>,
}

impl QuestionSettings {
    /// The usual numbers for windows of `max_length` tokens: a stride of 128 and questions of 64,
    /// less where windows are short, 20 answers of at most 30 tokens.
    pub fn usual(max_length: usize) -> Self {
        Self {
            max_length,
            doc_stride: (max_length / 3).clamp(1, 128),
            max_query_length: (max_length / 2).clamp(1, 64),
            n_best: 20,
            max_answer_length: 30,
            null_threshold: None,
            answers_language: None,
        }
    }

    /// Reads the settings that the model in `dir` was trained with; `None` if it has no such file.
    ///
    /// # Errors
    ///
    /// [`Error::Core`] naming the file when it cannot be read or is malformed.
    pub fn read(dir: impl AsRef<Path>) -> Result<Option<Self>> {
        let path = dir.as_ref().join(FILE);
        if !path.is_file() {
            return Ok(None);
        }
        let text = std::fs::read_to_string(&path)
            .map_err(|error| bert_core::Error::io("read", &path, error))?;
        let settings = serde_json::from_str(&text)
            .map_err(|error| bert_core::Error::malformed(&path, FILE, error))?;
        Ok(Some(settings))
    }

    /// Writes them into the model directory `dir`.
    ///
    /// # Errors
    ///
    /// [`Error::Core`] naming the file when it cannot be written.
    pub fn save(&self, dir: impl AsRef<Path>) -> Result<()> {
        let text = serde_json::to_string_pretty(self).expect("numbers are JSON");
        let path = dir.as_ref().join(FILE);
        Ok(write_atomically(path, format!("{text}\n").as_bytes())?)
    }

    /// Applies the overrides in `options`.
    #[must_use]
    pub fn with(self, options: &QuestionOptions) -> Self {
        Self {
            max_length: options.max_length.unwrap_or(self.max_length),
            doc_stride: options.doc_stride.unwrap_or(self.doc_stride),
            max_query_length: options.max_query_length.unwrap_or(self.max_query_length),
            n_best: options.n_best.unwrap_or(self.n_best),
            max_answer_length: options.max_answer_length.unwrap_or(self.max_answer_length),
            null_threshold: options.null_threshold.or(self.null_threshold),
            answers_language: options.answers_language.or(self.answers_language),
        }
    }

    /// Refuses numbers with which nothing can be answered.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidOption`] naming the number.
    pub fn check(&self) -> Result<()> {
        let refuse = |option, value: String, expected| {
            Err(Error::InvalidOption {
                option,
                value,
                expected,
            })
        };
        for (option, value) in [
            ("doc stride", self.doc_stride),
            ("maximal question length", self.max_query_length),
            ("n-best", self.n_best),
            ("maximal answer length", self.max_answer_length),
        ] {
            if value == 0 {
                return refuse(option, "0".to_owned(), "at least 1");
            }
        }
        if self.max_query_length.saturating_add(4) > self.max_length {
            let value = format!("{} of {} tokens", self.max_query_length, self.max_length);
            let expected = "room for [CLS], two [SEP] and a token of the context beside it";
            return refuse("maximal question length", value, expected);
        }
        match self.null_threshold {
            Some(threshold) if threshold.is_nan() => {
                refuse("null threshold", "NaN".to_owned(), "a number")
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_survive_the_file_and_options_go_before_them() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(QuestionSettings::read(dir.path()).unwrap(), None);
        let settings = QuestionSettings {
            null_threshold: Some(-1.5),
            ..QuestionSettings::usual(384)
        };
        assert_eq!((settings.doc_stride, settings.max_query_length), (128, 64));
        settings.save(dir.path()).unwrap();
        assert_eq!(QuestionSettings::read(dir.path()).unwrap(), Some(settings));
        let options = QuestionOptions {
            n_best: Some(3),
            null_threshold: Some(2.0),
            ..QuestionOptions::default()
        };
        let changed = settings.with(&options);
        assert_eq!((changed.n_best, changed.null_threshold), (3, Some(2.0)));
        assert_eq!(changed.max_length, 384);

        std::fs::write(dir.path().join(FILE), "{").unwrap();
        let error = QuestionSettings::read(dir.path()).unwrap_err().to_string();
        assert!(error.contains(FILE), "{error}");
    }

    #[test]
    fn numbers_without_sense_are_refused() {
        let usual = QuestionSettings::usual(48);
        usual.check().unwrap();
        for (settings, needle) in [
            (
                QuestionSettings {
                    doc_stride: 0,
                    ..usual
                },
                "doc stride",
            ),
            (QuestionSettings { n_best: 0, ..usual }, "n-best"),
            (
                QuestionSettings {
                    max_query_length: 45,
                    ..usual
                },
                "45 of 48 tokens",
            ),
            (
                QuestionSettings {
                    null_threshold: Some(f64::NAN),
                    ..usual
                },
                "null threshold",
            ),
        ] {
            let error = settings.check().unwrap_err().to_string();
            assert!(error.contains(needle), "{error}");
        }
    }
}
