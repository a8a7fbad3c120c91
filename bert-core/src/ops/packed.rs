//! Sequences that lie side by side without padding, and how attention over them finds those that belong together.

use std::sync::Arc;

use burn::backend::tensor::{BoolTensor, FloatTensor, IntTensor};
use burn::backend::{Backend, Dispatch, TensorMetadata};
use burn::tensor::{Bool, Int, Shape, Slice, Tensor};

use super::BertOps;

/// Sequences that lie side by side, and the groups of similar length in which backends that know no better way pad them
/// for attention.
#[derive(Clone, Debug)]
pub struct PackedLayout {
    /// Tokens of every sequence, in the order in which they lie; none is empty.
    pub lengths: Arc<[usize]>,
    /// `[batch, seq]` of every group.
    pub groups: Arc<[[usize; 2]]>,
    /// Token in every place of the groups, one group after the other; any token at padding: `[places]`.
    pub places: Tensor<1, Int>,
    /// Place of every token: `[tokens]`.
    pub slots: Tensor<1, Int>,
    /// True at places without a token: `[places]`.
    pub padding: Tensor<1, Bool>,
}

/// [`self_attention`](super::self_attention) within each sequence of `layout`.
///
/// # Shapes
///
/// - query, key, value, output: `[1, tokens, heads · head_size]`
pub fn packed_attention(
    query: Tensor<3>,
    key: Tensor<3>,
    value: Tensor<3>,
    layout: &PackedLayout,
    heads: usize,
    dropout: f64,
) -> Tensor<3> {
    let form = PackedForm {
        lengths: layout.lengths.clone(),
        groups: layout.groups.clone(),
        heads,
        dropout,
    };
    Tensor::from_dispatch(<Dispatch as BertOps>::packed_attention(
        query.into_dispatch(),
        key.into_dispatch(),
        value.into_dispatch(),
        layout.places.clone().into_dispatch(),
        layout.slots.clone().into_dispatch(),
        layout.padding.clone().into_dispatch(),
        form,
    ))
}

/// How [`BertOps::packed_attention`] finds its sequences.
#[derive(Clone, Debug)]
pub struct PackedForm {
    /// The tokens of every sequence, in the order in which they lie.
    pub lengths: Arc<[usize]>,
    /// `[batch, seq]` of the groups of similar length that are padded together.
    pub groups: Arc<[[usize; 2]]>,
    /// Attention heads.
    pub heads: usize,
    /// The probability to drop a probability.
    pub dropout: f64,
}

/// Where the tokens are that attend to each other.
#[derive(Clone, Debug)]
pub(super) enum Layout<B: Backend> {
    /// In rows of one length, `[batch, seq, width]`.
    Padded {
        /// `[batch, 1, 1, seq]`, true at padding
        mask_pad: BoolTensor<B>,
    },
    /// Side by side, `[1, tokens, width]`; attention alone pads them, those of similar length together.
    Packed {
        /// The token in every place of the groups, one group after the other; any token at padding.
        places: IntTensor<B>,
        /// The place of every token.
        slots: IntTensor<B>,
        /// True at padding.
        padding: BoolTensor<B>,
        /// `[batch, seq]` of every group.
        groups: Arc<[[usize; 2]]>,
    },
}

impl<B: BertOps> Layout<B> {
    /// The layout of [`BertOps::packed_attention`]'s `places`, `slots` and `padding`.
    pub(super) fn packed(
        [places, slots]: [IntTensor<B>; 2],
        padding: BoolTensor<B>,
        form: &PackedForm,
    ) -> Self {
        Self::Packed {
            places,
            slots,
            padding,
            groups: form.groups.clone(),
        }
    }

    /// Every group with its first place.
    fn groups(groups: &[[usize; 2]]) -> impl Iterator<Item = (Slice, [usize; 2])> {
        groups.iter().scan(0, |first, &[batch, seq]| {
            let start = *first;
            *first += batch * seq;
            Some((Slice::from(start..*first), [batch, seq]))
        })
    }

    /// The padded rows of every group, `[batch, seq, width]` each.
    pub(super) fn part(&self, tensor: FloatTensor<B>) -> Vec<FloatTensor<B>> {
        match self {
            Self::Padded { .. } => vec![tensor],
            Self::Packed { places, groups, .. } => {
                let [_, tokens, width] = tensor.shape().dims::<3>();
                let tensor = B::float_reshape(tensor, Shape::new([tokens, width]));
                Self::groups(groups)
                    .map(|(slice, [batch, seq])| {
                        let places = B::int_slice(places.clone(), &[slice]);
                        let places = B::int_reshape(places, Shape::new([batch, seq]));
                        B::lookup(tensor.clone(), places) // [batch, seq, width]
                    })
                    .collect()
            }
        }
    }

    /// [`part`](Self::part) with zeros at padding, where they have been chosen by chance.
    pub(super) fn part_with_zeros(&self, tensor: FloatTensor<B>) -> Vec<FloatTensor<B>> {
        let parts = self.part(tensor);
        let Self::Packed {
            padding, groups, ..
        } = self
        else {
            return parts;
        };
        let groups = Self::groups(groups);
        let filled = parts
            .into_iter()
            .zip(groups)
            .map(|(part, (slice, [batch, seq]))| {
                let mask = B::bool_slice(padding.clone(), &[slice]);
                let mask = B::bool_reshape(mask, Shape::new([batch, seq, 1]));
                let mask = B::bool_expand(mask, part.shape());
                B::float_mask_fill(part, mask, 0.0.into())
            });
        filled.collect()
    }

    /// Joins the parts that [`part`](Self::part) made.
    pub(super) fn join(&self, parts: Vec<FloatTensor<B>>) -> FloatTensor<B> {
        match self {
            Self::Padded { .. } => parts.into_iter().next().expect("a layout has a part"),
            Self::Packed { slots, .. } => {
                let mut rows: Vec<_> = parts
                    .into_iter()
                    .map(|part| {
                        let [batch, seq, width] = part.shape().dims::<3>();
                        B::float_reshape(part, Shape::new([batch * seq, width]))
                    })
                    .collect();
                let rows = match rows.len() {
                    1 => rows.remove(0),
                    _ => B::float_cat(rows, 0),
                };
                let [tokens] = slots.shape().dims();
                let slots = B::int_reshape(slots.clone(), Shape::new([1, tokens]));
                B::lookup(rows, slots) // [1, tokens, width]
            }
        }
    }

    /// `[batch, 1, 1, seq]` of every group, true at padding.
    pub(super) fn masks(&self) -> Vec<BoolTensor<B>> {
        match self {
            Self::Padded { mask_pad } => vec![mask_pad.clone()],
            Self::Packed {
                padding, groups, ..
            } => Self::groups(groups)
                .map(|(slice, [batch, seq])| {
                    let mask = B::bool_slice(padding.clone(), &[slice]);
                    B::bool_reshape(mask, Shape::new([batch, 1, 1, seq]))
                })
                .collect(),
        }
    }
}
