//! Texts and pairs of texts with a class, labels or a number.

use std::path::Path;

use anyhow::{Context, Result, bail};
use bert_heads::datasets::{
    Column, Columns, Dataset, Format, Layout, Part, Preset, Rewriting, Target, TargetColumn,
    TargetKind, Targets, TaskKind, TextExample, TextFormat, read_rewritable, read_texts,
};
use bert_heads::labels::Labels;
use bert_heads::task::TaskEntry;
use bert_heads::tasks::sequence_classification::{CLASSIFY, ProblemType, REGRESS};

use super::{DataArgs, remark, reporting_skipped, unknown_layout};
use crate::cli::input::{self, or_stdin};

/// Texts whose targets, if they have any, are not read.
pub(crate) struct UnlabelledTexts {
    pub(crate) rows: Box<dyn Iterator<Item = Result<TextExample>>>,
    /// True if they are rows of a table, whose lines mean something.
    pub(crate) is_table: bool,
}

impl DataArgs {
    /// The labels that have a column each, in the order given.
    pub(crate) fn flag_labels(&self, task: &TaskEntry) -> Result<Option<Labels>> {
        let flags = self
            .label_column
            .as_ref()
            .filter(|_| task.problem_type == Some(ProblemType::MultiLabel));
        let Some(columns) = flags.map(flag_columns).transpose()?.flatten() else {
            return Ok(None);
        };
        let names = columns.into_iter().map(|column| match column {
            Column::Name(name) => Some(name),
            Column::Number(_) => None,
        });
        let names: Option<Vec<String>> = names.collect();
        Ok(names.map(Labels::new).transpose()?)
    }

