//! Rows parted into heads, and joined again.

use burn::backend::tensor::FloatTensor;
use burn::backend::{Backend, TensorMetadata};
use burn::tensor::Shape;

/// `[batch, seq, width]` to `[batch, heads, seq, head_size]`.
pub(in crate::ops) fn split<B: Backend>(tensor: FloatTensor<B>, heads: usize) -> FloatTensor<B> {
    let [batch, seq, width] = tensor.shape().dims::<3>();
    let by_head = Shape::new([batch, seq, heads, width / heads]);
    B::float_swap_dims(B::float_reshape(tensor, by_head), 1, 2)
}

/// `[batch, heads, seq, head_size]` to `[batch, seq, width]`.
pub(in crate::ops) fn merge<B: Backend>(tensor: FloatTensor<B>) -> FloatTensor<B> {
    let [batch, heads, seq, head_size] = tensor.shape().dims::<4>();
    let rows = Shape::new([batch, seq, heads * head_size]);
    B::float_reshape(B::float_swap_dims(tensor, 1, 2), rows)
}
