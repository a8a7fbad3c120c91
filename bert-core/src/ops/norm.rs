//! Default bodies of LayerNorm and its gradient as one node of the autodiff graph.

use burn::backend::autodiff::{
    Autodiff,
    checkpoint::{base::Checkpointer, strategy::CheckpointStrategy},
    grads::Gradients,
    ops::{Backward, Ops, OpsKind},
};
use burn::backend::tensor::FloatTensor;
use burn::backend::{Backend, TensorMetadata};
use burn::tensor::Shape;

use super::BertOps;

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

/// [`BertOps::normalize`] as one node, keeping its input.
pub(super) fn normalize_autodiff<B: BertOps, C: CheckpointStrategy>(
    input: FloatTensor<Autodiff<B, C>>,
    gamma: FloatTensor<Autodiff<B, C>>,
    beta: FloatTensor<Autodiff<B, C>>,
    epsilon: f64,
) -> FloatTensor<Autodiff<B, C>> {
    #[derive(Debug)]
    struct Normalize;

    impl<B: BertOps> Backward<B, 3> for Normalize {
        type State = (FloatTensor<B>, FloatTensor<B>, f64);

        fn backward(
            self,
            ops: Ops<Self::State, 3>,
            grads: &mut Gradients,
            _checkpointer: &mut Checkpointer,
        ) {
            let parents = ops.parents;
            let grad = grads.consume::<B>(&ops.node);
            let (input, gamma, epsilon) = ops.state;
            let (input, gamma, beta) = B::normalize_backward(input, gamma, grad, epsilon);
            for (node, grad) in parents.into_iter().zip([input, gamma, beta]) {
                if let Some(node) = node {
                    grads.register::<B>(node.id, grad);
                }
            }
        }
    }

    match Normalize
        .prepare::<C>([input.node(), gamma.node(), beta.node()])
        .compute_bound()
        .stateful()
    {
        OpsKind::Tracked(prep) => {
            let (input, gamma) = (input.into_primitive(), gamma.into_primitive());
            let state = (input.clone(), gamma.clone(), epsilon);
            let output = B::normalize(input, gamma, beta.into_primitive(), epsilon);
            prep.finish(state, output)
        }
        OpsKind::UnTracked(prep) => prep.finish(B::normalize(
            input.into_primitive(),
            gamma.into_primitive(),
            beta.into_primitive(),
            epsilon,
        )),
    }
}
