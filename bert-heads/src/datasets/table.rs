//! Files of rows with columns, whether separated fields or JSON lines.

use std::collections::{HashMap, VecDeque};
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::cells::{Cells, Key, kind, quoted};
use super::columns::Column;
use super::delimited::{Record, Records};
use super::fault::{Place, RowFault};
use super::layout::Layout;
use super::lines::{DataLine, DataLines};
use crate::error::{Error, Result};

/// A file of rows that knows the names of its columns.
pub(super) struct Table {
    path: PathBuf,
    rows: Rows,
    /// From the header, or the first JSON object; `None` without either.
    names: Option<Vec<String>>,
    /// Index of each column, by name; `None` of a name that comes twice.
    indices: HashMap<String, Option<usize>>,
    /// Fields a row may have; empty until the first row tells.
    widths: Vec<usize>,
    /// Read ahead to learn names and widths.
    ahead: VecDeque<TableRow>,
    /// There is no header, or no good row, to tell the columns by.
    blank: bool,
}

enum Rows {
    Records(Records),
    Json(DataLines),
}

/// A row, and the line it begins on.
pub(super) struct TableRow {
    pub(super) line: usize,
    pub(super) cells: Result<Cells, RowFault>,
}

impl Table {
    pub(super) fn open(path: &Path, layout: &Layout) -> Result<Self> {
        let mut table = Self {
            path: path.to_owned(),
            rows: match layout {
                Layout::Delimited(delimited) => Rows::Records(Records::open(path, delimited)?),
                Layout::JsonLines => Rows::Json(DataLines::open(path)?),
            },
            names: None,
            indices: HashMap::new(),
            widths: Vec::new(),
            ahead: VecDeque::new(),
            blank: true,
        };
        if let Layout::Delimited(delimited) = layout {
            table.widths.clone_from(&delimited.fields);
            if delimited.header {
                table.read_header()?;
                return Ok(table);
            }
        }
        table.look_ahead()?;
        Ok(table)
    }

    /// A file of which not even the first line can be read has no rows to pass over.
    fn read_header(&mut self) -> Result<()> {
        let Some(TableRow { line, cells }) = self.read()? else {
            return Ok(());
        };
        match cells {
            Ok(Cells::Fields(names)) => {
                if self.widths.is_empty() {
                    self.widths.push(names.len());
                }
                for (index, name) in names.iter().enumerate() {
                    let entry = self.indices.entry(name.clone());
                    entry
                        .and_modify(|index| *index = None)
                        .or_insert(Some(index));
                }
                self.names = Some(names);
                self.blank = false;
                Ok(())
            }
            Ok(Cells::Object(_)) => Ok(()),
            Err(fault) => Err(Error::BadRow {
                path: self.path.clone(),
                place: Place::Line(line),
                fault: fault.into(),
            }),
        }
    }

    /// Reads up to the first row that is good.
    fn look_ahead(&mut self) -> Result<()> {
        while let Some(row) = self.read()? {
            let good = row.cells.as_ref().ok();
            let found: Option<(Option<Vec<String>>, usize)> = good.map(|cells| match cells {
                Cells::Fields(fields) => (None, fields.len()),
                Cells::Object(object) => (Some(object.keys().cloned().collect()), 0),
            });
            self.ahead.push_back(row);
            if let Some((names, width)) = found {
                self.names = names;
                self.blank = false;
                if self.widths.is_empty() && width > 0 {
                    self.widths.push(width);
                }
                break;
            }
        }
        Ok(())
    }

    /// True if its rows are JSON objects.
    pub(super) fn is_json(&self) -> bool {
        matches!(self.rows, Rows::Json(_))
    }

    /// The good ones among the next `rows` rows, left in their place.
    pub(super) fn peek(&mut self, rows: usize) -> Result<impl Iterator<Item = &Cells>> {
        while self.ahead.len() < rows
            && let Some(row) = self.read()?
        {
            self.ahead.push_back(row);
        }
        Ok(self.ahead.iter().filter_map(|row| row.cells.as_ref().ok()))
    }

    /// True if no columns can be identified: the file is empty, or none of its rows good.
    pub(super) fn is_blank(&self) -> bool {
        self.blank
    }

    /// The names of the columns, where the file has any.
    pub(super) fn names(&self) -> Option<&[String]> {
        self.names.as_deref()
    }

