//! Texts with a class, labels or a number: TSV, CSV and JSON lines.

use std::path::Path;

use super::bad_rows::BadRows;
use super::cells::{Cells, Key, quoted, wrong_type};
use super::columns::{Column, Columns, LABEL_SEPARATOR, TargetColumn, TargetKind, partners};
use super::example::{Target, TextExample};
use super::examples::{Examples, Row};
use super::fault::{Place, RowFault, shown};
use super::label_lists;
use super::layout::Layout;
use super::table::{Table, TableRow};
use super::unread::unread_texts;
use crate::error::{Error, Result};
use crate::labels::Labels;

/// Handling of the targets of a file.
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

/// Rows in which the separator of labels is looked for.
const SEPARATOR_ROWS: usize = 50;

/// Format of a file of texts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TextFormat {
    /// Layout of the rows.
    pub layout: Layout,
    /// Which columns to read; by default they are found by the names that published data sets give
    /// them, such as `sentence1`, `sentence2` and `label`.
    pub columns: Option<Columns>,
    /// Column of the target, if the texts are found by name and it is not. Does not matter where
    /// the columns are given.
    pub target: Option<TargetColumn>,
    /// Kind of the target; by default the name of its column tells it. Does not matter where the
    /// columns are given with a target.
    pub kind: Option<TargetKind>,
    /// Handling of the targets: required, read if present, or ignored.
    pub targets: Targets,
    /// True if targets alone are read, and texts may be blank or absent: to score predictions.
    pub targets_only: bool,
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
            target: None,
            kind: None,
            targets: Targets::Required,
            targets_only: false,
            labels: None,
            unlabelled: None,
        }
    }

    /// Sets the columns to read.
    #[must_use]
    pub fn with_columns(self, columns: Columns) -> Self {
        Self {
            columns: Some(columns),
            ..self
        }
    }

    /// Sets the column of the target, texts being found by name.
    #[must_use]
    pub fn with_target(self, target: TargetColumn) -> Self {
        Self {
            target: Some(target),
            ..self
        }
    }

    /// Format for targets of a kind.
    #[must_use]
    pub fn with_kind(self, kind: TargetKind) -> Self {
        Self {
            kind: Some(kind),
            ..self
        }
    }

    /// Format without texts.
    #[must_use]
    pub fn targets_only(self) -> Self {
        Self {
            targets_only: true,
            ..self
        }
    }

    /// Sets the known labels.
    #[must_use]
    pub fn with_labels(self, labels: Labels) -> Self {
        Self {
            labels: Some(labels),
            ..self
        }
    }

    /// Sets the handling of the targets.
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
    let mut keys = Keys::find(path, &table, format)?;
    let parted = keys.detect_separator(path, format)?;
    let remark = match &keys.texts {
        Some(texts) if format.columns.is_none() => unread_texts(
            &mut table,
            &texts.text,
            texts.pair.as_ref(),
            &texts.later_pairs,
            &texts.targets,
        )?,
        _ => None,
    };
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
    Ok(Examples::new(path, bad_rows, rows).with_remarks(parted.into_iter().chain(remark)))
}

/// Columns of the texts of a file, targets left aside.
pub(super) fn text_keys(
    path: &Path,
    table: &Table,
    format: &TextFormat,
) -> Result<(Key, Option<Key>)> {
    let columns = match &format.columns {
        Some(columns) => columns.clone(),
        None => discover(path, table, None)?,
    };
    let pair = columns.pair.map(|pair| table.key(&pair)).transpose()?;
    Ok((table.key(&columns.text)?, pair))
}

/// Columns of the texts of a row.
struct TextKeys {
    text: Key,
    pair: Option<Key>,
    /// Columns of the second text of a JSON object that has one, though the first object has none.
    later_pairs: Vec<Key>,
    /// The column of the target, which holds no text.
    targets: Vec<Column>,
}

struct Keys {
    /// `None` where targets alone are read.
    texts: Option<TextKeys>,
    target: Option<TargetKey>,
}

enum TargetKey {
    Label {
        key: Key,
        /// Its name promises several, so that a comma is none of a name.
        is_list: bool,
    },
    Labels(Key, char),
    Flags(Vec<Key>),
    Number(Key),
}

