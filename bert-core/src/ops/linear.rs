//! A linear layer as one node of the autodiff graph, whose forward pass is [`BertOps::project`]; and the
//! default for packed weights.

use burn::backend::autodiff::{
    Autodiff, NodeId,
    checkpoint::{base::Checkpointer, strategy::CheckpointStrategy},
    grads::Gradients,
    ops::{Backward, NodeGuard, Ops, OpsKind},
};
use burn::backend::tensor::FloatTensor;
use burn::backend::{Backend, TensorMetadata};
use burn::tensor::{Shape, TensorData};

use super::{Activation, BertOps, GradientOps};

/// The default body of [`BertOps::project_table`].
pub(super) fn table<B: BertOps>(
    input: FloatTensor<B>,
    table: FloatTensor<B>,
    bias: FloatTensor<B>,
) -> FloatTensor<B> {
    let scores = B::float_matmul(input, B::float_transpose(table));
    add_bias::<B>(scores, bias)
}

/// `product + bias`, the bias of `[width]` for all rows of `[..., any, width]`.
pub(super) fn add_bias<B: Backend>(
    product: FloatTensor<B>,
    bias: FloatTensor<B>,
) -> FloatTensor<B> {
    let mut row = vec![1; product.shape().num_dims()];
    if let Some(width) = row.last_mut() {
        *width = bias.shape().num_elements();
    }
    B::float_add(product, B::float_reshape(bias, Shape::from(row)))
}

/// The default body of [`PackedWeightOps::project_packed`](super::PackedWeightOps::project_packed), with the unpacked weight.
pub(super) fn project_data<B: BertOps>(
    input: FloatTensor<B>,
    bias: FloatTensor<B>,
    weight: TensorData,
    activation: Activation,
) -> FloatTensor<B> {
    let data = weight.convert_dtype(input.dtype());
    let weight = B::float_from_data(data, &input.device());
    match activation {
        Activation::Gelu => B::project_gelu(input, weight, bias),
        _ => B::activate(B::project(input, weight, bias), activation),
    }
}

/// Forward product of a linear layer and its gradients, by the layout of its weight.
trait Affine<B: GradientOps>: Clone + Copy + std::fmt::Debug + Send + Sync + 'static {
    fn forward(
        input: FloatTensor<B>,
        weight: FloatTensor<B>,
        bias: FloatTensor<B>,
    ) -> FloatTensor<B>;
    fn input_backward(weight: FloatTensor<B>, grad: FloatTensor<B>) -> FloatTensor<B>;
    fn weight_backward(input: FloatTensor<B>, grad: FloatTensor<B>) -> FloatTensor<B>;
}

/// By a matrix `[d_input, d_output]`.
#[derive(Clone, Copy, Debug)]
struct ByMatrix;

impl<B: GradientOps> Affine<B> for ByMatrix {
    fn forward(
        input: FloatTensor<B>,
        weight: FloatTensor<B>,
        bias: FloatTensor<B>,
    ) -> FloatTensor<B> {
        B::project(input, weight, bias)
    }

    fn input_backward(weight: FloatTensor<B>, grad: FloatTensor<B>) -> FloatTensor<B> {
        B::project_input_backward(weight, grad)
    }

    fn weight_backward(input: FloatTensor<B>, grad: FloatTensor<B>) -> FloatTensor<B> {
        B::project_weight_backward(input, grad)
    }
}

/// By a table `[d_output, d_input]`.
#[derive(Clone, Copy, Debug)]
struct ByTable;

impl<B: GradientOps> Affine<B> for ByTable {
    fn forward(
        input: FloatTensor<B>,
        table: FloatTensor<B>,
        bias: FloatTensor<B>,
    ) -> FloatTensor<B> {
        B::project_table(input, table, bias)
    }

    fn input_backward(table: FloatTensor<B>, grad: FloatTensor<B>) -> FloatTensor<B> {
        B::project_table_backward(table, grad)
    }

    fn weight_backward(input: FloatTensor<B>, grad: FloatTensor<B>) -> FloatTensor<B> {
        B::project_weight_backward(grad, input)
    }
}

/// [`BertOps::project`] as one node.
pub(super) fn project_autodiff<B: GradientOps, C: CheckpointStrategy>(
    input: FloatTensor<Autodiff<B, C>>,
    weight: FloatTensor<Autodiff<B, C>>,
    bias: FloatTensor<Autodiff<B, C>>,
) -> FloatTensor<Autodiff<B, C>> {
    affine_autodiff::<B, C, _>(ByMatrix, input, weight, bias)
}

