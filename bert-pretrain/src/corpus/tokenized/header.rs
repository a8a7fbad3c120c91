//! The first bytes of a shard.

/// Magic bytes of all shards; the last one cannot survive a transfer as text.
const MAGIC: [u8; 8] = *b"BERTids\x00";
/// Raised when the bytes of a shard change their meaning.
const VERSION: u32 = 1;

/// Header of a shard: numbers in little-endian order, each 4 or 8 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header {
    /// Bytes of an id: 2 or 4.
    pub(super) id_bytes: u32,
    pub(super) documents: u64,
    pub(super) sentences: u64,
    pub(super) tokens: u64,
    /// End of the documents and start of their offsets, in bytes.
    pub(super) index_offset: u64,
    /// CRC-32 of the index.
    pub(super) index_crc: u32,
}

impl Header {
    /// The length of a header in bytes.
    pub(super) const BYTES: usize = 56;

    pub(super) fn to_bytes(self) -> [u8; Self::BYTES] {
        let mut bytes = Vec::with_capacity(Self::BYTES);
        bytes.extend(MAGIC);
        bytes.extend(VERSION.to_le_bytes());
        bytes.extend(self.id_bytes.to_le_bytes());
        for number in [
            self.documents,
            self.sentences,
            self.tokens,
            self.index_offset,
        ] {
            bytes.extend(number.to_le_bytes());
        }
        bytes.extend(self.index_crc.to_le_bytes());
        bytes.extend(crc32fast::hash(&bytes).to_le_bytes());
        bytes.try_into().expect("the fields have 56 bytes")
    }

    /// Reads a header, or says what is wrong with it.
    pub(super) fn from_bytes(bytes: &[u8; Self::BYTES]) -> Result<Self, String> {
        let u32_at = |at: usize| u32::from_le_bytes(array(&bytes[at..]));
        let u64_at = |at: usize| u64::from_le_bytes(array(&bytes[at..]));
        if bytes[..8] != MAGIC {
            return Err("it does not begin as a shard does".into());
        }
        if u32_at(52) != crc32fast::hash(&bytes[..52]) {
            return Err("the checksum of its header does not match".into());
        }
        let version = u32_at(8);
        if version != VERSION {
            return Err(format!(
                "its version is {version}, this program reads {VERSION}"
            ));
        }
        let header = Self {
            id_bytes: u32_at(12),
            documents: u64_at(16),
            sentences: u64_at(24),
            tokens: u64_at(32),
            index_offset: u64_at(40),
            index_crc: u32_at(48),
        };
        if !matches!(header.id_bytes, 2 | 4) {
            return Err(format!("ids of {} bytes are not known", header.id_bytes));
        }
        Ok(header)
    }

    /// The length of the shard in bytes; `None` if the numbers make no sense.
    pub(super) fn file_bytes(&self) -> Option<u64> {
        let index = self.documents.checked_add(1)?.checked_mul(8)?;
        self.index_offset.checked_add(index)
    }

    /// Tells this shard from one of the same name and another corpus.
    pub(super) fn crc(&self) -> u32 {
        let bytes = self.to_bytes();
        u32::from_le_bytes(array(&bytes[52..]))
    }
}

/// The first `N` bytes of a slice that has as many.
pub(super) fn array<const N: usize>(bytes: &[u8]) -> [u8; N] {
    bytes[..N].try_into().expect("a slice of this length")
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADER: Header = Header {
        id_bytes: 2,
        documents: 13,
        sentences: 37,
        tokens: 1 << 40,
        index_offset: 4099,
        index_crc: 7,
    };

    #[test]
    fn a_header_reads_back() {
        assert_eq!(Header::from_bytes(&HEADER.to_bytes()), Ok(HEADER));
        assert_eq!(HEADER.file_bytes(), Some(4099 + 8 * 14));
    }

    #[test]
    fn any_changed_byte_is_noticed() {
        let bytes = HEADER.to_bytes();
        for at in 0..Header::BYTES {
            let mut changed = bytes;
            changed[at] ^= 0x10;
            assert!(Header::from_bytes(&changed).is_err(), "byte {at}");
        }
    }

    #[test]
    fn absurd_numbers_have_no_length() {
        let absurd = Header {
            documents: u64::MAX,
            ..HEADER
        };
        assert_eq!(absurd.file_bytes(), None);
    }
}
