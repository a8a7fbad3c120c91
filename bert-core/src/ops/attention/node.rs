//! Attention as one node of the autodiff graph.

use burn::backend::Backend;
use burn::backend::autodiff::{Autodiff, checkpoint::strategy::CheckpointStrategy};
use burn::backend::tensor::FloatTensor;

use super::{
    AttentionBias, AttentionForm, AttentionGradients, AttentionInputs, AttentionLayout,
    AttentionOutput, AttentionState, relative,
};
use crate::ops::GradientOps;
use crate::ops::node::node;

/// Attention from projections to context as one node, which keeps its operands and the state of the backend; scores with
/// relative positions come to it as a bias.
pub(in crate::ops) fn attention<B: GradientOps, C: CheckpointStrategy>(
    inputs: AttentionInputs<Autodiff<B, C>>,
    layout: AttentionLayout<B>,
    form: AttentionForm,
) -> FloatTensor<Autodiff<B, C>> {
    let bias = match inputs.bias.clone() {
        AttentionBias::Relative(positions) => {
            relative::bias(&inputs, positions, form).map(AttentionBias::Present)
        }
        bias => Some(bias),
    };
    let AttentionInputs {
        query, key, value, ..
    } = inputs;
    match bias.unwrap_or(AttentionBias::Absent) {
        AttentionBias::Relative(_) => unreachable!("positions have become a bias"),
        AttentionBias::Absent => node::<B, C, _, 3>(
            [query, key, value],
            |inputs| tracked(unbiased(inputs), layout.clone(), form),
            |inputs| layout.clone().attend(unbiased(inputs), form),
            backward,
        ),
        AttentionBias::Present(bias) => node::<B, C, _, 4>(
            [query, key, value, bias],
            |inputs| tracked(biased(inputs), layout.clone(), form),
            |inputs| layout.clone().attend(biased(inputs), form),
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
    inputs: AttentionInputs<B>,
    state: AttentionState<B>,
    layout: AttentionLayout<B>,
    form: AttentionForm,
}

/// Context and what the gradients take.
fn tracked<B: GradientOps>(
    inputs: AttentionInputs<B>,
    layout: AttentionLayout<B>,
    form: AttentionForm,
) -> (FloatTensor<B>, Kept<B>) {
    let AttentionOutput { context, state } =
        B::attention_with_state(inputs.clone(), layout.clone(), form);
    let kept = Kept {
        inputs,
        state,
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
        inputs,
        state,
        layout,
        form,
    } = kept;
    // Of four inputs the last is the bias.
    let with_bias = N == 4 && wanted[N - 1];
    let AttentionGradients { inputs, bias } =
        B::attention_backward(inputs, state, layout, grad, form, with_bias);
    let mut gradients = inputs.map(Some).into_iter().chain([bias]);
    wanted.map(|_| gradients.next().flatten())
}
