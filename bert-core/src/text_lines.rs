//! Texts from a stream, one a line, with a bound on the memory of each.

use std::io::{self, BufRead, Read as _};

/// A line beyond this many bytes is refused: no model reads as much, and a stream without line
/// breaks would fill the memory.
pub const MAX_LINE_BYTES: usize = 4 << 20;

/// Mark at the front of files that Windows writes; no part of the first text.
pub const BYTE_ORDER_MARK: &[u8] = "\u{feff}".as_bytes();

/// The lines of a stream without their line breaks, `\n` or `\r\n`, or `\r` in files of classic Mac
/// OS, and without a byte-order mark at the front.
///
/// A line that is not UTF-8, or longer than [`MAX_LINE_BYTES`], is an error of kind
/// [`InvalidData`](io::ErrorKind::InvalidData); the error does not name the line, because the
/// reader of the iterator counts them.
#[derive(Debug)]
pub struct TextLines<R> {
    reader: R,
    max_bytes: usize,
    ends: LineEnds,
    is_first: bool,
}

/// Line break of a stream, which its first decides.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LineEnds {
    /// No line break has been seen.
    #[default]
    Unknown,
    /// `\n` or `\r\n`; a `\r` elsewhere is a character of its line.
    Feed,
    /// `\r` as classic Mac OS has it, or any of the others.
    Return,
}

impl LineEnds {
    /// Appends the next line with its line break to `bytes`, which is empty: `limit` bytes at most,
    /// but for a `\n` behind the last.
    ///
    /// # Errors
    /// Those of `reader`.
    pub fn read(
        &mut self,
        reader: &mut (impl BufRead + ?Sized),
        limit: usize,
        bytes: &mut Vec<u8>,
    ) -> io::Result<()> {
        if *self == Self::Feed {
            reader.take(limit as u64).read_until(b'\n', bytes)?;
            return Ok(());
        }
        let end = until_break(reader, limit, bytes)?;
        if end == Some(b'\r') {
            let rest = reader.fill_buf()?;
            if rest.first() == Some(&b'\n') {
                reader.consume(1);
                bytes.push(b'\n');
            } else if *self == Self::Return || !rest.contains(&b'\n') {
                *self = Self::Return;
                return Ok(());
            } else {
                // Other lines end otherwise: this one goes on.
                let left = limit.saturating_sub(bytes.len());
                reader.take(left as u64).read_until(b'\n', bytes)?;
            }
        }
        if *self == Self::Unknown && end.is_some() {
            *self = Self::Feed;
        }
        Ok(())
    }

    /// True if a line that was read ends with a line break.
    pub fn are_at_end_of(self, bytes: &[u8]) -> bool {
        bytes.ends_with(b"\n") || (self == Self::Return && bytes.ends_with(b"\r"))
    }

    /// Passes over the rest of a line.
    ///
    /// # Errors
    /// Those of `reader`.
    pub fn skip(self, reader: &mut (impl BufRead + ?Sized)) -> io::Result<()> {
        const CHUNK: usize = 1 << 16;
        if self != Self::Return {
            reader.skip_until(b'\n')?;
            return Ok(());
        }
        loop {
            let mut passed = Vec::new();
            if until_break(reader, CHUNK, &mut passed)?.is_some() || passed.is_empty() {
                return Ok(());
            }
        }
    }
}

/// Takes the line break off a line.
pub fn without_break(bytes: &mut Vec<u8>) {
    bytes.pop_if(|byte| *byte == b'\n');
    bytes.pop_if(|byte| *byte == b'\r');
}

