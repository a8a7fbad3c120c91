//! Operations over tensors that go element by element or row by row.

use bert_kernels::attention::Dropout;
use bert_kernels::{
    activation as activations, adam, cross_entropy as loss, embedding, gate as gates,
    gradient_norm, layer_norm, rotary as rotation, softmax as kernels,
};
use burn::backend::ops::{ActivationOps, FloatTensorOps, ModuleOps};
use burn::tensor::Shape;

use super::{Backend, HostBackend, HostTensor, Kernel, When, place, width, with_width, zeros_like};
use crate::ops::{
    Activation, AdamStep, CrossEntropy, GateForm, GateHalf, RotaryColumns,
    activation as default_activation, cross_entropy as default_loss, dropout, gate as default_gate,
    norm, rotary, scale, softmax,
};

/// [`BertOps::masked_softmax`](crate::ops::BertOps::masked_softmax), in place, for a mask that all queries share.
pub(in crate::ops) fn masked_softmax<T: HostTensor>(scores: T, mask_pad: T, scale: f64) -> T {
    let [_, _, queries, _] = mask_pad.shape().dims::<4>();
    match place(When::Preferred.and(queries == 1), [scores]) {
        Kernel([mut scores]) => {
            let attended = kernels::attended(&mask_pad.to_bools()); // [batch, keys]
            let keys = width(&scores);
            kernels::masked_softmax(scores.make_mut(), &attended, keys, scale as f32);
            scores
        }
        Backend([scores]) => softmax::masked::<T::Backend>(scores, mask_pad, scale),
    }
}

/// [`GradientOps::softmax_backward`](crate::ops::GradientOps::softmax_backward), in place of `grad`.
pub(in crate::ops) fn softmax_backward<T: HostTensor>(probabilities: T, grad: T, scale: f64) -> T {
    match place(When::Preferred, [probabilities, grad]) {
        Kernel([probabilities, mut grad]) => {
            let width = width(&grad);
            let probabilities = probabilities.as_slice();
            kernels::backward(probabilities, grad.make_mut(), width, scale as f32);
            grad
        }
        Backend([probabilities, grad]) => {
            T::Backend::own_softmax_backward(probabilities, grad, scale)
        }
    }
}

/// [`BertOps::normalize`](crate::ops::BertOps::normalize).
pub(in crate::ops) fn normalize<T: HostTensor>(input: T, gamma: T, beta: T, epsilon: f64) -> T {
    match place(When::Always, [input, gamma, beta]) {
        Kernel([input, gamma, beta]) => input.init_like(input.shape(), |to| {
            let (gamma, beta) = (gamma.as_slice(), beta.as_slice());
            layer_norm::forward(input.as_slice(), gamma, beta, epsilon, to)
        }),
        Backend([input, gamma, beta]) => T::Backend::layer_norm(input, gamma, Some(beta), epsilon),
    }
}

/// [`BertOps::add_normalize`](crate::ops::BertOps::add_normalize), in place of `input`.
pub(in crate::ops) fn add_normalize<T: HostTensor>(
    input: T,
    residual: T,
    gamma: T,
    beta: T,
    epsilon: f64,
) -> T {
    match place(When::Preferred, [input, residual, gamma, beta]) {
        Kernel([mut input, residual, gamma, beta]) => {
            let [residual, gamma, beta] = [&residual, &gamma, &beta].map(T::as_slice);
            layer_norm::add_forward(input.make_mut(), residual, gamma, beta, epsilon);
            input
        }
        Backend([input, residual, gamma, beta]) => {
            T::Backend::own_add_normalize(input, residual, gamma, beta, epsilon)
        }
    }
}

/// [`GradientOps::normalize_backward`](crate::ops::GradientOps::normalize_backward), the gradient of the input in place of `grad`.
pub(in crate::ops) fn normalize_backward<T: HostTensor>(
    input: T,
    gamma: T,
    grad: T,
    epsilon: f64,
) -> (T, T, T) {
    match place(When::Always, [input, gamma, grad]) {
        Kernel([input, gamma, mut grad]) => {
            let [mut grad_gamma, mut grad_beta] =
                [(); 2].map(|()| zeros_like(&input, [width(&input)]));
            layer_norm::backward(
                input.as_slice(),
                gamma.as_slice(),
                grad.make_mut(),
                epsilon,
                grad_gamma.make_mut(),
                grad_beta.make_mut(),
            );
            (grad, grad_gamma, grad_beta)
        }
        Backend([input, gamma, grad]) => norm::backward::<T::Backend>(input, gamma, grad, epsilon),
    }
}

