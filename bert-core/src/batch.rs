//! From token lists of different lengths to the rectangular tensors of a model: the only place
//! where inputs go from host to device.

mod limits;

use burn::tensor::{Bool, Device, Int, Tensor, TensorData};

use crate::config::BertConfig;
use crate::ops::places_on;
use crate::packing::Packing;
use crate::tokenizer::{BertTokenizer, Encoding};
use crate::{Error, Result};
use limits::check_embedded;

/// Input of a BERT model (`BERT §3`, Figure 2); position ids follow from the shape.
#[derive(Clone, Debug)]
pub struct BertInput {
    /// Token ids: `[batch, seq]`.
    pub input_ids: Tensor<2, Int>,
    /// The segment of each token, 0 or 1: `[batch, seq]`.
    pub token_type_ids: Tensor<2, Int>,
    /// True where a token is padding and must not be attended to: `[batch, seq]`.
    ///
    /// This is Burn's polarity. Hugging Face's `attention_mask` is 1 where a token counts.
    pub mask_pad: Tensor<2, Bool>,
    /// Where the tokens are, if the blocks of an encoder are to leave out the padding; none lets them compute it.
    ///
    /// The results are the same but for rounding, and zero at padding.
    pub packing: Option<Packing>,
}

impl BertInput {
    /// Takes rows in the layout of Hugging Face's tokenizers, one after the other, and turns the
    /// polarity of the mask: `attention_mask` is 1 where a token counts, 0 where it is padding. Batches with more than a
    /// quarter of padding are packed.
    ///
    /// # Shapes
    /// - each list: `batch * seq` values for `shape` `[batch, seq]`
    ///
    /// # Panics
    /// If a list does not have `batch * seq` values.
    pub fn from_attention_mask(
        input_ids: Vec<i64>,
        token_type_ids: Vec<i64>,
        attention_mask: Vec<i64>,
        shape: [usize; 2],
        device: &Device,
    ) -> Self {
        let mask_pad: Vec<bool> = attention_mask.into_iter().map(|value| value == 0).collect();
        let packing = Packing::where_it_pays(&mask_pad, shape, device);
        // `from_data` converts to the integer type that is the device's default (i64 or i32).
        Self {
            input_ids: Tensor::from_data(TensorData::new(input_ids, shape), device),
            token_type_ids: Tensor::from_data(TensorData::new(token_type_ids, shape), device),
            mask_pad: Tensor::from_data(TensorData::new(mask_pad, shape), device),
            packing,
        }
    }

    /// Drops the packing, so that blocks compute the padding as well.
    pub fn padded(self) -> Self {
        Self {
            packing: None,
            ..self
        }
    }

    /// `[batch, seq]`
    pub fn dims(&self) -> [usize; 2] {
        self.input_ids.dims()
    }

    /// The places of every row's first token, `[batch]`, as [`BertModel::forward_at`](crate::models::BertModel::forward_at)
    /// takes them.
    pub fn first_places(&self) -> Tensor<1, Int> {
        let [batch, seq] = self.dims();
        let places = (0..batch).map(|row| (row * seq) as i32).collect();
        places_on(&self.mask_pad.device(), places)
    }

    /// The device that holds the tensors.
    pub fn device(&self) -> Device {
        self.input_ids.device()
    }

    /// How many tokens of each row are not padding.
    ///
    /// Waits for the device and copies the mask to the host.
    pub fn lengths(&self) -> Vec<usize> {
        let [_, seq_length] = self.dims();
        let mask_pad: Vec<bool> = self.mask_pad.to_data().iter::<bool>().collect();
        mask_pad
            .chunks(seq_length.max(1))
            .map(|row| row.iter().filter(|padding| !**padding).count())
            .collect()
    }
}

/// To what length the rows of a batch are filled up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Padding {
    /// That of its longest row; where much of that is padding, the blocks of an encoder leave it out.
    #[default]
    Longest,
    /// Always the same, so that every batch has one shape and kernels are compiled once; nothing is packed.
    Fixed(usize),
    /// That of its longest row rounded up, which bounds the number of different shapes; 0 rounds
    /// nothing. Nothing is packed.
    MultipleOf(usize),
}

/// Pads encodings to a rectangle and puts them on a device.
#[derive(Clone, Debug)]
pub struct BertBatcher {
    /// The id of `[PAD]`.
    pub pad_id: u32,
    /// To what length rows are filled up.
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
            segments: Some(config.type_vocab_size),
            ..self
        }
    }

    /// Sets to what length rows are filled up.
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
    /// As [`batch_rows`](Self::batch_rows).
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
            Padding::Longest => Packing::where_it_pays(&mask_pad, shape, device),
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

/// Divisor of a full batch's tokens that gives the overhead of another batch in inference.
const BATCH_COST: usize = 32;

/// Groups rows of similar length for inference, so that little work is spent on padding.
///
/// This is [`BatchLimits::plan`] for batches of at most `max_tokens`, each of which costs as much as a 32nd of them.
pub fn plan_batches(lengths: &[usize], max_tokens: usize) -> Vec<Vec<usize>> {
    let limits = BatchLimits {
        rows: usize::MAX,
        tokens: max_tokens,
        cost: max_tokens / BATCH_COST,
    };
    limits.plan(lengths)
}

