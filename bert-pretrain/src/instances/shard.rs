//! Files of instances that are checked as they are read.
//!
//! Numbers are little-endian. A shard is: the magic bytes, the format version (4 bytes), the length of
//! the header (4), the header as JSON, the CRC-32 of all that (4); then the records, each followed by
//! the CRC-32 of its number and its bytes; then the index, 8 bytes per record and 8 for the end, where
//! each record begins behind the header. That makes any record two reads away, and no change to a file
//! goes unnoticed.

use std::fs::File;
use std::io::{self, BufReader, BufWriter, Read, Seek, Write};
use std::path::{Path, PathBuf};

use bert_core::Error as CoreError;
use bert_core::files::{AtomicFile, read_exact_at};
use serde::{Deserialize, Serialize};

use super::record::RecordFormat;
use super::{Instance, InstanceStatistics, PrepareOptions, VocabularyIdentity};
use crate::Result;

const MAGIC: [u8; 8] = *b"BERTINST";
/// Changes with anything that an older reader would misread.
pub(super) const VERSION: u32 = 1;
/// Magic, version and header length.
const FRONT_BYTES: usize = 16;
const CRC_BYTES: usize = 4;
const INDEX_BYTES: u64 = 8;
/// More than the largest header; a length above it is damage.
const MAX_HEADER_BYTES: u32 = 64 << 20;
const FORMAT: &str = "prepared instances";

/// Header of a shard.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Header {
    /// Which shard it is, from 0.
    pub(super) shard: usize,
    /// Documents that the whole set was made of.
    pub(super) documents: u64,
    /// Records in this shard.
    pub(super) records: u64,
    /// Bytes of records and their checksums.
    pub(super) data_bytes: u64,
    pub(super) options: PrepareOptions,
    pub(super) vocabulary: VocabularyIdentity,
    /// Statistics of this shard.
    pub(super) statistics: InstanceStatistics,
}

/// Bytes of records and checksums, for the header.
pub(super) fn data_bytes(records: u64, record_bytes: u64) -> u64 {
    record_bytes + records * CRC_BYTES as u64
}

/// A shard in the making.
pub(super) struct ShardWriter {
    file: BufWriter<AtomicFile>,
    /// Set aside until the records are complete.
    index: BufWriter<File>,
    path: PathBuf,
    records: u64,
    offset: u64,
    header_crc32: u32,
}

impl ShardWriter {
    pub(super) fn create(path: &Path, header: &Header) -> Result<Self> {
        let json = serde_json::to_vec(header).expect("plain JSON values");
        let mut front = Vec::with_capacity(FRONT_BYTES + json.len() + CRC_BYTES);
        front.extend(MAGIC);
        front.extend(VERSION.to_le_bytes());
        front.extend((json.len() as u32).to_le_bytes());
        front.extend(json);
        let header_crc32 = crc32fast::hash(&front);
        front.extend(header_crc32.to_le_bytes());

        let dir = path.parent().unwrap_or(Path::new("."));
        let index =
            tempfile::tempfile_in(dir).map_err(|source| CoreError::io("create", path, source))?;
        let mut writer = Self {
            file: BufWriter::with_capacity(1 << 18, AtomicFile::create(path)?),
            index: BufWriter::with_capacity(1 << 16, index),
            path: path.to_owned(),
            records: 0,
            offset: 0,
            header_crc32,
        };
        let written = writer.file.write_all(&front);
        writer.written(written)?;
        Ok(writer)
    }

    pub(super) fn push(&mut self, record: &[u8]) -> Result<()> {
        let crc = record_crc32(self.records, record).to_le_bytes();
        let written = self.index.write_all(&self.offset.to_le_bytes());
        let written = written.and_then(|()| self.file.write_all(record));
        let written = written.and_then(|()| self.file.write_all(&crc));
        self.records += 1;
        self.offset += (record.len() + CRC_BYTES) as u64;
        self.written(written)
    }

