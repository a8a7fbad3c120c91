//! Layout of rows and columns.

use std::path::Path;

/// Layout of a file of rows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Layout {
    /// Fields with a separator between them.
    Delimited(Delimited),
    /// One JSON object per line.
    JsonLines,
}

/// Fields with a separator between them; empty lines are skipped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delimited {
    /// Field separator.
    pub separator: char,
    /// Meaning of double quotes around a field.
    pub quotes: Quotes,
    /// True if the first line names the columns.
    pub header: bool,
    /// Numbers of fields that a row may have; by default as many as the header, else the first row.
    pub fields: Vec<usize>,
}

/// Meaning of double quotes around a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Quotes {
    /// Characters like others.
    Literal,
    /// Separators, line breaks and doubled quotes may stand between them (RFC 4180).
    Enclosing,
    /// Enclosing where hardly anything else can be meant: around every field of the first row and so
    /// of the file, around a column throughout the first rows, around a field with doubled quotes and
    /// no others, and where the row has the right number of fields only so. Characters like others
    /// elsewhere.
    AsNeeded,
}

impl Layout {
    /// Tabs, no quotes, with a header: the files of GLUE.
    pub const fn tsv() -> Self {
        Self::delimited('\t', Quotes::Literal)
    }

    /// Tabs and quotes, with a header: what spreadsheets and pandas write.
    pub const fn quoted_tsv() -> Self {
        Self::delimited('\t', Quotes::Enclosing)
    }

    /// Tabs, with a header; quotes as either of the other two has them.
    pub const fn any_tsv() -> Self {
        Self::delimited('\t', Quotes::AsNeeded)
    }

    /// Commas and quotes, with a header (RFC 4180).
    pub const fn csv() -> Self {
        Self::delimited(',', Quotes::Enclosing)
    }

    const fn delimited(separator: char, quotes: Quotes) -> Self {
        Self::Delimited(Delimited {
            separator,
            quotes,
            header: true,
            fields: Vec::new(),
        })
    }

    /// The layout that the name of a file promises: `.tsv`, `.csv`, `.jsonl`, `.ndjson` or `.json`
    /// (JSON lines), before `.gz` or `.zst` if it is compressed.
    pub fn of(path: &Path) -> Option<Self> {
        let mut path = path.to_owned();
        if matches!(extension(&path).as_deref(), Some("gz" | "zst")) {
            path.set_extension("");
        }
        match extension(&path)?.as_str() {
            "tsv" => Some(Self::any_tsv()),
            "csv" => Some(Self::csv()),
            "jsonl" | "ndjson" | "json" => Some(Self::JsonLines),
            _ => None,
        }
    }

    /// Removes the header: columns have numbers only. Nothing changes for JSON lines.
    #[must_use]
    pub fn without_header(mut self) -> Self {
        if let Self::Delimited(delimited) = &mut self {
            delimited.header = false;
        }
        self
    }

    /// Format with another separator. Nothing changes for JSON lines.
    #[must_use]
    pub fn with_separator(mut self, separator: char) -> Self {
        if let Self::Delimited(delimited) = &mut self {
            delimited.separator = separator;
        }
        self
    }

    /// Sets the number of fields that rows must have, or several of which each may have one.
    /// Nothing changes for JSON lines.
    #[must_use]
    pub fn with_fields(mut self, fields: &[usize]) -> Self {
        if let Self::Delimited(delimited) = &mut self {
            delimited.fields = fields.to_vec();
        }
        self
    }
}

fn extension(path: &Path) -> Option<String> {
    Some(path.extension()?.to_str()?.to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_files_tell_their_layout() {
        for (name, layout) in [
            ("a.tsv", Some(Layout::any_tsv())),
            ("a.b/c.CSV", Some(Layout::csv())),
            ("a.csv.gz", Some(Layout::csv())),
            ("a.jsonl.zst", Some(Layout::JsonLines)),
            ("a.json", Some(Layout::JsonLines)),
            ("a.data", None),
            ("tsv", None),
            ("a.gz", None),
        ] {
            assert_eq!(Layout::of(Path::new(name)), layout, "{name}");
        }
    }
}
