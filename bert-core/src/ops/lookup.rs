//! Rows of a table as nodes of the autodiff graph.

use burn::backend::autodiff::{Autodiff, checkpoint::strategy::CheckpointStrategy};
use burn::backend::tensor::{FloatTensor, IntTensor};
use burn::backend::{Backend, TensorMetadata};
use burn::tensor::{Shape, Slice};

use super::node::keeping;
use super::{BertOps, GradientOps};

/// [`BertOps::lookup`] as one node, keeping the table, of which the gradient has the shape.
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

/// The default body of [`BertOps::embed`].
pub(super) fn embed<B: BertOps>(
    words: FloatTensor<B>,
    ids: IntTensor<B>,
    segments: FloatTensor<B>,
    segment_ids: IntTensor<B>,
    positions: FloatTensor<B>,
    first: usize,
) -> FloatTensor<B> {
    let [_, seq] = ids.shape().dims::<2>();
    let [_, width] = positions.shape().dims::<2>();
    let sum = B::float_add(B::lookup(words, ids), B::lookup(segments, segment_ids));
    let positions = B::rows_in_order(positions, first, seq);
    B::float_add(
        sum,
        B::float_reshape(positions, Shape::new([1, seq, width])),
    )
}

/// [`BertOps::embed`] as one node, keeping the tables, of which the gradients have the shapes.
pub(super) fn embed_autodiff<B: GradientOps, C: CheckpointStrategy>(
    tables: [FloatTensor<Autodiff<B, C>>; 3],
    ids: IntTensor<B>,
    segment_ids: IntTensor<B>,
    first: usize,
) -> FloatTensor<Autodiff<B, C>> {
    keeping::<B, C, _, 3>(
        tables,
        |tables| (tables.clone(), [ids.clone(), segment_ids.clone()], first),
        |[words, segments, positions]| {
            let (ids, segment_ids) = (ids.clone(), segment_ids.clone());
            B::embed(words, ids, segments, segment_ids, positions, first)
        },
        |([words, segments, positions], [ids, segment_ids], first), grad, wanted| {
            let [rows, _] = positions.shape().dims::<2>();
            let of_words = || B::lookup_backward(words, ids, grad.clone());
            let of_segments = || B::lookup_backward(segments, segment_ids, grad.clone());
            let of_positions = || B::rows_in_order_backward(grad.clone(), rows, first);
            [
                wanted[0].then(of_words),
                wanted[1].then(of_segments),
                wanted[2].then(of_positions),
            ]
        },
    )
}

/// The default body of [`BertOps::rows_in_order`].
pub(super) fn in_order<B: Backend>(
    table: FloatTensor<B>,
    first: usize,
    count: usize,
) -> FloatTensor<B> {
    B::float_slice(table, &between(first, count))
}

/// [`BertOps::rows_in_order`] as one node.
pub(super) fn in_order_autodiff<B: GradientOps, C: CheckpointStrategy>(
    table: FloatTensor<Autodiff<B, C>>,
    first: usize,
    count: usize,
) -> FloatTensor<Autodiff<B, C>> {
    keeping::<B, C, _, 1>(
        [table],
        |[table]| (table.shape().dims::<2>()[0], first),
        |[table]| B::rows_in_order(table, first, count),
        |(rows, first), grad, _| [Some(B::rows_in_order_backward(grad, rows, first))],
    )
}

/// The default body of [`GradientOps::rows_in_order_backward`].
pub(super) fn in_order_backward<B: Backend>(
    grad: FloatTensor<B>,
    rows: usize,
    first: usize,
) -> FloatTensor<B> {
    let shape = grad.shape();
    let (device, dtype) = (grad.device(), grad.dtype().into());
    let [count, width] = [2, 1].map(|from_end| shape[shape.num_dims() - from_end]);
    let sum = match shape.num_dims() {
        2 => grad,
        _ => B::float_reshape(B::float_sum_dim(grad, 0), Shape::new([count, width])),
    };
    let zeros = B::float_zeros(Shape::new([rows, width]), &device, dtype);
    B::float_slice_assign(zeros, &between(first, count), sum)
}

/// `count` rows from `first`, all columns.
fn between(first: usize, count: usize) -> [Slice; 2] {
    [Slice::from(first..first + count), Slice::full()]
}
