//! A document as bytes of a shard.
//!
//! CRC-32 of what follows, the number of sentences, the number of ids of each (4 bytes each), then
//! the ids of all; numbers in little-endian order.

use super::header::array;
use crate::corpus::TokenizedDocument;

/// The ids of a document, sentence after sentence.
#[derive(Debug, Default)]
pub(super) struct Block {
    pub(super) lengths: Vec<u32>,
    pub(super) ids: Vec<u32>,
}

impl Block {
    /// The block in bytes, with ids of 2 or 4 bytes; every id must fit.
    pub(super) fn to_bytes(&self, id_bytes: u32) -> Vec<u8> {
        let head = 8 + 4 * self.lengths.len();
        let mut bytes = Vec::with_capacity(head + id_bytes as usize * self.ids.len());
        bytes.extend([0; 4]);
        bytes.extend((self.lengths.len() as u32).to_le_bytes());
        bytes.extend(self.lengths.iter().flat_map(|length| length.to_le_bytes()));
        match id_bytes {
            2 => bytes.extend(self.ids.iter().flat_map(|id| (*id as u16).to_le_bytes())),
            _ => bytes.extend(self.ids.iter().flat_map(|id| id.to_le_bytes())),
        }
        let crc = crc32fast::hash(&bytes[4..]).to_le_bytes();
        bytes[..4].copy_from_slice(&crc);
        bytes
    }
}

/// Reads a block, or says what is wrong with it.
pub(super) fn parse(bytes: &[u8], id_bytes: u32) -> Result<TokenizedDocument, &'static str> {
    if bytes.len() < 8 || u32::from_le_bytes(array(bytes)) != crc32fast::hash(&bytes[4..]) {
        return Err("its checksum does not match");
    }
    const NOT_WHOLE: &str = "its lengths do not add up";
    let sentences = u32::from_le_bytes(array(&bytes[4..])) as usize;
    let lengths = sentences
        .checked_mul(4)
        .and_then(|n| bytes[8..].split_at_checked(n));
    let (lengths, mut ids) = lengths.ok_or(NOT_WHOLE)?;
    let mut document = Vec::with_capacity(sentences);
    for length in lengths.chunks_exact(4) {
        let length = u32::from_le_bytes(array(length)) as usize;
        let sentence = length.checked_mul(id_bytes as usize);
        let (sentence, rest) = sentence
            .and_then(|n| ids.split_at_checked(n))
            .ok_or(NOT_WHOLE)?;
        document.push(match id_bytes {
            2 => sentence
                .chunks_exact(2)
                .map(|id| u16::from_le_bytes(array(id)).into())
                .collect(),
            _ => sentence
                .chunks_exact(4)
                .map(|id| u32::from_le_bytes(array(id)))
                .collect(),
        });
        ids = rest;
    }
    if ids.is_empty() {
        Ok(document)
    } else {
        Err(NOT_WHOLE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn block() -> Block {
        Block {
            lengths: vec![3, 1, 5],
            ids: vec![7, 65_535, 0, 13, 1, 2, 3, 4, 5],
        }
    }

    #[test]
    fn both_widths_read_back() {
        let expected = vec![vec![7, 65_535, 0], vec![13], vec![1, 2, 3, 4, 5]];
        for id_bytes in [2, 4] {
            assert_eq!(
                parse(&block().to_bytes(id_bytes), id_bytes).unwrap(),
                expected
            );
        }
        let mut wide = block();
        wide.ids[0] = 119_546;
        assert_eq!(parse(&wide.to_bytes(4), 4).unwrap()[0][0], 119_546);
    }

    #[test]
    fn damage_is_an_error_and_no_panic() {
        let bytes = block().to_bytes(2);
        for at in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[at] ^= 1;
            assert!(parse(&changed, 2).is_err(), "byte {at}");
            assert!(parse(&bytes[..at], 2).is_err(), "cut at {at}");
        }
        // A checksum that matches lengths that do not.
        for lengths in [vec![3, 1, 6], vec![3, 1], vec![u32::MAX; 3]] {
            let block = Block { lengths, ..block() };
            assert_eq!(
                parse(&block.to_bytes(2), 2),
                Err("its lengths do not add up")
            );
        }
    }
}
