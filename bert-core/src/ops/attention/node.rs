//! Attention as one node of the autodiff graph.

use burn::backend::autodiff::{
    Autodiff,
    checkpoint::{base::Checkpointer, strategy::CheckpointStrategy},
    grads::Gradients,
    ops::{Backward, NodeGuard, Ops, OpsKind},
};
use burn::backend::tensor::FloatTensor;
use burn::backend::{Backend, TensorMetadata};
use burn::tensor::Shape;

use super::layout::Layout;
use super::{
    AttentionBias, AttentionForm, AttentionInputs, AttentionOutput, AttentionWeights, composed,
};
use crate::ops::GradientOps;

/// Attention from projections to context as one node, which keeps the projections, the probabilities and the state of dropout.
pub(in crate::ops) fn attention<B: GradientOps, C: CheckpointStrategy>(
    inputs: AttentionInputs<Autodiff<B, C>>,
    layout: Layout<B>,
    form: AttentionForm,
) -> FloatTensor<Autodiff<B, C>> {
    let AttentionInputs {
        query,
        key,
        value,
        bias,
    } = inputs;
    let nodes = [query.node(), key.node(), value.node()];
    let inner = |bias| AttentionInputs {
        query: query.into_primitive(),
        key: key.into_primitive(),
        value: value.into_primitive(),
        bias,
    };
    match bias {
        AttentionBias::Absent => {
            register::<B, C, 3>(nodes, inner(AttentionBias::Absent), layout, form)
        }
        AttentionBias::Present(bias) => {
            let [query, key, value] = nodes;
            let nodes = [query, key, value, bias.node()];
            let inputs = inner(AttentionBias::Present(bias.into_primitive()));
            register::<B, C, 4>(nodes, inputs, layout, form)
        }
    }
}

#[derive(Debug)]
struct Attention;

#[derive(Clone, Debug)]
struct Kept<B: Backend> {
    projections: [FloatTensor<B>; 3],
    bias: Option<Shape>,
    /// Those of each group.
    weights: Vec<AttentionWeights<B>>,
    layout: Layout<B>,
    form: AttentionForm,
}

/// The parents are queries, keys and values, and the bias if there is one.
impl<B: GradientOps, const N: usize> Backward<B, N> for Attention {
    type State = Kept<B>;

    fn backward(
        self,
        ops: Ops<Self::State, N>,
        grads: &mut Gradients,
        _checkpointer: &mut Checkpointer,
    ) {
        let Kept {
            projections,
            bias,
            weights,
            layout,
            form,
        } = ops.state;
        let mut parents = ops.parents.into_iter();
        let bias = bias.filter(|_| parents.as_slice()[N - 1].is_some());
        let [query, key, value] = projections.map(|tensor| layout.part(tensor).into_iter());
        let grad = layout.part_with_zeros(grads.consume::<B>(&ops.node));
        let groups = query.zip(key).zip(value).zip(grad).zip(weights);
        let mut of_projections = [(); 3].map(|()| Vec::new());
        let mut of_bias = None;
        for ((((query, key), value), grad), weights) in groups {
            let inputs = [query, key, value];
            let gradients = B::attention_backward(inputs, weights, grad, form, bias.clone());
            for (parts, part) in of_projections.iter_mut().zip(gradients.inputs) {
                parts.push(part);
            }
            of_bias = match (of_bias, gradients.bias) {
                (Some(sum), Some(gradient)) => Some(B::float_add(sum, gradient)),
                (sum, gradient) => sum.or(gradient),
            };
        }
        for (parts, parent) in of_projections.into_iter().zip(parents.by_ref()) {
            if let Some(node) = parent {
                grads.register::<B>(node.id, layout.join(parts));
            }
        }
        if let (Some(gradient), Some(Some(node))) = (of_bias, parents.next()) {
            grads.register::<B>(node.id, gradient);
        }
    }
}

fn register<B: GradientOps, C: CheckpointStrategy, const N: usize>(
    nodes: [NodeGuard; N],
    inputs: AttentionInputs<B>,
    layout: Layout<B>,
    form: AttentionForm,
) -> FloatTensor<Autodiff<B, C>> {
    match Attention.prepare::<C>(nodes).compute_bound().stateful() {
        OpsKind::Tracked(prep) => {
            let bias = match &inputs.bias {
                AttentionBias::Absent => None,
                AttentionBias::Present(bias) => Some(bias.shape()),
            };
            let projections = [&inputs.query, &inputs.key, &inputs.value].map(Clone::clone);
            let (contexts, weights) = layout
                .groups(inputs)
                .map(|(inputs, mask_pad)| {
                    let AttentionOutput { context, weights } =
                        B::attention_with_weights(inputs, mask_pad, form);
                    (context, weights)
                })
                .unzip();
            let output = layout.join(contexts);
            let kept = Kept {
                projections,
                bias,
                weights,
                layout,
                form,
            };
            prep.finish(kept, output)
        }
        OpsKind::UnTracked(prep) => prep.finish(composed::packed::<B>(inputs, &layout, form)),
    }
}
