//! What is added to the rows of a table.

use burn::backend::ops::ModuleOps;

use super::math::add;
use super::tensor::{HostTensor, are_here, rows_and_width};
use super::vectorized;

/// [`BertOps::lookup_backward`](crate::ops::BertOps::lookup_backward): a pass over the gradient, and none over the table, of
/// which a batch takes few rows; memory that is asked for as zeros is cleared by whoever reads it first.
pub(in crate::ops) fn lookup_backward<T: HostTensor>(table: T, ids: T, grad: T) -> T {
    let (_, width) = rows_and_width(&table);
    if !are_here([&table, &grad]) || width == 0 {
        return T::Backend::embedding_backward(table, grad, ids);
    }
    let grad = grad.dense();
    let ids = ids.indices();
    let mut output = table.zeros_like_this(table.shape());
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
