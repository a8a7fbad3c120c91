//! Rows whose texts may be replaced while everything else stays as it is.

use std::path::Path;

use serde_json::Value;

use super::bad_rows::BadRows;
use super::cells::{Cells, Key};
use super::delimited::is_ambiguous;
use super::examples::{Examples, Row};
use super::fault::{Place, RowFault};
use super::layout::{Delimited, Layout, Quotes};
use super::table::{Table, TableRow};
use super::text::{TextFormat, text_keys};
use crate::error::Result;

/// A file of texts that is read row by row, and how its rows are written again.
pub struct Rewriting {
    /// The rows.
    pub rows: Examples<RewritableRow>,
    /// The line with the names of the columns, without its line break; none where the file has none.
    pub header: Option<String>,
}

/// A row of any columns, and the texts in it.
#[derive(Clone, Debug)]
pub struct RewritableRow {
    /// The text, or the first of two.
    pub text: String,
    /// The second text.
    pub pair: Option<String>,
    /// Line of the file on which it begins, counted from 1.
    pub line: usize,
    cells: Cells,
    layout: Layout,
    keys: (Key, Option<Key>),
}

/// Reads the texts of a file with the rows around them, in constant memory; targets are not looked
/// at.
///
/// # Errors
///
/// Those of [`read_texts`](super::read_texts).
pub fn read_rewritable(
    path: impl AsRef<Path>,
    format: &TextFormat,
    bad_rows: BadRows,
) -> Result<Rewriting> {
    let path = path.as_ref();
    let mut table = Table::open(path, &format.layout)?;
    let keys = text_keys(path, &table, format)?;
    let layout = format.layout.clone();
    let header = match (&layout, table.names()) {
        (Layout::Delimited(delimited), Some(names)) if delimited.header => {
            Some(join(delimited, names))
        }
        _ => None,
    };
    let rows = std::iter::from_fn(move || match table.next() {
        Err(error) => Some(Row::Failed(error)),
        Ok(next) => next.map(|TableRow { line, cells }| {
            match cells.and_then(|cells| row(line, cells, &layout, &keys)) {
                Ok(row) => Row::Example(row),
                Err(fault) => Row::Bad(Place::Line(line), fault),
            }
        }),
    });
    Ok(Rewriting {
        rows: Examples::new(path, bad_rows, rows),
        header,
    })
}

fn row(
    line: usize,
    cells: Cells,
    layout: &Layout,
    keys: &(Key, Option<Key>),
) -> Result<RewritableRow, RowFault> {
    // Reading a value takes it.
    let (text, pair) = cells.clone().texts(&keys.0, keys.1.as_ref())?;
    Ok(RewritableRow {
        text,
        pair,
        line,
        cells,
        layout: layout.clone(),
        keys: keys.clone(),
    })
}

impl RewritableRow {
    /// The row as it stands in the file, but for spelling that means nothing: quotes around a field
    /// that needs none, spaces between the members of a JSON object. Without a line break at its end.
    pub fn to_line(&self) -> String {
        self.with_texts(&self.text, self.pair.as_deref())
    }

    /// The line of the row with other texts; a second text that the row does not have is left out.
    pub fn with_texts(&self, text: &str, pair: Option<&str>) -> String {
        let mut cells = self.cells.clone();
        cells.set(&self.keys.0, text);
        if let (Some(key), Some(pair)) = (&self.keys.1, pair) {
            cells.set(key, pair);
        }
        match (cells, &self.layout) {
            (Cells::Fields(fields), Layout::Delimited(delimited)) => join(delimited, &fields),
            (Cells::Fields(fields), Layout::JsonLines) => Value::from(fields).to_string(),
            (Cells::Object(object), _) => Value::Object(object).to_string(),
        }
    }
}

/// The line of some fields, in quotes where they need it and the layout has them.
fn join(layout: &Delimited, fields: &[String]) -> String {
    let separator = layout.separator;
    let breaks = |c: char| c == separator || matches!(c, '\n' | '\r');
    let needs_quotes = |field: &str| match layout.quotes {
        Quotes::Literal => false,
        Quotes::Enclosing => field.contains(breaks) || field.contains('"'),
        Quotes::AsNeeded => field.contains(breaks) || is_ambiguous(field),
    };
    let written: Vec<String> = fields
        .iter()
        .map(|field| match needs_quotes(field) {
            true => format!("\"{}\"", field.replace('"', "\"\"")),
            false => field.clone(),
        })
        .collect();
    written.join(separator.to_string().as_str())
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn rewriting(text: &str, layout: Layout) -> (Option<String>, Vec<RewritableRow>) {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(text.as_bytes()).unwrap();
        let format = TextFormat::new(layout);
        let found = read_rewritable(file.path(), &format, BadRows::Fail).unwrap();
        (found.header, found.rows.read_all().unwrap().0)
    }

    #[test]
    fn rows_come_back_as_they_are_in_every_layout() {
        for (text, layout) in [
            ("id\ttext\tlabel\n7\ta \"b\"\t1\n8\tc\t\n", Layout::tsv()),
            ("id\ttext\n1\t\"x\" y\n2\t\"z\"\n", Layout::any_tsv()),
            ("id\ttext\n1\tx \"\"y\"\"\n2\t\"x\ty\"\n", Layout::any_tsv()),
            ("label,text\n\" x\"\"y\",\"a, b\"\n0,c\n", Layout::csv()),
            (
                "{\"n\":1.50,\"text\":\"a\",\"label\":[1,null]}\n",
                Layout::JsonLines,
            ),
        ] {
            let (header, rows) = rewriting(text, layout);
            let mut lines: Vec<String> = header.into_iter().collect();
            lines.extend(rows.iter().map(RewritableRow::to_line));
            let expected = text.replace("1.50", "1.5");
            assert_eq!(lines, expected.lines().collect::<Vec<_>>());
        }
    }

    #[test]
    fn texts_are_replaced_and_nothing_else() {
        let (_, rows) = rewriting("sentence1,sentence2,label\na,b,\"x,y\"\n", Layout::csv());
        assert_eq!(
            (rows[0].text.as_str(), rows[0].pair.as_deref()),
            ("a", Some("b"))
        );
        assert_eq!(rows[0].line, 2);
        assert_eq!(rows[0].with_texts("c, d", Some("e")), "\"c, d\",e,\"x,y\"");
        let (_, rows) = rewriting("{\"label\":\"x\",\"text\":\"a\"}\n", Layout::JsonLines);
        assert_eq!(
            rows[0].with_texts("\"q\"", None),
            "{\"label\":\"x\",\"text\":\"\\\"q\\\"\"}"
        );
    }
}
