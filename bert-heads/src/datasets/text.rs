//! Texts with a class, labels or a number: TSV, CSV and JSON lines.

use std::path::Path;

use super::bad_rows::BadRows;
use super::cells::{Cells, Key, quoted};
use super::columns::{Column, Columns, TargetColumn};
use super::example::{Target, TextExample};
use super::examples::{Examples, Row};
use super::fault::{Place, RowFault, shown};
use super::layout::Layout;
use super::table::{Table, TableRow};
use crate::error::{Error, Result};
use crate::labels::Labels;

/// What becomes of the targets of a file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Targets {
    /// Every example must have one: to train, and to measure.
    #[default]
    Required,
    /// They are read if the file has any: to predict, and to measure where that is possible.
    IfPresent,
    /// They are not read: to predict.
    Ignored,
}

/// How a file of texts is to be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TextFormat {
    /// How rows are written.
    pub layout: Layout,
    /// Which columns to read; by default they are found by the names that published data sets give
    /// them, such as `sentence1`, `sentence2` and `label`.
    pub columns: Option<Columns>,
    /// Whether there must be a target.
    pub targets: Targets,
    /// The labels there are: any other is a bad row. By default every label passes.
    pub labels: Option<Labels>,
    /// The label that stands for none, `-` in SNLI and OCNLI: such rows are left out and counted.
    pub unlabelled: Option<String>,
}

impl TextFormat {
    /// Columns by their names, any label, every row with a target.
    pub const fn new(layout: Layout) -> Self {
        Self {
            layout,
            columns: None,
            targets: Targets::Required,
            labels: None,
            unlabelled: None,
        }
    }

    /// The same with columns to read.
    #[must_use]
    pub fn with_columns(self, columns: Columns) -> Self {
        Self {
            columns: Some(columns),
            ..self
        }
    }

    /// The same with the labels there are.
    #[must_use]
    pub fn with_labels(self, labels: Labels) -> Self {
        Self {
            labels: Some(labels),
            ..self
        }
    }

    /// The same with another need for targets.
    #[must_use]
    pub fn with_targets(self, targets: Targets) -> Self {
        Self { targets, ..self }
    }
}

/// Reads texts and their targets, in constant memory.
///
/// # Errors
///
/// [`Error::Core`] for a file that cannot be opened, [`Error::BadRow`] for a header that cannot be
/// read, [`Error::Column`] for a column that the file lacks and [`Error::Columns`] if none is given
/// and none found. The iterator ends with [`Error::BadRow`], unless bad rows are skipped, or
/// [`Error::NoExamples`].
pub fn read_texts(
    path: impl AsRef<Path>,
    format: &TextFormat,
    bad_rows: BadRows,
) -> Result<Examples<TextExample>> {
    let path = path.as_ref();
    let mut table = Table::open(path, &format.layout)?;
    let keys = Keys::find(path, &table, format)?;
    let (labels, unlabelled) = (format.labels.clone(), format.unlabelled.clone());
    let rows = std::iter::from_fn(move || {
        let TableRow { line, cells } = match table.next() {
            Ok(row) => row?,
            Err(error) => return Some(Row::Failed(error)),
        };
        let read = cells
            .and_then(|cells| keys.example(line, cells, labels.as_ref(), unlabelled.as_deref()));
        Some(match read {
            Ok(Some(example)) => Row::Example(example),
            Ok(None) => Row::Unlabelled,
            Err(fault) => Row::Bad(Place::Line(line), fault),
        })
    });
    Ok(Examples::new(path, bad_rows, rows))
}

/// Where the texts of a file are, targets left aside.
pub(super) fn text_keys(
    path: &Path,
    table: &Table,
    format: &TextFormat,
) -> Result<(Key, Option<Key>)> {
    let format = format.clone().with_targets(Targets::Ignored);
    let keys = Keys::find(path, table, &format)?;
    Ok((keys.text, keys.pair))
}

struct Keys {
    text: Key,
    pair: Option<Key>,
    target: Option<TargetKey>,
}

enum TargetKey {
    Label(Key),
    Labels(Key, char),
    Flags(Vec<Key>),
    Number(Key),
}