/// Appends to `bytes` up to the first `\n` or `\r`, which comes back, or to `limit` bytes.
fn until_break(
    reader: &mut (impl BufRead + ?Sized),
    limit: usize,
    bytes: &mut Vec<u8>,
) -> io::Result<Option<u8>> {
    while bytes.len() < limit {
        let chunk = match reader.fill_buf() {
            Ok(chunk) => chunk,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        let chunk = &chunk[..chunk.len().min(limit - bytes.len())];
        let at = chunk.iter().position(|byte| matches!(byte, b'\n' | b'\r'));
        let used = at.map_or(chunk.len(), |at| at + 1);
        let end = at.map(|at| chunk[at]);
        bytes.extend_from_slice(&chunk[..used]);
        reader.consume(used);
        if end.is_some() || used == 0 {
            return Ok(end);
        }
    }
    Ok(None)
}

impl<R: BufRead> TextLines<R> {
    /// The lines of `reader`.
    pub fn new(reader: R) -> Self {
        Self {
            reader,
            max_bytes: MAX_LINE_BYTES,
            ends: LineEnds::default(),
            is_first: true,
        }
    }

    fn read(&mut self) -> io::Result<Option<String>> {
        let mut bytes = Vec::new();
        // Room for the line break, which does not count.
        let mut limit = self.max_bytes + 2;
        if self.is_first {
            limit += BYTE_ORDER_MARK.len();
        }
        self.ends.read(&mut self.reader, limit, &mut bytes)?;
        if bytes.is_empty() {
            return Ok(None);
        }
        if std::mem::take(&mut self.is_first) && bytes.starts_with(BYTE_ORDER_MARK) {
            bytes.drain(..BYTE_ORDER_MARK.len());
        }
        without_break(&mut bytes);
        if bytes.len() > self.max_bytes {
            return Err(invalid(format!(
                "it is longer than {} bytes: split the text",
                self.max_bytes
            )));
        }
        String::from_utf8(bytes).map(Some).map_err(|error| {
            let at = error.utf8_error().valid_up_to() + 1;
            invalid(format!(
                "it is not UTF-8 (byte {at} of the line): convert the text first"
            ))
        })
    }
}

impl<R: BufRead> Iterator for TextLines<R> {
    type Item = io::Result<String>;

    fn next(&mut self) -> Option<Self::Item> {
        self.read().transpose()
    }
}

fn invalid(reason: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, reason)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(bytes: &[u8]) -> Vec<Result<String, String>> {
        let lines = TextLines {
            max_bytes: 7,
            ..TextLines::new(bytes)
        };
        lines.map(|line| line.map_err(|e| e.to_string())).collect()
    }

    #[test]
    fn line_breaks_are_dropped_and_empty_lines_kept() {
        let read: Vec<String> = lines(b"a\r\n\nb \n\r\nlast")
            .into_iter()
            .map(Result::unwrap)
            .collect();
        assert_eq!(read, ["a", "", "b ", "", "last"]);
        assert!(lines(b"").is_empty());
    }

    fn good(bytes: &[u8]) -> Vec<String> {
        lines(bytes).into_iter().map(Result::unwrap).collect()
    }

    #[test]
    fn returns_alone_end_lines_where_no_line_feed_does() {
        assert_eq!(good(b"a\rb\r\rc"), ["a", "b", "", "c"]);
        assert_eq!(good(b"a\r"), ["a"]);
        // A stray one is a character of a file whose lines end otherwise.
        assert_eq!(good(b"a\rb\nc\n"), ["a\rb", "c"]);
        assert_eq!(good(b"a\r\nb\rc\r\n"), ["a", "b\rc"]);
    }

    #[test]
    fn a_byte_order_mark_is_dropped_at_the_front_alone() {
        assert_eq!(good(b"\xef\xbb\xbfabcdefg\nb"), ["abcdefg", "b"]);
        assert_eq!(good(b"a\n\xef\xbb\xbfb"), ["a", "\u{feff}b"]);
        assert_eq!(good(b"\xef\xbb\xbf"), [""]);
    }

    #[test]
    fn a_line_of_exactly_the_limit_passes() {
        assert_eq!(lines(b"1234567\r\nx")[0].as_deref(), Ok("1234567"));
        assert_eq!(lines(b"1234567")[0].as_deref(), Ok("1234567"));
    }

    #[test]
    fn long_lines_and_other_encodings_are_refused() {
        for bytes in [&b"12345678"[..], b"12345678\n", b"123456789\n"] {
            let error = lines(bytes)[0].clone().unwrap_err();
            assert!(error.contains("7 bytes"), "{error}");
        }
        let error = lines(b"caf\xe9\n")[0].clone().unwrap_err();
        assert!(error.contains("byte 4"), "{error}");
    }
}
