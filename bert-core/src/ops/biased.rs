//! Attention with a bias that is added to the scores, from operations that every backend has.

use burn::tensor::{Bool, DType, Int, Tensor, activation};

use super::{PackedLayout, dropout_mask, packed_by_group};

/// Attention of all heads beside its inputs.
#[derive(Clone, Copy, Debug)]
pub struct AttentionForm {
    /// Attention heads.
    pub heads: usize,
    /// Factor of the products of queries and keys.
    pub scale: f64,
    /// Tokens on either side that are attended to, if not all.
    pub reach: Option<usize>,
    /// Probability to drop a probability.
    pub dropout: f64,
}

/// [`self_attention`](super::self_attention) with a bias, `softmax(scale · q·kᵀ + bias)` over the keys that are not padding.
///
/// # Shapes
///
/// - query, key, value, output: `[batch, seq, heads · head_size]`
/// - bias: `[batch, heads, seq, seq]` or `[1, heads, seq, seq]`
/// - mask_pad: `[batch, seq]`, true at padding
pub fn biased_attention(
    inputs: [Tensor<3>; 3],
    bias: Tensor<4>,
    mask_pad: Tensor<2, Bool>,
    form: AttentionForm,
) -> Tensor<3> {
    biased_attention_with_probabilities(inputs, Some(bias), mask_pad, form).0
}

/// [`biased_attention`] within each sequence of `layout`.
///
/// # Shapes
///
/// - query, key, value, output: `[1, tokens, heads · head_size]`
/// - bias: `[1, heads, longest, longest]`, of which a sequence of `n` tokens takes the first `n` rows and columns
pub fn packed_biased_attention(
    inputs: [Tensor<3>; 3],
    bias: Tensor<4>,
    layout: &PackedLayout,
    form: AttentionForm,
) -> Tensor<3> {
    packed_by_group(inputs, layout, |inputs, mask_pad| {
        let [_, seq] = mask_pad.dims();
        let bias = bias.clone().narrow(2, 0, seq).narrow(3, 0, seq);
        biased_attention(inputs, bias, mask_pad, form)
    })
}

/// [`biased_attention`] that also returns the probabilities before dropout.
///
/// # Shapes
///
/// - query, key, value and the first output: `[batch, seq, heads · head_size]`
/// - bias: `[batch, heads, seq, seq]` or `[1, heads, seq, seq]`
/// - mask_pad: `[batch, seq]`, true at padding
/// - second output: `[batch, heads, seq, seq]`; a row without keys is all zero
pub fn biased_attention_with_probabilities(
    inputs: [Tensor<3>; 3],
    bias: Option<Tensor<4>>,
    mask_pad: Tensor<2, Bool>,
    form: AttentionForm,
) -> (Tensor<3>, Tensor<4>) {
    let [batch, seq, width] = inputs[0].dims();
    let shape = [batch, form.heads, seq, seq];
    let [query, key, value] = inputs.map(|tensor| {
        let heads = tensor.reshape([batch, seq, form.heads, width / form.heads]);
        heads.swap_dims(1, 2) // [batch, heads, seq, head_size]
    });
    let mut scores = query.matmul(key.transpose()) * form.scale; // [batch, heads, seq, seq]
    if let Some(bias) = bias {
        scores = scores + bias;
    }
    let mut left_out = mask_pad.reshape([batch, 1, 1, seq]).expand(shape);
    if let Some(reach) = form.reach {
        let places = Tensor::<1, Int>::arange(0..seq as i64, &scores.device());
        let distances = places.clone().reshape([seq, 1]) - places.reshape([1, seq]);
        let outside = distances.abs().greater_elem(reach as i64); // [seq, seq]
        left_out = left_out.bool_or(outside.reshape([1, 1, seq, seq]).expand(shape));
    }
    let lowest = match scores.dtype() {
        DType::F16 => -1e4,
        _ => -1e30,
    };
    let scores = scores.mask_fill(left_out.clone(), lowest);
    let probabilities = activation::softmax(scores, 3).mask_fill(left_out, 0.0);
    let kept = match form.dropout > 0.0 {
        true => probabilities.clone() * dropout_mask(&probabilities, shape, form.dropout),
        false => probabilities.clone(),
    };
    let context = kept.matmul(value).swap_dims(1, 2); // [batch, seq, heads, head_size]
    (context.reshape([batch, seq, width]), probabilities)
}