/// [`BertOps::project_table`] as one node.
pub(super) fn table_autodiff<B: GradientOps, C: CheckpointStrategy>(
    input: FloatTensor<Autodiff<B, C>>,
    table: FloatTensor<Autodiff<B, C>>,
    bias: FloatTensor<Autodiff<B, C>>,
) -> FloatTensor<Autodiff<B, C>> {
    affine_autodiff::<B, C, _>(ByTable, input, table, bias)
}

/// [`BertOps::project_unbiased`] as one node.
pub(super) fn unbiased_autodiff<B: GradientOps, C: CheckpointStrategy>(
    input: FloatTensor<Autodiff<B, C>>,
    weight: FloatTensor<Autodiff<B, C>>,
) -> FloatTensor<Autodiff<B, C>> {
    let nodes = [input.node(), weight.node()];
    let forward = |input, weight| B::project_unbiased(input, weight);
    product_autodiff::<B, C, _, 2>(ByMatrix, nodes, input, weight, forward)
}

/// Input times weight with a bias.
fn affine_autodiff<B: GradientOps, C: CheckpointStrategy, A: Affine<B>>(
    affine: A,
    input: FloatTensor<Autodiff<B, C>>,
    weight: FloatTensor<Autodiff<B, C>>,
    bias: FloatTensor<Autodiff<B, C>>,
) -> FloatTensor<Autodiff<B, C>> {
    let nodes = [input.node(), weight.node(), bias.node()];
    let bias = bias.into_primitive();
    let forward = |input, weight| A::forward(input, weight, bias);
    product_autodiff::<B, C, _, 3>(affine, nodes, input, weight, forward)
}

/// A node that keeps of input and weight what the other's gradient needs; `nodes` are theirs, and that of a bias if `forward`
/// adds one.
fn product_autodiff<B: GradientOps, C: CheckpointStrategy, A: Affine<B>, const N: usize>(
    affine: A,
    nodes: [NodeGuard; N],
    input: FloatTensor<Autodiff<B, C>>,
    weight: FloatTensor<Autodiff<B, C>>,
    forward: impl FnOnce(FloatTensor<B>, FloatTensor<B>) -> FloatTensor<B>,
) -> FloatTensor<Autodiff<B, C>> {
    #[derive(Clone, Copy, Debug)]
    struct Project<A>(A);

    impl<B: GradientOps, A: Affine<B>, const N: usize> Backward<B, N> for Project<A> {
        type State = [Option<NodeId>; 2];

        fn backward(
            self,
            ops: Ops<Self::State, N>,
            grads: &mut Gradients,
            checkpointer: &mut Checkpointer,
        ) {
            let mut parents = ops.parents.into_iter();
            let [input_node, weight_node, bias_node] = [(); 3].map(|()| parents.next().flatten());
            let grad = grads.consume::<B>(&ops.node);
            let [input, weight] = ops.state.map(|node| {
                node.map(|node| checkpointer.retrieve_node_output::<FloatTensor<B>>(node))
            });
            if let (Some(node), Some(weight)) = (input_node, weight) {
                let grad = A::input_backward(weight, grad.clone());
                grads.register::<B>(node.id, grad);
            }
            if let (Some(node), Some(input)) = (weight_node, input) {
                let grad = A::weight_backward(input, grad.clone());
                grads.register::<B>(node.id, grad);
            }
            if let Some(node) = bias_node {
                grads.register::<B>(node.id, B::project_bias_backward(grad));
            }
        }
    }

    let tracked = [input.is_tracked(), weight.is_tracked()];
    match Project(affine)
        .prepare::<C>(nodes)
        .compute_bound()
        .stateful()
    {
        OpsKind::Tracked(mut prep) => {
            let [input_tracked, weight_tracked] = tracked;
            let state = [
                weight_tracked.then(|| prep.checkpoint(&input)),
                input_tracked.then(|| prep.checkpoint(&weight)),
            ];
            let output = forward(input.into_primitive(), weight.into_primitive());
            prep.finish(state, output)
        }
        OpsKind::UnTracked(prep) => {
            prep.finish(forward(input.into_primitive(), weight.into_primitive()))
        }
    }
}