/// [`BertOps::activate`](crate::ops::BertOps::activate), in place if the buffer is unique.
pub(in crate::ops) fn activate<T: HostTensor>(input: T, activation: Activation) -> T {
    match place(of_activation(activation), [input]) {
        Kernel([mut input]) => {
            let activation = activation.into();
            if let Some(values) = input.get_mut() {
                activations::forward_in_place(activation, values);
                return input;
            }
            input.init_like(input.shape(), |to| {
                activations::forward(activation, input.as_slice(), to)
            })
        }
        Backend([input]) => default_activation::forward::<T::Backend>(input, activation),
    }
}

/// [`GradientOps::activate_backward`](crate::ops::GradientOps::activate_backward), in place of `grad`.
pub(in crate::ops) fn activate_backward<T: HostTensor>(
    input: T,
    grad: T,
    activation: Activation,
) -> T {
    match place(of_activation(activation), [input, grad]) {
        Kernel([input, mut grad]) => {
            activations::backward(activation.into(), input.as_slice(), grad.make_mut());
            grad
        }
        Backend([input, grad]) => match activation {
            Activation::Gelu => T::Backend::gelu_backward(input, grad),
            _ => default_activation::backward::<T::Backend>(input, grad, activation),
        },
    }
}

/// Backends have kernels of their own for exact GELU alone.
fn of_activation(activation: Activation) -> When {
    match activation {
        Activation::Identity => When::Never,
        Activation::Gelu => When::Preferred,
        Activation::GeluTanh | Activation::Swish(_) => When::Always,
    }
}

impl From<Activation> for activations::Activation {
    fn from(activation: Activation) -> Self {
        match activation {
            Activation::Identity => Self::Identity,
            Activation::Gelu => Self::Gelu,
            Activation::GeluTanh => Self::GeluTanh,
            Activation::Swish(slope) => Self::Swish(slope as f32),
        }
    }
}

/// [`BertOps::rotate`](crate::ops::BertOps::rotate).
pub(in crate::ops) fn rotate<T: HostTensor>(input: T, cos: T, sin: T, columns: RotaryColumns) -> T {
    match place(When::Always, [input, cos, sin]) {
        Kernel([input, cos, sin]) => {
            let angles = angles(&cos, &sin);
            let columns = columns_of(columns, angles);
            input.init_like(with_width(&input, columns.width), |to| {
                rotation::forward(input.as_slice(), columns, angles, to)
            })
        }
        Backend([input, cos, sin]) => rotary::forward::<T::Backend>(input, cos, sin, columns),
    }
}

/// [`GradientOps::rotate_backward`](crate::ops::GradientOps::rotate_backward).
pub(in crate::ops) fn rotate_backward<T: HostTensor>(
    grad: T,
    cos: T,
    sin: T,
    columns: RotaryColumns,
) -> T {
    match place(When::Always, [grad, cos, sin]) {
        Kernel([grad, cos, sin]) => {
            let angles = angles(&cos, &sin);
            let columns = columns_of(columns, angles);
            grad.init_like(with_width(&grad, columns.of), |to| {
                rotation::backward(grad.as_slice(), columns, angles, to)
            })
        }
        Backend([grad, cos, sin]) => rotary::backward::<T::Backend>(grad, cos, sin, columns),
    }
}

fn angles<'a, T: HostTensor>(cos: &'a T, sin: &'a T) -> rotation::Angles<'a> {
    rotation::Angles {
        cos: cos.as_slice(),
        sin: sin.as_slice(),
        half: width(cos),
    }
}

fn columns_of(columns: RotaryColumns, angles: rotation::Angles<'_>) -> rotation::Columns {
    rotation::Columns {
        first: columns.first,
        width: columns.heads * 2 * angles.half,
        of: columns.row,
    }
}

