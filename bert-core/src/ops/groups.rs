//! Attention over packed tokens by a function of padded rows.

use burn::tensor::{Bool, Tensor};

use super::{PackedLayout, lookup};

/// Attention within each sequence of `layout` by `attend`, which takes query, key and value of a group of sequences of similar
/// length, `[batch, seq, width]`, with its padding, `[batch, seq]`, and returns its context, `[batch, seq, width]`.
///
/// # Shapes
///
/// - query, key, value, output: `[1, tokens, width]`
pub fn packed_by_group(
    inputs: [Tensor<3>; 3],
    layout: &PackedLayout,
    attend: impl Fn([Tensor<3>; 3], Tensor<2, Bool>) -> Tensor<3>,
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
        attend(padded, mask_pad).reshape([size, width])
    });
    let rows = Tensor::cat(rows.collect(), 0);
    lookup(rows, layout.slots.clone().unsqueeze()) // [1, tokens, width]
}
