//! Padding of rows to a rectangle on a device.

use burn::tensor::{Device, Tensor, TensorData};

use super::input::BertInput;
use super::limits::check_embedded;
use super::packing::Packing;
use crate::config::BertConfig;
use crate::tokenizer::{BertTokenizer, Encoding};
use crate::{Error, Result};

/// Length to which the rows of a batch are filled up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Padding {
    /// Length of the longest row; where much of that is padding, the blocks of an encoder leave it out.
    #[default]
    Longest,
    /// Always the same, so that every batch has one shape and kernels are compiled once; nothing is packed.
    Fixed(usize),
    /// Length of the longest row rounded up, which bounds the number of different shapes; 0 rounds nothing. Nothing is
    /// packed.
    MultipleOf(usize),
}

/// Pads encodings to a rectangle and puts them on a device.
#[derive(Clone, Debug)]
pub struct BertBatcher {
    /// The id of `[PAD]`.
    pub pad_id: u32,
    /// Length to which rows are filled up.
    pub padding: Padding,
    /// The positions of the model: longer rows are refused, and padding goes no further. `None`
    /// sets no limit.
    pub max_length: Option<usize>,
    /// The rows of the model's word embeddings: token ids beyond are refused. `None` sets no limit.
    pub vocab_size: Option<usize>,
    /// The segments of the model: segment ids beyond are refused. `None` sets no limit.
    pub segments: Option<usize>,
}

impl BertBatcher {
    /// Pads with the tokenizer's `[PAD]` to the longest row, without a limit.
    pub fn new(tokenizer: &BertTokenizer) -> Self {
        Self {
            pad_id: tokenizer.pad_id(),
            padding: Padding::default(),
            max_length: None,
            vocab_size: None,
            segments: None,
        }
    }

    /// Refuses what a model of `config` has no embedding for: further positions, tokens and segments.
    pub fn for_model(self, config: &BertConfig) -> Self {
        Self {
            max_length: Some(config.max_input_length()),
            vocab_size: Some(config.vocab_size),
            // Without a table of segments they play no part.
            segments: (config.type_vocab_size > 0).then_some(config.type_vocab_size),
            ..self
        }
    }

    /// Sets the length to which rows are filled up.
    pub fn with_padding(mut self, padding: Padding) -> Self {
        self.padding = padding;
        self
    }

    /// Refuses rows longer than the model has positions, `max_position_embeddings`.
    pub fn with_max_length(mut self, max_length: usize) -> Self {
        self.max_length = Some(max_length);
        self
    }

    /// Pads encodings at their end and puts them on `device`.
    ///
    /// # Shapes
    /// - output: `[encodings.len(), seq]`, `seq` as [`Padding`] says
    ///
    /// # Errors
    /// Those of [`batch_rows`](Self::batch_rows).
    pub fn batch(&self, encodings: &[Encoding], device: &Device) -> Result<BertInput> {
        let rows: Vec<_> = encodings
            .iter()
            .map(|encoding| (encoding.ids(), encoding.type_ids()))
            .collect();
        self.batch_rows(&rows, device)
    }

    /// Pads rows of token ids and segment ids at their end and puts them on `device`.
    ///
    /// # Shapes
    /// - rows: two lists of equal length each
    /// - output: `[rows.len(), seq]`, `seq` as [`Padding`] says
    ///
    /// # Errors
    /// [`Error::EmptyBatch`] without a single token, [`Error::TooLong`] for a row beyond
    /// [`max_length`](Self::max_length) or the length of [`Padding::Fixed`], [`Error::VocabularyMismatch`] for a token
    /// beyond [`vocab_size`](Self::vocab_size), [`Error::SegmentMismatch`] for a segment beyond
    /// [`segments`](Self::segments).
    ///
    /// # Panics
    /// If a row has more or fewer segment ids than token ids.
    pub fn batch_rows(&self, rows: &[(&[u32], &[u32])], device: &Device) -> Result<BertInput> {
        let seq_length = self.seq_length(rows.iter().map(|(ids, _)| ids.len()))?;
        let shape = [rows.len(), seq_length];
        let size = rows.len() * seq_length;
        let mut input_ids = Vec::with_capacity(size);
        let mut token_type_ids = Vec::with_capacity(size);
        let mut mask_pad = Vec::with_capacity(size);
        let vocab_size = self.vocab_size.unwrap_or(usize::MAX);
        let segments = self.segments.unwrap_or(usize::MAX);
        for (ids, type_ids) in rows {
            assert_eq!(ids.len(), type_ids.len(), "a segment id for every token id");
            check_embedded((ids, vocab_size), (type_ids, segments))?;
            if ids.len() < seq_length {
                check_embedded((&[self.pad_id], vocab_size), (&[], segments))?;
            }
            input_ids.extend(ids.iter().map(|id| *id as i32));
            token_type_ids.extend(type_ids.iter().map(|id| *id as i32));
            mask_pad.resize(mask_pad.len() + ids.len(), false);
            let padding = seq_length - ids.len();
            input_ids.resize(input_ids.len() + padding, self.pad_id as i32);
            token_type_ids.resize(token_type_ids.len() + padding, 0);
            mask_pad.resize(mask_pad.len() + padding, true);
        }
        let packing = match self.padding {
            Padding::Longest => Packing::if_worthwhile(&mask_pad, shape, device),
            Padding::Fixed(_) | Padding::MultipleOf(_) => None,
        };
        // `from_data` converts to the integer type that is the device's default (i64 or i32).
        Ok(BertInput {
            input_ids: Tensor::from_data(TensorData::new(input_ids, shape), device),
            token_type_ids: Tensor::from_data(TensorData::new(token_type_ids, shape), device),
            mask_pad: Tensor::from_data(TensorData::new(mask_pad, shape), device),
            packing,
        })
    }

