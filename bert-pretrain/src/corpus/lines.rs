//! The lines of a text file, compressed or not, with what to say when one cannot be read.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, BufRead, Read};
use std::path::PathBuf;

use bert_core::files::decompressed;
use bert_core::text_lines::TextLines;

use super::inputs::Input;
use crate::{Error, Result};

/// Bytes of text by which the layout of a file is detected.
const HEAD_BYTES: usize = 64 << 10;

/// The lines of a file without line breaks and byte-order mark; numbers count from 1.
pub(super) struct FileLines {
    path: PathBuf,
    lines: TextLines<Box<dyn BufRead + Send>>,
    /// Lines taken from the file, replayed ones included.
    read: u64,
    /// Read ahead by [`head`](Self::head).
    ahead: VecDeque<String>,
}

impl FileLines {
    pub(super) fn open(input: &Input) -> Result<Self> {
        let cannot_read = |source| bert_core::Error::io("read", &input.path, source);
        let raw: Box<dyn Read + Send> = match input.is_stdin() {
            true => Box::new(io::stdin()),
            false => Box::new(File::open(&input.path).map_err(cannot_read)?),
        };
        Ok(Self {
            path: input.path.clone(),
            lines: TextLines::new(decompressed(raw).map_err(cannot_read)?),
            read: 0,
            ahead: VecDeque::new(),
        })
    }

    /// The first lines of the file, which [`next`](Self::next) gives again.
    pub(super) fn head(&mut self) -> Result<&VecDeque<String>> {
        let mut bytes = 0;
        while bytes < HEAD_BYTES {
            let Some(line) = self.read()? else { break };
            bytes += line.len() + 1;
            self.ahead.push_back(line);
        }
        Ok(&self.ahead)
    }

    /// The next line; `None` after the last.
    pub(super) fn next(&mut self) -> Result<Option<String>> {
        match self.ahead.pop_front() {
            Some(line) => Ok(Some(line)),
            None => self.read(),
        }
    }

    fn read(&mut self) -> Result<Option<String>> {
        self.read += 1;
        let line = self.lines.next().transpose();
        let mut line = line.map_err(|source| Error::TextLine {
            path: self.path.clone(),
            line: self.read,
            source,
        })?;
        if self.read == 1
            && let Some(first) = &mut line
            && first.starts_with('\u{feff}')
        {
            first.drain(..'\u{feff}'.len_utf8());
        }
        Ok(line)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn open(bytes: &[u8]) -> (tempfile::NamedTempFile, FileLines) {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(bytes).unwrap();
        let input = Input {
            path: file.path().to_owned(),
            name: String::new(),
        };
        let lines = FileLines::open(&input).unwrap();
        (file, lines)
    }

    fn all(bytes: &[u8]) -> Result<Vec<String>> {
        let (_file, mut lines) = open(bytes);
        let head = lines.head()?.len();
        let mut all = Vec::new();
        while let Some(line) = lines.next()? {
            all.push(line);
        }
        assert!(head <= all.len());
        Ok(all)
    }

    fn gzip(text: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), Default::default());
        encoder.write_all(text).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn plain_and_compressed_files_read_alike() {
        let text = "\u{feff}one\r\ntwo\n\n\u{feff}four";
        let expected = ["one", "two", "", "\u{feff}four"];
        let zstd = zstd::encode_all(text.as_bytes(), 0).unwrap();
        for bytes in [text.as_bytes().to_vec(), gzip(text.as_bytes()), zstd] {
            assert_eq!(all(&bytes).unwrap(), expected);
        }
        let members = [gzip(b"one\n"), gzip(b"two")].concat();
        assert_eq!(all(&members).unwrap(), ["one", "two"]);
        assert!(all(b"").unwrap().is_empty());
        assert_eq!(all(b"a\n").unwrap(), ["a"]);
    }

    #[test]
    fn lines_beyond_the_head_follow_it() {
        let text: String = (0..40_000).map(|n| format!("{n}\n")).collect();
        let (_file, mut lines) = open(text.as_bytes());
        let head = lines.head().unwrap().len();
        assert!((1_000..40_000).contains(&head));
        for n in 0..40_000 {
            assert_eq!(lines.next().unwrap(), Some(n.to_string()));
        }
        assert_eq!(lines.next().unwrap(), None);
    }

    #[test]
    fn the_line_that_cannot_be_read_is_named() {
        let error = all(b"one\ntwo\ncaf\xe9\n").unwrap_err();
        let cause = std::error::Error::source(&error).unwrap().to_string();
        assert!(error.to_string().contains("line 3"), "{error}");
        assert!(cause.contains("byte 4"), "{cause}");

        let whole = gzip("text\n".repeat(1000).as_bytes());
        let error = all(&whole[..whole.len() / 2]).unwrap_err();
        assert!(matches!(error, Error::TextLine { .. }), "{error}");
    }
}
