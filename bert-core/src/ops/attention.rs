//! Default bodies of the attention operations.

use burn::backend::ops::{AttentionModuleOptions, ModuleOps};
use burn::backend::tensor::{BoolTensor, FloatTensor};
use burn::backend::{Backend, TensorMetadata};
use burn::tensor::Shape;

/// `softmax(q·kᵀ / √head_size)`, zero at padding.
///
/// Masked scores become the most negative *finite* value, so that no subtraction in the softmax
/// sees `-inf - -inf`, and f16 does not overflow; zeroing them afterwards makes a row without any
/// key a row of zeros instead of a uniform one.
pub(super) fn probabilities<B: Backend>(
    query: FloatTensor<B>,
    key: FloatTensor<B>,
    mask_pad: BoolTensor<B>,
) -> FloatTensor<B> {
    let [batch, heads, seq_q, head_size] = query.shape().dims::<4>();
    let [_, _, seq_k, _] = key.shape().dims::<4>();
    let lowest = query
        .dtype()
        .finfo()
        .expect("queries are a float tensor")
        .min;
    let mask = B::bool_expand(mask_pad, Shape::new([batch, heads, seq_q, seq_k]));

    // Scaling the queries touches `head_size` values a token, scaling the scores `seq_k`.
    let query = B::float_mul_scalar(query, (1.0 / (head_size as f64).sqrt()).into());
    let scores = B::float_matmul(query, B::float_transpose(key)); // [batch, heads, seq_q, seq_k]
    let scores = B::float_mask_fill(scores, mask.clone(), lowest.into());
    // The maximum only shifts the exponent; its gradient is zero.
    let highest = B::float_detach(B::float_max_dim(scores.clone(), 3)); // [batch, heads, seq_q, 1]
    let weights = B::float_exp(B::float_sub(scores, highest));
    let total = B::float_sum_dim(weights.clone(), 3); // [batch, heads, seq_q, 1]
    B::float_mask_fill(B::float_div(weights, total), mask, 0.0.into())
}

/// Attention as separate operations.
pub(super) fn composed<B: Backend>(
    query: FloatTensor<B>,
    key: FloatTensor<B>,
    value: FloatTensor<B>,
    mask_pad: BoolTensor<B>,
) -> FloatTensor<B> {
    B::float_matmul(probabilities::<B>(query, key, mask_pad), value) // [batch, heads, seq_q, head_size]
}

/// Attention as separate operations, with dropout on the probabilities.
pub(super) fn composed_dropout<B: Backend>(
    query: FloatTensor<B>,
    key: FloatTensor<B>,
    value: FloatTensor<B>,
    mask_pad: BoolTensor<B>,
    keep: FloatTensor<B>,
) -> FloatTensor<B> {
    let kept = B::float_mul(probabilities::<B>(query, key, mask_pad), keep);
    B::float_matmul(kept, value) // [batch, heads, seq_q, head_size]
}

/// What `true` means in the mask of a backend's fused attention.
#[allow(
    dead_code,
    reason = "which variants are used depends on the backends compiled in"
)]
#[derive(Clone, Copy)]
pub(super) enum Polarity {
    /// Left out, as Burn documents `attention`.
    Masked,
    /// Takes part: `scaled_dot_product_attention` of LibTorch, to which burn-tch 0.22.1 hands the
    /// mask unchanged. `tests/upstream.rs` tells when that is mended.
    Attended,
}

/// Attention through the backend's fused kernel.
#[allow(dead_code, reason = "used by the backends that have one")]
pub(super) fn fused<B: Backend>(
    query: FloatTensor<B>,
    key: FloatTensor<B>,
    value: FloatTensor<B>,
    mask_pad: BoolTensor<B>,
    polarity: Polarity,
) -> FloatTensor<B> {
    let [batch, heads, seq_q, _] = query.shape().dims::<4>();
    let [_, _, seq_k, _] = key.shape().dims::<4>();
    let mask = match polarity {
        Polarity::Masked => mask_pad,
        Polarity::Attended => B::bool_not(mask_pad),
    };
    let mask = B::bool_expand(mask, Shape::new([batch, heads, seq_q, seq_k]));
    <B as ModuleOps<B>>::attention(
        query,
        key,
        value,
        Some(mask),
        None,
        AttentionModuleOptions::default(),
    )
}
