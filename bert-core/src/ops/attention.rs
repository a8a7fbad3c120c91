//! Default bodies of the attention operations.

use burn::backend::ops::{AttentionModuleOptions, ModuleOps};
use burn::backend::tensor::{BoolTensor, FloatTensor};
use burn::backend::{Backend, TensorMetadata};
use burn::tensor::Shape;

use super::BertOps;

/// `softmax(q·kᵀ / √head_size)`, zero at padding.
pub(super) fn probabilities<B: BertOps>(
    query: FloatTensor<B>,
    key: FloatTensor<B>,
    mask_pad: BoolTensor<B>,
) -> FloatTensor<B> {
    let [_, _, _, head_size] = query.shape().dims::<4>();
    let scores = B::float_matmul(query, B::float_transpose(key)); // [batch, heads, seq_q, seq_k]
    B::masked_softmax(scores, mask_pad, 1.0 / (head_size as f64).sqrt())
}

/// Attention as separate operations.
pub(super) fn composed<B: BertOps>(
    query: FloatTensor<B>,
    key: FloatTensor<B>,
    value: FloatTensor<B>,
    mask_pad: BoolTensor<B>,
) -> FloatTensor<B> {
    B::float_matmul(probabilities::<B>(query, key, mask_pad), value) // [batch, heads, seq_q, head_size]
}

/// Attention of all heads, split and joined by views and one copy.
pub(super) fn from_projections<B: BertOps>(
    query: FloatTensor<B>,
    key: FloatTensor<B>,
    value: FloatTensor<B>,
    mask_pad: BoolTensor<B>,
    heads: usize,
) -> FloatTensor<B> {
    let shape = query.shape();
    let [batch, seq, width] = shape.dims::<3>();
    // [batch, seq, width] to [batch, heads, seq, head_size]
    let split = |tensor| {
        let by_head = Shape::new([batch, seq, heads, width / heads]);
        B::float_swap_dims(B::float_reshape(tensor, by_head), 1, 2)
    };
    let context = <B as BertOps>::attention(split(query), split(key), split(value), mask_pad);
    B::float_reshape(B::float_swap_dims(context, 1, 2), shape)
}

/// Attention as separate operations, with dropout on the probabilities.
pub(super) fn composed_dropout<B: BertOps>(
    query: FloatTensor<B>,
    key: FloatTensor<B>,
    value: FloatTensor<B>,
    mask_pad: BoolTensor<B>,
    keep: FloatTensor<B>,
) -> FloatTensor<B> {
    let kept = B::float_mul(probabilities::<B>(query, key, mask_pad), keep);
    B::float_matmul(kept, value) // [batch, heads, seq_q, head_size]
}

/// Attention through the backend's fused kernel; the mask is true at what is left out, as Burn documents it.
#[allow(dead_code, reason = "used by the backends that have one")]
pub(super) fn fused<B: Backend>(
    query: FloatTensor<B>,
    key: FloatTensor<B>,
    value: FloatTensor<B>,
    mask_pad: BoolTensor<B>,
) -> FloatTensor<B> {
    let [batch, heads, seq_q, _] = query.shape().dims::<4>();
    let [_, _, seq_k, _] = key.shape().dims::<4>();
    let mask = B::bool_expand(mask_pad, Shape::new([batch, heads, seq_q, seq_k]));
    <B as ModuleOps<B>>::attention(
        query,
        key,
        value,
        Some(mask),
        None,
        AttentionModuleOptions::default(),
    )
}