    /// Puts the index behind the records and the file in its place; gives the header's checksum.
    pub(super) fn finish(mut self) -> Result<u32> {
        let done = self.append_index();
        self.written(done)?;
        let file = self
            .file
            .into_inner()
            .map_err(io::IntoInnerError::into_error);
        let file = file.map_err(|source| CoreError::io("write", &self.path, source))?;
        file.finish()?;
        Ok(self.header_crc32)
    }

    fn append_index(&mut self) -> io::Result<()> {
        self.index.write_all(&self.offset.to_le_bytes())?;
        self.index.flush()?;
        let index = self.index.get_mut();
        index.rewind()?;
        io::copy(index, &mut self.file)?;
        Ok(())
    }

    fn written(&self, result: io::Result<()>) -> Result<()> {
        result.map_err(|source| CoreError::io("write", &self.path, source).into())
    }
}

fn record_crc32(number: u64, record: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&number.to_le_bytes());
    hasher.update(record);
    hasher.finalize()
}

/// A shard whose header and length have been checked.
#[derive(Debug)]
pub(super) struct Shard {
    path: PathBuf,
    file: File,
    pub(super) header: Header,
    pub(super) header_crc32: u32,
    format: RecordFormat,
    data_start: u64,
    index_start: u64,
}

impl Shard {
    pub(super) fn open(path: &Path) -> Result<Self> {
        let cannot_read = |source| CoreError::io("read", path, source);
        let mut file = File::open(path).map_err(cannot_read)?;
        let length = file.metadata().map_err(cannot_read)?.len();
        let cut = |source: io::Error| match source.kind() {
            io::ErrorKind::UnexpectedEof => malformed(path, "it ends within its header"),
            _ => cannot_read(source),
        };

        let mut front = [0; FRONT_BYTES];
        file.read_exact(&mut front).map_err(cut)?;
        let word = |at: usize| {
            u32::from_le_bytes([front[at], front[at + 1], front[at + 2], front[at + 3]])
        };
        if !front.starts_with(&MAGIC) {
            return Err(malformed(path, "it does not begin as such a file does").into());
        }
        if word(8) != VERSION {
            let reason = format!(
                "its format version is {}, and this build reads {VERSION}: prepare the instances again with this build",
                word(8)
            );
            return Err(CoreError::malformed(path, FORMAT, reason).into());
        }
        let header_length = word(12);
        if header_length > MAX_HEADER_BYTES {
            return Err(malformed(path, "its header is damaged").into());
        }
        let mut json = vec![0; header_length as usize];
        file.read_exact(&mut json).map_err(cut)?;
        let mut crc = [0; CRC_BYTES];
        file.read_exact(&mut crc).map_err(cut)?;
        let mut hasher = crc32fast::Hasher::new();
        hasher.update(&front);
        hasher.update(&json);
        let header_crc32 = hasher.finalize();
        if header_crc32 != u32::from_le_bytes(crc) {
            return Err(malformed(path, "its header is damaged: the checksum differs").into());
        }
        let header: Header = serde_json::from_slice(&json)
            .map_err(|error| malformed(path, &format!("its header cannot be read: {error}")))?;

        let data_start = (FRONT_BYTES + json.len() + CRC_BYTES) as u64;
        let index_start = data_start.checked_add(header.data_bytes);
        let end = header
            .records
            .checked_add(1)
            .and_then(|entries| entries.checked_mul(INDEX_BYTES))
            .and_then(|index| index.checked_add(index_start?));
        let Some((index_start, end)) = index_start.zip(end) else {
            return Err(malformed(path, "its header is damaged").into());
        };
        if length != end {
            let reason = format!("it has {length} bytes instead of {end}");
            return Err(malformed(path, &reason).into());
        }
        Ok(Self {
            path: path.to_owned(),
            file,
            format: RecordFormat::new(header.vocabulary.size),
            header,
            header_crc32,
            data_start,
            index_start,
        })
    }

