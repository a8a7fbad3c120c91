//! Rows of separated fields: CSV with quotes (RFC 4180), and TSV, where quotes mean nothing.
//!
//! Written here rather than taken from the `csv` crate, which mends what it reads: a quote that is
//! never closed takes the rest of the file into one field without a word, and the line of a field
//! in another encoding is not told.

use std::collections::VecDeque;
use std::path::Path;

use super::fault::{RowFault, shown};
use super::lines::{DataLine, DataLines};
use crate::error::Result;
use crate::text_lines::MAX_LINE_BYTES;

/// The rows of a file; empty lines are none.
pub(super) struct Records {
    lines: DataLines,
    separator: char,
    quotes: bool,
    /// Lines of a row whose quotes turned out broken, except its first: they are read anew.
    again: VecDeque<DataLine>,
}

/// The fields of a row, and the line it begins on.
pub(super) struct Record {
    pub(super) line: usize,
    pub(super) fields: Result<Vec<String>, RowFault>,
}

impl Records {
    pub(super) fn open(path: &Path, separator: char, quotes: bool) -> Result<Self> {
        Ok(Self {
            lines: DataLines::open(path)?,
            separator,
            quotes,
            again: VecDeque::new(),
        })
    }

    /// The next row; `None` after the last.
    pub(super) fn next(&mut self) -> Result<Option<Record>> {
        loop {
            let Some(DataLine { number, text }) = self.line()? else {
                return Ok(None);
            };
            let fields = match text {
                Ok(text) if text.is_empty() => continue,
                Ok(text) if self.quotes => self.quoted(text)?,
                Ok(text) => Ok(text.split(self.separator).map(str::to_owned).collect()),
                Err(fault) => Err(fault),
            };
            return Ok(Some(Record {
                line: number,
                fields,
            }));
        }
    }

    fn line(&mut self) -> Result<Option<DataLine>> {
        match self.again.pop_front() {
            Some(line) => Ok(Some(line)),
            None => self.lines.next(),
        }
    }

    /// The row that begins with `first` and ends where its quotes are closed.
    fn quoted(&mut self, first: String) -> Result<Result<Vec<String>, RowFault>> {
        let mut row = QuotedRow::new(self.separator);
        let mut further = VecDeque::new();
        let mut complete = row.line(&first);
        let mut bytes = first.len();
        while let Ok(false) = complete {
            complete = match self.line()? {
                None => Err(row.unclosed()),
                Some(line) => {
                    let complete = match &line.text {
                        Ok(text) => {
                            bytes += text.len();
                            row.line(text)
                        }
                        Err(fault) => Err(fault.clone()),
                    };
                    further.push_back(line);
                    match bytes > MAX_LINE_BYTES {
                        true => Err(row.unclosed()),
                        false => complete,
                    }
                }
            };
        }
        match complete {
            Ok(_) => Ok(Ok(row.fields)),
            Err(fault) => {
                // One stray quote is to cost its own row and no other.
                while let Some(line) = further.pop_back() {
                    self.again.push_front(line);
                }
                Ok(Err(fault))
            }
        }
    }
}

/// A row in the making.
struct QuotedRow {
    separator: char,
    fields: Vec<String>,
    field: String,
    state: State,
}

#[derive(Clone, Copy, PartialEq)]
enum State {
    /// Nothing of the field has been read.
    Start,
    /// In a field without quotes, where they are ordinary characters.
    Plain,
    /// Between quotes.
    Quoted,
    /// Behind a quote that closes the field unless another follows.
    Closed,
}

impl QuotedRow {
    fn new(separator: char) -> Self {
        Self {
            separator,
            fields: Vec::new(),
            field: String::new(),
            state: State::Start,
        }
    }

    /// Adds a line; whether the row ends with it.
    fn line(&mut self, text: &str) -> Result<bool, RowFault> {
        for c in text.chars() {
            self.state = match (self.state, c) {
                (State::Start, '"') => State::Quoted,
                (State::Quoted, '"') => State::Closed,
                (State::Start | State::Plain | State::Closed, c) if c == self.separator => {
                    self.end_field();
                    State::Start
                }
                (State::Quoted | State::Closed, c) if self.state == State::Quoted || c == '"' => {
                    self.field.push(c);
                    State::Quoted
                }
                (State::Closed, _) => {
                    let field = shown(&self.field);
                    let reason = format!("text follows the closing quote of `{field}`");
                    return Err(RowFault::Quotes { reason });
                }
                (_, c) => {
                    self.field.push(c);
                    State::Plain
                }
            };
        }
        if self.state == State::Quoted {
            self.field.push('\n');
            return Ok(false);
        }
        self.end_field();
        Ok(true)
    }

