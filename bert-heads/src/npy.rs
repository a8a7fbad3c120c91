//! NumPy's array file, written row by row (NEP 1, format version 1.0).

use std::io::{self, Seek, SeekFrom, Write};

/// Bytes of the header, a multiple of 64 with room for any number of rows.
const HEADER_BYTES: usize = 128;

/// Writes a matrix of little-endian f32 whose number of rows is known only at the end.
///
/// The header is filled in by [`finish`](Self::finish); a file without it does not load.
#[derive(Debug)]
pub struct NpyWriter<W> {
    writer: W,
    columns: usize,
    rows: u64,
}

impl<W: Write + Seek> NpyWriter<W> {
    /// Starts a matrix of `columns` columns at the current position of `writer`, which must be its
    /// start.
    ///
    /// # Errors
    ///
    /// Those of the writer.
    pub fn new(mut writer: W, columns: usize) -> io::Result<Self> {
        writer.write_all(&[0; HEADER_BYTES])?;
        Ok(Self {
            writer,
            columns,
            rows: 0,
        })
    }

    /// Appends a row.
    ///
    /// # Errors
    ///
    /// Those of the writer, and [`InvalidInput`](io::ErrorKind::InvalidInput) for a row of another
    /// length than the matrix has columns.
    pub fn row(&mut self, values: &[f32]) -> io::Result<()> {
        if values.len() != self.columns {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                format!(
                    "a row of {} values in a matrix of {} columns",
                    values.len(),
                    self.columns
                ),
            ));
        }
        let bytes: Vec<u8> = values
            .iter()
            .flat_map(|value| value.to_le_bytes())
            .collect();
        self.writer.write_all(&bytes)?;
        self.rows += 1;
        Ok(())
    }

    /// Fills in the header and gives the writer back, flushed and at its end.
    ///
    /// # Errors
    ///
    /// Those of the writer.
    pub fn finish(mut self) -> io::Result<W> {
        self.writer.seek(SeekFrom::Start(0))?;
        self.writer.write_all(&header(self.rows, self.columns))?;
        self.writer.seek(SeekFrom::End(0))?;
        self.writer.flush()?;
        Ok(self.writer)
    }
}

fn header(rows: u64, columns: usize) -> Vec<u8> {
    const PREFIX: &[u8] = b"\x93NUMPY\x01\x00";
    let length = (HEADER_BYTES - PREFIX.len() - 2) as u16;
    let mut bytes = [PREFIX, &length.to_le_bytes()].concat();
    let fields =
        format!("{{'descr': '<f4', 'fortran_order': False, 'shape': ({rows}, {columns}), }}");
    bytes.extend(fields.bytes());
    bytes.resize(HEADER_BYTES - 1, b' ');
    bytes.push(b'\n');
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Cursor;

    #[test]
    fn the_file_is_what_numpy_reads() {
        let mut writer = NpyWriter::new(Cursor::new(Vec::new()), 3).unwrap();
        writer.row(&[1.0, -2.5, 0.0]).unwrap();
        writer.row(&[7.0, 8.0, 9.0]).unwrap();
        assert!(writer.row(&[1.0]).is_err());
        let bytes = writer.finish().unwrap().into_inner();
        assert_eq!(bytes.len(), 128 + 24);
        assert_eq!(&bytes[..10], b"\x93NUMPY\x01\x00\x76\x00");
        let fields = std::str::from_utf8(&bytes[10..128]).unwrap();
        assert!(fields.starts_with("{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }"));
        assert!(fields.ends_with(" \n"));
        assert_eq!(bytes[132..136], (-2.5f32).to_le_bytes());
    }

    #[test]
    fn the_largest_header_fits() {
        assert_eq!(header(u64::MAX, usize::MAX).len(), HEADER_BYTES);
        assert_eq!(header(0, 384).len(), HEADER_BYTES);
    }
}
