//! Texts to a probability for each of their tokens.

use std::path::Path;

use bert_core::batch::BertBatcher;
use bert_core::checkpoint::Checkpoint;
use bert_core::tokenizer::{BertTokenizer, EncodeOptions, Encoding, TextInput, Truncation};
use burn::tensor::{Device, FloatDType, activation};
use serde::Serialize;

use super::BertForReplacedTokens;
use crate::error::{Error, Result};
use crate::runner::{Batches, PredictOptions, Row, host_values};

/// A discriminator of replaced tokens with all that it takes to ask it.
#[derive(Debug)]
pub struct ReplacedTokenDetector {
    model: BertForReplacedTokens,
    tokenizer: BertTokenizer,
    batcher: BertBatcher,
    max_length: usize,
    batch_tokens: usize,
    device: Device,
}

/// The tokens of a text without the special ones around it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct DetectedTokens {
    /// Tokens as spelled in the vocabulary.
    pub tokens: Vec<String>,
    /// First character of each token in the text and the one after its last, counted from 0.
    pub offsets: Vec<(usize, usize)>,
    /// Probability of each token that it stands in the place of another, 0 to 1.
    pub probabilities: Vec<f32>,
}

impl ReplacedTokenDetector {
    /// Loads model and tokenizer from a model directory.
    ///
    /// # Errors
    ///
    /// [`Error::NoHead`] for a checkpoint without the head, [`Error::MaxLength`] for a maximal length beyond the model's
    /// positions, and [`Error::Core`] for files that are missing, malformed or do not belong together.
    pub fn from_dir(
        dir: impl AsRef<Path>,
        options: &PredictOptions,
        device: &Device,
    ) -> Result<Self> {
        let dir = dir.as_ref();
        let checkpoint = Checkpoint::open(dir)?;
        let tokenizer = BertTokenizer::from_dir(dir)?;
        tokenizer.check_vocab(checkpoint.config().vocab_size)?;
        let max_length = options.max_length_for(checkpoint.config())?;
        let model = BertForReplacedTokens::from_checkpoint(&checkpoint, device)?;
        Ok(Self {
            model: options.pack_weights(model)?,
            batcher: BertBatcher::new(&tokenizer).for_model(checkpoint.config()),
            tokenizer,
            max_length,
            batch_tokens: options.batch_tokens.max(1),
            device: device.clone(),
        })
    }

    /// A probability for each token of texts or pairs, in their order.
    ///
    /// # Errors
    ///
    /// [`bert_core::Error::TooLong`] for a text that does not fit the model, which is never cut, and [`Error::NotFinite`]
    /// for outputs that are no numbers.
    pub fn detect<'a>(
        &self,
        texts: impl IntoIterator<Item = TextInput<'a>>,
    ) -> Result<Vec<DetectedTokens>> {
        let options = EncodeOptions {
            max_length: Some(self.max_length),
            truncation: Truncation::None,
            ..EncodeOptions::default()
        };
        let encodings = self.tokenizer.encode_batch(texts, &options)?;
        let rows: Vec<Row> = encodings.iter().map(Row::of).collect();
        let batches = Batches {
            batcher: &self.batcher,
            tokens: self.batch_tokens,
            device: &self.device,
        };
        batches.run(&rows, &|| false, |input, batch| {
            let [_, seq] = input.dims();
            let logits = self.model.forward(input).cast(FloatDType::F32); // [batch, seq]
            let probabilities = host_values(activation::sigmoid(logits))?;
            let rows = batch.iter().zip(probabilities.chunks(seq));
            rows.map(|(&index, row)| DetectedTokens::new(&encodings[index], row, index))
                .collect()
        })
    }
}

impl DetectedTokens {
    /// The tokens of text number `index` with their probabilities, of which there is one for each place of its row.
    fn new(text: &Encoding, row: &[f32], index: usize) -> Result<Self> {
        let of_text = (0..).zip(text.sequence_ids());
        let of_text = of_text.filter_map(|(position, text)| text.map(|_| position));
        let positions: Vec<usize> = of_text.collect();
        let probabilities: Vec<f32> = positions.iter().map(|&at| row[at]).collect();
        if probabilities.iter().any(|chance| !chance.is_finite()) {
            return Err(Error::NotFinite { index });
        }
        Ok(Self {
            tokens: positions
                .iter()
                .map(|&at| text.tokens()[at].clone())
                .collect(),
            offsets: positions.iter().map(|&at| text.offsets()[at]).collect(),
            probabilities,
        })
    }
}
