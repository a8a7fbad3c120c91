//! Default body of Adam's direction.

use burn::backend::Backend;
use burn::backend::tensor::FloatTensor;

/// The numbers of one update of one parameter.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AdamStep {
    /// Decay of the mean gradient.
    pub beta1: f64,
    /// Decay of the mean squared gradient.
    pub beta2: f64,
    /// What the mean gradient is divided by: `1 - beta1^t`, or 1 without bias correction.
    pub correction1: f64,
    /// What the mean squared gradient is divided by, likewise.
    pub correction2: f64,
    /// Added to the root of the mean squared gradient.
    pub epsilon: f64,
    /// Decoupled weight decay.
    pub decay: f64,
}

/// `m / (√v + ε) + decay · value` after the means have taken in the gradient, then the means.
pub(super) fn direction<B: Backend>(
    value: FloatTensor<B>,
    gradient: FloatTensor<B>,
    first: FloatTensor<B>,
    second: FloatTensor<B>,
    step: AdamStep,
) -> (FloatTensor<B>, FloatTensor<B>, FloatTensor<B>) {
    let square = B::float_mul(gradient.clone(), gradient.clone());
    let first = B::float_add(
        B::float_mul_scalar(first, step.beta1.into()),
        B::float_mul_scalar(gradient, (1.0 - step.beta1).into()),
    );
    let second = B::float_add(
        B::float_mul_scalar(second, step.beta2.into()),
        B::float_mul_scalar(square, (1.0 - step.beta2).into()),
    );
    let root = B::float_sqrt(second.clone());
    let denominator = B::float_add_scalar(
        B::float_div_scalar(root, step.correction2.sqrt().into()),
        step.epsilon.into(),
    );
    let mean = B::float_div_scalar(first.clone(), step.correction1.into());
    let mut direction = B::float_div(mean, denominator);
    if step.decay != 0.0 {
        direction = B::float_add(direction, B::float_mul_scalar(value, step.decay.into()));
    }
    (direction, first, second)
}
