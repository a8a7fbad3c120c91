//! Separator of the fields of a table, found in its first rows.

use std::path::Path;

use super::delimited::Records;
use super::layout::{Delimited, Layout};
use crate::error::Result;

/// Spreadsheets of many countries write semicolons, for they have the comma in numbers.
const SEPARATORS: [char; 4] = [',', ';', '\t', '|'];
/// Rows that are looked at.
const ROWS: usize = 50;

impl Layout {
    /// The layout with the separator that the rows of a file have, where they do not have the one
    /// they are said to have: one that gives nearly all rows the fields of the header. A stream, a
    /// file without a header and JSON lines stay as they are.
    ///
    /// # Errors
    ///
    /// [`Error::Core`](crate::Error::Core) for a file that cannot be read.
    pub fn detect_separator(self, path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let Self::Delimited(delimited) = &self else {
            return Ok(self);
        };
        if !delimited.header || !path.is_file() || fits(path, delimited)? {
            return Ok(self);
        }
        for separator in SEPARATORS {
            let other = Delimited {
                separator,
                ..delimited.clone()
            };
            if fits(path, &other)? {
                return Ok(Self::Delimited(other));
            }
        }
        Ok(self)
    }
}

/// True if the header has several fields, and nearly all rows have as many.
fn fits(path: &Path, delimited: &Delimited) -> Result<bool> {
    let mut records = Records::open(path, delimited)?;
    let Some(Ok(header)) = records.next()?.map(|record| record.fields) else {
        return Ok(false);
    };
    if header.len() < 2 {
        return Ok(false);
    }
    let (mut rows, mut fitting) = (0, 0);
    while rows < ROWS
        && let Some(record) = records.next()?
    {
        rows += 1;
        let fields = record.fields.map_or(0, |fields| fields.len());
        fitting += usize::from(fields == header.len());
    }
    Ok(10 * fitting >= 9 * rows)
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn detected(text: &str, layout: Layout) -> char {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(text.as_bytes()).unwrap();
        match layout.detect_separator(file.path()).unwrap() {
            Layout::Delimited(delimited) => delimited.separator,
            Layout::JsonLines => '\0',
        }
    }

    #[test]
    fn the_separator_is_that_of_the_rows() {
        for (text, layout, separator) in [
            ("text,label\na;b,1\n", Layout::csv(), ','),
            ("text;label\nthe cat;1\n\"a, b; c\";0\n", Layout::csv(), ';'),
            ("text;label\r\na, b;1\r\n", Layout::csv(), ';'),
            ("text\tlabel\na, b\t1\n", Layout::csv(), '\t'),
            ("text|label\na|1\n", Layout::any_tsv(), '|'),
            ("text,label\na,1\n", Layout::any_tsv(), ','),
            // One column, whose texts have commas.
            ("text\na, b\nc, d\n", Layout::any_tsv(), '\t'),
            ("text;label\na\nb\n", Layout::csv(), ','),
            // Without names a separator may as well be a part of a text.
            ("a;b\nc;d\n", Layout::csv().without_header(), ','),
            ("{}\n", Layout::JsonLines, '\0'),
        ] {
            assert_eq!(detected(text, layout), separator, "{text}");
        }
    }
}