    fn end_field(&mut self) {
        self.fields.push(std::mem::take(&mut self.field));
    }

    fn unclosed(&self) -> RowFault {
        let field = shown(self.field.trim_end());
        RowFault::Quotes {
            reason: format!("the quote before `{field}` is never closed"),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use rand::rngs::ChaCha8Rng;
    use rand::{RngExt, SeedableRng};

    use super::*;

    type Rows = Vec<(usize, Result<Vec<String>, String>)>;

    fn rows(text: &str, separator: char, quotes: bool) -> Rows {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(text.as_bytes()).unwrap();
        let mut records = Records::open(file.path(), separator, quotes).unwrap();
        let mut all = Vec::new();
        while let Some(Record { line, fields }) = records.next().unwrap() {
            all.push((line, fields.map_err(|fault| fault.to_string())));
        }
        all
    }

    fn good(text: &str, separator: char, quotes: bool) -> Vec<(usize, Vec<String>)> {
        let rows = rows(text, separator, quotes).into_iter();
        rows.map(|(line, fields)| (line, fields.unwrap())).collect()
    }

    #[test]
    fn quotes_mean_nothing_in_plain_tsv() {
        let read = good("a\t\"b\tc\"d\r\n\n\t\n", '\t', false);
        let expected = [(1, vec!["a", "\"b", "c\"d"]), (3, vec!["", ""])];
        assert_eq!(read.len(), expected.len());
        for ((line, fields), (expected_line, expected)) in read.into_iter().zip(expected) {
            assert_eq!(
                (line, fields),
                (
                    expected_line,
                    expected.into_iter().map(str::to_owned).collect()
                )
            );
        }
    }

    #[test]
    fn quoted_fields_hold_separators_quotes_and_line_breaks() {
        let read = good(
            "1,\"a, \"\"b\"\"\",\"\"\r\n\n2,\"x\r\ny\n\",5\"\n,\n\"\"\"\"\n",
            ',',
            true,
        );
        let expected: [(usize, &[&str]); 4] = [
            (1, &["1", "a, \"b\"", ""]),
            (3, &["2", "x\ny\n", "5\""]),
            (6, &["", ""]),
            (7, &["\""]),
        ];
        assert_eq!(read.len(), expected.len());
        for ((line, fields), (expected_line, expected)) in read.into_iter().zip(expected) {
            assert_eq!(line, expected_line);
            assert_eq!(fields, expected);
        }
    }

    #[test]
    fn a_stray_quote_costs_its_own_row_only() {
        let read = rows("a,b\n\"open,1\nc,d\n\"x\"y,2\ne,f\n", ',', true);
        let fault = |n: usize| read[n].1.clone().unwrap_err();
        assert_eq!(read.len(), 5);
        // The quote of line 2 ends at that of line 4, where text follows.
        assert!(
            fault(1).contains("text follows the closing quote"),
            "{}",
            fault(1)
        );
        assert!(fault(3).contains("of `x`"), "{}", fault(3));
        for (n, line) in [(0, 1), (2, 3), (4, 5)] {
            assert_eq!((read[n].0, read[n].1.is_ok()), (line, true));
        }
        let read = rows("\"open\nc,d", ',', true);
        assert!(read[0].1.clone().unwrap_err().contains("never closed"));
        assert_eq!(read[1], (2, Ok(vec!["c".to_owned(), "d".to_owned()])));
    }

    #[test]
    fn the_csv_crate_writes_what_is_read_here() {
        let mut random = ChaCha8Rng::seed_from_u64(7);
        let alphabet = ['a', ',', '"', '\n', ' ', '\t', '\u{5b57}', ';'];
        for separator in [',', '\t', ';'] {
            let table: Vec<Vec<String>> = (0..137)
                .map(|_| {
                    let field = |_| {
                        let length = random.random_range(0..7);
                        let characters = (0..length).map(|_| alphabet[random.random_range(0..8)]);
                        characters.collect()
                    };
                    (0..5).map(field).collect()
                })
                .collect();
            let mut writer = csv::WriterBuilder::new()
                .delimiter(separator as u8)
                .from_writer(Vec::new());
            for row in &table {
                writer.write_record(row).unwrap();
            }
            let text = String::from_utf8(writer.into_inner().unwrap()).unwrap();
            let read = good(&text, separator, true).into_iter();
            assert_eq!(read.map(|(_, fields)| fields).collect::<Vec<_>>(), table);
        }
    }
}
