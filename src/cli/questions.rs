//! Questions on contexts in `bert finetune`, `bert predict` and `bert evaluate`.

use std::path::Path;

use anyhow::Result;
use bert_heads::datasets::{Dataset, Part, QuestionExample, Targets};
use bert_heads::metrics::Scores;
use bert_heads::metrics::squad::AnswerLanguage;
use bert_heads::runner::in_windows;
use bert_heads::tasks::question_answering::{FoundAnswer, QuestionAnswerer, QuestionOptions};
use serde::Serialize;
use serde_json::{Map, Value};

use super::data::{DataArgs, reporting_skipped};
use super::input::or_stdin;
use super::output::Output;

/// Options of windows over contexts and of the choice of answers. A model keeps those it was trained with.
#[derive(clap::Args)]
pub(crate) struct QuestionArgs {
    /// For questions: tokens from the beginning of a window of the context to that of the next
    /// [default: the model's, 128 in training]
    #[arg(long, value_name = "N")]
    doc_stride: Option<usize>,
    /// For questions: tokens that they are cut to [default: the model's, 64 in training]
    #[arg(long, value_name = "N")]
    max_query_length: Option<usize>,
    /// For questions: answers to keep of each [default: the model's, 20 in training]
    #[arg(long, value_name = "N")]
    n_best: Option<usize>,
    /// For questions: most tokens of an answer [default: the model's, 30 in training]
    #[arg(long, value_name = "N")]
    max_answer_length: Option<usize>,
    /// For questions: say that there is no answer where the score of that exceeds the best answer's
    /// by more than X [default: the model's; training searches the best on the validation questions]
    #[arg(long, value_name = "X", allow_negative_numbers = true)]
    null_threshold: Option<f64>,
    /// For questions: language by whose rule answers are scored, en (F1 of words, as SQuAD has it), zh,
    /// ja or th (F1 of characters) [default: found from the answers of the data]
    #[arg(long, value_name = "LANGUAGE")]
    pub(crate) answers_language: Option<AnswerLanguage>,
}

#[derive(Serialize)]
struct Line<'a> {
    index: usize,
    id: &'a str,
    #[serde(flatten)]
    found: &'a FoundAnswer,
}

impl QuestionArgs {
    pub(crate) fn options(&self, max_length: Option<usize>) -> QuestionOptions {
        QuestionOptions {
            max_length,
            doc_stride: self.doc_stride,
            max_query_length: self.max_query_length,
            n_best: self.n_best,
            max_answer_length: self.max_answer_length,
            null_threshold: self.null_threshold,
            answers_language: self.answers_language,
        }
    }

    /// The first option of these that is given.
    pub(crate) fn given(&self) -> Option<&'static str> {
        let options = [
            ("--doc-stride", self.doc_stride.is_some()),
            ("--max-query-length", self.max_query_length.is_some()),
            ("--n-best", self.n_best.is_some()),
            ("--max-answer-length", self.max_answer_length.is_some()),
            ("--null-threshold", self.null_threshold.is_some()),
            ("--answers-language", self.answers_language.is_some()),
        ];
        let given = options.into_iter().find(|(_, given)| *given);
        given.map(|(option, _)| option)
    }
}

/// Answers a stream of questions.
pub(crate) fn predict(
    model: &QuestionAnswerer,
    format: &DataArgs,
    file: Option<&Path>,
    output: &mut Output,
) -> Result<()> {
    let questions = format.stream_questions(or_stdin(file), Part::Test, Targets::Ignored)?;
    let bytes = |question: &QuestionExample| question.question.len() + question.context.len();
    in_windows(
        reporting_skipped(questions),
        bytes,
        |questions| Ok(model.answer(questions)?),
        |index, question, found| {
            output.json(&Line {
                index,
                id: &question.id,
                found: &found,
            })
        },
    )?;
    Ok(())
}

/// Scores the answers to questions, and writes them: a line each, and as the one file that SQuAD's
/// scripts take.
pub(crate) fn evaluate(
    model: &QuestionAnswerer,
    data: &Dataset<QuestionExample>,
    lines: Option<&mut Output>,
    answers: &mut Map<String, Value>,
) -> Result<Scores> {
    let (scores, found) = model.evaluate(&data.examples)?;
    let all = || data.examples.iter().zip(&found);
    if let Some(output) = lines {
        for (index, (question, found)) in all().enumerate() {
            output.json(&Line {
                index,
                id: &question.id,
                found,
            })?;
        }
    }
    answers.extend(
        all().map(|(question, found)| (question.id.clone(), Value::from(found.answer.as_str()))),
    );
    Ok(scores)
}
