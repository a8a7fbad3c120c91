//! Tokens of a batch side by side, so that an encoder computes no padding.

use burn::tensor::{Bool, Device, Int, Tensor, TensorData};

use super::plan::BatchLimits;
use crate::ops::{PackedLayout, lookup};

/// Share of padding up to which a batch is not packed. Below, padding and unpadding for attention in every block can cost
/// what is saved: measured with 2 blocks of 128 on LibTorch, where large models gain long before.
const MIN_PADDING_SHARE: f64 = 0.25;

/// Layout in memory of the tokens that an encoder reads.
#[derive(Clone, Debug)]
#[expect(
    clippy::large_enum_variant,
    reason = "a forward pass has one, and hands out references"
)]
pub enum TokenLayout {
    /// In rows of one length, `[batch, seq]`; true at padding.
    Padded(Tensor<2, Bool>),
    /// Side by side in one row, without padding.
    Packed(PackedLayout),
}

impl TokenLayout {
    /// Tokens of the longest sequence, in rows of `seq` if they are padded.
    pub(crate) fn longest(&self, seq: usize) -> usize {
        match self {
            Self::Padded(_) => seq,
            Self::Packed(layout) => layout.lengths.iter().copied().max().unwrap_or(0),
        }
    }

    /// The index within its sequence of every packed token, `[tokens]`; none if the tokens lie in rows, whose columns tell.
    pub(crate) fn positions(&self) -> Option<Tensor<1, Int>> {
        let Self::Packed(layout) = self else {
            return None;
        };
        let lengths = layout.lengths.iter();
        let positions = lengths.flat_map(|&length| 0..length as i32).collect();
        Some(indices_on(&layout.slots.device(), positions))
    }
}

/// Which places of a padded batch hold tokens.
#[derive(Clone, Debug)]
pub struct Packing {
    shape: [usize; 2],
    /// The place of every token in the batch, `[tokens]`.
    places: Tensor<1, Int>,
    /// The token at every place of the batch, any of them at padding, `[batch * seq]`.
    tokens: Tensor<1, Int>,
    /// True at padding, `[batch * seq, 1]`.
    padding: Tensor<2, Bool>,
    layout: PackedLayout,
}

impl Packing {
    /// Takes out the padding of a batch, whichever places it has; none if there is no token.
    ///
    /// # Shapes
    ///
    /// - mask_pad: `batch * seq` values for `shape` `[batch, seq]`, true at padding
    pub fn new(mask_pad: &[bool], shape: [usize; 2], device: &Device) -> Option<Self> {
        let seq = shape[1].max(1);
        let lengths: Vec<usize> = mask_pad
            .chunks(seq)
            .map(|row| row.iter().filter(|&&padding| !padding).count())
            .collect();
        let mut places = Vec::new();
        let mut tokens = vec![0; mask_pad.len()];
        for (place, _) in mask_pad
            .iter()
            .enumerate()
            .filter(|(_, padding)| !**padding)
        {
            tokens[place] = places.len() as i32;
            places.push(place as i32);
        }
        if places.is_empty() {
            return None;
        }
        let size = mask_pad.len();
        Some(Self {
            shape,
            places: indices_on(device, places),
            tokens: indices_on(device, tokens),
            padding: Tensor::from_data(TensorData::new(mask_pad.to_vec(), [size, 1]), device),
            layout: pack_sequences(&lengths, device),
        })
    }

    /// [`new`](Self::new) for batches where it saves time, and whose padding all stands at the end of rows that begin with a
    /// token: what a model computes for padding elsewhere may be of interest.
    pub(crate) fn if_worthwhile(
        mask_pad: &[bool],
        shape: [usize; 2],
        device: &Device,
    ) -> Option<Self> {
        let padding = mask_pad.iter().filter(|&&padding| padding).count();
        let at_the_end = |row: &[bool]| !row[0] && row.is_sorted();
        let mut rows = mask_pad.chunks(shape[1].max(1));
        if padding as f64 <= MIN_PADDING_SHARE * mask_pad.len() as f64 || !rows.all(at_the_end) {
            return None;
        }
        Self::new(mask_pad, shape, device)
    }