impl Keys {
    fn find(path: &Path, table: &Table, format: &TextFormat) -> Result<Self> {
        let columns = match &format.columns {
            Some(columns) => columns.clone(),
            None => discover(path, table)?,
        };
        let target = match (columns.target, format.targets) {
            (_, Targets::Ignored) => None,
            (None, Targets::IfPresent) => None,
            (Some(target), Targets::IfPresent)
                if !target.columns().iter().all(|column| table.has(column)) =>
            {
                None
            }
            (Some(target), _) => Some(target_key(table, target)?),
            (None, Targets::Required) => {
                let reason = match table.names() {
                    Some(names) => format!("none of {} is known as a label", quoted(names)),
                    None => "none is given for the label".to_owned(),
                };
                return Err(Error::Columns {
                    path: path.to_owned(),
                    reason: format!("{reason}: say which column holds it"),
                });
            }
        };
        Ok(Self {
            text: table.key(&columns.text)?,
            pair: columns.pair.map(|pair| table.key(&pair)).transpose()?,
            target,
        })
    }

    /// The example of a row; `None` if its label says that there is none.
    fn example(
        &self,
        line: usize,
        mut cells: Cells,
        labels: Option<&Labels>,
        unlabelled: Option<&str>,
    ) -> Result<Option<TextExample>, RowFault> {
        let target = match &self.target {
            None => Target::None,
            Some(TargetKey::Number(key)) => Target::Number(cells.number(key)?),
            Some(TargetKey::Label(key)) => {
                let label = cells.word(key)?;
                if unlabelled == Some(label.as_str()) {
                    return Ok(None);
                }
                check_label(&label, labels)?;
                Target::Label(label)
            }
            Some(TargetKey::Labels(key, separator)) => {
                let mut distinct = Vec::new();
                for label in cells.words(key, Some(*separator))? {
                    check_label(&label, labels)?;
                    if !distinct.contains(&label) {
                        distinct.push(label);
                    }
                }
                Target::Labels(distinct)
            }
            Some(TargetKey::Flags(keys)) => {
                let mut set = Vec::new();
                for key in keys {
                    if flag(&mut cells, key)? {
                        check_label(&key.name, labels)?;
                        set.push(key.name.clone());
                    }
                }
                Target::Labels(set)
            }
        };
        let text = cells.text(&self.text)?;
        let pair = self.pair.as_ref().map(|key| cells.text(key)).transpose()?;
        Ok(Some(TextExample {
            text,
            pair,
            target,
            line,
        }))
    }
}

fn discover(path: &Path, table: &Table) -> Result<Columns> {
    let found = match table.names() {
        Some(names) => Columns::discover(names),
        None if table.is_blank() => {
            Ok(Columns::text(Column::named("text")).with_label(Column::named("label")))
        }
        None => Err("the file is read without a header: say which columns to read".to_owned()),
    };
    found.map_err(|reason| Error::Columns {
        path: path.to_owned(),
        reason,
    })
}

fn target_key(table: &Table, target: TargetColumn) -> Result<TargetKey> {
    Ok(match target {
        TargetColumn::Label(column) => TargetKey::Label(table.key(&column)?),
        TargetColumn::Labels { column, separator } => {
            TargetKey::Labels(table.key(&column)?, separator)
        }
        TargetColumn::Flags(columns) => {
            let keys = columns.iter().map(|column| table.key(column));
            TargetKey::Flags(keys.collect::<Result<_>>()?)
        }
        TargetColumn::Number(column) => TargetKey::Number(table.key(&column)?),
    })
}

/// Refuses a label that is not among the known ones.
pub(super) fn check_label(label: &str, labels: Option<&Labels>) -> Result<(), RowFault> {
    const SHOWN: usize = 20;
    match labels {
        Some(labels) if labels.id(label).is_none() => {
            let names = labels.names();
            let mut known = quoted(&names[..names.len().min(SHOWN)]);
            if names.len() > SHOWN {
                known.push_str(&format!(" and {} more", names.len() - SHOWN));
            }
            Err(RowFault::UnknownLabel {
                label: shown(label),
                known,
            })
        }
        _ => Ok(()),
    }
}

fn flag(cells: &mut Cells, key: &Key) -> Result<bool, RowFault> {
    match cells.word(key)?.to_lowercase().as_str() {
        "1" | "true" => Ok(true),
        "0" | "false" => Ok(false),
        other => Err(RowFault::WrongType {
            column: key.name.clone(),
            expected: "1 or 0, or true or false",
            found: format!("`{}`", shown(other)),
        }),
    }
}
