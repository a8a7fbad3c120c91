//! Rows of separated fields: CSV with quotes (RFC 4180), and TSV, where quotes mean nothing or as
//! much as in CSV.
//!
//! Written here rather than taken from the `csv` crate, which mends what it reads: a quote that is
//! never closed takes the rest of the file into one field without a word, and the line of a field
//! in another encoding is not told.

use std::collections::VecDeque;
use std::path::Path;

use bert_core::text_lines::MAX_LINE_BYTES;

use super::fault::RowFault;
use super::layout::{Delimited, Quotes};
use super::lines::{DataLine, DataLines};
use super::quoted_row::QuotedRow;
use crate::error::Result;

/// Lines that are looked at to tell the columns in quotes.
const HEAD_LINES: usize = 50;
/// A quote between quotes.
const DOUBLED: &str = "\"\"";
/// Bytes in which the end of a row is looked for whose quotes may be no more than characters.
const MAX_ROW_BYTES: usize = 1 << 16;

/// The rows of a file; empty lines are none.
pub(super) struct Records {
    lines: DataLines,
    separator: char,
    quotes: Quotes,
    /// True if the first row names the columns.
    header: bool,
    /// Columns that stand in quotes throughout, as far as the first rows tell.
    quoted_columns: Vec<bool>,
    /// Fields that a row may have: as given, else those of the first.
    widths: Vec<usize>,
    /// Lines of a row whose quotes turned out broken, except its first: they are read anew.
    again: VecDeque<DataLine>,
    /// The last row whose quotes turned out broken.
    broken: Option<Broken>,
}

/// Row whose quotes stay open over lines without being closed well.
///
/// A row that begins on one of these lines and stays open too has the same end, which need not be
/// looked for again: else a file of such rows takes time by the square of its length.
struct Broken {
    /// Quotes are open at the end of every line before this one.
    until: usize,
    /// Fault of that line; `None` where the quotes are never closed.
    fault: Option<RowFault>,
}

/// Fields of a row, or its fault.
type Fields = Result<Vec<String>, RowFault>;

/// The fields of a row, and the line it begins on.
pub(super) struct Record {
    pub(super) line: usize,
    pub(super) fields: Result<Vec<String>, RowFault>,
}

impl Records {
    pub(super) fn open(path: &Path, delimited: &Delimited) -> Result<Self> {
        let mut records = Self {
            lines: DataLines::open(path)?,
            quoted_columns: Vec::new(),
            separator: delimited.separator,
            quotes: delimited.quotes,
            header: delimited.header,
            widths: delimited.fields.clone(),
            again: VecDeque::new(),
            broken: None,
        };
        if records.quotes == Quotes::AsNeeded {
            records.look_ahead()?;
        }
        Ok(records)
    }

    /// Finds the columns that stand in quotes in each of the first rows.
    fn look_ahead(&mut self) -> Result<()> {
        while self.again.len() < HEAD_LINES {
            let Some(line) = self.lines.next()? else {
                break;
            };
            self.again.push_back(line);
        }
        let lines = self.again.iter().filter_map(|line| line.text.as_ref().ok());
        let rows = lines.filter(|text| !text.is_empty());
        for row in rows.skip(usize::from(self.header)) {
            let fields = row.split(self.separator);
            let are_quoted: Vec<bool> = fields.map(|field| enclosed(field).is_some()).collect();
            match self.quoted_columns.is_empty() {
                true => self.quoted_columns = are_quoted,
                false => {
                    let known = self.quoted_columns.iter_mut();
                    known
                        .zip(are_quoted)
                        .for_each(|(known, is_quoted)| *known &= is_quoted);
                }
            }
        }
        Ok(())
    }

    /// The next row; `None` after the last.
    pub(super) fn next(&mut self) -> Result<Option<Record>> {
        loop {
            let Some(DataLine { number, text }) = self.line()? else {
                return Ok(None);
            };
            let fields = match text {
                Ok(text) if text.is_empty() => continue,
                Ok(text) if number == 1 && self.is_declaration(&text) => continue,
                Ok(text) => match self.quotes {
                    Quotes::Literal => Ok(self.literal(&text)),
                    Quotes::Enclosing => self.quoted(number, text)?,
                    Quotes::AsNeeded => self.as_needed(number, text)?,
                },
                Err(fault) => Err(fault),
            };
            if let Ok(fields) = &fields
                && self.widths.is_empty()
            {
                self.widths.push(fields.len());
            }
            return Ok(Some(Record {
                line: number,
                fields,
            }));
        }
    }

    /// True if the line is `sep=;`, with which spreadsheets say what separates the fields.
    fn is_declaration(&mut self, line: &str) -> bool {
        let mut stated = line.strip_prefix("sep=").into_iter().flat_map(str::chars);
        match (self.quotes, stated.next(), stated.next()) {
            (Quotes::Enclosing | Quotes::AsNeeded, Some(separator), None) => {
                self.separator = separator;
                true
            }
            _ => false,
        }
    }

    fn literal(&self, text: &str) -> Vec<String> {
        text.split(self.separator).map(str::to_owned).collect()
    }

