//! Policy for rows that cannot be used, and the report of the skipped ones.

use std::collections::BTreeMap;
use std::fmt::{self, Display, Formatter};

use super::fault::{Place, RowFault};

/// Bad rows that a report shows in full.
const SHOWN: usize = 5;

/// Policy for rows that cannot be used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum BadRows {
    /// The first one is an error that names it.
    #[default]
    Fail,
    /// They are passed over, counted by reason, and the first few kept for the report.
    Skip,
}

/// A row that was passed over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadRow {
    /// Place of the row.
    pub place: Place,
    /// Fault of the row.
    pub fault: RowFault,
}

/// An account of a file as far as it was read.
///
/// Displayed, it is one line per kind of fault and per row shown; empty if nothing was left out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReadReport {
    /// Examples given out.
    pub examples: usize,
    /// Rows left out because their label says that there is none, as `-` of SNLI and OCNLI does.
    pub unlabelled: usize,
    /// Bad rows passed over, by [`RowFault::kind`].
    pub skipped: BTreeMap<&'static str, usize>,
    /// The first few of them.
    pub first: Vec<BadRow>,
}

impl ReadReport {
    /// Number of bad rows that were skipped.
    pub fn skipped_rows(&self) -> usize {
        self.skipped.values().sum()
    }

    /// Examples, unlabelled and bad rows together: all that the file holds.
    pub fn rows(&self) -> usize {
        self.examples + self.unlabelled + self.skipped_rows()
    }

    pub(super) fn skip(&mut self, place: Place, fault: RowFault) {
        *self.skipped.entry(fault.kind()).or_default() += 1;
        if self.first.len() < SHOWN {
            self.first.push(BadRow { place, fault });
        }
    }
}

impl Display for ReadReport {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let mut lines = Vec::new();
        if self.unlabelled > 0 {
            lines.push(format!(
                "{} row(s) without a label left out",
                self.unlabelled
            ));
        }
        let skipped = self.skipped_rows();
        if skipped > 0 {
            let reasons: Vec<String> = self
                .skipped
                .iter()
                .map(|(kind, count)| format!("{count} {kind}"))
                .collect();
            let (rows, reasons) = (self.rows(), reasons.join(", "));
            lines.push(format!("{skipped} of {rows} row(s) skipped: {reasons}"));
            for BadRow { place, fault } in &self.first {
                lines.push(format!("  {place}: {fault}"));
            }
            if skipped > self.first.len() {
                lines.push(format!("  and {} more", skipped - self.first.len()));
            }
        }
        f.write_str(&lines.join("\n"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_counts_by_reason_and_shows_the_first() {
        let mut report = ReadReport {
            examples: 13,
            unlabelled: 2,
            ..ReadReport::default()
        };
        assert_eq!(report.to_string(), "2 row(s) without a label left out");
        for line in 1..=7 {
            let fault = match line % 3 {
                0 => RowFault::NotUtf8 { byte: line },
                _ => RowFault::TagCount {
                    words: line,
                    tags: 0,
                },
            };
            report.skip(Place::Line(line), fault);
        }
        assert_eq!((report.skipped_rows(), report.rows()), (7, 22));
        let text = report.to_string();
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(
            lines[1],
            "7 of 22 row(s) skipped: 2 not UTF-8, 5 words and tags of different count"
        );
        assert!(
            lines[4].starts_with("  line 3: it is not UTF-8 (byte 3"),
            "{text}"
        );
        assert_eq!((lines.len(), lines[7]), (8, "  and 2 more"));
        assert_eq!(ReadReport::default().to_string(), "");
    }
}
