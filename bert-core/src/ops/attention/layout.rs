//! Rows and packed sequences, as attention finds the tokens that belong together.

use burn::backend::tensor::{BoolTensor, FloatTensor};
use burn::backend::{Backend, TensorMetadata};
use burn::tensor::{Shape, Slice};

use super::{AttentionForm, AttentionInputs};
use crate::ops::{BertOps, PackedTokens};

/// Where the tokens are that attend to each other.
#[derive(Clone, Debug)]
pub enum AttentionLayout<B: Backend> {
    /// In rows of one length, `[batch, seq, width]`.
    Padded {
        /// `[batch, 1, 1, seq]`, true at padding
        mask_pad: BoolTensor<B>,
    },
    /// Side by side, `[1, tokens, width]`; composed attention pads them, those of similar length together.
    Packed(PackedTokens<B>),
}

impl<B: BertOps> AttentionLayout<B> {
    /// Attention without gradients.
    pub(super) fn attend(self, inputs: AttentionInputs<B>, form: AttentionForm) -> FloatTensor<B> {
        match self {
            Self::Padded { mask_pad } => B::self_attention(inputs, mask_pad, form),
            Self::Packed(tokens) => B::packed_attention(inputs, tokens, form),
        }
    }

    /// Operands of every group with its mask, `[batch, 1, 1, seq]`, true at padding.
    pub(in crate::ops) fn groups(
        &self,
        inputs: AttentionInputs<B>,
    ) -> impl Iterator<Item = (AttentionInputs<B>, BoolTensor<B>)> {
        let AttentionInputs {
            query,
            key,
            value,
            bias,
        } = inputs;
        let [query, key, value] = [query, key, value].map(|tensor| self.part(tensor).into_iter());
        let groups = query.zip(key).zip(value).zip(self.masks());
        groups.map(move |(((query, key), value), mask_pad)| {
            let inputs = AttentionInputs {
                query,
                key,
                value,
                bias: bias.clone(),
            };
            (inputs, mask_pad)
        })
    }

    /// The places of every group, with its shape.
    fn places_of_groups(groups: &[[usize; 2]]) -> impl Iterator<Item = (Slice, [usize; 2])> {
        groups.iter().scan(0, |first, &[batch, seq]| {
            let start = *first;
            *first += batch * seq;
            Some((Slice::from(start..*first), [batch, seq]))
        })
    }

    /// The padded rows of every group, `[batch, seq, width]` each.
    pub(in crate::ops) fn part(&self, tensor: FloatTensor<B>) -> Vec<FloatTensor<B>> {
        match self {
            Self::Padded { .. } => vec![tensor],
            Self::Packed(PackedTokens { places, groups, .. }) => {
                let [_, tokens, width] = tensor.shape().dims::<3>();
                let tensor = B::float_reshape(tensor, Shape::new([tokens, width]));
                Self::places_of_groups(groups)
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
    pub(in crate::ops) fn part_with_zeros(&self, tensor: FloatTensor<B>) -> Vec<FloatTensor<B>> {
        let parts = self.part(tensor);
        let Self::Packed(PackedTokens {
            padding, groups, ..
        }) = self
        else {
            return parts;
        };
        let groups = Self::places_of_groups(groups);
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
    pub(in crate::ops) fn join(&self, parts: Vec<FloatTensor<B>>) -> FloatTensor<B> {
        match self {
            Self::Padded { .. } => parts.into_iter().next().expect("a layout has a part"),
            Self::Packed(PackedTokens { slots, .. }) => {
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
    pub(in crate::ops) fn masks(&self) -> Vec<BoolTensor<B>> {
        match self {
            Self::Padded { mask_pad } => vec![mask_pad.clone()],
            Self::Packed(PackedTokens {
                padding, groups, ..
            }) => Self::places_of_groups(groups)
                .map(|(slice, [batch, seq])| {
                    let mask = B::bool_slice(padding.clone(), &[slice]);
                    B::bool_reshape(mask, Shape::new([batch, 1, 1, seq]))
                })
                .collect(),
        }
    }
}
