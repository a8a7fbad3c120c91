//! Self-attention from projections to context, head by head, each head's scores in the cache of a thread.

mod backward;
mod dropout;
mod forward;
mod scoring;
#[cfg(test)]
mod testing;

pub use backward::{ForwardPass, HeadGradients, backward, context, kept_keys, probabilities};
pub use dropout::Dropout;
pub use forward::{Sequence, attention};
pub use scoring::{Bias, Scoring};

use crate::matmul::panels::{PackedMatrices, PanelLayout};

/// Queries that a thread works on at a time, whole row tiles of them; their scores of one head stay in its cache.
const QUERY_BLOCK: usize = 48;

/// The sizes of an attention layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sizes {
    /// Sequences, or 1 if they are packed.
    pub batch: usize,
    /// Tokens of each sequence, or of all if they are packed.
    pub seq: usize,
    /// Attention heads.
    pub heads: usize,
    /// Width of a head.
    pub head_size: usize,
}

impl Sizes {
    /// Width of all heads together.
    pub fn width(self) -> usize {
        self.heads * self.head_size
    }
}

/// The projections that attention reads, each `[batch, seq, heads · head_size]`.
#[derive(Clone, Copy, Debug)]
pub struct Projections<'a> {
    /// Queries.
    pub query: &'a [f32],
    /// Keys.
    pub key: &'a [f32],
    /// Values.
    pub value: &'a [f32],
}

/// The part of a projection that belongs to a head, from a row on.
#[derive(Clone, Copy)]
struct HeadRows<'a> {
    values: &'a [f32],
    /// From a row to the next.
    stride: usize,
}

impl<'a> HeadRows<'a> {
    /// Rows of a head in `projection` from `first` on.
    fn new(projection: &'a [f32], sizes: Sizes, first: usize, head: usize) -> Self {
        let stride = sizes.width();
        Self {
            values: &projection[first * stride + head * sizes.head_size..],
            stride,
        }
    }

    /// Rows of one head of one sequence; `matrix` counts the heads of all sequences.
    fn of_matrix(projection: &'a [f32], sizes: Sizes, matrix: usize) -> Self {
        let (sequence, head) = (matrix / sizes.heads, matrix % sizes.heads);
        Self::new(projection, sizes, sequence * sizes.seq, head)
    }

    /// The rows from another on.
    fn skip(self, rows: usize) -> Self {
        Self {
            values: &self.values[rows * self.stride..],
            ..self
        }
    }

    /// Packs the rows as the rows of a right matrix.
    fn pack(self, layout: &PanelLayout) -> PackedMatrices {
        let mut packed = PackedMatrices::zeros([layout.size()]);
        layout.pack(self.values, self.stride, packed.get_mut(0));
        packed
    }

    /// Packs the rows as the columns of a right matrix.
    fn pack_transposed(self, layout: &PanelLayout) -> PackedMatrices {
        let mut packed = PackedMatrices::zeros([layout.size()]);
        layout.pack_transposed(self.values, self.stride, packed.get_mut(0));
        packed
    }

    fn with_stride(self) -> (&'a [f32], usize) {
        (self.values, self.stride)
    }
}
