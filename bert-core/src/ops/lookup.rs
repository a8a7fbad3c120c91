//! Rows of a table as one node of the autodiff graph, whose gradient is [`BertOps::lookup_backward`].

use burn::backend::autodiff::{
    Autodiff,
    checkpoint::{base::Checkpointer, strategy::CheckpointStrategy},
    grads::Gradients,
    ops::{Backward, Ops, OpsKind},
};
use burn::backend::tensor::{FloatTensor, IntTensor};

use super::BertOps;

/// [`BertOps::lookup`] as one node.
pub(super) fn autodiff<B: BertOps, C: CheckpointStrategy>(
    table: FloatTensor<Autodiff<B, C>>,
    ids: IntTensor<Autodiff<B, C>>,
) -> FloatTensor<Autodiff<B, C>> {
    #[derive(Debug)]
    struct Lookup;

    impl<B: BertOps> Backward<B, 1> for Lookup {
        /// The table, of which the gradient has the shape, and the rows that were looked up.
        type State = (FloatTensor<B>, IntTensor<B>);

        fn backward(
            self,
            ops: Ops<Self::State, 1>,
            grads: &mut Gradients,
            _checkpointer: &mut Checkpointer,
        ) {
            let [parent] = ops.parents;
            let grad = grads.consume::<B>(&ops.node);
            if let Some(node) = parent {
                let (table, ids) = ops.state;
                grads.register::<B>(node.id, B::lookup_backward(table, ids, grad));
            }
        }
    }

    let prepared = Lookup.prepare::<C>([table.node()]).compute_bound();
    let table = table.into_primitive();
    match prepared.stateful() {
        OpsKind::Tracked(prep) => {
            let output = B::lookup(table.clone(), ids.clone());
            prep.finish((table, ids), output)
        }
        OpsKind::UnTracked(prep) => prep.finish(B::lookup(table, ids)),
    }
}