    /// Checks that the model has an embedding for every token and segment of a row, and for padding.
    ///
    /// # Errors
    /// [`Error::VocabularyMismatch`] or [`Error::SegmentMismatch`].
    pub fn check_row(&self, ids: &[u32], type_ids: &[u32]) -> Result<()> {
        let vocab_size = self.vocab_size.unwrap_or(usize::MAX);
        let segments = self.segments.unwrap_or(usize::MAX);
        check_embedded((ids, vocab_size), (type_ids, segments))?;
        check_embedded((&[self.pad_id], vocab_size), (&[], segments))
    }

    fn seq_length(&self, lengths: impl Iterator<Item = usize>) -> Result<usize> {
        let longest = lengths.max().unwrap_or(0);
        let limit = self.max_length.unwrap_or(usize::MAX);
        let (wanted, limit) = match self.padding {
            Padding::Longest | Padding::MultipleOf(0) => (longest, limit),
            Padding::MultipleOf(multiple) => {
                let rounded = longest.div_ceil(multiple).saturating_mul(multiple);
                (rounded.min(limit.max(longest)), limit)
            }
            Padding::Fixed(length) => (length, length.min(limit)),
        };
        if longest > limit || wanted > limit {
            return Err(Error::TooLong {
                length: longest.max(wanted),
                maximum: limit,
            });
        }
        if longest == 0 {
            return Err(Error::EmptyBatch);
        }
        Ok(wanted)
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::{Bool, Int};

    use super::*;

    const A: (&[u32], &[u32]) = (&[101, 7, 8, 102, 9, 102], &[0, 0, 0, 0, 1, 1]);
    const B: (&[u32], &[u32]) = (&[101, 5, 102], &[0, 0, 0]);

    fn device() -> Device {
        crate::device::test_devices().swap_remove(0).1
    }

    fn batcher(padding: Padding) -> BertBatcher {
        BertBatcher {
            pad_id: 37,
            padding,
            max_length: None,
            vocab_size: None,
            segments: None,
        }
    }

    fn ints(tensor: Tensor<2, Int>) -> Vec<i64> {
        tensor.into_data().iter::<i64>().collect()
    }

    fn bools(tensor: Tensor<2, Bool>) -> Vec<bool> {
        tensor.into_data().iter::<bool>().collect()
    }

    #[test]
    fn short_rows_are_filled_with_padding_that_is_masked() {
        let device = device();
        let input = batcher(Padding::Longest)
            .batch_rows(&[A, B], &device)
            .unwrap();
        assert_eq!(input.dims(), [2, 6]);
        assert_eq!(input.lengths(), [6, 3]);
        assert_eq!(
            ints(input.input_ids),
            [101, 7, 8, 102, 9, 102, 101, 5, 102, 37, 37, 37]
        );
        assert_eq!(
            ints(input.token_type_ids),
            [0, 0, 0, 0, 1, 1, 0, 0, 0, 0, 0, 0]
        );
        let mask_pad = bools(input.mask_pad);
        assert_eq!(mask_pad[..9], [false; 9]);
        assert_eq!(mask_pad[9..], [true; 3]);
    }

    #[test]
    fn ids_have_the_default_integer_type_of_the_device() {
        let device = device();
        let input = batcher(Padding::Longest).batch_rows(&[A], &device).unwrap();
        let expected = Tensor::<2, Int>::zeros([1, 6], &device).dtype();
        assert_eq!(input.input_ids.dtype(), expected);
        assert_eq!(input.token_type_ids.dtype(), expected);
    }

    #[test]
    fn padding_sets_the_length() {
        let device = device();
        let width = |batcher: BertBatcher| batcher.batch_rows(&[B, A], &device).unwrap().dims()[1];
        assert_eq!(width(batcher(Padding::Longest)), 6);
        assert_eq!(width(batcher(Padding::Fixed(13))), 13);
        assert_eq!(width(batcher(Padding::Fixed(6))), 6);
        assert_eq!(width(batcher(Padding::MultipleOf(5))), 10);
        assert_eq!(width(batcher(Padding::MultipleOf(3))), 6);
        assert_eq!(width(batcher(Padding::MultipleOf(0))), 6);
        // Rounding up does not go beyond the positions there are.
        assert_eq!(width(batcher(Padding::MultipleOf(5)).with_max_length(7)), 7);
    }

    #[test]
    fn rows_that_do_not_fit_are_refused() {
        let device = device();
        for (batcher, length, maximum) in [
            (batcher(Padding::Fixed(5)), 6, 5),
            (batcher(Padding::Longest).with_max_length(4), 6, 4),
            (batcher(Padding::MultipleOf(4)).with_max_length(5), 6, 5),
            (batcher(Padding::Fixed(13)).with_max_length(7), 13, 7),
        ] {
            match batcher.batch_rows(&[A, B], &device).unwrap_err() {
                Error::TooLong {
                    length: l,
                    maximum: m,
                } => assert_eq!((l, m), (length, maximum)),
                other => panic!("{other}"),
            }
        }
        for rows in [&[][..], &[(&[][..], &[][..])]] {
            let error = batcher(Padding::Longest).batch_rows(rows, &device);
            assert!(matches!(error.unwrap_err(), Error::EmptyBatch));
        }
    }
}
