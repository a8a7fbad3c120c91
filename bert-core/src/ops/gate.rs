//! Default bodies of the gated activation, and the operation as one node of the autodiff graph.

use burn::backend::autodiff::{Autodiff, checkpoint::strategy::CheckpointStrategy};
use burn::backend::tensor::FloatTensor;
use burn::backend::{Backend, TensorMetadata};
use burn::tensor::Slice;

use super::node::keeping;
use super::{Activation, BertOps, GradientOps};

/// Form of a gate, one half of the rows of a feed-forward layer, which the other is multiplied by.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct GateForm {
    /// Activation of the gate.
    pub activation: Activation,
    /// Half of every row that is the gate.
    pub activated: GateHalf,
}

/// Half of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GateHalf {
    /// The columns before the middle.
    First,
    /// The columns after the middle.
    Second,
}

impl GateHalf {
    /// This half and the other, of the halves in their order; or the halves in their order, of this one and the other.
    pub fn before_other<T>(self, [first, second]: [T; 2]) -> [T; 2] {
        match self {
            Self::First => [first, second],
            Self::Second => [second, first],
        }
    }
}

/// The default body of [`BertOps::gate`].
pub(super) fn forward<B: BertOps>(input: FloatTensor<B>, form: GateForm) -> FloatTensor<B> {
    let [activated, other] = form.activated.before_other(halves::<B>(input));
    B::gate_apart(activated, other, form.activation)
}

/// The default body of [`GradientOps::gate_backward`].
pub(super) fn backward<B: GradientOps>(
    input: FloatTensor<B>,
    grad: FloatTensor<B>,
    form: GateForm,
) -> FloatTensor<B> {
    let last = input.shape().num_dims() - 1;
    let [activated, other] = form.activated.before_other(halves::<B>(input));
    let (of_activated, of_other) = B::gate_apart_backward(activated, other, grad, form.activation);
    let halves = form.activated.before_other([of_activated, of_other]);
    B::float_cat(halves.into(), last)
}

/// The default body of [`BertOps::gate_apart`].
pub(super) fn apart<B: BertOps>(
    gate: FloatTensor<B>,
    other: FloatTensor<B>,
    activation: Activation,
) -> FloatTensor<B> {
    B::float_mul(B::activate(gate, activation), other)
}

/// The default body of [`GradientOps::gate_apart_backward`].
pub(super) fn apart_backward<B: GradientOps>(
    gate: FloatTensor<B>,
    other: FloatTensor<B>,
    grad: FloatTensor<B>,
    activation: Activation,
) -> (FloatTensor<B>, FloatTensor<B>) {
    let value = B::activate(gate.clone(), activation);
    let of_other = B::float_mul(grad.clone(), value);
    let of_gate = B::activate_backward(gate, B::float_mul(grad, other), activation);
    (of_gate, of_other)
}

/// The halves of every row.
fn halves<B: Backend>(input: FloatTensor<B>) -> [FloatTensor<B>; 2] {
    let shape = input.shape();
    let last = shape.num_dims() - 1;
    let width = shape[last] / 2;
    let mut slices: Vec<Slice> = (0..last).map(|dim| Slice::from(0..shape[dim])).collect();
    let mut half = |columns: std::ops::Range<usize>| {
        slices.push(Slice::from(columns));
        let half = B::float_slice(input.clone(), &slices);
        slices.pop();
        half
    };
    [half(0..width), half(width..2 * width)]
}

/// [`BertOps::gate`] as one node, which keeps its input.
pub(super) fn autodiff<B: GradientOps, C: CheckpointStrategy>(
    input: FloatTensor<Autodiff<B, C>>,
    form: GateForm,
) -> FloatTensor<Autodiff<B, C>> {
    keeping::<B, C, _, 1>(
        [input],
        |[input]| (input.clone(), form),
        |[input]| B::gate(input, form),
        |(input, form), grad, _| [Some(B::gate_backward(input, grad, form))],
    )
}

/// [`BertOps::gate_apart`] as one node, which keeps both operands.
pub(super) fn apart_autodiff<B: GradientOps, C: CheckpointStrategy>(
    gate: FloatTensor<Autodiff<B, C>>,
    other: FloatTensor<Autodiff<B, C>>,
    activation: Activation,
) -> FloatTensor<Autodiff<B, C>> {
    keeping::<B, C, _, 2>(
        [gate, other],
        |[gate, other]| (gate.clone(), other.clone(), activation),
        |[gate, other]| B::gate_apart(gate, other, activation),
        |(gate, other, activation), grad, _| {
            <[_; 2]>::from(B::gate_apart_backward(gate, other, grad, activation)).map(Some)
        },
    )
}
