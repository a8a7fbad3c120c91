//! Default bodies of the cross-entropy and its gradient as one node of the autodiff graph.

use burn::backend::autodiff::{Autodiff, checkpoint::strategy::CheckpointStrategy};
use burn::backend::tensor::{FloatTensor, IntTensor};
use burn::backend::{Backend, TensorMetadata};
use burn::tensor::{IndexingUpdateOp, Shape};

use super::GradientOps;
use super::node::keeping;

/// `-ln softmax(logits)[label]` of every row.
pub(super) fn losses<B: Backend>(logits: FloatTensor<B>, labels: IntTensor<B>) -> FloatTensor<B> {
    let [rows, _] = logits.shape().dims::<2>();
    let labels = B::int_reshape(labels, Shape::new([rows, 1]));
    let picked = B::float_gather(1, B::log_softmax(logits, 1), labels); // [rows, 1]
    B::float_neg(B::float_reshape(picked, Shape::new([rows])))
}

/// `grad · (softmax(logits) - one_hot(label))`.
pub(super) fn backward<B: Backend>(
    logits: FloatTensor<B>,
    labels: IntTensor<B>,
    grad: FloatTensor<B>,
) -> FloatTensor<B> {
    let [rows, _] = logits.shape().dims::<2>();
    let labels = B::int_reshape(labels, Shape::new([rows, 1]));
    let grad = B::float_reshape(grad, Shape::new([rows, 1]));
    let expected = B::float_mul(B::softmax(logits, 1), grad.clone()); // [rows, classes]
    let picked = B::float_neg(grad);
    B::float_scatter(1, expected, labels, picked, IndexingUpdateOp::Add)
}

/// [`BertOps::cross_entropy`](super::BertOps::cross_entropy) as one node, keeping the logits and not their softmax.
pub(super) fn autodiff<B: GradientOps, C: CheckpointStrategy>(
    logits: FloatTensor<Autodiff<B, C>>,
    labels: IntTensor<B>,
) -> FloatTensor<Autodiff<B, C>> {
    keeping::<B, C, _, 1>(
        [logits],
        |[logits]| (logits.clone(), labels.clone()),
        |[logits]| B::cross_entropy(logits, labels.clone()),
        |(logits, labels), grad, _| [Some(B::cross_entropy_backward(logits, labels, grad))],
    )
}
