//! Sentences with a word per line.

use std::path::Path;

use super::{Field, TokenFormat, WordLine, row};
use crate::datasets::example::TokenExample;
use crate::datasets::examples::Row;
use crate::datasets::fault::{Place, RowFault};
use crate::datasets::lines::{DataLine, DataLines};
use crate::datasets::text::Targets;
use crate::error::Result;
use crate::text_lines::MAX_LINE_BYTES;

/// Begins a document in CoNLL-2003; no sentence.
const DOCUMENT: &str = "-DOCSTART-";

/// Sentences as blocks of lines.
pub(super) struct Sentences {
    lines: DataLines,
    columns: WordLine,
    format: TokenFormat,
    /// Fields of the first line.
    width: Option<usize>,
}

impl Sentences {
    pub(super) fn open(path: &Path, columns: WordLine, format: &TokenFormat) -> Result<Self> {
        Ok(Self {
            lines: DataLines::open(path)?,
            columns,
            format: format.clone(),
            width: None,
        })
    }

    /// The next sentence; `None` after the last.
    pub(super) fn next(&mut self) -> Result<Option<Row<TokenExample>>> {
        let (mut words, mut tags) = (Vec::new(), Some(Vec::new()));
        let mut start = None;
        let mut bad = None;
        let mut bytes = 0;
        while let Some(DataLine { number, text }) = self.lines.next()? {
            let read = match text {
                Ok(text) if is_break(&text) => match start {
                    Some(_) => break,
                    None => continue,
                },
                Ok(text) => {
                    bytes += text.len();
                    self.word(&text)
                }
                Err(fault) => Err(fault),
            };
            let first = *start.get_or_insert(number);
            if bytes > MAX_LINE_BYTES {
                let limit = MAX_LINE_BYTES;
                bad.get_or_insert((first, RowFault::TooLong { limit }));
            }
            match read {
                _ if bad.is_some() => {}
                Ok((word, tag)) => {
                    words.push(word);
                    match (&mut tags, tag) {
                        (Some(tags), Some(tag)) => tags.push(tag),
                        _ => tags = None,
                    }
                }
                Err(fault) => {
                    bad = Some((number, fault));
                }
            }
        }
        Ok(start.map(|line| match bad {
            Some((line, fault)) => Row::Bad(Place::Line(line), fault),
            None => row(line, self.format.example(line, words, tags)),
        }))
    }

    /// The word of a line and its tag.
    fn word(&mut self, line: &str) -> Result<(String, Option<String>), RowFault> {
        let fields: Vec<&str> = match self.columns.separator {
            Some(separator) => line.split(separator).collect(),
            None => line.split([' ', '\t']).filter(|f| !f.is_empty()).collect(),
        };
        let width = *self.width.get_or_insert(fields.len());
        if fields.len() != width {
            return Err(RowFault::FieldCount {
                expected: width.to_string(),
                found: fields.len(),
            });
        }
        let has_tag = match self.format.targets {
            Targets::Required => true,
            Targets::IfPresent => width > 1,
            Targets::Ignored => false,
        };
        let text = field(&fields, self.columns.word)?.to_owned();
        if has_tag && width == 1 {
            let column = "tag".to_owned();
            return Err(RowFault::MissingColumn { column });
        }
        let tag = match has_tag {
            true => Some(field(&fields, self.columns.tag)?.to_owned()),
            false => None,
        };
        Ok((text, tag))
    }
}

/// Unicode has more spaces, which are words in some Chinese files.
fn is_break(line: &str) -> bool {
    let line = line.trim_ascii();
    line.is_empty() || line.split([' ', '\t']).next() == Some(DOCUMENT)
}

fn field<'a>(fields: &[&'a str], field: Field) -> Result<&'a str, RowFault> {
    let found = match field {
        Field::Number(number) => number.checked_sub(1).and_then(|index| fields.get(index)),
        Field::Last => fields.last(),
    };
    found.copied().ok_or_else(|| RowFault::MissingColumn {
        column: match field {
            Field::Number(number) => number.to_string(),
            Field::Last => "last".to_owned(),
        },
    })
}
