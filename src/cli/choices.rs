//! Questions with choices in `bert predict` and `bert evaluate`.

use std::path::Path;

use anyhow::Result;
use bert_heads::datasets::{ChoiceExample, Dataset, Part, Targets};
use bert_heads::metrics::Scores;
use bert_heads::runner::in_windows;
use bert_heads::tasks::multiple_choice::{Choice, ChoicePicker};
use serde::Serialize;

use super::data::{DataArgs, reporting_skipped};
use super::input::or_stdin;
use super::long_texts::LongTextCount;
use super::output::Output;

#[derive(Serialize)]
struct Line<'a> {
    index: usize,
    line: usize,
    #[serde(flatten)]
    choice: &'a Choice,
}

/// Chooses for a stream of questions.
pub(crate) fn predict(
    model: &ChoicePicker,
    format: &DataArgs,
    file: Option<&Path>,
    output: &mut Output,
    long: &mut LongTextCount,
) -> Result<()> {
    let questions = format.stream_choices(or_stdin(file), Part::Test, Targets::Ignored)?;
    let bytes = |example: &ChoiceExample| {
        let choices = example.choices.iter().map(String::len);
        example.context.len() * example.choices.len() + choices.sum::<usize>()
    };
    in_windows(
        reporting_skipped(questions),
        bytes,
        |examples| Ok(model.choose(examples)?),
        |index, example, choice| {
            long.count(index, choice.windows, model.max_length());
            output.json(&Line {
                index,
                line: example.line,
                choice: &choice,
            })
        },
    )?;
    Ok(())
}

/// Scores the choices for questions, and writes them.
pub(crate) fn evaluate(
    model: &ChoicePicker,
    data: &Dataset<ChoiceExample>,
    lines: Option<&mut Output>,
) -> Result<Scores> {
    let (scores, choices) = model.evaluate(data)?;
    let mut long = LongTextCount::default();
    for (index, choice) in choices.iter().enumerate() {
        long.count(index, choice.windows, model.max_length());
    }
    long.report();
    if let Some(output) = lines {
        for (index, (example, choice)) in data.examples.iter().zip(&choices).enumerate() {
            output.json(&Line {
                index,
                line: example.line,
                choice,
            })?;
        }
    }
    Ok(scores)
}
