//! Sentences with a word per line.

use std::collections::{HashSet, VecDeque};
use std::path::Path;

use bert_core::text_lines::MAX_LINE_BYTES;

use super::{Field, TokenFormat, WordLine, row};
use crate::datasets::example::TokenExample;
use crate::datasets::examples::Row;
use crate::datasets::fault::{Place, RowFault, shown};
use crate::datasets::lines::{DataLine, DataLines};
use crate::datasets::text::Targets;
use crate::error::{Error, Result};
use crate::metrics::Scheme;

/// Begins a document in CoNLL-2003; no sentence.
const DOCUMENT: &str = "-DOCSTART-";
/// Begins a comment, unless it is a word.
const COMMENT: char = '#';
/// Lines that are looked at to tell how fields are parted and which tags there are.
const HEAD_LINES: usize = 500;
const HEAD_BYTES: usize = 1 << 20;
/// Fields of a line of CoNLL-U.
const UNIVERSAL_WIDTH: usize = 10;

/// Sentences as blocks of lines.
pub(super) struct Sentences {
    lines: DataLines,
    /// Read to look at.
    ahead: VecDeque<DataLine>,
    columns: WordLine,
    format: TokenFormat,
    /// Fields of the first line.
    width: Option<usize>,
    /// Separators between the fields of the first line, in their order.
    shape: Option<String>,
    /// Tags of lines that are no comments.
    tags: HashSet<String>,
}

/// Kind of a line.
enum Line {
    Word(String, Option<String>),
    /// A comment, or several words of CoNLL-U that follow one by one.
    PassedOver,
}

impl Sentences {
    pub(super) fn open(path: &Path, columns: WordLine, format: &TokenFormat) -> Result<Self> {
        let mut sentences = Self {
            lines: DataLines::open(path)?,
            ahead: VecDeque::new(),
            columns,
            format: format.clone(),
            width: None,
            shape: None,
            tags: HashSet::new(),
        };
        sentences.look_ahead()?;
        if columns.word == Field::Number(1) && sentences.counts_words() {
            return Err(Error::Columns {
                path: path.to_owned(),
                reason: "the first counts the words of each sentence: say which column holds the words (--text-column, 2 in most such files) and which the tags (--label-column)".to_owned(),
            });
        }
        Ok(sentences)
    }

    /// Learns from the first lines what parts fields, how many there are, and tags.
    fn look_ahead(&mut self) -> Result<()> {
        let mut bytes = 0;
        while self.ahead.len() < HEAD_LINES && bytes < HEAD_BYTES {
            let Some(line) = self.lines.next()? else {
                break;
            };
            bytes += line.text.as_ref().map_or(0, String::len);
            self.ahead.push_back(line);
        }
        let texts = self.ahead.iter().filter_map(|line| line.text.as_ref().ok());
        let words: Vec<&String> = texts
            .filter(|text| !is_break(text) && !text.starts_with(COMMENT))
            .collect();
        let by_tabs = same(words.iter().map(|text| text.split('\t').count()));
        let by_spaces = same(words.iter().map(|text| spaced(text).count()));
        if self.columns.separator.is_none()
            && by_spaces.is_none()
            && by_tabs.is_some_and(|width| width > 1)
        {
            self.columns.separator = Some('\t');
        }
        let tags: HashSet<String> = words
            .iter()
            .filter_map(|text| {
                let fields = split(text, self.columns.separator);
                let tag = field(&fields, self.columns.tag).ok()?;
                (fields.len() > 1).then(|| tag.to_owned())
            })
            .collect();
        if let Some(first) = words.first() {
            self.width = Some(split(first, self.columns.separator).len());
            self.shape = Some(shape(first));
        }
        self.tags = tags;
        Ok(())
    }

    /// True if the first of three or more columns is the number of the word in its sentence, as in
    /// CoNLL-U.
    fn counts_words(&self) -> bool {
        let (mut next, mut has_second) = (None, false);
        for line in &self.ahead {
            let Ok(text) = &line.text else { return false };
            if is_break(text) {
                next = None;
                continue;
            }
            let fields = split(text, self.columns.separator);
            if (next.is_none() && text.starts_with(COMMENT)) || is_of_several_words(&fields) {
                continue;
            }
            let number = fields.first().and_then(|field| field.parse::<usize>().ok());
            let is_next = match (number, next) {
                (Some(number), Some(next)) => number == next,
                (Some(number), None) => number < 2,
                (None, _) => false,
            };
            if !is_next || fields.len() < 3 {
                return false;
            }
            has_second |= next.is_some();
            next = number.and_then(|number| number.checked_add(1));
        }
        has_second
    }

    fn line(&mut self) -> Result<Option<DataLine>> {
        match self.ahead.pop_front() {
            Some(line) => Ok(Some(line)),
            None => self.lines.next(),
        }
    }