    /// Instance `number` of this shard, which holds more than that.
    pub(super) fn get(&self, number: u64) -> Result<Instance> {
        let mut offsets = [0; 2 * INDEX_BYTES as usize];
        self.read_at(&mut offsets, self.index_start + number * INDEX_BYTES)?;
        let (start, end) = offsets.split_at(INDEX_BYTES as usize);
        let length = self.record_length(number, offset(start), offset(end))?;
        let mut record = vec![0; length];
        self.read_at(&mut record, self.data_start + offset(start))?;
        self.decode(number, &record)
    }

    /// Every instance in order, read from front to back, index included.
    pub(super) fn for_each(&self, mut check: impl FnMut(&Instance)) -> Result<()> {
        let cannot_read = |source| CoreError::io("read", &self.path, source);
        let open = |start| {
            let mut file = File::open(&self.path)?;
            file.seek(io::SeekFrom::Start(start))?;
            Ok(BufReader::with_capacity(1 << 18, file))
        };
        let mut data = open(self.data_start).map_err(cannot_read)?;
        let mut index = open(self.index_start).map_err(cannot_read)?;
        let mut next_offset = || {
            let mut place = [0; INDEX_BYTES as usize];
            let read = index.read_exact(&mut place);
            read.map(|()| u64::from_le_bytes(place))
                .map_err(cannot_read)
        };
        let mut start = next_offset()?;
        if start != 0 {
            return Err(self.damaged_index(0));
        }
        let mut record = Vec::new();
        for number in 0..self.header.records {
            let end = next_offset()?;
            record.resize(self.record_length(number, start, end)?, 0);
            data.read_exact(&mut record).map_err(cannot_read)?;
            check(&self.decode(number, &record)?);
            start = end;
        }
        match start == self.header.data_bytes {
            true => Ok(()),
            false => Err(self.damaged_index(self.header.records)),
        }
    }

    /// Bytes of a record and its checksum between two places of the index.
    fn record_length(&self, number: u64, start: u64, end: u64) -> Result<usize> {
        let length = end.checked_sub(start).map(usize::try_from);
        match length {
            Some(Ok(length)) if length >= CRC_BYTES && end <= self.header.data_bytes => Ok(length),
            _ => Err(self.damaged_index(number)),
        }
    }

    fn decode(&self, number: u64, bytes: &[u8]) -> Result<Instance> {
        let damaged = |reason: &str| {
            let reason = format!("instance {number} is damaged: {reason}");
            malformed(&self.path, &reason)
        };
        let (record, crc) = bytes
            .split_last_chunk()
            .ok_or_else(|| damaged("it is too short"))?;
        if record_crc32(number, record) != u32::from_le_bytes(*crc) {
            return Err(damaged("the checksum differs").into());
        }
        Ok(self.format.decode(record).map_err(damaged)?)
    }

    fn damaged_index(&self, number: u64) -> crate::Error {
        let reason = format!("its index is damaged at instance {number}");
        malformed(&self.path, &reason).into()
    }

    /// The error if counting gives other numbers than the header's.
    pub(super) fn differs_from_statistics(&self) -> crate::Error {
        malformed(&self.path, "its statistics are not those of its instances").into()
    }

    fn read_at(&self, bytes: &mut [u8], offset: u64) -> Result<()> {
        read_exact_at(&self.file, bytes, offset)
            .map_err(|source| CoreError::io("read", &self.path, source).into())
    }
}

/// The place in an index entry of its 8 bytes.
fn offset(entry: &[u8]) -> u64 {
    entry.try_into().map_or(u64::MAX, u64::from_le_bytes)
}

fn malformed(path: &Path, reason: &str) -> CoreError {
    let remedy = "copy it again from where it was whole, or prepare the instances again";
    CoreError::malformed(path, FORMAT, format_args!("{reason}; {remedy}"))
}
