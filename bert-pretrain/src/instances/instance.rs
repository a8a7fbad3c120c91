//! One training example of the pretraining tasks.

use bert_core::tokenizer::Frames;

use super::{Masked, SegmentPair};

/// A sequence with hidden tokens, their labels, and whether its second segment is a random one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Instance {
    /// `[CLS] A [SEP] B [SEP]`, or as the tokenizer frames texts, with some tokens replaced, without padding.
    pub ids: Vec<u32>,
    /// Tokens of the first segment, its special tokens included; the others are of type 1. All of them where the
    /// tokenizer has one segment.
    pub segment_a_length: usize,
    /// Places of the tokens to predict, ascending.
    pub positions: Vec<u32>,
    /// The original ids at these places.
    pub labels: Vec<u32>,
    /// The label of next-sentence prediction; `None` without a second segment.
    pub is_random_next: Option<bool>,
}

impl Instance {
    /// The instance of a pair with its special tokens, masked; with a label for next sentences if `next_sentence`.
    pub(crate) fn masked(
        pair: &SegmentPair,
        frames: &Frames,
        next_sentence: bool,
        mask: impl FnOnce(&[u32]) -> Masked,
    ) -> Self {
        let (ids, types) = assemble(pair, frames);
        let masked = mask(&ids);
        Self {
            ids: masked.input_ids,
            segment_a_length: types.iter().filter(|&&segment| segment == 0).count(),
            positions: masked.positions,
            labels: masked.labels,
            is_random_next: next_sentence.then_some(pair.is_random_next),
        }
    }

    /// The segment of each token: 0 in the first segment, 1 behind it.
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
/// (`BERT §3`, Figure 2), or what the tokenizer has in their place.
///
/// Gives the ids and the segment, 0 or 1, of each.
pub fn assemble(pair: &SegmentPair, frames: &Frames) -> (Vec<u32>, Vec<u32>) {
    let second = (!pair.second.is_empty()).then_some(pair.second.as_slice());
    frames.with_special_tokens(&pair.first, second)
}

fn type_ids(segment_a_length: usize, length: usize) -> Vec<u32> {
    let mut types = vec![0; segment_a_length.min(length)];
    types.resize(length, 1);
    types
}
