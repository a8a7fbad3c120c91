//! Texts with what is like them, and perhaps what is not: pairs and triplets as sentence-transformers
//! trains on them.

use std::path::Path;

use super::bad_rows::BadRows;
use super::cells::{Cells, Key, quoted};
use super::columns::{Column, Columns};
use super::example::{SimilarExample, Target, TextExample};
use super::examples::{Examples, Row};
use super::fault::{Place, RowFault};
use super::layout::Layout;
use super::table::{Table, TableRow};
use crate::error::{Error, Result};

/// The columns of a file of texts and what is like them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SimilarColumns {
    /// The text.
    pub text: Column,
    /// The positive: a text similar to it.
    pub like: Column,
    /// The negatives, in any number of columns.
    pub unlike: Vec<Column>,
}

/// Format of a file of texts and what is like them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SimilarFormat {
    /// Layout of the rows.
    pub layout: Layout,
    /// Which columns to read; by default they are found by name: `anchor` or `query` with `positive`,
    /// or the names that pairs of texts have; every column that begins with `negative`.
    pub columns: Option<SimilarColumns>,
}

const PAIRS: [(&str, &str); 3] = [
    ("anchor", "positive"),
    ("query", "positive"),
    ("query", "answer"),
];
const UNLIKE: &str = "negative";

impl SimilarColumns {
    fn discover(names: &[String]) -> Result<Self, String> {
        let find = |wanted: &str| {
            let name = names.iter().find(|name| name.to_lowercase() == wanted)?;
            Some(Column::named(name))
        };
        let pair = PAIRS
            .into_iter()
            .find_map(|(text, like)| Some((find(text)?, find(like)?)));
        let (text, like) = match pair {
            Some(pair) => pair,
            None => match Columns::discover(names, None)? {
                Columns {
                    text,
                    pair: Some(pair),
                    ..
                } => (text, pair),
                _ => {
                    let names = quoted(names);
                    return Err(format!(
                        "none of {names} is known as a second text: say which columns to read"
                    ));
                }
            },
        };
        let unlike = names
            .iter()
            .filter(|name| name.to_lowercase().starts_with(UNLIKE));
        Ok(Self {
            text,
            like,
            unlike: unlike.map(Column::named).collect(),
        })
    }
}

/// Reads texts and what is like them, in constant memory. A negative that is blank or absent is left
/// out.
///
/// # Errors
///
/// [`Error::Core`] for a file that cannot be opened, [`Error::BadRow`] for a header that cannot be
/// read, [`Error::Column`] for a column that the file lacks and [`Error::Columns`] if none is given
/// and none found. The iterator ends with [`Error::BadRow`], unless bad rows are skipped, or
/// [`Error::NoExamples`].
pub fn read_similar(
    path: impl AsRef<Path>,
    format: &SimilarFormat,
    bad_rows: BadRows,
) -> Result<Examples<SimilarExample>> {
    let path = path.as_ref();
    let mut table = Table::open(path, &format.layout)?;
    let columns = match (&format.columns, table.names()) {
        (Some(columns), _) => Ok(columns.clone()),
        (None, Some(names)) => SimilarColumns::discover(names),
        (None, None) if table.is_blank() => Ok(SimilarColumns {
            text: Column::named("anchor"),
            like: Column::named("positive"),
            unlike: Vec::new(),
        }),
        (None, None) => {
            Err("the file is read without a header: say which columns to read".to_owned())
        }
    };
    let columns = columns.map_err(|reason| Error::Columns {
        path: path.to_owned(),
        reason,
    })?;
    let (text, like) = (table.key(&columns.text)?, table.key(&columns.like)?);
    let unlike = columns.unlike.iter().map(|column| table.key(column));
    let unlike: Vec<Key> = unlike.collect::<Result<_>>()?;
    let rows = std::iter::from_fn(move || {
        let TableRow { line, cells } = match table.next() {
            Ok(row) => row?,
            Err(error) => return Some(Row::Failed(error)),
        };
        let read = cells.and_then(|cells| example(line, cells, &text, &like, &unlike));
        Some(match read {
            Ok(example) => Row::Example(example),
            Err(fault) => Row::Bad(Place::Line(line), fault),
        })
    });
    Ok(Examples::new(path, bad_rows, rows))
}

fn example(
    line: usize,
    mut cells: Cells,
    text: &Key,
    like: &Key,
    unlike: &[Key],
) -> Result<SimilarExample, RowFault> {
    let mut texts = vec![cells.text(text)?, cells.text(like)?];
    for key in unlike {
        match cells.text(key) {
            Ok(negative) => texts.push(negative),
            Err(RowFault::Blank { .. } | RowFault::MissingColumn { .. }) => {}
            Err(fault) => return Err(fault),
        }
    }
    Ok(SimilarExample {
        texts,
        score: None,
        line,
    })
}

impl TryFrom<TextExample> for SimilarExample {
    type Error = RowFault;

    /// A pair with a number, which is its score, or without.
    fn try_from(example: TextExample) -> Result<Self, RowFault> {
        let Some(pair) = example.pair else {
            let column = "second text".to_owned();
            return Err(RowFault::MissingColumn { column });
        };
        for (text, column) in [(&example.text, "first text"), (&pair, "second text")] {
            if text.trim().is_empty() {
                let column = column.to_owned();
                return Err(RowFault::Blank { column });
            }
        }
        Ok(Self {
            texts: vec![example.text, pair],
            score: match example.target {
                Target::Number(score) => Some(score),
                _ => None,
            },
            line: example.line,
        })
    }
}
