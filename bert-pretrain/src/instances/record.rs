//! One instance as bytes.

use super::Instance;

/// Format of the instances of one vocabulary: numbers little-endian, lengths and positions in two bytes, ids in two where
/// the vocabulary allows it and else in four.
///
/// In order: number of tokens, length of segment A, number of predictions, next sentence (0 none, 1
/// true, 2 random; one byte), ids, positions, labels.
#[derive(Clone, Copy, Debug)]
pub(super) struct RecordFormat {
    vocabulary_size: usize,
}

/// The longest sequence whose positions fit.
pub(super) const MAX_SEQ_LENGTH: usize = u16::MAX as usize;

const FIXED_BYTES: usize = 7;

impl RecordFormat {
    pub(super) fn new(vocabulary_size: usize) -> Self {
        Self { vocabulary_size }
    }

    fn is_wide(self) -> bool {
        self.vocabulary_size > 1 << 16
    }

    /// Appends an instance whose ids are in the vocabulary and whose length is at most
    /// [`MAX_SEQ_LENGTH`].
    pub(super) fn encode(self, instance: &Instance, bytes: &mut Vec<u8>) {
        let mut short = |number: usize| bytes.extend((number as u16).to_le_bytes());
        short(instance.ids.len());
        short(instance.segment_a_length);
        short(instance.positions.len());
        bytes.push(match instance.is_random_next {
            None => 0,
            Some(false) => 1,
            Some(true) => 2,
        });
        self.encode_ids(&instance.ids, bytes);
        for &position in &instance.positions {
            bytes.extend((position as u16).to_le_bytes());
        }
        self.encode_ids(&instance.labels, bytes);
    }

    fn encode_ids(self, ids: &[u32], bytes: &mut Vec<u8>) {
        for &id in ids {
            match self.is_wide() {
                true => bytes.extend(id.to_le_bytes()),
                false => bytes.extend((id as u16).to_le_bytes()),
            }
        }
    }

    /// Reads what [`encode`](Self::encode) wrote; or says what is wrong with it.
    pub(super) fn decode(self, bytes: &[u8]) -> Result<Instance, &'static str> {
        let (fixed, rest) = bytes
            .split_first_chunk::<FIXED_BYTES>()
            .ok_or("the record is too short")?;
        let short = |at: usize| usize::from(u16::from_le_bytes([fixed[at], fixed[at + 1]]));
        let (length, segment_a_length, predictions) = (short(0), short(2), short(4));
        let is_random_next = match fixed[6] {
            0 => None,
            1 => Some(false),
            2 => Some(true),
            _ => return Err("the next-sentence label is none of 0, 1, 2"),
        };
        let id_bytes = if self.is_wide() { 4 } else { 2 };
        let expected = length * id_bytes + predictions * (2 + id_bytes);
        if rest.len() != expected {
            return Err("the record's length does not fit its numbers of tokens and predictions");
        }
        let (ids, rest) = rest.split_at(length * id_bytes);
        let (positions, labels) = rest.split_at(predictions * 2);
        let instance = Instance {
            ids: self.decode_ids(ids)?,
            segment_a_length,
            positions: shorts(positions).collect(),
            labels: self.decode_ids(labels)?,
            is_random_next,
        };
        if segment_a_length > length {
            return Err("the first segment is longer than the sequence");
        }
        let ascending = instance.positions.is_sorted_by(|a, b| a < b);
        let last = instance.positions.last();
        if !ascending || last.is_some_and(|&last| last as usize >= length) {
            return Err("the positions are not ascending places in the sequence");
        }
        Ok(instance)
    }

    fn decode_ids(self, bytes: &[u8]) -> Result<Vec<u32>, &'static str> {
        let ids: Vec<u32> = if self.is_wide() {
            let (chunks, _) = bytes.as_chunks();
            chunks.iter().copied().map(u32::from_le_bytes).collect()
        } else {
            shorts(bytes).collect()
        };
        match ids.iter().all(|&id| (id as usize) < self.vocabulary_size) {
            true => Ok(ids),
            false => Err("a token id lies outside the vocabulary"),
        }
    }
}

fn shorts(bytes: &[u8]) -> impl Iterator<Item = u32> {
    let (chunks, _) = bytes.as_chunks();
    chunks.iter().map(|&chunk| u16::from_le_bytes(chunk).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn instance(top: u32) -> Instance {
        Instance {
            ids: vec![2, 7, top, 3, 5, 3],
            segment_a_length: 4,
            positions: vec![1, 4],
            labels: vec![top, 6],
            is_random_next: Some(true),
        }
    }

    fn bytes_of(format: RecordFormat, instance: &Instance) -> Vec<u8> {
        let mut bytes = Vec::new();
        format.encode(instance, &mut bytes);
        bytes
    }

    #[test]
    fn narrow_and_wide_ids_return() {
        for (size, top, expected) in [(1 << 16, 65_535, 7 + 20), (65_537, 65_536, 7 + 36)] {
            let format = RecordFormat::new(size);
            let instance = instance(top);
            let bytes = bytes_of(format, &instance);
            assert_eq!(bytes.len(), expected);
            assert_eq!(format.decode(&bytes).unwrap(), instance);
        }
        let format = RecordFormat::new(9);
        let alone = Instance {
            ids: vec![2, 3],
            segment_a_length: 2,
            positions: vec![],
            labels: vec![],
            is_random_next: None,
        };
        assert_eq!(format.decode(&bytes_of(format, &alone)).unwrap(), alone);
    }

    #[test]
    fn nonsense_is_refused_and_never_panics() {
        let format = RecordFormat::new(9);
        let good = bytes_of(format, &instance(8));
        for length in 0..good.len() {
            format.decode(&good[..length]).unwrap_err();
        }
        for (place, value, reason) in [
            (2, 7, "first segment"),
            (4, 1, "length does not fit"),
            (6, 3, "next-sentence"),
            (7, 9, "outside the vocabulary"),
            (19, 4, "not ascending"),
            (21, 6, "not ascending"),
        ] {
            let mut bytes = good.clone();
            bytes[place] = value;
            let error = format.decode(&bytes).unwrap_err();
            assert!(error.contains(reason), "{place}: {error}");
        }
        for place in 0..good.len() {
            for bit in 0..8 {
                let mut bytes = good.clone();
                bytes[place] ^= 1 << bit;
                let _ = format.decode(&bytes);
            }
        }
    }
}
