//! How rows and columns are written down.

use std::path::Path;

/// How a file of rows is written.
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
    /// What stands between two fields.
    pub separator: char,
    /// Whether a field may stand in double quotes, with separators and line breaks inside and
    /// quotes doubled (RFC 4180). Otherwise a quote is a character like others.
    pub quotes: bool,
    /// Whether the first line names the columns.
    pub header: bool,
    /// How many fields a row may have; by default as many as the header, else the first row.
    pub fields: Vec<usize>,
}

impl Layout {
    /// Tabs, no quotes, with a header: the files of GLUE.
    pub const fn tsv() -> Self {
        Self::delimited('\t', false)
    }

    /// Tabs and quotes, with a header: what spreadsheets and pandas write.
    pub const fn quoted_tsv() -> Self {
        Self::delimited('\t', true)
    }

    /// Commas and quotes, with a header (RFC 4180).
    pub const fn csv() -> Self {
        Self::delimited(',', true)
    }

    const fn delimited(separator: char, quotes: bool) -> Self {
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
            "tsv" => Some(Self::tsv()),
            "csv" => Some(Self::csv()),
            "jsonl" | "ndjson" | "json" => Some(Self::JsonLines),
            _ => None,
        }
    }

    /// The same without a header: columns have numbers only. Nothing changes for JSON lines.
    #[must_use]
    pub fn without_header(mut self) -> Self {
        if let Self::Delimited(delimited) = &mut self {
            delimited.header = false;
        }
        self
    }

    /// The same with a number of fields that rows must have, or several of which each may have one.
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
            ("a.tsv", Some(Layout::tsv())),
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