    /// The next sentence; `None` after the last.
    pub(super) fn next(&mut self) -> Result<Option<Row<TokenExample>>> {
        let (mut words, mut tags) = (Vec::new(), Some(Vec::new()));
        let mut start = None;
        let mut bad = None;
        let mut bytes = 0;
        while let Some(DataLine { number, text }) = self.line()? {
            let read = match text {
                Ok(text) if is_break(&text) => match start {
                    Some(_) => break,
                    None => continue,
                },
                Ok(text) => {
                    bytes += text.len();
                    self.read(&text, start.is_none())
                }
                Err(fault) => Err(fault),
            };
            if let Ok(Line::PassedOver) = read {
                continue;
            }
            let first = *start.get_or_insert(number);
            if bytes > MAX_LINE_BYTES {
                let limit = MAX_LINE_BYTES;
                bad.get_or_insert((first, RowFault::TooLong { limit }));
            }
            match read {
                _ if bad.is_some() => {}
                Ok(Line::PassedOver) => {}
                Ok(Line::Word(word, tag)) => {
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

    /// The word of a line and its tag; comments stand above the first word of a sentence.
    fn read(&mut self, line: &str, is_first: bool) -> Result<Line, RowFault> {
        let fields = self.fields(line);
        if is_first && self.is_comment(line, &fields)? || is_of_several_words(&fields) {
            return Ok(Line::PassedOver);
        }
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
        if text.is_empty() {
            let column = "word".to_owned();
            return Err(RowFault::Blank { column });
        }
        if has_tag && width == 1 {
            return Err(RowFault::NoTag);
        }
        let tag = match has_tag {
            true => Some(field(&fields, self.columns.tag)?.to_owned()),
            false => None,
        };
        if tag.as_ref().is_some_and(String::is_empty) {
            let column = "tag".to_owned();
            return Err(RowFault::Blank { column });
        }
        Ok(Line::Word(text, tag))
    }

    /// The fields of a line. A line of the right width only between tabs has spaces for words.
    fn fields<'a>(&self, line: &'a str) -> Vec<&'a str> {
        let fields = split(line, self.columns.separator);
        match (self.columns.separator, self.width) {
            (None, Some(width)) if fields.len() != width => {
                let parted: Vec<&str> = line.split('\t').collect();
                let is_whole = parted.len() == width && parted.iter().all(|f| !f.is_empty());
                if is_whole { parted } else { fields }
            }
            _ => fields,
        }
    }

    /// True if a line above a sentence is a comment and not the word `#`, or one that begins with
    /// it: it has no tag, or its fields are parted otherwise than those of words.
    fn is_comment(&self, line: &str, fields: &[&str]) -> Result<bool, RowFault> {
        let Some(width) = self.width.filter(|_| line.starts_with(COMMENT)) else {
            return Ok(false);
        };
        if fields.len() != width {
            return Ok(true);
        }
        if width == 1 {
            // A word of its own, or the text of a comment.
            let text = line.strip_prefix(COMMENT).unwrap_or_default();
            return Ok(text.starts_with(' ') && !text.trim().is_empty());
        }
        let tag = field(fields, self.columns.tag).unwrap_or_default();
        if self.tags.contains(tag) || is_tag(tag) {
            return Ok(false);
        }
        if let Some(labels) = &self.format.labels {
            return Ok(labels.id(tag).is_none());
        }
        // CoNLL-U has `# key = value`.
        let is_assignment = fields.contains(&"=");
        match !is_assignment && self.shape.as_deref() == Some(shape(line).as_str()) {
            false => Ok(true),
            true => Err(RowFault::Comment { tag: shown(tag) }),
        }
    }
}

/// The number that all are.
fn same(mut numbers: impl Iterator<Item = usize>) -> Option<usize> {
    let first = numbers.next()?;
    numbers.all(|number| number == first).then_some(first)
}

fn spaced(line: &str) -> impl Iterator<Item = &str> {
    line.split([' ', '\t']).filter(|field| !field.is_empty())
}

fn split(line: &str, separator: Option<char>) -> Vec<&str> {
    match separator {
        Some(separator) => line.split(separator).collect(),
        None => spaced(line).collect(),
    }
}

/// The spaces and tabs of a line.
fn shape(line: &str) -> String {
    line.chars().filter(|c| matches!(c, ' ' | '\t')).collect()
}

/// True if a tag marks entities in some scheme.
fn is_tag(tag: &str) -> bool {
    let mut letters = tag.chars();
    match (letters.next(), letters.next(), letters.next()) {
        (Some('O'), None, _) => true,
        (Some(letter), Some('-'), Some(_)) => Scheme::ALL
            .iter()
            .any(|scheme| scheme.letters().contains(letter)),
        _ => false,
    }
}

/// CoNLL-U numbers what is written as one word of several `1-2`, and what is not written `1.1`.
fn is_of_several_words(fields: &[&str]) -> bool {
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let number = fields.first().filter(|_| fields.len() == UNIVERSAL_WIDTH);
    let parts = number.and_then(|number| number.split_once(['-', '.']));
    parts.is_some_and(|(first, last)| is_number(first) && is_number(last))
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
