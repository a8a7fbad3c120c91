//! Default bodies of rotary position embedding, and the operation as one node of the autodiff graph.

use burn::backend::autodiff::{Autodiff, checkpoint::strategy::CheckpointStrategy};
use burn::backend::tensor::FloatTensor;
use burn::backend::{Backend, TensorMetadata};
use burn::tensor::{Shape, Slice, Tensor};

use super::GradientOps;
use super::node::keeping;

/// Cosines and sines of the angles by which heads are rotated, for the places of a row.
#[derive(Clone, Debug)]
pub struct RotaryAngles {
    /// Cosines, `[seq, head_size / 2]`.
    pub cos: Tensor<2>,
    /// Sines, `[seq, head_size / 2]`.
    pub sin: Tensor<2>,
}

/// Heads side by side in wider rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RotaryColumns {
    /// Column at which they begin.
    pub first: usize,
    /// Their number.
    pub heads: usize,
    /// Width of the rows.
    pub row: usize,
}

impl RotaryColumns {
    /// These columns of a tensor of `shape`, `[batch, seq, row]`.
    fn slices(self, shape: &Shape, width: usize) -> [Slice; 3] {
        let columns = self.first..self.first + width;
        [0..shape[0], 0..shape[1], columns].map(Slice::from)
    }
}

/// The default body of [`BertOps::rotate`](super::BertOps::rotate).
pub(super) fn forward<B: Backend>(
    input: FloatTensor<B>,
    cos: FloatTensor<B>,
    sin: FloatTensor<B>,
    columns: RotaryColumns,
) -> FloatTensor<B> {
    let width = columns.heads * 2 * cos.shape()[1];
    let input = match width == columns.row {
        true => input,
        false => {
            let slices = columns.slices(&input.shape(), width);
            B::float_slice(input, &slices)
        }
    };
    rotate_heads::<B>(input, cos, sin)
}

/// The default body of [`GradientOps::rotate_backward`].
pub(super) fn backward<B: Backend>(
    grad: FloatTensor<B>,
    cos: FloatTensor<B>,
    sin: FloatTensor<B>,
    columns: RotaryColumns,
) -> FloatTensor<B> {
    let rotated = rotate_heads::<B>(grad, cos, B::float_neg(sin));
    let [batch, seq, width] = rotated.shape().dims::<3>();
    if width == columns.row {
        return rotated;
    }
    let shape = Shape::new([batch, seq, columns.row]);
    let zeros = B::float_zeros(shape.clone(), &rotated.device(), rotated.dtype().into());
    B::float_slice_assign(zeros, &columns.slices(&shape, width), rotated)
}

/// Rotates every head, `[batch, seq, heads · head_size]`.
fn rotate_heads<B: Backend>(
    input: FloatTensor<B>,
    cos: FloatTensor<B>,
    sin: FloatTensor<B>,
) -> FloatTensor<B> {
    let shape = input.shape();
    let [batch, seq, width] = shape.dims::<3>();
    let [_, half] = cos.shape().dims::<2>();
    let heads = width / (2 * half);
    let [cos, sin] =
        [cos, sin].map(|angles| B::float_reshape(angles, Shape::new([1, seq, 1, half])));
    let input = B::float_reshape(input, Shape::new([batch, seq, heads, 2 * half]));
    let [left, right] = [0..half, half..2 * half].map(|columns| {
        let slices = [0..batch, 0..seq, 0..heads, columns].map(Slice::from);
        B::float_slice(input.clone(), &slices) // [batch, seq, heads, half]
    });
    let along = |left, right| {
        B::float_sub(
            B::float_mul(left, cos.clone()),
            B::float_mul(right, sin.clone()),
        )
    };
    let new_left = along(left.clone(), right.clone());
    let new_right = B::float_add(
        B::float_mul(right, cos.clone()),
        B::float_mul(left, sin.clone()),
    );
    let rotated = B::float_cat(vec![new_left, new_right], 3); // [batch, seq, heads, head_size]
    B::float_reshape(rotated, shape)
}

/// [`BertOps::rotate`](super::BertOps::rotate) as one node, which keeps the angles alone.
pub(super) fn autodiff<B: GradientOps, C: CheckpointStrategy>(
    input: FloatTensor<Autodiff<B, C>>,
    cos: FloatTensor<B>,
    sin: FloatTensor<B>,
    columns: RotaryColumns,
) -> FloatTensor<Autodiff<B, C>> {
    keeping::<B, C, _, 1>(
        [input],
        |_| (cos.clone(), sin.clone(), columns),
        |[input]| B::rotate(input, cos.clone(), sin.clone(), columns),
        |(cos, sin, columns), grad, _| [Some(B::rotate_backward(grad, cos, sin, columns))],
    )
}
