//! The numbered lines of a file, compressed or not, each readable or with what is wrong with it.

use std::fs::File;
use std::io::{self, BufRead, Cursor, Read};
use std::path::{Path, PathBuf};

use bert_core::files::decompressed;
use bert_core::text_lines::{BYTE_ORDER_MARK, LineEnds, MAX_LINE_BYTES, without_break};

use super::fault::RowFault;
use crate::error::Result;

/// A line without its line break.
pub(super) struct DataLine {
    /// Counted from 1.
    pub(super) number: usize,
    pub(super) text: Result<String, RowFault>,
}

/// The lines of a file. Unlike [`TextLines`](bert_core::text_lines::TextLines) it goes on after a line
/// that cannot be used, and keeps such a line apart from a file that cannot be read any further.
pub(super) struct DataLines {
    path: PathBuf,
    reader: Box<dyn BufRead + Send>,
    read: usize,
    max_bytes: usize,
    ends: LineEnds,
}

impl DataLines {
    pub(super) fn open(path: &Path) -> Result<Self> {
        Ok(Self {
            path: path.to_owned(),
            reader: open(path)?,
            read: 0,
            max_bytes: MAX_LINE_BYTES,
            ends: LineEnds::default(),
        })
    }

    /// The next line; `None` after the last.
    pub(super) fn next(&mut self) -> Result<Option<DataLine>> {
        let mut bytes = Vec::new();
        let read = self.read_bytes(&mut bytes);
        let whole = read.map_err(|source| bert_core::Error::io("read", &self.path, source))?;
        if bytes.is_empty() {
            return Ok(None);
        }
        self.read += 1;
        without_break(&mut bytes);
        let text = match whole && bytes.len() <= self.max_bytes {
            false => Err(RowFault::TooLong {
                limit: self.max_bytes,
            }),
            true => String::from_utf8(bytes).map_err(|error| RowFault::NotUtf8 {
                byte: error.utf8_error().valid_up_to() + 1,
            }),
        };
        Ok(Some(DataLine {
            number: self.read,
            text,
        }))
    }

    /// Reads a line; returns false if it is too long, with its rest skipped.
    fn read_bytes(&mut self, bytes: &mut Vec<u8>) -> io::Result<bool> {
        // Room for the line break, which does not count.
        let limit = self.max_bytes + 2;
        self.ends.read(&mut *self.reader, limit, bytes)?;
        let whole = bytes.len() < limit || self.ends.are_at_end_of(bytes);
        if !whole {
            self.ends.skip(&mut *self.reader)?;
        }
        Ok(whole)
    }
}

/// A file without compression and byte-order mark.
pub(crate) fn open(path: &Path) -> Result<Box<dyn BufRead + Send>> {
    let opened = File::open(path)
        .and_then(decompressed)
        .and_then(without_mark);
    Ok(opened.map_err(|source| bert_core::Error::io("read", path, source))?)
}

fn without_mark(mut reader: Box<dyn BufRead + Send>) -> io::Result<Box<dyn BufRead + Send>> {
    let head = head(&mut reader, BYTE_ORDER_MARK.len())?;
    if head == BYTE_ORDER_MARK {
        return Ok(reader);
    }
    Ok(Box::new(Cursor::new(head).chain(reader)))
}

fn head(reader: &mut impl Read, bytes: usize) -> io::Result<Vec<u8>> {
    let mut head = Vec::new();
    reader.take(bytes as u64).read_to_end(&mut head)?;
    Ok(head)
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn lines(bytes: &[u8]) -> Result<Vec<(usize, Result<String, RowFault>)>> {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(bytes).unwrap();
        let mut lines = DataLines::open(file.path())?;
        lines.max_bytes = 7;
        let mut all = Vec::new();
        while let Some(line) = lines.next()? {
            all.push((line.number, line.text));
        }
        Ok(all)
    }

    fn gzip(text: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), Default::default());
        encoder.write_all(text).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn plain_and_compressed_files_read_alike() {
        let text = "\u{feff}a\r\n\n\u{feff}b \n\r\nlast".as_bytes();
        let expected = ["a", "", "\u{feff}b ", "", "last"];
        for bytes in [
            text.to_vec(),
            gzip(text),
            zstd::encode_all(text, 0).unwrap(),
        ] {
            let read = lines(&bytes).unwrap();
            for ((n, expected), (number, text)) in (1..).zip(expected).zip(read) {
                assert_eq!((number, text.as_deref()), (n, Ok(expected)));
            }
        }
        let members = [gzip(b"one\n"), gzip(b"two")].concat();
        assert_eq!(lines(&members).unwrap()[1], (2, Ok("two".to_owned())));
        assert!(lines(b"").unwrap().is_empty());
        assert_eq!(lines(b"a\n").unwrap().len(), 1);
    }

    #[test]
    fn lines_of_classic_mac_files_are_told_apart() {
        let read = lines(b"a,b\r12345678\rc\r").unwrap();
        let too_long = Err(RowFault::TooLong { limit: 7 });
        let expected = [Ok("a,b".to_owned()), too_long, Ok("c".to_owned())];
        assert_eq!(read, (1..).zip(expected).collect::<Vec<_>>());
    }

    #[test]
    fn reading_goes_on_after_a_line_that_cannot_be_used() {
        let read = lines(b"caf\xe9\n12345678\n1234567\r\n1234567890123\nlast\n").unwrap();
        let too_long = || Err(RowFault::TooLong { limit: 7 });
        let expected = [
            Err(RowFault::NotUtf8 { byte: 4 }),
            too_long(),
            Ok("1234567".to_owned()),
            too_long(),
            Ok("last".to_owned()),
        ];
        assert_eq!(read, (1..).zip(expected).collect::<Vec<_>>());
    }

    #[test]
    fn a_damaged_file_is_no_bad_line() {
        let text: String = (0..1000).map(|n| format!("{n}\n")).collect();
        let whole = gzip(text.as_bytes());
        let error = lines(&whole[..whole.len() / 2]).unwrap_err();
        assert!(error.to_string().starts_with("cannot read "), "{error}");
        assert!(DataLines::open(Path::new("/nonexistent/x.tsv")).is_err());
    }
}