/// [`BertOps::gate`](crate::ops::BertOps::gate).
pub(in crate::ops) fn gate<T: HostTensor>(input: T, form: GateForm) -> T {
    match place(When::Always, [input]) {
        Kernel([input]) => {
            let width = width(&input) / 2;
            input.init_like(with_width(&input, width), |to| {
                gates::forward(input.as_slice(), width, form.into(), to)
            })
        }
        Backend([input]) => default_gate::forward::<T::Backend>(input, form),
    }
}

/// [`GradientOps::gate_backward`](crate::ops::GradientOps::gate_backward).
pub(in crate::ops) fn gate_backward<T: HostTensor>(input: T, grad: T, form: GateForm) -> T {
    match place(When::Always, [input, grad]) {
        Kernel([input, grad]) => input.init_like(input.shape(), |to| {
            let (input, grad, width) = (input.as_slice(), grad.as_slice(), width(&grad));
            gates::backward(input, grad, width, form.into(), to)
        }),
        Backend([input, grad]) => default_gate::backward::<T::Backend>(input, grad, form),
    }
}

/// [`BertOps::gate_apart`](crate::ops::BertOps::gate_apart), in place of `gate`.
pub(in crate::ops) fn gate_apart<T: HostTensor>(gate: T, other: T, activation: Activation) -> T {
    match place(When::Always, [gate, other]) {
        Kernel([mut gate, other]) => {
            gates::apart(activation.into(), gate.make_mut(), other.as_slice());
            gate
        }
        Backend([gate, other]) => default_gate::apart::<T::Backend>(gate, other, activation),
    }
}

/// [`GradientOps::gate_apart_backward`](crate::ops::GradientOps::gate_apart_backward), the gradient of the other in place of
/// `grad`.
pub(in crate::ops) fn gate_apart_backward<T: HostTensor>(
    gate: T,
    other: T,
    grad: T,
    activation: Activation,
) -> (T, T) {
    match place(When::Always, [gate, other, grad]) {
        Kernel([gate, other, mut grad]) => {
            let operands = [&gate, &other].map(T::as_slice);
            let grads = grad.make_mut();
            let of_gate = gate.init_like(gate.shape(), |to| {
                gates::apart_backward(activation.into(), operands, grads, to)
            });
            (of_gate, grad)
        }
        Backend([gate, other, grad]) => {
            default_gate::apart_backward::<T::Backend>(gate, other, grad, activation)
        }
    }
}

impl From<GateForm> for gates::GateForm {
    fn from(form: GateForm) -> Self {
        Self {
            activation: form.activation.into(),
            activated: match form.activated {
                GateHalf::First => gates::GateHalf::First,
                GateHalf::Second => gates::GateHalf::Second,
            },
        }
    }
}

/// [`BertOps::cross_entropy`](crate::ops::BertOps::cross_entropy).
pub(in crate::ops) fn cross_entropy<T: HostTensor>(logits: T, labels: T, weights: T) -> (T, T) {
    match place(When::Always, [logits, weights]) {
        Kernel([logits, weights]) => {
            let (classes, labels) = (width(&logits), labels.to_integers());
            let totals = loss::forward(logits.as_slice(), classes, &labels, weights.as_slice());
            let sum = totals.loss as f32;
            let mut values = vec![0.0; CrossEntropy::TOTALS];
            values[CrossEntropy::SUM] = sum;
            values[CrossEntropy::WEIGHT] = totals.weight as f32;
            values[CrossEntropy::HITS] = totals.hits as f32;
            values[CrossEntropy::ROWS] = totals.rows as f32;
            (
                logits.with_values(Shape::new([1]), vec![sum]),
                logits.with_values(Shape::new([values.len()]), values),
            )
        }
        Backend([logits, weights]) => default_loss::totals::<T::Backend>(logits, labels, weights),
    }
}

/// [`GradientOps::cross_entropy_backward`](crate::ops::GradientOps::cross_entropy_backward), in place of `logits`.
pub(in crate::ops) fn cross_entropy_backward<T: HostTensor>(
    logits: T,
    labels: T,
    weights: T,
    grad: T,
) -> T {
    match place(When::Always, [logits, weights, grad]) {
        Kernel([mut logits, weights, grad]) => {
            let (classes, labels) = (width(&logits), labels.to_integers());
            let (weights, grad) = (weights.as_slice(), grad.as_slice()[0]);
            loss::backward(logits.make_mut(), classes, &labels, weights, grad);
            logits
        }
        Backend([logits, weights, grad]) => {
            default_loss::backward::<T::Backend>(logits, labels, weights, grad)
        }
    }
}

