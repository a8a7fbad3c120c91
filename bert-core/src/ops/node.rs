//! Operations as single nodes of the autodiff graph, with gradients that are written out.

use std::fmt::Debug;

use burn::backend::Backend;
use burn::backend::autodiff::{
    Autodiff,
    checkpoint::{base::Checkpointer, strategy::CheckpointStrategy},
    grads::Gradients,
    ops::{Backward, Ops, OpsKind},
};
use burn::backend::tensor::FloatTensor;

/// Gradients of the inputs, at least of the wanted ones, from what the forward pass has kept and the gradient of its output.
pub(super) type InputGradients<B, S, const N: usize> =
    fn(S, FloatTensor<B>, [bool; N]) -> [Option<FloatTensor<B>>; N];

/// A node whose forward pass keeps `keep` of its inputs.
pub(super) fn keeping<B: Backend, C: CheckpointStrategy, S, const N: usize>(
    inputs: [FloatTensor<Autodiff<B, C>>; N],
    keep: impl FnOnce(&[FloatTensor<B>; N]) -> S,
    forward: impl Fn([FloatTensor<B>; N]) -> FloatTensor<B>,
    backward: InputGradients<B, S, N>,
) -> FloatTensor<Autodiff<B, C>>
where
    S: Clone + Debug + Send + 'static,
{
    let tracked = |inputs: [FloatTensor<B>; N]| {
        let state = keep(&inputs);
        (forward(inputs), state)
    };
    node::<B, C, S, N>(inputs, tracked, &forward, backward)
}

/// A node with a forward pass for inputs of which one wants a gradient, which returns output and state, and another without.
pub(super) fn node<B: Backend, C: CheckpointStrategy, S, const N: usize>(
    inputs: [FloatTensor<Autodiff<B, C>>; N],
    tracked: impl FnOnce([FloatTensor<B>; N]) -> (FloatTensor<B>, S),
    untracked: impl FnOnce([FloatTensor<B>; N]) -> FloatTensor<B>,
    backward: InputGradients<B, S, N>,
) -> FloatTensor<Autodiff<B, C>>
where
    S: Clone + Debug + Send + 'static,
{
    let nodes = inputs.each_ref().map(|input| input.node());
    let inputs = inputs.map(|input| input.into_primitive());
    let prepared = Node(backward).prepare::<C>(nodes).compute_bound();
    match prepared.stateful() {
        OpsKind::Tracked(prep) => {
            let (output, state) = tracked(inputs);
            prep.finish(state, output)
        }
        OpsKind::UnTracked(prep) => prep.finish(untracked(inputs)),
    }
}

#[derive(Debug)]
struct Node<B: Backend, S, const N: usize>(InputGradients<B, S, N>);

impl<B: Backend, S, const N: usize> Backward<B, N> for Node<B, S, N>
where
    S: Clone + Debug + Send + 'static,
{
    type State = S;

    fn backward(self, ops: Ops<S, N>, grads: &mut Gradients, _checkpointer: &mut Checkpointer) {
        let Self(backward) = self;
        let grad = grads.consume::<B>(&ops.node);
        let wanted = ops.parents.each_ref().map(Option::is_some);
        let gradients = backward(ops.state, grad, wanted);
        for (parent, gradient) in ops.parents.into_iter().zip(gradients) {
            if let (Some(node), Some(gradient)) = (parent, gradient) {
                grads.register::<B>(node.id, gradient);
            }
        }
    }
}
