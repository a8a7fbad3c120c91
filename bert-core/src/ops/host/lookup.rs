//! Rows of a table, and what is added to them.

use burn::backend::ops::ModuleOps;
use burn::tensor::Shape;

use super::math::add;
use super::tensor::{HostTensor, are_here, rows_and_width};
use super::{PIECE, made_in_pieces, rows_per_piece, vectorized};

/// [`BertOps::lookup`](crate::ops::BertOps::lookup).
pub(in crate::ops) fn lookup<T: HostTensor>(table: T, ids: T) -> T {
    let (_, width) = rows_and_width(&table);
    if !are_here([&table]) || width == 0 {
        return T::Backend::embedding(table, ids);
    }
    let [batch, seq] = ids.shape().dims();
    let (table, ids) = (table.dense(), ids.indices());
    let rows = table.floats();
    let piece = rows_per_piece(width);
    let shape = Shape::new([batch, seq, width]);
    made_in_pieces(&table, shape, piece * width, |at, to| {
        for (to, id) in to.chunks_exact_mut(width).zip(&ids[at * piece..]) {
            to.copy_from_slice(&rows[id * width..][..width]);
        }
    })
}

/// [`BertOps::lookup_backward`](crate::ops::BertOps::lookup_backward): zeros written by all threads, and a pass over the gradient.
///
/// Memory that is asked for as zeros would cost more: whoever reads it first is shown one page of zeros in place of all, and
/// whoever then writes takes a page for each, while every other thread waits for the processor to hear of it.
pub(in crate::ops) fn lookup_backward<T: HostTensor>(table: T, ids: T, grad: T) -> T {
    let (_, width) = rows_and_width(&table);
    if !are_here([&table, &grad]) || width == 0 {
        return T::Backend::embedding_backward(table, grad, ids);
    }
    let grad = grad.dense();
    let ids = ids.indices();
    let mut output = made_in_pieces(&table, table.shape(), PIECE, |_, _| {});
    let rows = output.floats_mut();
    vectorized(
        #[inline(always)]
        || {
            for (id, grad) in ids.into_iter().zip(grad.floats().chunks_exact(width)) {
                add(&mut rows[id * width..][..width], grad);
            }
        },
    );
    output
}
