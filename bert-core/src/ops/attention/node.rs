//! Attention as one node of the autodiff graph.

use burn::backend::autodiff::{Autodiff, checkpoint::strategy::CheckpointStrategy};
use burn::backend::tensor::FloatTensor;
use burn::backend::{Backend, TensorMetadata};
use burn::tensor::Shape;

use super::layout::Layout;
use super::{
    AttentionBias, AttentionForm, AttentionInputs, AttentionOutput, AttentionWeights, composed,
};
use crate::ops::GradientOps;
use crate::ops::node::node;

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
    match bias {
        AttentionBias::Absent => node::<B, C, _, 3>(
            [query, key, value],
            |inputs| tracked(unbiased(inputs), layout.clone(), form),
            |inputs| composed::packed::<B>(unbiased(inputs), &layout, form),
            backward,
        ),
        AttentionBias::Present(bias) => node::<B, C, _, 4>(
            [query, key, value, bias],
            |inputs| tracked(biased(inputs), layout.clone(), form),
            |inputs| composed::packed::<B>(biased(inputs), &layout, form),
            backward,
        ),
    }
}

fn unbiased<B: Backend>([query, key, value]: [FloatTensor<B>; 3]) -> AttentionInputs<B> {
    AttentionInputs {
        query,
        key,
        value,
        bias: AttentionBias::Absent,
    }
}

fn biased<B: Backend>([query, key, value, bias]: [FloatTensor<B>; 4]) -> AttentionInputs<B> {
    AttentionInputs {
        query,
        key,
        value,
        bias: AttentionBias::Present(bias),
    }
}

#[derive(Clone, Debug)]
struct Kept<B: Backend> {
    projections: [FloatTensor<B>; 3],
    bias: Option<Shape>,
    /// Those of each group.
    weights: Vec<AttentionWeights<B>>,
    layout: Layout<B>,
    form: AttentionForm,
}

/// Context and what the gradients take.
fn tracked<B: GradientOps>(
    inputs: AttentionInputs<B>,
    layout: Layout<B>,
    form: AttentionForm,
) -> (FloatTensor<B>, Kept<B>) {
    let bias = match &inputs.bias {
        AttentionBias::Absent => None,
        AttentionBias::Present(bias) => Some(bias.shape()),
    };
    let projections = [&inputs.query, &inputs.key, &inputs.value].map(Clone::clone);
    let outputs = layout.groups(inputs).map(|(inputs, mask_pad)| {
        let AttentionOutput { context, weights } =
            B::attention_with_weights(inputs, mask_pad, form);
        (context, weights)
    });
    let (contexts, weights) = outputs.unzip();
    let context = layout.join(contexts);
    let kept = Kept {
        projections,
        bias,
        weights,
        layout,
        form,
    };
    (context, kept)
}

/// Gradients of queries, keys and values, and of the bias if there is one.
fn backward<B: GradientOps, const N: usize>(
    kept: Kept<B>,
    grad: FloatTensor<B>,
    wanted: [bool; N],
) -> [Option<FloatTensor<B>>; N] {
    let Kept {
        projections,
        bias,
        weights,
        layout,
        form,
    } = kept;
    let bias = bias.filter(|_| wanted[N - 1]);
    let [query, key, value] = projections.map(|tensor| layout.part(tensor).into_iter());
    let grad = layout.part_with_zeros(grad);
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
    let joined = of_projections.into_iter().zip(wanted);
    let joined = joined.map(|(parts, wanted)| wanted.then(|| layout.join(parts)));
    let mut gradients = joined.chain([of_bias]);
    wanted.map(|_| gradients.next().flatten())
}