/// The elements of a tensor of ids.
fn indices<T: HostTensor>(ids: T) -> Vec<usize> {
    let ids = ids.to_integers().into_iter();
    ids.map(|id| id as usize).collect()
}

/// [`BertOps::lookup`](crate::ops::BertOps::lookup).
pub(in crate::ops) fn lookup<T: HostTensor>(table: T, ids: T) -> T {
    match place(When::Always, [table]) {
        Kernel([table]) => {
            let [batch, seq] = ids.shape().dims();
            let (width, ids) = (width(&table), indices(ids));
            table.init_like(Shape::new([batch, seq, width]), |to| {
                embedding::gather(table.as_slice(), width, &ids, to)
            })
        }
        Backend([table]) => T::Backend::embedding(table, ids),
    }
}

/// [`GradientOps::lookup_backward`](crate::ops::GradientOps::lookup_backward).
pub(in crate::ops) fn lookup_backward<T: HostTensor>(table: T, ids: T, grad: T) -> T {
    match place(When::Always, [table, grad]) {
        Kernel([table, grad]) => {
            let (width, ids) = (width(&table), indices(ids));
            table.init_like(table.shape(), |to| {
                embedding::backward(&ids, grad.as_slice(), width, to)
            })
        }
        Backend([table, grad]) => T::Backend::embedding_backward(table, grad, ids),
    }
}

/// [`BertOps::dropout_mask`](crate::ops::BertOps::dropout_mask) by a seed from the generator of the device.
pub(in crate::ops) fn dropout_mask<T: HostTensor>(like: T, shape: Shape, probability: f64) -> T {
    match place(When::Always, [like]) {
        Kernel([like]) => {
            let dropout = Dropout::new(like.next_random_u64(), probability);
            like.init_like(shape, |to| dropout.mask(to))
        }
        Backend([like]) => dropout::mask::<T::Backend>(like, shape, probability),
    }
}

/// [`OptimizerOps::adam_update`](crate::ops::OptimizerOps::adam_update): the output in place of the gradient, the moments in place.
pub(in crate::ops) fn adam_update<T: HostTensor>(
    value: T,
    gradient: T,
    first: T,
    second: T,
    step: AdamStep,
) -> (T, T, T) {
    match place(When::Always, [value, gradient, first, second]) {
        Kernel([value, mut gradient, mut first, mut second]) => {
            let [gradients, firsts, seconds] =
                [&mut gradient, &mut first, &mut second].map(T::make_mut);
            adam::update(value.as_slice(), gradients, firsts, seconds, step.into());
            (gradient, first, second)
        }
        Backend([value, gradient, first, second]) => {
            T::Backend::own_adam_update(value, gradient, first, second, step)
        }
    }
}

impl From<AdamStep> for adam::Step {
    fn from(step: AdamStep) -> Self {
        Self {
            beta1: step.beta1,
            beta2: step.beta2,
            correction1: step.correction1,
            correction2: step.correction2,
            epsilon: step.epsilon,
            decay: step.decay,
            rate: step.rate,
        }
    }
}

/// [`OptimizerOps::sum_of_squares`](crate::ops::OptimizerOps::sum_of_squares).
pub(in crate::ops) fn sum_of_squares<T: HostTensor>(input: T) -> T {
    match place(When::Always, [input]) {
        Kernel([input]) => {
            let mut output = zeros_like(&input, [1]);
            output.make_mut()[0] = gradient_norm::sum_of_squares(input.as_slice());
            output
        }
        Backend([input]) => scale::sum_of_squares::<T::Backend>(input),
    }
}

/// [`OptimizerOps::scale_by`](crate::ops::OptimizerOps::scale_by), in place.
pub(in crate::ops) fn scale_by<T: HostTensor>(input: T, factor: T) -> T {
    match place(When::Always, [input, factor]) {
        Kernel([mut input, factor]) => {
            let factor = factor.as_slice()[0];
            // Without a copy of a shared buffer where nothing would change in it.
            if factor != 1.0 {
                gradient_norm::scale(input.make_mut(), factor);
            }
            input
        }
        Backend([input, factor]) => T::Backend::float_mul(input, factor),
    }
}
