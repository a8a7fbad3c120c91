//! A file of tokenised documents: header, documents, offsets of the documents.

use std::fs::File;
use std::io::{self, BufWriter, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use bert_core::files::{AtomicFile, read_exact_at};

use super::block;
use super::header::{Header, array};
use crate::corpus::TokenizedDocument;
use crate::{Error, Result};

/// A shard in the making, which appears under its name when it is whole.
pub(super) struct ShardWriter {
    path: PathBuf,
    file: BufWriter<AtomicFile>,
    header: Header,
    offsets: Vec<u64>,
    end: u64,
}

impl ShardWriter {
    pub(super) fn create(path: PathBuf, id_bytes: u32) -> Result<Self> {
        let mut file = BufWriter::with_capacity(1 << 20, AtomicFile::create(&path)?);
        // The header is known at the end.
        file.write_all(&[0; Header::BYTES])
            .map_err(|source| bert_core::Error::io("write", &path, source))?;
        Ok(Self {
            path,
            file,
            header: Header {
                id_bytes,
                documents: 0,
                sentences: 0,
                tokens: 0,
                index_offset: 0,
                index_crc: 0,
            },
            offsets: Vec::new(),
            end: Header::BYTES as u64,
        })
    }

    /// Adds a document that is in bytes already.
    pub(super) fn push(&mut self, block: &[u8], sentences: u64, tokens: u64) -> Result<()> {
        self.file
            .write_all(block)
            .map_err(|source| bert_core::Error::io("write", &self.path, source))?;
        self.offsets.push(self.end);
        self.end += block.len() as u64;
        self.header.documents += 1;
        self.header.sentences += sentences;
        self.header.tokens += tokens;
        Ok(())
    }

    /// The length so far, in bytes.
    pub(super) fn bytes(&self) -> u64 {
        self.end
    }

    pub(super) fn finish(mut self) -> Result<Header> {
        self.offsets.push(self.end);
        let index: Vec<u8> = self
            .offsets
            .iter()
            .flat_map(|at| at.to_le_bytes())
            .collect();
        self.header.index_offset = self.end;
        self.header.index_crc = crc32fast::hash(&index);
        let header = self.header;
        let mut write = || {
            self.file.write_all(&index)?;
            self.file.seek(SeekFrom::Start(0))?;
            self.file.write_all(&header.to_bytes())
        };
        let written = write();
        let path = self.path;
        written
            .and_then(|()| {
                self.file
                    .into_inner()
                    .map_err(io::IntoInnerError::into_error)
            })
            .map_err(|source| bert_core::Error::io("write", &path, source))?
            .finish()?;
        Ok(header)
    }
}

/// A shard to read documents from, in any order and from several threads.
#[derive(Debug)]
pub(super) struct Shard {
    path: PathBuf,
    file: File,
    id_bytes: u32,
    /// Start of each document, and the end of the last.
    offsets: Vec<u64>,
}

impl Shard {
    /// Opens a shard and checks that it is whole and the one whose header has this checksum.
    pub(super) fn open(path: &Path, header_crc: u32) -> Result<Self> {
        let cannot_read = |source| bert_core::Error::io("read", path, source);
        let altered = |reason: String| Error::CorpusFile {
            path: path.to_owned(),
            reason,
        };
        let file = File::open(path).map_err(cannot_read)?;
        let found = file.metadata().map_err(cannot_read)?.len();
        if found < Header::BYTES as u64 {
            return Err(altered(format!(
                "it ends after {found} bytes, within its header"
            )));
        }
        let mut bytes = [0; Header::BYTES];
        read_exact_at(&file, &mut bytes, 0).map_err(cannot_read)?;
        let header = Header::from_bytes(&bytes).map_err(altered)?;
        if header.file_bytes() != Some(found) {
            let should = header
                .file_bytes()
                .map_or("other".into(), |bytes| bytes.to_string());
            return Err(altered(format!(
                "it has {found} bytes and should have {should}"
            )));
        }
        if header.crc() != header_crc {
            return Err(altered("it belongs to another corpus".into()));
        }
        // No more than the file has, which was just compared.
        let mut index = vec![0; (found - header.index_offset) as usize];
        read_exact_at(&file, &mut index, header.index_offset).map_err(cannot_read)?;
        if crc32fast::hash(&index) != header.index_crc {
            return Err(altered("the checksum of its index does not match".into()));
        }
        let offsets: Vec<u64> = index
            .chunks_exact(8)
            .map(|offset| u64::from_le_bytes(array(offset)))
            .collect();
        if !offsets.is_sorted() || offsets.last() != Some(&header.index_offset) {
            return Err(altered("its index is not in order".into()));
        }
        Ok(Self {
            path: path.to_owned(),
            file,
            id_bytes: header.id_bytes,
            offsets,
        })
    }

    pub(super) fn len(&self) -> usize {
        self.offsets.len() - 1
    }

    pub(super) fn document(&self, index: usize) -> Result<TokenizedDocument> {
        let (start, end) = (self.offsets[index], self.offsets[index + 1]);
        let mut bytes = vec![0; (end - start) as usize];
        read_exact_at(&self.file, &mut bytes, start)
            .map_err(|source| bert_core::Error::io("read", &self.path, source))?;
        block::parse(&bytes, self.id_bytes).map_err(|reason| Error::CorpusFile {
            path: self.path.clone(),
            reason: format!("document {index}: {reason}"),
        })
    }
}