    /// Format of a file of texts; `None` for plain text.
    fn text_format(
        &self,
        path: &Path,
        part: Part,
        task: &TaskEntry,
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
                TaskKind::Regression => *task == REGRESS,
                _ => *task == CLASSIFY,
            };
            if !fits {
                bail!("{} is not for the task {task}", preset.name());
            }
            return Ok(Some(format.with_targets(targets)));
        }
        const COLUMNS: [&str; 5] = [
            "--text-column",
            "--pair-column",
            "--label-column",
            "--separator",
            "--no-header",
        ];
        let Some(layout) = self.layout(path)? else {
            let reader = format!(
                "{}, which is read as plain text unless --format says otherwise,",
                path.display()
            );
            self.only(&[], &reader)?;
            return Ok(None);
        };
        match layout {
            Layout::Delimited(_) => self.only(&COLUMNS, "a table of texts")?,
            Layout::JsonLines => self.only(&COLUMNS[..3], "a file of JSON lines")?,
        }
        let kind = match task.problem_type {
            Some(ProblemType::Regression) => TargetKind::Number,
            Some(ProblemType::MultiLabel) => TargetKind::Labels,
            _ => TargetKind::Label,
        };
        let mut format = TextFormat::new(layout)
            .with_targets(targets)
            .with_kind(kind);
        let target = self.label_column.as_ref();
        let target = target
            .map(|column| target_column(column, kind))
            .transpose()?;
        match (&self.text_column, target) {
            (Some(text), target) => {
                format = format.with_columns(Columns {
                    text: text.clone(),
                    pair: self.pair_column.clone(),
                    target,
                });
            }
            (None, Some(target)) => format = format.with_target(target),
            (None, None) => {}
        }
        Ok(Some(format))
    }

    /// Texts with their targets.
    pub(crate) fn texts(
        &self,
        path: &Path,
        part: Part,
        task: &TaskEntry,
        labels: Option<&Labels>,
    ) -> Result<Dataset<TextExample>> {
        let format = self.labelled(path, part, task, labels)?;
        self.read(path, read_texts(path, &format, self.bad_rows())?)
    }

    /// The targets of texts, which predictions are scored by; texts may be blank or absent.
    pub(crate) fn targets(
        &self,
        path: &Path,
        part: Part,
        task: &TaskEntry,
        labels: Option<&Labels>,
    ) -> Result<Dataset<TextExample>> {
        let format = self.labelled(path, part, task, labels)?.targets_only();
        self.read(path, read_texts(path, &format, self.bad_rows())?)
    }

    fn labelled(
        &self,
        path: &Path,
        part: Part,
        task: &TaskEntry,
        labels: Option<&Labels>,
    ) -> Result<TextFormat> {
        let format = self.text_format(path, part, task, Targets::Required)?;
        let format = format.with_context(|| unknown_layout(path))?;
        Ok(match labels {
            Some(labels) => format.with_labels(labels.clone()),
            None => format,
        })
    }

    /// Streams the texts of a file without their targets: the rows of a table or, where nothing says that it is one,
    /// the lines; standard input for `-` or none.
    pub(crate) fn unlabelled_texts(&self, file: Option<&Path>) -> Result<UnlabelledTexts> {
        let path = or_stdin(file);
        if let Some(format) = self.unlabelled_format(path, Part::Test)? {
            let rows = read_texts(path, &format, self.bad_rows())?;
            remark(&rows);
            return Ok(UnlabelledTexts {
                rows: Box::new(reporting_skipped(rows)),
                is_table: true,
            });
        }
        if self.skip_bad_rows {
            bail!(
                "--skip-bad-rows: {} is read as plain text, of which every line is a text",
                path.display()
            );
        }
        Self::plain(file)
    }

    /// The texts of `--unlabelled`. The options on columns are about the labelled texts alone if these are plain
    /// text.
    pub(crate) fn texts_to_pseudo_label(&self, path: &Path) -> Result<UnlabelledTexts> {
        match self.preset.is_none() && self.layout(path)?.is_none() {
            true => Self::plain(Some(path)),
            false => self.unlabelled_texts(Some(path)),
        }
    }

    /// The lines of a plain text.
    fn plain(file: Option<&Path>) -> Result<UnlabelledTexts> {
        let lines = input::lines(file)?.zip(1..).map(|(text, line)| {
            Ok(TextExample {
                text: text.map_err(|source| bert_heads::Error::Line { line, source })?,
                pair: None,
                target: Target::None,
                line,
            })
        });
        Ok(UnlabelledTexts {
            rows: Box::new(lines),
            is_table: false,
        })
    }

    /// Texts with the rows of any columns around them.
    pub(crate) fn rewritable(&self, path: &Path, part: Part) -> Result<Rewriting> {
        let format = self.unlabelled_format(path, part)?;
        let format = format.with_context(|| unknown_layout(path))?;
        let found = read_rewritable(path, &format, self.bad_rows())?;
        remark(&found.rows);
        Ok(found)
    }

    /// Format of a file of texts whose targets are not read; `None` for plain text.
    fn unlabelled_format(&self, path: &Path, part: Part) -> Result<Option<TextFormat>> {
        let task = match self.preset()?.map(Preset::task) {
            Some(TaskKind::Regression) => &REGRESS,
            _ => &CLASSIFY,
        };
        self.text_format(path, part, task, Targets::Ignored)
    }
}

/// The column of a target, or the columns of several labels.
fn target_column(column: &Column, kind: TargetKind) -> Result<TargetColumn> {
    Ok(match kind {
        TargetKind::Label => TargetColumn::Label(column.clone()),
        TargetKind::Number => TargetColumn::Number(column.clone()),
        TargetKind::Labels => match flag_columns(column)? {
            Some(columns) => TargetColumn::Flags(columns),
            None => TargetColumn::Labels {
                column: column.clone(),
                separator: ',',
            },
        },
    })
}

/// The columns of `a,b`; `None` for a single one.
fn flag_columns(column: &Column) -> Result<Option<Vec<Column>>> {
    match column {
        Column::Name(names) if names.contains(',') => {
            let columns = names.split(',').map(|name| name.trim().parse::<Column>());
            Ok(Some(columns.collect::<Result<_, _>>()?))
        }
        _ => Ok(None),
    }
}
