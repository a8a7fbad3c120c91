//! The options that say what labelled data are and how to read them.

mod questions;
mod separator;
mod similar;
mod texts;
mod words;

use std::path::{Path, PathBuf};

use anyhow::{Result, bail};
use bert_heads::datasets::{BadRows, Column, Dataset, Examples, Format, Layout, Part, Preset};
use bert_heads::labels::Labels;
use bert_heads::metrics::{GlueTask, Scheme};

use crate::cli::note::note;
use separator::{name_of, separator};
pub(crate) use texts::UnlabelledTexts;

/// Layout of labelled files.
#[derive(clap::Args, Clone)]
pub(crate) struct DataArgs {
    /// Read the files as those of a published data set: mrpc, sst2, conll2003, chnsenticorp, …
    #[arg(long, value_name = "NAME")]
    pub(crate) preset: Option<String>,
    /// Layout of the files: tsv, csv, jsonl, conll for tokens, or json for questions as SQuAD has them
    /// [default: by the file's name]
    #[arg(long, value_name = "LAYOUT", conflicts_with = "preset")]
    format: Option<String>,
    /// Separator of two fields: a character, or tab, comma, semicolon, pipe or space
    /// [default: as the rows have it, which for words are spaces or tabs]
    #[arg(
        long,
        value_name = "CHARACTER",
        value_parser = separator,
        conflicts_with = "preset"
    )]
    separator: Option<char>,
    /// The first line does not name the columns, which then have numbers from 1.
    #[arg(long, conflicts_with = "preset")]
    no_header: bool,
    /// Column of the text, or of the first of two; of words the number of the column, or the key in
    /// JSON lines [default: by usual names]
    #[arg(long, value_name = "COLUMN", conflicts_with = "preset")]
    text_column: Option<Column>,
    /// Column of the second text
    #[arg(long, value_name = "COLUMN", requires = "text_column")]
    pair_column: Option<Column>,
    /// Column of the label or number; of tags its number, or the key in JSON lines; for several
    /// labels per text also the columns of 0 and 1 of all labels, separated by commas
    #[arg(long, value_name = "COLUMN", conflicts_with = "preset")]
    label_column: Option<Column>,
    /// Scheme by which the tags of words mark entities: iob1, iob2, bmes, …; they become iob2 [default: they stay as they
    /// are]
    #[arg(long, value_name = "SCHEME", conflicts_with = "preset")]
    scheme: Option<Scheme>,
    /// Pass over rows that cannot be used and count them, instead of ending with the first
    #[arg(long)]
    skip_bad_rows: bool,
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

    /// Refuses options about columns that a reader does not use.
    fn only(&self, used: &[&str], reader: &str) -> Result<()> {
        let given = [
            ("--separator", self.separator.is_some()),
            ("--no-header", self.no_header),
            ("--text-column", self.text_column.is_some()),
            ("--pair-column", self.pair_column.is_some()),
            ("--label-column", self.label_column.is_some()),
            ("--scheme", self.scheme.is_some()),
        ];
        let unused = given
            .iter()
            .find(|(option, given)| *given && !used.contains(option));
        unused.map_or(Ok(()), |(option, _)| {
            bail!("{option}: {reader} has no use for it")
        })
    }

    /// Layout of the rows of a file of texts, unless it is plain text.
    fn layout(&self, path: &Path) -> Result<Option<Layout>> {
        let layout = match self.format.as_deref() {
            None => Layout::of(path),
            Some("tsv") => Some(Layout::any_tsv()),
            Some("csv") => Some(Layout::csv()),
            Some("jsonl") => Some(Layout::JsonLines),
            Some(other) => bail!("--format {other}: use tsv, csv or jsonl for texts"),
        };
        let layout = layout.or(self.separator.map(|_| Layout::csv()));
        let layout = layout.map(|layout| match self.no_header {
            true => layout.without_header(),
            false => layout,
        });
        let Some(layout) = layout else {
            return Ok(None);
        };
        if let Some(separator) = self.separator {
            return Ok(Some(layout.with_separator(separator)));
        }
        let detected = layout.clone().detect_separator(path)?;
        if let Layout::Delimited(delimited) = &detected
            && detected != layout
        {
            note(format_args!(
                "{}: its fields are parted by {}",
                path.display(),
                name_of(delimited.separator)
            ));
        }
        Ok(Some(detected))
    }

    fn read<T>(&self, path: &Path, examples: Examples<T>) -> Result<Dataset<T>> {
        remark(&examples);
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

/// Yields the rows of a file; notes the summary of skipped rows once they are exhausted.
pub(crate) fn reporting_skipped<T>(mut rows: Examples<T>) -> impl Iterator<Item = Result<T>> {
    std::iter::from_fn(move || {
        let row = rows.next();
        if row.is_none() && rows.report().skipped_rows() > 0 {
            note(format_args!("{}: {}", rows.path().display(), rows.report()));
        }
        row.map(|row| Ok(row?))
    })
}

/// Notes the decisions of a reader with which the user may disagree.
fn remark<T>(examples: &Examples<T>) {
    for remark in examples.remarks() {
        note(format_args!("{}: {remark}", examples.path().display()));
    }
}

/// Reason why the layout of a file is unknown: a name without an ending may as well be a mistake.
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
