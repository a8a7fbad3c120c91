//! Questions on contexts, and questions with choices.

use std::path::Path;

use anyhow::{Context, Result, bail};
use bert_heads::datasets::{
    ChoiceExample, ChoiceFormat, Dataset, Examples, Format, Layout, Part, QuestionExample,
    QuestionFormat, QuestionLayout, Targets, read_choices, read_questions,
};

use super::{DataArgs, unknown_layout};
use crate::cli::input::STDIN;

impl DataArgs {
    /// Streams the questions of a file.
    pub(crate) fn stream_questions(
        &self,
        path: &Path,
        part: Part,
        answers: Targets,
    ) -> Result<Examples<QuestionExample>> {
        let format = self.question_format(path, part)?.with_answers(answers);
        Ok(read_questions(path, &format, self.bad_rows())?)
    }

    fn question_format(&self, path: &Path, part: Part) -> Result<QuestionFormat> {
        self.only(&[], "a file of questions")?;
        Ok(match (self.preset()?, self.format.as_deref()) {
            (Some(preset), _) => match preset.format(part) {
                Format::Questions(format) => format,
                _ => bail!("{} is not about questions on a context", preset.name()),
            },
            // SQuAD's own JSON has no end before its end: from a pipe come lines.
            (None, None) if path == Path::new(STDIN) => {
                QuestionFormat::new(QuestionLayout::JsonLines)
            }
            (None, None) => QuestionFormat::of(path),
            (None, Some("json")) => QuestionFormat::new(QuestionLayout::Json),
            (None, Some("jsonl")) => QuestionFormat::new(QuestionLayout::JsonLines),
            (None, Some(other)) => bail!("--format {other}: use json or jsonl for questions"),
        })
    }

    /// Questions with the texts of their answers, which predictions are scored by.
    pub(crate) fn answers(&self, path: &Path, part: Part) -> Result<Dataset<QuestionExample>> {
        let format = self.question_format(path, part)?;
        let format = format.with_answers(Targets::Required).scoring_only();
        self.read(path, read_questions(path, &format, self.bad_rows())?)
    }

    /// Questions with their answers.
    pub(crate) fn questions(&self, path: &Path, part: Part) -> Result<Dataset<QuestionExample>> {
        self.read(path, self.stream_questions(path, part, Targets::Required)?)
    }

    /// Streams the questions with choices of a file.
    pub(crate) fn stream_choices(
        &self,
        path: &Path,
        part: Part,
        targets: Targets,
    ) -> Result<Examples<ChoiceExample>> {
        let format = self.choice_format(path, part)?.with_targets(targets);
        Ok(read_choices(path, &format, self.bad_rows())?)
    }

    fn choice_format(&self, path: &Path, part: Part) -> Result<ChoiceFormat> {
        Ok(match self.preset()? {
            Some(preset) => match preset.format(part) {
                Format::Choices(format) => format,
                _ => bail!("{} is not about choices", preset.name()),
            },
            None => {
                let layout = self.layout(path)?.with_context(|| unknown_layout(path))?;
                match layout {
                    Layout::Delimited(_) => self.only(&["--separator"], "a table of choices")?,
                    Layout::JsonLines => self.only(&[], "a file of JSON lines with choices")?,
                }
                ChoiceFormat::new(layout)
            }
        })
    }

    /// The right choices of questions, which predictions are scored by.
    pub(crate) fn right_choices(&self, path: &Path, part: Part) -> Result<Dataset<ChoiceExample>> {
        let format = self.choice_format(path, part)?;
        let format = format.with_targets(Targets::Required).scoring_only();
        self.read(path, read_choices(path, &format, self.bad_rows())?)
    }

    /// Questions with choices and the right one of each.
    pub(crate) fn choices(&self, path: &Path, part: Part) -> Result<Dataset<ChoiceExample>> {
        self.read(path, self.stream_choices(path, part, Targets::Required)?)
    }
}
