//! Sequences that lie side by side without padding.

use std::sync::Arc;

use burn::backend::tensor::{BoolTensor, IntTensor};
use burn::backend::{Backend, Dispatch, ExtensionType};
use burn::tensor::{Bool, Int, Tensor};

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

impl PackedLayout {
    /// The layout as operations take it.
    pub(super) fn dispatched(&self) -> PackedTokens<Dispatch> {
        PackedTokens {
            lengths: self.lengths.clone(),
            groups: self.groups.clone(),
            places: self.places.clone().into_dispatch(),
            slots: self.slots.clone().into_dispatch(),
            padding: self.padding.clone().into_dispatch(),
        }
    }
}

/// [`PackedLayout`] over the tensors of a backend.
#[derive(Clone, Debug, ExtensionType)]
pub struct PackedTokens<B: Backend> {
    /// Tokens of every sequence, in the order in which they lie.
    pub lengths: Arc<[usize]>,
    /// `[batch, seq]` of the groups of similar length that are padded together.
    pub groups: Arc<[[usize; 2]]>,
    /// Token in every place of the groups, one group after the other; any token at padding: `[places]`.
    pub places: IntTensor<B>,
    /// Place of every token: `[tokens]`.
    pub slots: IntTensor<B>,
    /// True at places without a token: `[places]`.
    pub padding: BoolTensor<B>,
}
