//! Answers that were predicted for questions, as SQuAD's scripts read them.

use std::collections::HashMap;
use std::io::Read;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::datasets::{QuestionExample, open};
use crate::error::{Error, Result};
use crate::metrics::Scores;
use crate::metrics::squad::{AnswerLanguage, Prediction, V1Scorer, V2Scorer};
use crate::tasks::question_answering::{answers_language, naming};

/// The files of predictions of a question answering model.
#[derive(Clone, Debug, PartialEq)]
pub struct AnswerFiles {
    /// One JSON object: for the id of each question the answer, empty to say that there is none. Or
    /// JSON lines with `id` and `answer`, as `bert predict` writes them.
    pub answers: PathBuf,
    /// One JSON object: for each id how sure the model is that there is no answer.
    pub no_answer: Option<PathBuf>,
    /// Above which of these numbers there is taken to be no answer; 1 in the script.
    pub no_answer_threshold: f64,
    /// Language by whose rule answers are scored; by default found from the answers that are known.
    pub language: Option<AnswerLanguage>,
}

/// A line of `bert predict`.
#[derive(Deserialize)]
struct AnswerLine {
    #[serde(deserialize_with = "id")]
    id: String,
    answer: String,
}

/// The scores of `evaluate-v2.0.py` where the data have questions without an answer or the
/// predictions say how sure they are of none, else those of `evaluate-v1.1.py`; and the language of
/// the answers where it is not counted in words.
///
/// # Errors
///
/// [`Error::Predictions`] for a file that is not as it should be, [`Error::NoAnswerScore`] for a
/// question without such a number, and those of the scorers.
pub fn score_answer_file(questions: &[QuestionExample], files: &AnswerFiles) -> Result<Scores> {
    let answers = read_answers(&files.answers)?;
    let found = || answers_language(questions);
    let language = files.language.unwrap_or_else(found);
    let no_answer: Option<HashMap<String, f64>> = files
        .no_answer
        .as_deref()
        .map(|path| read(path, "an object of numbers by id"))
        .transpose()?;
    let gold = |question: &QuestionExample| -> Vec<String> {
        let answers = question.answers.iter();
        answers.map(|answer| answer.text.clone()).collect()
    };
    if no_answer.is_none() && questions.iter().all(|question| !question.is_impossible) {
        let mut scorer = V1Scorer::in_language(language);
        for question in questions {
            let answer = answers.get(&question.id).map(String::as_str);
            scorer.add(&question.id, &gold(question), answer)?;
        }
        return Ok(naming(language, scorer.scores()));
    }
    let scorer = match &no_answer {
        Some(_) => V2Scorer::with_threshold(files.no_answer_threshold)?,
        None => V2Scorer::new(),
    };
    let mut scorer = scorer.in_language(language);
    for question in questions {
        let prediction = answers.get(&question.id).map(|text| {
            let no_answer = match &no_answer {
                Some(scores) => scores.get(&question.id).copied().unwrap_or(f64::NAN),
                None => 0.0,
            };
            Prediction { text, no_answer }
        });
        scorer.add(&question.id, &gold(question), prediction)?;
    }
    Ok(naming(language, scorer.scores()))
}

/// Answers by id, from one object or from lines.
fn read_answers(path: &Path) -> Result<HashMap<String, String>> {
    let text = read_text(path)?;
    let first: Option<serde_json::Result<AnswerLine>> = serde_json::Deserializer::from_slice(&text)
        .into_iter()
        .next();
    if !matches!(first, Some(Ok(_))) {
        return parse(path, &text, "an object of texts by id");
    }
    let lines = serde_json::Deserializer::from_slice(&text).into_iter::<AnswerLine>();
    let answers = lines.map(|line| line.map(|AnswerLine { id, answer }| (id, answer)));
    let answers: serde_json::Result<_> = answers.collect();
    answers.map_err(refuse(path, "lines with `id` and `answer`"))
}

fn read<T: DeserializeOwned>(path: &Path, expected: &'static str) -> Result<T> {
    parse(path, &read_text(path)?, expected)
}

fn read_text(path: &Path) -> Result<Vec<u8>> {
    let mut text = Vec::new();
    let read = open(path)?.read_to_end(&mut text);
    read.map_err(|error| bert_core::Error::io("read", path, error))?;
    Ok(text)
}

fn parse<T: DeserializeOwned>(path: &Path, text: &[u8], expected: &'static str) -> Result<T> {
    serde_json::from_slice(text).map_err(refuse(path, expected))
}

fn refuse(path: &Path, expected: &'static str) -> impl Fn(serde_json::Error) -> Error {
    move |error| Error::Predictions {
        path: path.to_owned(),
        line: error.line(),
        expected,
        source: error,
    }
}

/// Some data sets number their questions.
fn id<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    match serde_json::Value::deserialize(deserializer)? {
        serde_json::Value::String(id) => Ok(id),
        serde_json::Value::Number(id) => Ok(id.to_string()),
        _ => Err(serde::de::Error::custom("an id is a text or a number")),
    }
}
