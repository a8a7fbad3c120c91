//! One training example of the pretraining tasks.

use super::SegmentPair;

/// A sequence with hidden tokens, their labels, and whether its second segment is a random one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Instance {
    /// `[CLS] A [SEP] B [SEP]` with some tokens replaced, without padding.
    pub ids: Vec<u32>,
    /// Tokens of the first segment, its `[CLS]` and `[SEP]` included; the others are of type 1.
    pub segment_a_length: usize,
    /// Places of the tokens to predict, ascending.
    pub positions: Vec<u32>,
    /// The original ids at these places.
    pub labels: Vec<u32>,
    /// The label of next-sentence prediction; `None` without a second segment.
    pub is_random_next: Option<bool>,
}

impl Instance {
    /// The segment of each token: 0 for `[CLS] A [SEP]`, 1 for `B [SEP]`.
    pub fn type_ids(&self) -> Vec<u32> {
        type_ids(self.segment_a_length, self.ids.len())
    }

    /// The sequence before tokens were replaced.
    pub fn original_ids(&self) -> Vec<u32> {
        let mut ids = self.ids.clone();
        for (&position, &label) in self.positions.iter().zip(&self.labels) {
            if let Some(id) = ids.get_mut(position as usize) {
                *id = label;
            }
        }
        ids
    }
}

/// Puts special tokens around a pair: `[CLS] A [SEP] B [SEP]`, or `[CLS] A [SEP]` without a B
/// (`BERT §3`, Figure 2).
///
/// Gives the ids and the segment, 0 or 1, of each.
pub fn assemble(pair: &SegmentPair, cls_id: u32, sep_id: u32) -> (Vec<u32>, Vec<u32>) {
    let ids = sequence(pair, cls_id, sep_id);
    let types = type_ids(segment_a_length(pair), ids.len());
    (ids, types)
}

/// Tokens of the first segment of a pair with its special tokens.
pub(super) fn segment_a_length(pair: &SegmentPair) -> usize {
    pair.first.len() + 2
}

/// The ids of [`assemble`].
pub(super) fn sequence(pair: &SegmentPair, cls_id: u32, sep_id: u32) -> Vec<u32> {
    let SegmentPair { first, second, .. } = pair;
    let mut ids = Vec::with_capacity(first.len() + second.len() + 3);
    ids.push(cls_id);
    ids.extend_from_slice(first);
    ids.push(sep_id);
    if !second.is_empty() {
        ids.extend_from_slice(second);
        ids.push(sep_id);
    }
    ids
}

fn type_ids(segment_a_length: usize, length: usize) -> Vec<u32> {
    let mut types = vec![0; segment_a_length.min(length)];
    types.resize(length, 1);
    types
}
