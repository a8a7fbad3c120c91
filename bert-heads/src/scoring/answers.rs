//! Answers that were predicted for questions, as SQuAD's scripts read them.

use std::collections::HashMap;
use std::fs::File;
use std::io::BufReader;
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;

use crate::datasets::QuestionExample;
use crate::error::{Error, Result};
use crate::metrics::Scores;
use crate::metrics::squad::{Prediction, V1Scorer, V2Scorer};

/// The files of predictions of a question answering model.
#[derive(Clone, Debug, PartialEq)]
pub struct AnswerFiles {
    /// One JSON object: for the id of each question the answer, empty to say that there is none.
    pub answers: PathBuf,
    /// One JSON object: for each id how sure the model is that there is no answer.
    pub no_answer: Option<PathBuf>,
    /// Above which of these numbers there is taken to be no answer; 1 in the script.
    pub no_answer_threshold: f64,
}

/// The scores of `evaluate-v2.0.py` where the data have questions without an answer or the
/// predictions say how sure they are of none, else those of `evaluate-v1.1.py`.
///
/// # Errors
///
/// [`Error::Predictions`] for a file that is not as it should be, [`Error::NoAnswerScore`] for a
/// question without such a number, and those of the scorers.
pub fn score_answer_file(questions: &[QuestionExample], files: &AnswerFiles) -> Result<Scores> {
    let answers: HashMap<String, String> = read(&files.answers, "an object of texts by id")?;
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
        let mut scorer = V1Scorer::default();
        for question in questions {
            let answer = answers.get(&question.id).map(String::as_str);
            scorer.add(&question.id, &gold(question), answer)?;
        }
        return Ok(scorer.scores());
    }
    let mut scorer = match &no_answer {
        Some(_) => V2Scorer::with_threshold(files.no_answer_threshold)?,
        None => V2Scorer::new(),
    };
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
    Ok(scorer.scores())
}

fn read<T: DeserializeOwned>(path: &Path, expected: &'static str) -> Result<T> {
    let file = File::open(path).map_err(|error| bert_core::Error::io("open", path, error))?;
    serde_json::from_reader(BufReader::new(file)).map_err(|error| Error::Predictions {
        path: path.to_owned(),
        line: error.line(),
        expected,
        source: error,
    })
}
