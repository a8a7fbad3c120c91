//! Texts from a stream, one a line, with a bound on the memory of each.

use std::io::{self, BufRead, Read};

/// A line beyond this many bytes is refused: no model reads as much, and a stream without line
/// breaks would fill the memory.
pub const MAX_LINE_BYTES: usize = 4 << 20;

/// The lines of a stream without their line breaks, `\n` or `\r\n`.
///
/// A line that is not UTF-8, or longer than [`MAX_LINE_BYTES`], is an error of kind
/// [`InvalidData`](io::ErrorKind::InvalidData); the error does not name the line, because the
/// reader of the iterator counts them.
#[derive(Debug)]
pub struct TextLines<R> {
    reader: R,
    max_bytes: usize,
}

impl<R: BufRead> TextLines<R> {
    /// The lines of `reader`.
    pub fn new(reader: R) -> Self {
        Self {
            reader,
            max_bytes: MAX_LINE_BYTES,
        }
    }

    fn read(&mut self) -> io::Result<Option<String>> {
        let mut bytes = Vec::new();
        // Room for the line break, which does not count.
        let limit = self.max_bytes as u64 + 2;
        self.reader
            .by_ref()
            .take(limit)
            .read_until(b'\n', &mut bytes)?;
        if bytes.is_empty() {
            return Ok(None);
        }
        if bytes.pop_if(|byte| *byte == b'\n').is_some() {
            bytes.pop_if(|byte| *byte == b'\r');
        }
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
            reader: bytes,
            max_bytes: 7,
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