    /// The row that begins with `first`, whose quotes may mean something or nothing.
    fn as_needed(&mut self, number: usize, first: String) -> Result<Result<Vec<String>, RowFault>> {
        let mut fields = self.literal(&first);
        // One field without a name for it may be a text that begins and ends with what is said.
        let is_telling = self.header || fields.len() > 1;
        if self.widths.is_empty() && is_telling && fields.iter().all(|f| enclosed(f).is_some()) {
            self.quotes = Quotes::Enclosing;
            return self.quoted(number, first);
        }
        if !self.fits(&fields) && fields.iter().any(|field| field.starts_with('"')) {
            let most = self.widths.iter().max().copied().unwrap_or(usize::MAX);
            let (quoted, further) = self.look_for_end(number, &first, MAX_ROW_BYTES, most)?;
            match quoted {
                Ok(quoted) if self.fits(&quoted) => return Ok(Ok(quoted)),
                _ => self.unread(further),
            }
            return Ok(Ok(fields));
        }
        for (index, field) in fields.iter_mut().enumerate() {
            let always = self.quoted_columns.get(index) == Some(&true);
            if let Some(inner) = enclosed(field)
                && (always || inner.contains(DOUBLED))
            {
                *field = inner.replace(DOUBLED, "\"");
            }
        }
        Ok(Ok(fields))
    }

    fn fits(&self, fields: &[String]) -> bool {
        self.widths.is_empty() || self.widths.contains(&fields.len())
    }

    fn line(&mut self) -> Result<Option<DataLine>> {
        match self.again.pop_front() {
            Some(line) => Ok(Some(line)),
            None => self.lines.next(),
        }
    }

    /// The row that begins with `first` and ends where its quotes are closed.
    fn quoted(&mut self, number: usize, first: String) -> Result<Fields> {
        let (row, further) = self.look_for_end(number, &first, MAX_LINE_BYTES, usize::MAX)?;
        if row.is_err() {
            // One stray quote is to cost its own row and no other.
            self.unread(further);
        }
        Ok(row)
    }

    /// The row up to where its quotes are closed, at most `limit` bytes further and with at most `most` fields, and
    /// its lines after the first, whose number is given.
    fn look_for_end(
        &mut self,
        number: usize,
        first: &str,
        limit: usize,
        most: usize,
    ) -> Result<(Fields, VecDeque<DataLine>)> {
        let mut row = QuotedRow::new(self.separator);
        let mut further = VecDeque::new();
        let mut complete = row.line(first);
        if let (Ok(false), Some(broken)) = (&complete, &self.broken)
            && number < broken.until
        {
            let fault = broken.fault.clone().unwrap_or_else(|| row.unclosed());
            return Ok((Err(fault), further));
        }
        let mut bytes = first.len();
        // A row from here on is open for half the limit, if this one is open at the limit.
        let mut half = number;
        while let Ok(false) = complete {
            if row.ended_fields() >= most {
                return Ok((Err(row.unclosed()), further));
            }
            let Some(line) = self.line()? else {
                self.broken = Some(Broken {
                    until: usize::MAX,
                    fault: None,
                });
                complete = Err(row.unclosed());
                break;
            };
            complete = match &line.text {
                Ok(text) => {
                    bytes += text.len();
                    row.line(text)
                }
                Err(fault) => Err(fault.clone()),
            };
            if bytes <= limit / 2 {
                half = line.number;
            }
            if bytes > limit {
                self.broken = Some(Broken {
                    until: half,
                    fault: None,
                });
                complete = Err(row.unclosed());
            } else if let Err(fault) = &complete {
                self.broken = Some(Broken {
                    until: line.number,
                    fault: Some(fault.clone()),
                });
            }
            further.push_back(line);
        }
        Ok((complete.map(|_| row.into_fields()), further))
    }

    fn unread(&mut self, mut lines: VecDeque<DataLine>) {
        while let Some(line) = lines.pop_back() {
            self.again.push_front(line);
        }
    }
}

/// Text between the quotes of a field, if none is within unless doubled.
fn enclosed(field: &str) -> Option<&str> {
    let inner = field.strip_prefix('"')?.strip_suffix('"')?;
    (!inner.replace(DOUBLED, "").contains('"')).then_some(inner)
}