    /// True if the file as a whole has the column. Objects of JSON lines may differ, so the first
    /// speaks for them. A blank file has every column: what is wrong with it is another matter.
    pub(super) fn has(&self, column: &Column) -> bool {
        if self.blank {
            return true;
        }
        match (column, &self.names) {
            (Column::Name(name), Some(names)) => names.contains(name),
            (Column::Name(_), None) => false,
            (Column::Number(number), _) => self.widths.iter().any(|width| number <= width),
        }
    }

    /// Finds a column.
    pub(super) fn key(&self, column: &Column) -> Result<Key> {
        let refuse = |reason: String| Error::Column {
            path: self.path.clone(),
            column: column.to_string(),
            reason,
        };
        if self.blank {
            return Ok(Key {
                name: column.to_string(),
                index: 0,
            });
        }
        match (column, &self.rows) {
            (Column::Number(_), Rows::Json(_)) => Err(refuse(
                "the columns of JSON lines have no numbers: give its name".to_owned(),
            )),
            (Column::Name(name), Rows::Json(_)) => Ok(Key {
                name: name.clone(),
                index: 0,
            }),
            (Column::Number(number), _) => match (number.checked_sub(1), self.has(column)) {
                (Some(index), true) => Ok(Key {
                    name: self
                        .names
                        .as_ref()
                        .and_then(|names| names.get(index).cloned())
                        .unwrap_or_else(|| number.to_string()),
                    index,
                }),
                _ => {
                    let widest = self.widths.iter().max().copied().unwrap_or(0);
                    Err(refuse(format!(
                        "the columns have the numbers 1 to {widest}"
                    )))
                }
            },
            (Column::Name(_), _) if self.names.is_none() => Err(refuse(
                "the file is read without a header: give the number of the column".to_owned(),
            )),
            (Column::Name(name), _) => match self.indices.get(name) {
                Some(Some(index)) => Ok(Key {
                    name: name.clone(),
                    index: *index,
                }),
                Some(None) => Err(refuse(
                    "the header has it twice: give the number of the column".to_owned(),
                )),
                None => {
                    let names = self.names.as_deref().unwrap_or_default();
                    Err(refuse(format!("the file has {}", quoted(names))))
                }
            },
        }
    }

    /// The next row; `None` after the last.
    pub(super) fn next(&mut self) -> Result<Option<TableRow>> {
        let row = match self.ahead.pop_front() {
            Some(row) => Some(row),
            None => self.read()?,
        };
        Ok(row.map(|TableRow { line, cells }| TableRow {
            line,
            cells: cells.and_then(|cells| self.check_width(cells)),
        }))
    }

    fn check_width(&self, cells: Cells) -> Result<Cells, RowFault> {
        match &cells {
            Cells::Fields(fields) if !self.widths.contains(&fields.len()) => {
                let expected: Vec<String> = self.widths.iter().map(usize::to_string).collect();
                Err(RowFault::FieldCount {
                    expected: expected.join(" or "),
                    found: fields.len(),
                })
            }
            _ => Ok(cells),
        }
    }

    fn read(&mut self) -> Result<Option<TableRow>> {
        match &mut self.rows {
            Rows::Records(records) => Ok(records.next()?.map(|Record { line, fields }| TableRow {
                line,
                cells: fields.map(Cells::Fields),
            })),
            Rows::Json(lines) => next_object(lines),
        }
    }
}

/// The object of the next line that is not blank.
fn next_object(lines: &mut DataLines) -> Result<Option<TableRow>> {
    while let Some(DataLine { number, text }) = lines.next()? {
        if text.as_ref().is_ok_and(|text| text.trim().is_empty()) {
            continue;
        }
        let cells = text.and_then(|text| match serde_json::from_str(&text) {
            Ok(Value::Object(object)) => Ok(Cells::Object(object)),
            Ok(other) => Err(RowFault::Json {
                reason: format!("it is {}", kind(&other)),
            }),
            Err(error) if error.is_eof() => Err(RowFault::Json {
                reason: "it ends before its value does: write each object on a line of its own, without a list around them".to_owned(),
            }),
            Err(error) => Err(RowFault::Json {
                // Its line is always 1 here.
                reason: format!("{} (column {})", category(&error), error.column()),
            }),
        });
        return Ok(Some(TableRow {
            line: number,
            cells,
        }));
    }
    Ok(None)
}

fn category(error: &serde_json::Error) -> String {
    let text = error.to_string();
    match text.rfind(" at line ") {
        Some(end) => text[..end].to_owned(),
        None => text,
    }
}
