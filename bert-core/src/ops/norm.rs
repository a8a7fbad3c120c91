//! Default bodies of LayerNorm and its gradient as one node of the autodiff graph.

use burn::backend::autodiff::{Autodiff, checkpoint::strategy::CheckpointStrategy};
use burn::backend::tensor::FloatTensor;
use burn::backend::{Backend, TensorMetadata};
use burn::tensor::Shape;

use super::GradientOps;
use super::node::keeping;

/// Gradients of `input`, `gamma` and `beta`; mean and variance are computed again, which costs less
/// than keeping them.
pub(super) fn backward<B: Backend>(
    input: FloatTensor<B>,
    gamma: FloatTensor<B>,
    grad: FloatTensor<B>,
    epsilon: f64,
) -> (FloatTensor<B>, FloatTensor<B>, FloatTensor<B>) {
    let shape = input.shape();
    let last = shape.num_dims() - 1;
    let width = shape[last];
    let rows = shape.num_elements() / width.max(1);
    let flat = Shape::new([rows, width]);
    let input = B::float_reshape(input, flat.clone()); // [rows, width]
    let grad = B::float_reshape(grad, flat); // [rows, width]
    let over_rows = |tensor| B::float_reshape(B::float_sum_dim(tensor, 0), Shape::new([width]));

    let mean = B::float_mean_dim(input.clone(), 1);
    let centred = B::float_sub(input, mean);
    let variance = B::float_mean_dim(B::float_mul(centred.clone(), centred.clone()), 1);
    let deviation = B::float_sqrt(B::float_add_scalar(variance, epsilon.into())); // [rows, 1]
    let normal = B::float_div(centred, deviation.clone());

    let of_gamma = over_rows(B::float_mul(grad.clone(), normal.clone()));
    let of_beta = over_rows(grad.clone());
    let grad = B::float_mul(grad, B::float_reshape(gamma, Shape::new([1, width])));
    let shift = B::float_mean_dim(grad.clone(), 1);
    let along = B::float_mean_dim(B::float_mul(grad.clone(), normal.clone()), 1);
    let of_input = B::float_sub(B::float_sub(grad, shift), B::float_mul(normal, along));
    let of_input = B::float_reshape(B::float_div(of_input, deviation), shape);
    (of_input, of_gamma, of_beta)
}

/// [`BertOps::normalize`](super::BertOps::normalize) as one node, keeping its input.
pub(super) fn normalize_autodiff<B: GradientOps, C: CheckpointStrategy>(
    input: FloatTensor<Autodiff<B, C>>,
    gamma: FloatTensor<Autodiff<B, C>>,
    beta: FloatTensor<Autodiff<B, C>>,
    epsilon: f64,
) -> FloatTensor<Autodiff<B, C>> {
    keeping::<B, C, _, 3>(
        [input, gamma, beta],
        |[input, gamma, _]| (input.clone(), gamma.clone(), epsilon),
        |[input, gamma, beta]| B::normalize(input, gamma, beta, epsilon),
        |(input, gamma, epsilon), grad, _| {
            let (input, gamma, beta) = B::normalize_backward(input, gamma, grad, epsilon);
            [input, gamma, beta].map(Some)
        },
    )
}
