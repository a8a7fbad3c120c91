//! Default bodies of the masked softmax and its gradient as one node of the autodiff graph.

use burn::backend::autodiff::{
    Autodiff,
    checkpoint::{base::Checkpointer, strategy::CheckpointStrategy},
    grads::Gradients,
    ops::{Backward, Ops, OpsKind},
};
use burn::backend::tensor::{BoolTensor, FloatTensor};
use burn::backend::{Backend, TensorMetadata};

use super::BertOps;

/// `softmax(scale · scores)`, zero at padding.
///
/// Masked scores become the most negative *finite* value, so that no subtraction in the softmax
/// sees `-inf - -inf`, and f16 does not overflow; zeroing them afterwards makes a row without any
/// key a row of zeros instead of a uniform one.
pub(super) fn masked<B: Backend>(
    scores: FloatTensor<B>,
    mask_pad: BoolTensor<B>,
    scale: f64,
) -> FloatTensor<B> {
    let lowest = scores
        .dtype()
        .finfo()
        .expect("scores are a float tensor")
        .min;
    let mask = B::bool_expand(mask_pad, scores.shape());
    let scores = B::float_mul_scalar(scores, scale.into());
    let scores = B::float_mask_fill(scores, mask.clone(), lowest.into());
    B::float_mask_fill(B::softmax(scores, 3), mask, 0.0.into())
}

/// `scale · p · (grad - Σ grad·p)`, the sum over the last dimension.
pub(super) fn backward<B: Backend>(
    probabilities: FloatTensor<B>,
    grad: FloatTensor<B>,
    scale: f64,
) -> FloatTensor<B> {
    let last = grad.rank() - 1;
    let mean = B::float_sum_dim(B::float_mul(grad.clone(), probabilities.clone()), last);
    let grad = B::float_mul(B::float_sub(grad, mean), probabilities);
    B::float_mul_scalar(grad, scale.into())
}

/// [`BertOps::masked_softmax`] as one node, keeping only its output.
///
/// Padding needs no mask on the way back: its probabilities are zero.
pub(super) fn masked_autodiff<B: BertOps, C: CheckpointStrategy>(
    scores: FloatTensor<Autodiff<B, C>>,
    mask_pad: BoolTensor<B>,
    scale: f64,
) -> FloatTensor<Autodiff<B, C>> {
    #[derive(Debug)]
    struct MaskedSoftmax;

    impl<B: BertOps> Backward<B, 1> for MaskedSoftmax {
        type State = (FloatTensor<B>, f64);

        fn backward(
            self,
            ops: Ops<Self::State, 1>,
            grads: &mut Gradients,
            _checkpointer: &mut Checkpointer,
        ) {
            let [parent] = ops.parents;
            let grad = grads.consume::<B>(&ops.node);
            let (probabilities, scale) = ops.state;
            if let Some(node) = parent {
                let grad = B::softmax_backward(probabilities, grad, scale);
                grads.register::<B>(node.id, grad);
            }
        }
    }

    match MaskedSoftmax
        .prepare::<C>([scores.node()])
        .compute_bound()
        .stateful()
    {
        OpsKind::Tracked(prep) => {
            let probabilities = B::masked_softmax(scores.into_primitive(), mask_pad, scale);
            prep.finish((probabilities.clone(), scale), probabilities)
        }
        OpsKind::UnTracked(prep) => {
            prep.finish(B::masked_softmax(scores.into_primitive(), mask_pad, scale))
        }
    }
}
