//! The examples of a file one after the other, with a policy for bad rows.

use std::fmt::{self, Debug, Formatter};
use std::path::{Path, PathBuf};

use super::bad_rows::{BadRows, ReadReport};
use super::fault::{Place, RowFault};
use crate::error::{Error, Result};

/// Result of reading a row.
pub(super) enum Row<T> {
    Example(T),
    /// A row whose label says that there is none.
    Unlabelled,
    Bad(Place, RowFault),
    /// The file cannot be read any further.
    Failed(Error),
}

/// The examples of a file, read as they are asked for.
///
/// After an error there are no more. A file without a single example ends in
/// [`Error::NoExamples`], whatever the policy for bad rows.
pub struct Examples<T> {
    path: PathBuf,
    rows: Box<dyn Iterator<Item = Row<T>> + Send>,
    bad_rows: BadRows,
    report: ReadReport,
    remarks: Vec<String>,
    ended: bool,
}

impl<T> Examples<T> {
    pub(super) fn new(
        path: &Path,
        bad_rows: BadRows,
        rows: impl Iterator<Item = Row<T>> + Send + 'static,
    ) -> Self {
        Self {
            path: path.to_owned(),
            rows: Box::new(rows),
            bad_rows,
            report: ReadReport::default(),
            remarks: Vec::new(),
            ended: false,
        }
    }

    pub(super) fn with_remarks(mut self, remarks: impl IntoIterator<Item = String>) -> Self {
        self.remarks.extend(remarks);
        self
    }

    /// Decisions of the reader that the owner of the file may see otherwise.
    pub fn remarks(&self) -> &[String] {
        &self.remarks
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Report of the rows read and skipped so far.
    pub fn report(&self) -> &ReadReport {
        &self.report
    }

    /// Everything that is left, and the account of the whole file.
    ///
    /// # Errors
    ///
    /// The first of the iterator.
    pub fn read_all(mut self) -> Result<(Vec<T>, ReadReport)> {
        let examples = self.by_ref().collect::<Result<_>>()?;
        Ok((examples, self.report))
    }

    fn none(&self) -> Error {
        let reason = match (self.report.first.first(), self.report.unlabelled) {
            (Some(bad), _) => format!(
                "all {} row(s) are bad, the first of them {}: {}",
                self.report.skipped_rows(),
                bad.place,
                bad.fault
            ),
            (None, 0) => "it is empty: check the path and how the file was made".to_owned(),
            (None, rows) => format!("none of its {rows} row(s) has a label: choose another file"),
        };
        let path = self.path.clone();
        Error::NoExamples { path, reason }
    }
}

impl<T> Iterator for Examples<T> {
    type Item = Result<T>;

    fn next(&mut self) -> Option<Self::Item> {
        while !self.ended {
            let error = match self.rows.next() {
                Some(Row::Example(example)) => {
                    self.report.examples += 1;
                    return Some(Ok(example));
                }
                Some(Row::Unlabelled) => {
                    self.report.unlabelled += 1;
                    continue;
                }
                Some(Row::Bad(place, fault)) if self.bad_rows == BadRows::Skip => {
                    self.report.skip(place, fault);
                    continue;
                }
                Some(Row::Bad(place, fault)) => Error::BadRow {
                    path: self.path.clone(),
                    place,
                    fault: fault.into(),
                },
                Some(Row::Failed(error)) => error,
                None if self.report.examples > 0 => {
                    self.ended = true;
                    break;
                }
                None => self.none(),
            };
            self.ended = true;
            return Some(Err(error));
        }
        None
    }
}

impl<T> Debug for Examples<T> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.debug_struct("Examples")
            .field("path", &self.path)
            .field("bad_rows", &self.bad_rows)
            .field("report", &self.report)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bad(line: usize) -> Row<usize> {
        Row::Bad(Place::Line(line), RowFault::NotUtf8 { byte: 5 })
    }

    fn examples(bad_rows: BadRows, rows: Vec<Row<usize>>) -> Examples<usize> {
        Examples::new(Path::new("x.tsv"), bad_rows, rows.into_iter())
    }

    #[test]
    fn a_bad_row_fails_or_is_passed_over() {
        let rows = || vec![Row::Example(1), bad(2), Row::Unlabelled, Row::Example(4)];
        let mut failing = examples(BadRows::Fail, rows());
        assert_eq!(failing.next().unwrap().unwrap(), 1);
        let error = failing.next().unwrap().unwrap_err().to_string();
        assert!(
            error.starts_with("x.tsv, line 2: it is not UTF-8"),
            "{error}"
        );
        assert!(failing.next().is_none());

        let (read, report) = examples(BadRows::Skip, rows()).read_all().unwrap();
        assert_eq!(read, [1, 4]);
        assert_eq!((report.examples, report.unlabelled), (2, 1));
        assert_eq!(report.skipped["not UTF-8"], 1);
    }

    #[test]
    fn a_file_without_examples_is_an_error_under_either_policy() {
        for (rows, needle) in [
            (vec![], "it is empty"),
            (
                vec![bad(3), bad(4)],
                "all 2 row(s) are bad, the first of them line 3",
            ),
            (vec![Row::Unlabelled], "none of its 1 row(s)"),
        ] {
            let mut examples = examples(BadRows::Skip, rows);
            let error = examples.next().unwrap().unwrap_err().to_string();
            assert!(error.contains(needle), "{error}");
            assert!(examples.next().is_none());
        }
    }
}