    /// The tokens, among those that [`pack`](Self::pack) returns, at some places of the padded batch; any of them at padding.
    ///
    /// # Shapes
    ///
    /// - places: `[n]`, each `row * seq + column`
    /// - output: `[n]`
    pub(crate) fn tokens_at(&self, places: Tensor<1, Int>) -> Tensor<1, Int> {
        self.tokens.clone().select(0, places)
    }

    /// Layout of what [`pack`](Self::pack) returns.
    pub fn layout(&self) -> TokenLayout {
        TokenLayout::Packed(self.layout.clone())
    }

    /// Takes the padding out.
    ///
    /// # Shapes
    ///
    /// - padded: `[batch, seq, width]`
    /// - output: `[1, tokens, width]`
    pub fn pack(&self, padded: Tensor<3>) -> Tensor<3> {
        let [batch, seq, width] = padded.dims();
        let rows = padded.reshape([batch * seq, width]);
        lookup(rows, self.places.clone().unsqueeze())
    }

    /// Puts tokens back in their places, zeros elsewhere.
    ///
    /// # Shapes
    ///
    /// - packed: `[1, tokens, width]`
    /// - output: `[batch, seq, width]`
    pub fn unpack(&self, packed: Tensor<3>) -> Tensor<3> {
        let [_, tokens, width] = packed.dims();
        let [batch, seq] = self.shape;
        lookup(
            packed.reshape([tokens, width]),
            self.tokens.clone().unsqueeze(),
        )
        .reshape([batch * seq, width])
        .mask_fill(self.padding.clone().expand([batch * seq, width]), 0.0)
        .reshape([batch, seq, width])
    }
}

/// Padding that one group of sequences fewer is worth in attention, in tokens, at least; in large batches it is a quarter of
/// the tokens.
const GROUP_OVERHEAD: usize = 64;

/// Layout of sequences of `lengths` tokens each, of which one at least is not empty, side by side.
pub fn pack_sequences(lengths: &[usize], device: &Device) -> PackedLayout {
    let tokens: usize = lengths.iter().sum();
    let starts: Vec<usize> = lengths
        .iter()
        .scan(0, |next, length| {
            Some(std::mem::replace(next, *next + length))
        })
        .collect();
    let limits = BatchLimits {
        rows: usize::MAX,
        tokens: usize::MAX,
        overhead: GROUP_OVERHEAD.max(tokens / 4),
    };
    let (mut groups, mut places, mut padding) = (Vec::new(), Vec::new(), Vec::new());
    let mut slots = vec![0; tokens];
    for rows in limits.plan(lengths) {
        let seq = rows.iter().map(|&row| lengths[row]).max().unwrap_or(0);
        if seq == 0 {
            continue;
        }
        groups.push([rows.len(), seq]);
        for row in rows {
            let (start, length) = (starts[row], lengths[row]);
            for at in 0..length {
                slots[start + at] = (places.len() + at) as i32;
            }
            places.extend((start..start + length).map(|token| token as i32));
            padding.resize(places.len(), false);
            padding.resize(padding.len() + seq - length, true);
            places.resize(padding.len(), 0);
        }
    }
    let size = padding.len();
    PackedLayout {
        lengths: lengths
            .iter()
            .copied()
            .filter(|&length| length > 0)
            .collect(),
        groups: groups.into(),
        places: indices_on(device, places),
        slots: indices_on(device, slots),
        padding: Tensor::from_data(TensorData::new(padding, [size]), device),
    }
}

/// Indices on `device`, `[indices.len()]`.
pub(super) fn indices_on(device: &Device, indices: Vec<i32>) -> Tensor<1, Int> {
    // `from_data` converts to the integer type that is the device's default (i64 or i32).
    let size = indices.len();
    Tensor::from_data(TensorData::new(indices, [size]), device)
}
