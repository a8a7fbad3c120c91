//! Self-attention from projections to context, head by head, each head's scores in the cache of a thread; and its gradients, for
//! which scores are computed again.

mod backward;
mod dropout;
mod forward;
mod relative;
mod scoring;
mod sequence;
#[cfg(test)]
mod testing;

pub use backward::{ForwardPass, Gradients, backward};
pub use dropout::Dropout;
pub use forward::{forward, forward_with_statistics};
pub use relative::RelativePositions;
pub use scoring::{Bias, Scoring};
pub use sequence::Sequence;

pub use crate::softmax::RowStatistics;

use crate::matmul::panels::{PackedMatrices, PanelLayout};

/// Attention within sequences: its operands and its form.
#[derive(Clone, Copy, Debug)]
pub struct Attention<'a> {
    /// Queries, keys and values of all rows.
    pub inputs: Projections<'a>,
    /// Sequences, which follow each other without a gap from the first row on.
    pub sequences: &'a [Sequence],
    /// `[rows]`, 0 at keys that are left out and 1 elsewhere.
    pub attended: &'a [f32],
    /// Heads of the layer, none of them empty.
    pub heads: Heads,
    /// Scale, window, positions and bias of the scores.
    pub scoring: Scoring<'a>,
    /// Dropout of the probabilities.
    pub dropout: Option<Dropout>,
}

impl Attention<'_> {
    /// Index of the first probability of every sequence among all, `[heads, queries, queries]` for each one.
    fn first_probabilities(&self) -> Vec<usize> {
        let sequences = self.sequences.iter();
        sequences
            .scan(0, |next, sequence| {
                let first = *next;
                *next += self.heads.count * sequence.queries * sequence.queries;
                Some(first)
            })
            .collect()
    }
}

/// Heads of an attention layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Heads {
    /// Number of heads.
    pub count: usize,
    /// Width of each.
    pub size: usize,
}

impl Heads {
    /// Width of all heads together.
    pub fn width(self) -> usize {
        self.count * self.size
    }
}

/// The projections that attention reads, each `[rows, heads · head_size]`.
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
    fn new(projection: &'a [f32], heads: Heads, first: usize, head: usize) -> Self {
        let stride = heads.width();
        Self {
            values: &projection[first * stride + head * heads.size..],
            stride,
        }
    }

    /// The rows from another on.
    fn skip(self, rows: usize) -> Self {
        Self {
            values: &self.values[rows * self.stride..],
            ..self
        }
    }

    /// The row of a number, of `size` elements.
    #[inline(always)]
    fn row(self, at: usize, size: usize) -> &'a [f32] {
        &self.values[at * self.stride..][..size]
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
