//! Rows of a table as one node of the autodiff graph, whose gradient is [`GradientOps::lookup_backward`].

use burn::backend::autodiff::{Autodiff, checkpoint::strategy::CheckpointStrategy};
use burn::backend::tensor::{FloatTensor, IntTensor};

use super::GradientOps;
use super::node::keeping;

/// [`BertOps::lookup`](super::BertOps::lookup) as one node, keeping the table, of which the gradient has the shape.
pub(super) fn autodiff<B: GradientOps, C: CheckpointStrategy>(
    table: FloatTensor<Autodiff<B, C>>,
    ids: IntTensor<B>,
) -> FloatTensor<Autodiff<B, C>> {
    keeping::<B, C, _, 1>(
        [table],
        |[table]| (table.clone(), ids.clone()),
        |[table]| B::lookup(table, ids.clone()),
        |(table, ids), grad, _| [Some(B::lookup_backward(table, ids, grad))],
    )
}
