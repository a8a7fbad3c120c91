//! Attention within a window around each token, from operations that every backend has.

use burn::tensor::{Bool, DType, Int, Tensor, activation};

use super::{PackedLayout, dropout_mask, lookup};

/// Attention of all heads within a window.
#[derive(Clone, Copy, Debug)]
pub struct LocalForm {
    /// Attention heads.
    pub heads: usize,
    /// Tokens on either side that are attended to.
    pub reach: usize,
    /// Probability to drop a probability.
    pub dropout: f64,
}

/// [`self_attention`](super::self_attention) to the tokens within a window around each, with the probabilities before dropout.
///
/// # Shapes
///
/// - query, key, value and the first output: `[batch, seq, heads · head_size]`
/// - mask_pad: `[batch, seq]`, true at padding
/// - second output: `[batch, heads, seq, seq]`, zero outside the window; a row without keys is all zero
pub fn local_attention(
    [query, key, value]: [Tensor<3>; 3],
    mask_pad: Tensor<2, Bool>,
    form: LocalForm,
) -> (Tensor<3>, Tensor<4>) {
    let [batch, seq, width] = query.dims();
    let head_size = width / form.heads;
    let split = |tensor: Tensor<3>| {
        let heads = tensor.reshape([batch, seq, form.heads, head_size]);
        heads.swap_dims(1, 2) // [batch, heads, seq, head_size]
    };
    let lowest = match query.dtype() {
        DType::F16 => -1e4,
        _ => -1e30,
    };
    let places = Tensor::<1, Int>::arange(0..seq as i64, &query.device());
    let distances = places.clone().reshape([seq, 1]) - places.reshape([1, seq]);
    let outside = distances.abs().greater_elem(form.reach as i64); // [seq, seq]
    let shape = [batch, form.heads, seq, seq];
    let left_out = outside.reshape([1, 1, seq, seq]).expand(shape);
    let left_out = left_out.bool_or(mask_pad.reshape([batch, 1, 1, seq]).expand(shape));
    let [query, key, value] = [query, key, value].map(split);
    let scores = query.matmul(key.transpose()) / (head_size as f64).sqrt(); // [batch, heads, seq, seq]
    let scores = scores.mask_fill(left_out.clone(), lowest);
    let probabilities = activation::softmax(scores, 3).mask_fill(left_out, 0.0);
    let kept = match form.dropout > 0.0 {
        true => probabilities.clone() * dropout_mask(&probabilities, shape, form.dropout),
        false => probabilities.clone(),
    };
    let context = kept.matmul(value).swap_dims(1, 2); // [batch, seq, heads, head_size]
    (context.reshape([batch, seq, width]), probabilities)
}

/// [`local_attention`] within each sequence of `layout`.
///
/// # Shapes
///
/// - query, key, value, output: `[1, tokens, heads · head_size]`
pub fn packed_local_attention(
    inputs: [Tensor<3>; 3],
    layout: &PackedLayout,
    form: LocalForm,
) -> Tensor<3> {
    let [_, tokens, width] = inputs[0].dims();
    let inputs = inputs.map(|tensor| tensor.reshape([tokens, width]));
    let groups = layout.groups.iter().scan(0, |next, &[batch, seq]| {
        let first = *next;
        *next += batch * seq;
        Some((first, [batch, seq]))
    });
    let rows = groups.map(|(first, shape)| {
        let size = shape[0] * shape[1];
        let places = layout.places.clone().narrow(0, first, size).reshape(shape);
        let mask_pad = layout.padding.clone().narrow(0, first, size).reshape(shape);
        let padded = inputs.clone().map(|tensor| lookup(tensor, places.clone()));
        let (context, _) = local_attention(padded, mask_pad, form); // [batch, seq, width]
        context.reshape([size, width])
    });
    let rows = Tensor::cat(rows.collect(), 0);
    lookup(rows, layout.slots.clone().unsqueeze()) // [1, tokens, width]
}