/// True if a field that is written as it is would be read otherwise by [`Quotes::AsNeeded`].
pub(super) fn is_ambiguous(field: &str) -> bool {
    enclosed(field).is_some_and(|inner| inner.contains(DOUBLED))
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use rand::rngs::ChaCha8Rng;
    use rand::{RngExt, SeedableRng};

    use super::*;

    type Rows = Vec<(usize, Result<Vec<String>, String>)>;

    fn rows(text: &str, separator: char, quotes: Quotes) -> Rows {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(text.as_bytes()).unwrap();
        let layout = Delimited {
            separator,
            quotes,
            header: true,
            fields: Vec::new(),
        };
        let mut records = Records::open(file.path(), &layout).unwrap();
        let mut all = Vec::new();
        while let Some(Record { line, fields }) = records.next().unwrap() {
            all.push((line, fields.map_err(|fault| fault.to_string())));
        }
        all
    }

    fn good(text: &str, separator: char, quotes: Quotes) -> Vec<(usize, Vec<String>)> {
        let rows = rows(text, separator, quotes).into_iter();
        rows.map(|(line, fields)| (line, fields.unwrap())).collect()
    }

    #[test]
    fn quotes_mean_nothing_in_plain_tsv() {
        let read = good("a\t\"b\tc\"d\r\n\n\t\n", '\t', Quotes::Literal);
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
    fn quotes_of_a_tsv_mean_what_alone_they_can_mean() {
        let fields = |text: &str| -> Vec<Vec<String>> {
            let read = good(text, '\t', Quotes::AsNeeded).into_iter();
            read.map(|(_, fields)| fields).collect()
        };
        for (text, expected) in [
            // What pandas writes: quotes where a field needs them.
            ("a\tb\n\"x \"\"y\"\"\"\t1\n", [["a", "b"], ["x \"y\"", "1"]]),
            ("a\tb\n\"x\ty\"\t1\n", [["a", "b"], ["x\ty", "1"]]),
            ("a\tb\n\"x\ny\"\t1\n", [["a", "b"], ["x\ny", "1"]]),
            // Quotes everywhere.
            ("\"a\"\t\"b\"\n\"x\"\t\"1\"\n", [["a", "b"], ["x", "1"]]),
            // The words of a text.
            ("a\tb\n\"x\" y\t\"z\n", [["a", "b"], ["\"x\" y", "\"z"]]),
            ("a\tb\nx\"\"y\t\"\n", [["a", "b"], ["x\"\"y", "\""]]),
        ] {
            assert_eq!(fields(text), expected, "{text:?}");
        }
        // In quotes in every row, or in some.
        let read = fields("a\tb\n\"x\"\t1\n\"y \"\"z\"\"\"\t\"2\"\n");
        assert_eq!(read[1..], [["x", "1"], ["y \"z\"", "\"2\""]]);
        let read = fields("a\tb\n\"x\"\t1\ny\t2\n");
        assert_eq!(read[1..], [["\"x\"", "1"], ["y", "2"]]);
        // A row with too few fields takes no other with it.
        let read = fields("a\tb\n\"x\ny\t\"z\n");
        assert_eq!(read, [vec!["a", "b"], vec!["\"x"], vec!["y", "\"z"]]);
    }

    #[test]
    fn quoted_fields_hold_separators_quotes_and_line_breaks() {
        let read = good(
            "1,\"a, \"\"b\"\"\",\"\"\r\n\n2,\"x\r\ny\n\",5\"\n,\n\"\"\"\"\n",
            ',',
            Quotes::Enclosing,
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
    fn the_separator_may_be_stated_above_the_header() {
        let read = good("sep=;\r\na;b\r\n1;2\r\n", ',', Quotes::Enclosing);
        let expected = [(2, vec!["a", "b"]), (3, vec!["1", "2"])];
        for ((line, fields), (expected_line, expected)) in read.iter().zip(&expected) {
            assert_eq!(
                (line, fields),
                (
                    expected_line,
                    &expected.iter().map(|&f| f.to_owned()).collect()
                )
            );
        }
        assert_eq!(read.len(), 2);
        assert_eq!(good("sep=;\n", '\t', Quotes::Literal).len(), 1);
    }

    #[test]
    fn a_stray_quote_costs_its_own_row_only() {
        let read = rows(
            "a,b\n\"open,1\nc,d\n\"x\"y,2\ne,f\n",
            ',',
            Quotes::Enclosing,
        );
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
        let read = rows("\"open\nc,d", ',', Quotes::Enclosing);
        assert!(read[0].1.clone().unwrap_err().contains("never closed"));
        assert_eq!(read[1], (2, Ok(vec!["c".to_owned(), "d".to_owned()])));
    }

    #[test]
    fn rows_are_the_same_whether_or_not_broken_quotes_are_remembered() {
        let mut random = ChaCha8Rng::seed_from_u64(11);
        let alphabet = ['a', ',', '"', '\n', '"', ','];
        for round in 0..3000 {
            let text: String = (0..random.random_range(0..60))
                .map(|_| alphabet[random.random_range(0..6)])
                .collect();
            let mut file = tempfile::NamedTempFile::new().unwrap();
            file.write_all(text.as_bytes()).unwrap();
            let layout = Delimited {
                separator: ',',
                quotes: [Quotes::Enclosing, Quotes::AsNeeded][round % 2],
                header: true,
                fields: vec![2],
            };
            let read = |forgets: bool| {
                let mut records = Records::open(file.path(), &layout).unwrap();
                let mut rows = Vec::new();
                while let Some(Record { line, fields }) = records.next().unwrap() {
                    rows.push((line, fields.ok()));
                    if forgets {
                        records.broken = None;
                    }
                }
                rows
            };
            assert_eq!(read(false), read(true), "{text:?}");
        }
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
            let read = good(&text, separator, Quotes::Enclosing).into_iter();
            assert_eq!(read.map(|(_, fields)| fields).collect::<Vec<_>>(), table);
        }
    }
}
