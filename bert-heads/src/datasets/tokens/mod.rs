//! Sentences of tagged words: columns as in CoNLL, and JSON lines.

mod sentences;

use std::path::Path;

use crate::datasets::bad_rows::BadRows;
use crate::datasets::cells::{Key, quoted};
use crate::datasets::columns::Column;
use crate::datasets::example::TokenExample;
use crate::datasets::examples::{Examples, Row};
use crate::datasets::fault::{Place, RowFault};
use crate::datasets::layout::Layout;
use crate::datasets::table::{Table, TableRow};
use crate::datasets::tags::to_iob2;
use crate::datasets::text::{Targets, check_label};
use crate::error::{Error, Result};
use crate::labels::Labels;
use crate::metrics::{Scheme, TagReading};
use sentences::Sentences;

/// Keys of JSON lines.
const WORDS: [&str; 2] = ["tokens", "words"];
const TAGS: [&str; 4] = ["tags", "ner_tags", "labels", "pos_tags"];

/// A column of a line of fields.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Field {
    /// Counted from 1.
    Number(usize),
    /// The last, wherever that is.
    Last,
}

/// A word, its tag and what else may be known of it, on one line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WordLine {
    /// Field of the word.
    pub word: Field,
    /// Field of its tag.
    pub tag: Field,
    /// Separator of two fields; by default any run of spaces and tabs, or single tabs where
    /// lines have equally many fields only so, as those with spaces within a word have.
    pub separator: Option<char>,
}

/// Layout of sentences.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TokenLayout {
    /// One word per line, a blank line after each sentence (Tjong Kim Sang & De Meulder 2003);
    /// `-DOCSTART-` lines are skipped, and so are comments, which begin with `#` above a sentence,
    /// and CoNLL-U's lines of several words.
    Lines(WordLine),
    /// One JSON object per sentence, with a list of words and one of tags.
    JsonLines {
        /// Key of the words; by default `tokens` or `words`.
        words: Option<String>,
        /// Key of the tags; by default `tags`, `ner_tags`, `labels` or `pos_tags`.
        tags: Option<String>,
    },
}

/// Format of a file of tagged words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenFormat {
    /// Layout of the sentences.
    pub layout: TokenLayout,
    /// Scheme by which tags mark entities; they are then checked and converted to IOB2. By default
    /// they stay as they are.
    pub reading: Option<TagReading>,
    /// Handling of the tags. In lines the last column is a tag whenever there are two, so
    /// that [`Targets::IfPresent`] means: unless there is one column only.
    pub targets: Targets,
    /// The tags there are, after conversion: any other is a bad row. By default every tag passes.
    pub labels: Option<Labels>,
}

impl TokenFormat {
    /// The first column is the word and the last one the tag, whatever is between them.
    pub const fn lines() -> Self {
        Self::new(TokenLayout::Lines(WordLine {
            word: Field::Number(1),
            tag: Field::Last,
            separator: None,
        }))
    }

    /// JSON lines with the usual keys.
    pub const fn json_lines() -> Self {
        Self::new(TokenLayout::JsonLines {
            words: None,
            tags: None,
        })
    }

    /// A layout, any tags, all of them required.
    pub const fn new(layout: TokenLayout) -> Self {
        Self {
            layout,
            reading: None,
            targets: Targets::Required,
            labels: None,
        }
    }

    /// Sets the scheme from which tags are converted to IOB2: a tag that breaks it makes a bad row.
    #[must_use]
    pub fn with_scheme(self, scheme: Scheme) -> Self {
        self.with_reading(TagReading::Strict(scheme))
    }

    /// Sets the reading by which tags are converted to IOB2, whole entities or not if it is lenient.
    #[must_use]
    pub fn with_reading(self, reading: TagReading) -> Self {
        Self {
            reading: Some(reading),
            ..self
        }
    }

    /// Sets the known tags.
    #[must_use]
    pub fn with_labels(self, labels: Labels) -> Self {
        Self {
            labels: Some(labels),
            ..self
        }
    }

    /// Sets the handling of the tags.
    #[must_use]
    pub fn with_targets(self, targets: Targets) -> Self {
        Self { targets, ..self }
    }