/// Limits and overhead of a batch.
#[derive(Clone, Copy, Debug)]
pub struct BatchLimits {
    /// Rows of a batch, at most.
    pub rows: usize,
    /// Rows times the longest of them, at most; a longer row gets a batch of its own.
    pub tokens: usize,
    /// Tokens of padding that one batch fewer is worth.
    pub cost: usize,
}

impl BatchLimits {
    /// Groups rows of similar length so that padding and batches cost the least together.
    ///
    /// Returns the indices of `lengths` by rising length, equal ones in their order, cut into batches within the limits.
    /// Every index occurs exactly once.
    pub fn plan(&self, lengths: &[usize]) -> Vec<Vec<usize>> {
        let mut order: Vec<usize> = (0..lengths.len()).collect();
        order.sort_by_key(|index| lengths[*index]);
        // Of the first rows, by their number: the least cost, and how many of them are in the last batch.
        let mut best: Vec<(usize, usize)> = vec![(0, 0)];
        for end in 1..=order.len() {
            // Lengths rise, so the last row is the longest of its batch.
            let longest = lengths[order[end - 1]];
            let fitting = self.tokens.checked_div(longest).unwrap_or(usize::MAX);
            let most = self.rows.min(fitting).clamp(1, end);
            let cost = |rows: usize| {
                let batch = (rows * longest).saturating_add(self.cost);
                best[end - rows].0.saturating_add(batch)
            };
            let cheapest = (1..=most).rev().map(|rows| (cost(rows), rows));
            best.extend(cheapest.min_by_key(|(cost, _)| *cost));
        }
        let mut batches = Vec::new();
        let mut end = order.len();
        while end > 0 {
            let start = end - best[end].1;
            batches.push(order[start..end].to_vec());
            end = start;
        }
        batches.reverse();
        batches
    }
}

#[cfg(test)]
mod tests {
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

    #[test]
    fn an_attention_mask_is_turned_around() {
        let input = BertInput::from_attention_mask(
            vec![1, 2, 3, 4, 5, 0],
            vec![0, 1, 1, 0, 0, 0],
            vec![1, 1, 1, 1, 1, 0],
            [2, 3],
            &device(),
        );
        assert_eq!(input.dims(), [2, 3]);
        assert_eq!(input.lengths(), [3, 2]);
        assert_eq!(
            bools(input.mask_pad),
            [false, false, false, false, false, true]
        );
        assert_eq!(ints(input.input_ids), [1, 2, 3, 4, 5, 0]);
    }

    #[test]
    fn batches_are_planned_by_length_within_the_budget() {
        let lengths = [5, 13, 7, 5, 32, 4, 7];
        assert_eq!(
            plan_batches(&lengths, 15),
            [vec![5], vec![0, 3], vec![2, 6], vec![1], vec![4]]
        );
        // 31 tokens of padding are worth a batch, and 37 are not.
        assert_eq!(
            plan_batches(&lengths, 1000),
            [vec![5, 0, 3, 2, 6], vec![1, 4]]
        );
        assert_eq!(plan_batches(&[], 15), Vec::<Vec<usize>>::new());
    }

    #[test]
    fn no_plan_costs_less() {
        let lengths = [5, 13, 7, 5, 32, 4, 7, 0, 9, 12];
        let mut sorted = lengths;
        sorted.sort();
        for (rows, tokens, cost) in [
            (usize::MAX, 0, 3),
            (usize::MAX, 37, 0),
            (4, 1000, 9),
            (usize::MAX, usize::MAX, 20),
            (3, 40, usize::MAX),
        ] {
            let limits = BatchLimits { rows, tokens, cost };
            let fits = |rows: &[usize]| {
                rows.len() == 1
                    || rows.len() <= limits.rows
                        && rows.len() * rows[rows.len() - 1] <= limits.tokens
            };
            let costs = |rows: &[usize]| (rows.len() * rows[rows.len() - 1]).saturating_add(cost);
            // Every way to cut the sorted lengths: a bit for each place between two of them.
            let mut least = usize::MAX;
            for cuts in 0..1_u32 << (sorted.len() - 1) {
                let mut start = 0;
                let mut total = 0_usize;
                for end in 1..=sorted.len() {
                    if end == sorted.len() || cuts >> (end - 1) & 1 == 1 {
                        let batch = &sorted[start..end];
                        total = match fits(batch) {
                            true => total.saturating_add(costs(batch)),
                            false => usize::MAX,
                        };
                        start = end;
                    }
                }
                least = least.min(total);
            }
            let batches = limits.plan(&lengths);
            let mut found = 0_usize;
            for batch in &batches {
                let batch: Vec<usize> = batch.iter().map(|&index| lengths[index]).collect();
                assert!(fits(&batch), "{limits:?} {batch:?}");
                found = found.saturating_add(costs(&batch));
            }
            assert_eq!(found, least, "{limits:?}");
            let mut seen = batches.concat();
            seen.sort();
            assert_eq!(seen, (0..lengths.len()).collect::<Vec<_>>());
        }
    }
}
