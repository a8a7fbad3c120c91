//! The options that say what labelled data are and how to read them.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use bert_heads::datasets::{
    BadRows, ChoiceExample, ChoiceFormat, Column, Columns, Examples, Format, Layout, Part, Place,
    Preset, QuestionExample, QuestionFormat, QuestionLayout, Rewriting, SimilarColumns,
    SimilarExample, SimilarFormat, Target, TargetColumn, Targets, TaskKind, TextExample,
    TextFormat, TokenExample, TokenFormat, read_choices, read_questions, read_rewritable,
    read_similar, read_texts, read_tokens,
};
use bert_heads::finetune::{Dataset, Task};
use bert_heads::labels::Labels;
use bert_heads::metrics::{GlueTask, Scheme};

use crate::input;
use crate::output::note;
use crate::predict::{STDIN, told};

/// How labelled files are laid out.
#[derive(clap::Args, Clone)]
pub(crate) struct DataArgs {
    /// Read the files as those of a published data set: mrpc, sst2, conll2003, chnsenticorp, …
    #[arg(long, value_name = "NAME")]
    pub(crate) preset: Option<String>,
    /// Layout of the files: tsv, csv, jsonl, conll for tokens, or json for questions as SQuAD has them
    /// [default: by the file's name]
    #[arg(long, value_name = "LAYOUT", conflicts_with = "preset")]
    format: Option<String>,
    /// The first line does not name the columns, which then have numbers from 1.
    #[arg(long, conflicts_with = "preset")]
    no_header: bool,
    /// Column of the text, or of the first of two [default: by usual names]
    #[arg(long, value_name = "COLUMN", conflicts_with = "preset")]
    text_column: Option<Column>,
    /// Column of the second text
    #[arg(long, value_name = "COLUMN", requires = "text_column")]
    pair_column: Option<Column>,
    /// Column of the label or number
    #[arg(long, value_name = "COLUMN", requires = "text_column")]
    label_column: Option<Column>,
    /// How the tags of words mark entities: iob1, iob2, bmes, …; they become iob2 [default: they
    /// stay as they are]
    #[arg(long, value_name = "SCHEME", conflicts_with = "preset")]
    scheme: Option<Scheme>,
    /// Pass over rows that cannot be used and count them, instead of ending with the first
    #[arg(long)]
    skip_bad_rows: bool,
}

/// Texts without their targets.
pub(crate) struct Untold {
    pub(crate) rows: Box<dyn Iterator<Item = Result<TextExample>>>,
    /// Whether they are rows of a table, whose lines mean something.
    pub(crate) is_table: bool,
}