    /// Checks and converts.
    fn example(
        &self,
        line: usize,
        words: Vec<String>,
        tags: Option<Vec<String>>,
    ) -> Result<TokenExample, RowFault> {
        if words.is_empty() {
            let column = "word".to_owned();
            return Err(RowFault::Blank { column });
        }
        let tags = match tags {
            None => None,
            Some(tags) if tags.len() != words.len() => {
                return Err(RowFault::TagCount {
                    words: words.len(),
                    tags: tags.len(),
                });
            }
            Some(tags) => Some(match self.reading {
                Some(reading) => to_iob2(&tags, reading)?,
                None => tags,
            }),
        };
        for tag in tags.iter().flatten() {
            check_label(tag, self.labels.as_ref())?;
        }
        Ok(TokenExample { words, tags, line })
    }
}

/// Reads sentences of words and their tags, one in memory at a time.
///
/// A bad line makes its whole sentence bad, and so does a length beyond that of any sentence.
///
/// # Errors
///
/// [`Error::Core`] for a file that cannot be opened, [`Error::Columns`] for JSON lines without the
/// usual keys. The iterator ends with [`Error::BadRow`], unless bad rows are skipped, or
/// [`Error::NoExamples`].
pub fn read_tokens(
    path: impl AsRef<Path>,
    format: &TokenFormat,
    bad_rows: BadRows,
) -> Result<Examples<TokenExample>> {
    let path = path.as_ref();
    match &format.layout {
        TokenLayout::Lines(columns) => {
            let mut sentences = Sentences::open(path, *columns, format)?;
            let rows = std::iter::from_fn(move || sentences.next().unwrap_or_else(failed));
            Ok(Examples::new(path, bad_rows, rows))
        }
        TokenLayout::JsonLines { words, tags } => {
            let mut table = Table::open(path, &Layout::JsonLines)?;
            let words = key(path, &table, words.as_deref(), &WORDS)?;
            let tags = tag_key(path, &table, tags.as_deref(), format.targets)?;
            let format = format.clone();
            let rows = std::iter::from_fn(move || {
                json_row(&mut table, &words, tags.as_ref(), &format).unwrap_or_else(failed)
            });
            Ok(Examples::new(path, bad_rows, rows))
        }
    }
}

fn failed<T>(error: Error) -> Option<Row<T>> {
    Some(Row::Failed(error))
}

fn row(line: usize, read: Result<TokenExample, RowFault>) -> Row<TokenExample> {
    match read {
        Ok(example) => Row::Example(example),
        Err(fault) => Row::Bad(Place::Line(line), fault),
    }
}

fn key(path: &Path, table: &Table, given: Option<&str>, usual: &[&str]) -> Result<Key> {
    if let Some(name) = given {
        return table.key(&Column::named(name));
    }
    let usual = usual.iter().map(|name| Column::named(*name));
    match usual.clone().find(|column| table.has(column)) {
        Some(column) => table.key(&column),
        None => {
            let names: Vec<String> = usual.map(|column| column.to_string()).collect();
            let found = quoted(table.names().unwrap_or_default());
            Err(Error::Columns {
                path: path.to_owned(),
                reason: format!(
                    "none of {} is among its keys {found}: say which to read",
                    quoted(&names)
                ),
            })
        }
    }
}

fn tag_key(
    path: &Path,
    table: &Table,
    given: Option<&str>,
    targets: Targets,
) -> Result<Option<Key>> {
    let present = match given {
        Some(name) => table.has(&Column::named(name)),
        None => TAGS.iter().any(|name| table.has(&Column::named(*name))),
    };
    match targets {
        Targets::Ignored => Ok(None),
        Targets::IfPresent if !present => Ok(None),
        _ => key(path, table, given, &TAGS).map(Some),
    }
}

fn json_row(
    table: &mut Table,
    words: &Key,
    tags: Option<&Key>,
    format: &TokenFormat,
) -> Result<Option<Row<TokenExample>>> {
    let Some(TableRow { line, cells }) = table.next()? else {
        return Ok(None);
    };
    let read = cells.and_then(|mut cells| {
        let words = cells.tokens(words)?;
        let tags = tags.map(|key| cells.words(key, None)).transpose()?;
        format.example(line, words, tags)
    });
    Ok(Some(row(line, read)))
}
