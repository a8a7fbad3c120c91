//! A linear layer as one node of the autodiff graph, whose forward pass is [`BertOps::project`]; and the
//! default for weights in 8 bits.

use burn::backend::TensorMetadata;
use burn::backend::autodiff::{
    Autodiff, NodeId,
    checkpoint::{base::Checkpointer, strategy::CheckpointStrategy},
    grads::Gradients,
    ops::{Backward, Ops, OpsKind},
};
use burn::backend::tensor::FloatTensor;
use burn::tensor::TensorData;

use super::{BertOps, Int8Weight};

/// The default body of [`BertOps::project_int8`].
pub(super) fn project_floats<B: BertOps>(
    input: FloatTensor<B>,
    bias: FloatTensor<B>,
    weight: &Int8Weight,
    gelu: bool,
) -> FloatTensor<B> {
    let data = TensorData::new(weight.floats(), weight.shape()).convert_dtype(input.dtype());
    let weight = B::float_from_data(data, &input.device());
    if gelu {
        B::project_gelu(input, weight, bias)
    } else {
        B::project(input, weight, bias)
    }
}

/// [`BertOps::project`] as one node; of input and weight it keeps what the other's gradient needs.
pub(super) fn project_autodiff<B: BertOps, C: CheckpointStrategy>(
    input: FloatTensor<Autodiff<B, C>>,
    weight: FloatTensor<Autodiff<B, C>>,
    bias: FloatTensor<Autodiff<B, C>>,
) -> FloatTensor<Autodiff<B, C>> {
    #[derive(Debug)]
    struct Project;

    impl<B: BertOps> Backward<B, 3> for Project {
        type State = [Option<NodeId>; 2];

        fn backward(
            self,
            ops: Ops<Self::State, 3>,
            grads: &mut Gradients,
            checkpointer: &mut Checkpointer,
        ) {
            let [of_input, of_weight, of_bias] = ops.parents;
            let grad = grads.consume::<B>(&ops.node);
            let [input, weight] = ops.state.map(|node| {
                node.map(|node| checkpointer.retrieve_node_output::<FloatTensor<B>>(node))
            });
            if let (Some(node), Some(weight)) = (of_input, weight) {
                let grad = B::project_input_backward(weight, grad.clone());
                grads.register::<B>(node.id, grad);
            }
            if let (Some(node), Some(input)) = (of_weight, input) {
                let grad = B::project_weight_backward(input, grad.clone());
                grads.register::<B>(node.id, grad);
            }
            if let Some(node) = of_bias {
                grads.register::<B>(node.id, B::linear_bias_backward(grad));
            }
        }
    }

    let tracked = [input.is_tracked(), weight.is_tracked()];
    match Project
        .prepare::<C>([input.node(), weight.node(), bias.node()])
        .compute_bound()
        .stateful()
    {
        OpsKind::Tracked(mut prep) => {
            let [of_input, of_weight] = tracked;
            let state = [
                of_weight.then(|| prep.checkpoint(&input)),
                of_input.then(|| prep.checkpoint(&weight)),
            ];
            let output = B::project(
                input.into_primitive(),
                weight.into_primitive(),
                bias.into_primitive(),
            );
            prep.finish(state, output)
        }
        OpsKind::UnTracked(prep) => prep.finish(B::project(
            input.into_primitive(),
            weight.into_primitive(),
            bias.into_primitive(),
        )),
    }
}
