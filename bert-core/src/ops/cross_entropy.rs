//! Default bodies of the cross-entropy and its gradient as one node of the autodiff graph.

use burn::backend::autodiff::{
    Autodiff,
    checkpoint::{base::Checkpointer, strategy::CheckpointStrategy},
    grads::Gradients,
    ops::{Backward, Ops, OpsKind},
};
use burn::backend::tensor::{FloatTensor, IntTensor};
use burn::backend::{Backend, TensorMetadata};
use burn::tensor::{IndexingUpdateOp, Shape};

use super::BertOps;

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

/// [`BertOps::cross_entropy`] as one node, keeping the logits and not their softmax.
pub(super) fn autodiff<B: BertOps, C: CheckpointStrategy>(
    logits: FloatTensor<Autodiff<B, C>>,
    labels: IntTensor<B>,
) -> FloatTensor<Autodiff<B, C>> {
    #[derive(Debug)]
    struct CrossEntropy;

    impl<B: BertOps> Backward<B, 1> for CrossEntropy {
        type State = (FloatTensor<B>, IntTensor<B>);

        fn backward(
            self,
            ops: Ops<Self::State, 1>,
            grads: &mut Gradients,
            _checkpointer: &mut Checkpointer,
        ) {
            let [parent] = ops.parents;
            let grad = grads.consume::<B>(&ops.node);
            let (logits, labels) = ops.state;
            if let Some(node) = parent {
                let grad = B::cross_entropy_backward(logits, labels, grad);
                grads.register::<B>(node.id, grad);
            }
        }
    }

    match CrossEntropy
        .prepare::<C>([logits.node()])
        .compute_bound()
        .stateful()
    {
        OpsKind::Tracked(prep) => {
            let logits = logits.into_primitive();
            let state = (logits.clone(), labels.clone());
            prep.finish(state, B::cross_entropy(logits, labels))
        }
        OpsKind::UnTracked(prep) => prep.finish(B::cross_entropy(logits.into_primitive(), labels)),
    }
}
