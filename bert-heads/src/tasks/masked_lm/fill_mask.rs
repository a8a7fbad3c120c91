//! From a text with gaps to the likeliest tokens for each.

use std::path::Path;

use bert_core::batch::BertBatcher;
use bert_core::checkpoint::Checkpoint;
use bert_core::inference::Weights;
use bert_core::tokenizer::{BertTokenizer, EncodeOptions, Truncation};
use burn::tensor::{Device, FloatDType, Int, Tensor, TensorData, activation};
use serde::Serialize;

use super::BertForMaskedLm;
use crate::error::{Error, Result};

/// Predicts the masked tokens of a text (BERT §3.1, task 1).
#[derive(Debug)]
pub struct FillMask {
    model: BertForMaskedLm,
    tokenizer: BertTokenizer,
    batcher: BertBatcher,
    max_length: usize,
    device: Device,
}

/// A token that may stand in a gap.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Candidate {
    /// Id in the vocabulary.
    pub token_id: u32,
    /// The token as spelled in the vocabulary, with its `##` if it continues a word; empty for a
    /// row of the table without a token.
    pub token: String,
    /// The token as text: decoded, with the space before it where it carries one that decoding keeps.
    pub text: String,
    /// Softmax over the whole vocabulary, 0 to 1.
    pub probability: f32,
}

impl FillMask {
    /// Loads model and tokenizer from a model directory, its weights held as `weights`.
    ///
    /// # Errors
    ///
    /// [`Error::NoMaskedLmHead`] for a checkpoint without the head, and [`Error::Core`] for files
    /// that are missing, malformed or do not belong together, or weights that the device does not
    /// hold so.
    pub fn from_dir(dir: impl AsRef<Path>, device: &Device, weights: Weights) -> Result<Self> {
        let dir = dir.as_ref();
        let checkpoint = Checkpoint::open(dir)?;
        let tokenizer = BertTokenizer::from_dir(dir)?;
        tokenizer.check_vocab(checkpoint.config().vocab_size)?;
        let max_length = checkpoint.config().max_input_length();
        Ok(Self {
            model: BertForMaskedLm::from_checkpoint(&checkpoint, device)?.prepared(weights)?,
            batcher: BertBatcher::new(&tokenizer).for_model(checkpoint.config()),
            tokenizer,
            max_length,
            device: device.clone(),
        })
    }

    /// The tokenizer, whose mask token marks the gaps.
    pub fn tokenizer(&self) -> &BertTokenizer {
        &self.tokenizer
    }

    /// The `top_k` likeliest tokens for each mask token of `text`, in the order of the text, each
    /// list from the likeliest down. Several gaps are predicted independently of one another.
    ///
    /// # Errors
    ///
    /// [`Error::NoMask`] for a text without a gap; [`bert_core::Error::TooLong`] for one that does
    /// not fit the model, which is never cut, because the cut might take a gap with it.
    pub fn fill(&self, text: &str, top_k: usize) -> Result<Vec<Vec<Candidate>>> {
        let encoding = self.tokenizer.encode(
            text,
            &EncodeOptions {
                max_length: Some(self.max_length),
                truncation: Truncation::None,
                ..EncodeOptions::default()
            },
        )?;
        let mask_id = self.tokenizer.mask_id();
        let positions: Vec<i32> = (0..)
            .zip(encoding.ids())
            .filter(|(_, id)| **id == mask_id)
            .map(|(position, _)| position)
            .collect();
        if positions.is_empty() {
            return Err(Error::NoMask {
                mask_token: self.tokenizer.special_tokens().mask.clone(),
            });
        }
        let input = self.batcher.batch(&[encoding], &self.device)?;
        let count = positions.len();
        let positions =
            Tensor::<1, Int>::from_data(TensorData::new(positions, [count]), &self.device);
        let logits = self.model.forward(input, positions); // [masks, vocab]
        let [_, vocab_size] = logits.dims();
        let probabilities: Vec<f32> =
            activation::softmax(logits.cast(FloatDType::F32), 1).try_into_vec_as()?;
        probabilities
            .chunks(vocab_size)
            .map(|row| self.best(row, top_k))
            .collect()
    }

    fn best(&self, probabilities: &[f32], top_k: usize) -> Result<Vec<Candidate>> {
        let candidate = |id: usize| {
            Ok(Candidate {
                token_id: id as u32,
                token: self.tokenizer.token(id as u32).unwrap_or_default(),
                text: self.tokenizer.decode(&[id as u32], false)?,
                probability: probabilities[id],
            })
        };
        let best = likeliest(probabilities, (0..probabilities.len()).collect(), top_k);
        best.into_iter().map(candidate).collect()
    }
}

/// The `top_k` likeliest of `ids`, from the likeliest down; of equals the lower comes first.
pub(crate) fn likeliest(probabilities: &[f32], mut ids: Vec<usize>, top_k: usize) -> Vec<usize> {
    let likelier = |a: &usize, b: &usize| {
        probabilities[*b]
            .total_cmp(&probabilities[*a])
            .then(a.cmp(b))
    };
    if top_k < ids.len() {
        ids.select_nth_unstable_by(top_k, likelier);
        ids.truncate(top_k);
    }
    ids.sort_unstable_by(likelier);
    ids
}