impl Keys {
    fn find(path: &Path, table: &Table, format: &TextFormat) -> Result<Self> {
        let columns = match &format.columns {
            Some(columns) => Some(columns.clone()),
            None if format.targets_only => None,
            None => Some(discover(path, table, format.kind)?),
        };
        let stated = format.target.clone().filter(|_| format.columns.is_none());
        let target = stated.or_else(|| columns.as_ref().and_then(|columns| columns.target.clone()));
        // Columns that are given without a target have none, unless a task needs one.
        let is_open = format.columns.is_none() || format.kind.is_some();
        let target = target
            .or_else(|| discover_target(table, format.kind).filter(|_| is_open))
            .or_else(|| flags(table, format));
        let targets = target.as_ref().map_or(&[][..], TargetColumn::columns);
        let targets = targets.to_vec();
        let target = match (target, format.targets) {
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
                let flags = match format.kind {
                    Some(TargetKind::Labels) => {
                        ", or name the columns of 0 and 1 of all labels (--label-column with commas \
                         between them, or --labels)"
                    }
                    _ => "",
                };
                return Err(Error::Columns {
                    path: path.to_owned(),
                    reason: format!("{reason}: say which column holds it{flags}"),
                });
            }
        };
        let texts = match columns.filter(|_| !format.targets_only) {
            None => None,
            Some(columns) => {
                let pair = columns.pair.map(|pair| table.key(&pair)).transpose()?;
                let text = table.key(&columns.text)?;
                let may_come = pair.is_none() && format.columns.is_none() && table.is_json();
                let later = partners(&text.name).filter(|_| may_come);
                let later = later.map(|name| table.key(&Column::named(name)));
                Some(TextKeys {
                    later_pairs: later.collect::<Result<_>>()?,
                    text,
                    pair,
                    targets,
                })
            }
        };
        Ok(Self { texts, target })
    }

    /// Puts the separator that the first rows have in place of a comma that none of them has, and
    /// says so. A stream stays as it is.
    fn detect_separator(&mut self, path: &Path, format: &TextFormat) -> Result<Option<String>> {
        let Some(TargetKey::Labels(key, separator)) = &mut self.target else {
            return Ok(None);
        };
        let labels = format.labels.as_ref();
        if *separator != LABEL_SEPARATOR || !path.is_file() {
            return Ok(None);
        }
        let mut table = Table::open(path, &format.layout)?;
        let mut found = None;
        for _ in 0..SEPARATOR_ROWS {
            let Some(TableRow { cells, .. }) = table.next()? else {
                break;
            };
            let value = cells.and_then(|mut cells| cells.take(key));
            let Ok(serde_json::Value::String(text)) = value else {
                continue;
            };
            if text.contains(LABEL_SEPARATOR) {
                return Ok(None);
            }
            let is_known = labels.is_some_and(|labels| labels.id(text.trim()).is_some());
            if found.is_none() && !is_known {
                found = label_lists::other_separator(&text);
            }
        }
        Ok(found.map(|other| {
            *separator = other;
            format!(
                "the labels in column `{}` are parted by `{other}`: write them as a list if they \
                 are not",
                key.name
            )
        }))
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
            Some(TargetKey::Label { key, is_list }) => {
                let label = class(&mut cells, key, *is_list)?;
                if unlabelled == Some(label.as_str()) {
                    return Ok(None);
                }
                check_label(&label, labels)?;
                Target::Label(label)
            }
            Some(TargetKey::Labels(key, separator)) => {
                let found = label_lists::labels(&mut cells, key, *separator, labels)?;
                for label in &found {
                    check_label(label, labels)?;
                }
                Target::Labels(found)
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
        let (text, pair) = match &self.texts {
            None => (String::new(), None),
            Some(texts) => {
                let mut later = texts.later_pairs.iter();
                let pair = texts.pair.as_ref();
                let pair = pair.or_else(|| later.find(|key| cells.has_text(key)));
                cells.texts(&texts.text, pair)?
            }
        };
        Ok(Some(TextExample {
            text,
            pair,
            target,
            line,
        }))
    }
}

fn discover(path: &Path, table: &Table, kind: Option<TargetKind>) -> Result<Columns> {
    let found = match table.names() {
        Some(names) => Columns::discover(names, kind),
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

fn discover_target(table: &Table, kind: Option<TargetKind>) -> Option<TargetColumn> {
    match table.names() {
        Some(names) => TargetColumn::discover(names, kind),
        None => table
            .is_blank()
            .then(|| TargetColumn::Label(Column::named("label"))),
    }
}

/// A column for each of the labels, where several are asked for and the file has one of each name.
fn flags(table: &Table, format: &TextFormat) -> Option<TargetColumn> {
    let labels = format.labels.as_ref()?;
    let columns: Vec<Column> = labels.names().iter().map(Column::named).collect();
    let are_columns = || columns.iter().all(|column| table.has(column));
    let fits = format.kind == Some(TargetKind::Labels) && !table.is_blank() && are_columns();
    fits.then_some(TargetColumn::Flags(columns))
}

fn target_key(table: &Table, target: TargetColumn) -> Result<TargetKey> {
    Ok(match target {
        TargetColumn::Label(column) => TargetKey::Label {
            key: table.key(&column)?,
            is_list: column.is_list_of_labels(),
        },
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

/// One class, which may be the only one of a list.
fn class(cells: &mut Cells, key: &Key, is_list: bool) -> Result<String, RowFault> {
    if let Some(values) = cells.list(key) {
        let values = values.to_vec();
        let [value] = values.as_slice() else {
            return Err(RowFault::SeveralLabels {
                column: key.name.clone(),
                text: shown(&serde_json::Value::from(values.clone()).to_string()),
            });
        };
        let label = super::cells::word(value).filter(|label| !label.is_empty());
        return label.ok_or_else(|| wrong_type(&key.name, "a list of one class", value));
    }
    let label = cells.word(key)?;
    match is_list && label.contains(',') {
        true => Err(RowFault::SeveralLabels {
            column: key.name.clone(),
            text: shown(&label),
        }),
        false => Ok(label),
    }
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
    let word = cells.word(key)?;
    label_lists::flag(&word).ok_or_else(|| RowFault::WrongType {
        column: key.name.clone(),
        expected: "1 or 0, or true or false",
        found: format!("`{}`", shown(&word)),
    })
}