impl DataArgs {
    /// The data set that is named, if any.
    pub(crate) fn preset(&self) -> Result<Option<&'static Preset>> {
        Ok(self.preset.as_deref().map(Preset::from_name).transpose()?)
    }

    /// The task of GLUE that is named, if any.
    pub(crate) fn glue(&self) -> Result<Option<GlueTask>> {
        Ok(self.preset()?.and_then(Preset::glue))
    }

    /// The labels that the data set is published with.
    pub(crate) fn labels(&self) -> Result<Option<Labels>> {
        Ok(
            match self.preset()?.map(|preset| preset.format(Part::Train)) {
                Some(Format::Texts(format)) => format.labels,
                Some(Format::Tokens(format)) => format.labels,
                _ => None,
            },
        )
    }

    fn bad_rows(&self) -> BadRows {
        match self.skip_bad_rows {
            true => BadRows::Skip,
            false => BadRows::Fail,
        }
    }

    /// How a file of texts is to be read, unless it is plain text.
    fn text_format(
        &self,
        path: &Path,
        part: Part,
        task: Task,
        targets: Targets,
    ) -> Result<Option<TextFormat>> {
        if let Some(preset) = self.preset()? {
            let Format::Texts(format) = preset.format(part) else {
                bail!(
                    "{} is not about texts with a label or number",
                    preset.name()
                );
            };
            let fits = match preset.task() {
                TaskKind::Regression => task == Task::Regress,
                _ => task == Task::Classify,
            };
            if !fits {
                bail!("{} is not for the task {task}", preset.name());
            }
            return Ok(Some(format.with_targets(targets)));
        }
        let Some(layout) = self.layout(path)? else {
            return Ok(None);
        };
        let mut format = TextFormat::new(layout).with_targets(targets);
        if let Some(text) = &self.text_column {
            let target = self.label_column.clone().map(|column| match task {
                Task::Regress => TargetColumn::Number(column),
                Task::MultiLabel => TargetColumn::Labels {
                    column,
                    separator: ',',
                },
                _ => TargetColumn::Label(column),
            });
            format = format.with_columns(Columns {
                text: text.clone(),
                pair: self.pair_column.clone(),
                target,
            });
        }
        Ok(Some(format))
    }

    /// Texts with their targets.
    pub(crate) fn texts(
        &self,
        path: &Path,
        part: Part,
        task: Task,
        labels: Option<&Labels>,
    ) -> Result<Dataset<TextExample>> {
        let format = self.text_format(path, part, task, Targets::Required)?;
        let mut format = format.with_context(|| unknown_layout(path))?;
        if let Some(labels) = labels {
            format = format.with_labels(labels.clone());
        }
        self.read(path, read_texts(path, &format, self.bad_rows())?)
    }

    /// The texts of a file one after the other, targets left aside: the rows of a table or, where
    /// nothing says that it is one, the lines; standard input for `-` or none.
    pub(crate) fn untold(&self, file: Option<&Path>) -> Result<Untold> {
        let file = file.filter(|path| *path != Path::new("-"));
        let path = file.unwrap_or(Path::new(STDIN));
        if let Some(format) = self.untold_format(path, Part::Test)? {
            let rows = read_texts(path, &format, self.bad_rows())?;
            return Ok(Untold {
                rows: Box::new(told(rows)),
                is_table: true,
            });
        }
        let lines = input::lines(file)?.zip(1..).map(|(text, line)| {
            Ok(TextExample {
                text: text.map_err(|source| bert_heads::Error::Line { line, source })?,
                pair: None,
                target: Target::None,
                line,
            })
        });
        Ok(Untold {
            rows: Box::new(lines),
            is_table: false,
        })
    }

    /// Texts with the rows of any columns around them.
    pub(crate) fn rewritable(&self, path: &Path, part: Part) -> Result<Rewriting> {
        let format = self.untold_format(path, part)?;
        let format = format.with_context(|| unknown_layout(path))?;
        Ok(read_rewritable(path, &format, self.bad_rows())?)
    }

    /// How a file of texts whose targets do not matter is to be read, unless it is plain text.
    fn untold_format(&self, path: &Path, part: Part) -> Result<Option<TextFormat>> {
        let task = match self.preset()?.map(Preset::task) {
            Some(TaskKind::Regression) => Task::Regress,
            _ => Task::Classify,
        };
        self.text_format(path, part, task, Targets::Ignored)
    }

    /// Sentences of words one after the other, tags left aside.
    pub(crate) fn words(&self, path: &Path) -> Result<Examples<TokenExample>> {
        let format = self.token_format(path, Part::Test)?;
        let format = format.with_targets(Targets::Ignored);
        Ok(read_tokens(path, &format, self.bad_rows())?)
    }

    /// Words with their tags.
    pub(crate) fn tokens(
        &self,
        path: &Path,
        part: Part,
        labels: Option<&Labels>,
    ) -> Result<Dataset<TokenExample>> {
        let mut format = self.token_format(path, part)?;
        format = format.with_targets(Targets::Required);
        if let Some(scheme) = self.scheme {
            format = format.with_scheme(scheme);
        }
        if let Some(labels) = labels {
            format = format.with_labels(labels.clone());
        }
        self.read(path, read_tokens(path, &format, self.bad_rows())?)
    }

    /// How a file of words is to be read.
    fn token_format(&self, path: &Path, part: Part) -> Result<TokenFormat> {
        Ok(match self.preset()? {
            Some(preset) => match preset.format(part) {
                Format::Tokens(format) => format,
                _ => bail!("{} is not about tagged words", preset.name()),
            },
            None => {
                let json = Layout::of(path) == Some(Layout::JsonLines);
                match (self.format.as_deref(), json) {
                    (None, true) | (Some("jsonl"), _) => TokenFormat::json_lines(),
                    (None, false) | (Some("conll"), _) => TokenFormat::lines(),
                    (Some(other), _) => {
                        bail!("--format {other}: use conll or jsonl for tokens")
                    }
                }
            }
        })
    }

    /// The questions of a file one after the other.
    pub(crate) fn asked(
        &self,
        path: &Path,
        part: Part,
        answers: Targets,
    ) -> Result<Examples<QuestionExample>> {
        let format = match (self.preset()?, self.format.as_deref()) {
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
        };
        let format = format.with_answers(answers);
        Ok(read_questions(path, &format, self.bad_rows())?)
    }

    /// Questions with their answers.
    pub(crate) fn questions(&self, path: &Path, part: Part) -> Result<Dataset<QuestionExample>> {
        self.read(path, self.asked(path, part, Targets::Required)?)
    }

    /// The questions with choices of a file one after the other.
    pub(crate) fn offered(
        &self,
        path: &Path,
        part: Part,
        targets: Targets,
    ) -> Result<Examples<ChoiceExample>> {
        let format = match self.preset()? {
            Some(preset) => match preset.format(part) {
                Format::Choices(format) => format,
                _ => bail!("{} is not about choices", preset.name()),
            },
            None => ChoiceFormat::new(self.layout(path)?.with_context(|| unknown_layout(path))?),
        };
        let format = format.with_targets(targets);
        Ok(read_choices(path, &format, self.bad_rows())?)
    }

    /// Questions with choices and the right one of each.
    pub(crate) fn choices(&self, path: &Path, part: Part) -> Result<Dataset<ChoiceExample>> {
        self.read(path, self.offered(path, part, Targets::Required)?)
    }

    /// Texts and what is like them.
    pub(crate) fn similar(&self, path: &Path) -> Result<Dataset<SimilarExample>> {
        if let Some(preset) = self.preset()? {
            bail!("{} is not about texts without a score", preset.name());
        }
        let columns = self.text_column.clone().map(|text| {
            let like = self.pair_column.clone();
            let like = like.context("--pair-column is needed beside --text-column")?;
            let unlike = Vec::new();
            anyhow::Ok(SimilarColumns { text, like, unlike })
        });
        let format = SimilarFormat {
            layout: self.layout(path)?.with_context(|| unknown_layout(path))?,
            columns: columns.transpose()?,
        };
        self.read(path, read_similar(path, &format, self.bad_rows())?)
    }

    /// Pairs of texts with a score.
    pub(crate) fn scored_pairs(&self, path: &Path, part: Part) -> Result<Dataset<SimilarExample>> {
        let texts = self.texts(path, part, Task::Regress, None)?;
        let pairs = texts.examples.into_iter().map(|example| {
            let line = example.line;
            SimilarExample::try_from(example).map_err(|fault| bert_heads::Error::BadRow {
                path: path.to_owned(),
                place: Place::Line(line),
                fault: fault.into(),
            })
        });
        Ok(Dataset {
            path: path.to_owned(),
            examples: pairs.collect::<Result<_, _>>()?,
        })
    }

    /// How the rows of a file of texts are written, unless it is plain text.
    fn layout(&self, path: &Path) -> Result<Option<Layout>> {
        let layout = match self.format.as_deref() {
            None => Layout::of(path),
            Some("tsv") => Some(Layout::tsv()),
            Some("csv") => Some(Layout::csv()),
            Some("jsonl") => Some(Layout::JsonLines),
            Some(other) => bail!("--format {other}: use tsv, csv or jsonl for texts"),
        };
        Ok(layout.map(|layout| match self.no_header {
            true => layout.without_header(),
            false => layout,
        }))
    }

    fn read<T>(&self, path: &Path, examples: Examples<T>) -> Result<Dataset<T>> {
        let (examples, report) = examples.read_all()?;
        if report.rows() > report.examples {
            note(format_args!("{}: {report}", path.display()));
        }
        Ok(Dataset {
            path: path.to_owned(),
            examples,
        })
    }
}

/// Why the layout of a file cannot be told: a name without an ending may as well be a mistake.
fn unknown_layout(path: &Path) -> String {
    let reason = match (path.exists(), path.is_dir()) {
        (false, _) => "there is no such file",
        (true, true) => "it is a directory: name a file in it",
        (true, false) => "its name does not say how it is laid out: add --format tsv, csv or jsonl",
    };
    format!("{}: {reason}", path.display())
}

/// The files of a part of the data set `preset` in the directory `dir`.
pub(crate) fn preset_files(preset: &Preset, dir: &Path, part: Part) -> Result<Vec<PathBuf>> {
    let files = preset.files(dir)?;
    Ok(match part {
        Part::Train => files.train.into_iter().collect(),
        Part::Validation => files.validation,
        Part::Test => files.test,
    })
}
