//! Default body of an update by Adam.

use burn::backend::tensor::FloatTensor;
use burn::backend::{Backend, ExtensionType};

/// The numbers of one update of one parameter.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AdamStep {
    /// Decay of the mean gradient.
    pub beta1: f64,
    /// Decay of the mean squared gradient.
    pub beta2: f64,
    /// Divisor of the mean gradient: `1 - beta1^t`, or 1 without bias correction.
    pub correction1: f64,
    /// Divisor of the mean squared gradient, likewise.
    pub correction2: f64,
    /// Added to the root of the mean squared gradient.
    pub epsilon: f64,
    /// Decoupled weight decay.
    pub decay: f64,
    /// The learning rate; without one the direction is asked for.
    pub rate: Option<f64>,
}

/// Tensors of a parameter and its update, flat and of one size.
#[derive(Clone, Debug, ExtensionType)]
#[cfg_attr(
    any(feature = "wgpu", feature = "cuda", feature = "rocm", feature = "cpu"),
    extension_type(fusion)
)]
pub struct AdamTensors<B: Backend> {
    /// The parameter.
    pub value: FloatTensor<B>,
    /// Its gradient.
    pub gradient: FloatTensor<B>,
    /// Mean of the gradient.
    pub first: FloatTensor<B>,
    /// Mean of the square of the gradient.
    pub second: FloatTensor<B>,
}

/// Outcome of an update, flat.
#[derive(Clone, Debug, ExtensionType)]
#[cfg_attr(
    any(feature = "wgpu", feature = "cuda", feature = "rocm", feature = "cpu"),
    extension_type(fusion)
)]
pub struct AdamOutput<B: Backend> {
    /// The new value, or the direction where there is no rate.
    pub output: FloatTensor<B>,
    /// The new mean of the gradient.
    pub first: FloatTensor<B>,
    /// The new mean of its square.
    pub second: FloatTensor<B>,
}

/// `value - rate · direction`, or without a rate the direction `m / (√v + ε) + decay · value`, after the means have taken in
/// the gradient; then the means.
pub(super) fn update<B: Backend>(
    value: FloatTensor<B>,
    gradient: FloatTensor<B>,
    first: FloatTensor<B>,
    second: FloatTensor<B>,
    step: AdamStep,
) -> (FloatTensor<B>, FloatTensor<B>, FloatTensor<B>) {
    let first = B::float_add(
        B::float_mul_scalar(first, step.beta1.into()),
        B::float_mul_scalar(gradient.clone(), (1.0 - step.beta1).into()),
    );
    let square = B::float_mul(gradient.clone(), gradient);
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
        let decay = B::float_mul_scalar(value.clone(), step.decay.into());
        direction = B::float_add(direction, decay);
    }
    let output = match step.rate {
        Some(rate) => B::float_sub(value, B::float_mul_scalar(direction, rate.into())),
        None => direction,
    };
    (output, first, second)
}

#[cfg(test)]
mod tests {
    use burn::tensor::{Device, Tensor};

    use super::AdamStep;
    use crate::device::test_devices;
    use crate::ops;

    const SIZE: usize = 37;

    fn numbers(seed: usize) -> Vec<f64> {
        let number = |at: usize| ((at * 37 + seed * 11) % 101) as f64 / 50.0 - 1.0;
        (0..SIZE).map(number).collect()
    }

    fn tensor(values: &[f64], device: &Device) -> Tensor<1> {
        let values: Vec<f32> = values.iter().map(|&value| value as f32).collect();
        Tensor::from_floats(values.as_slice(), device)
    }

    #[test]
    fn an_update_is_that_of_the_paper_and_leaves_what_others_hold_alone() {
        for (label, device) in test_devices() {
            for (decay, rate, factor) in [
                (0.0, None, None),
                (0.01, None, Some(0.5)),
                (0.0, Some(0.3), None),
                (0.1, Some(0.3), Some(0.25)),
            ] {
                let step = AdamStep {
                    beta1: 0.9,
                    beta2: 0.99,
                    correction1: 0.19,
                    correction2: 0.02,
                    epsilon: 1e-6,
                    decay,
                    rate,
                };
                let [value, gradient, first] = [1, 2, 3].map(numbers);
                let second: Vec<f64> = numbers(4).iter().map(|value| value * value).collect();
                let tensors = || [&value, &gradient, &first, &second].map(|v| tensor(v, &device));
                let scale = factor.unwrap_or(1.0);
                let factor = factor.map(|factor| tensor(&[factor], &device));
                let held = tensors();
                let [a, b, c, d] = held.clone();
                let shared = ops::adam_update(a, b, c, d, factor.clone(), step);
                let [a, b, c, d] = tensors();
                let alone = ops::adam_update(a, b, c, d, factor.clone(), step);
                for (held, before) in held.iter().zip(tensors()) {
                    held.to_data().assert_eq(&before.into_data(), true);
                }
                for found in [shared, alone] {
                    let found =
                        found.map(|tensor| tensor.into_data().iter::<f64>().collect::<Vec<_>>());
                    for at in 0..SIZE {
                        let slope = scale * gradient[at];
                        let m = 0.9 * first[at] + 0.1 * slope;
                        let v = 0.99 * second[at] + 0.01 * slope * slope;
                        let direction =
                            m / 0.19 / ((v / 0.02_f64).sqrt() + 1e-6) + decay * value[at];
                        let output = rate.map_or(direction, |rate| value[at] - rate * direction);
                        for (found, expected) in found.iter().zip([output, m, v]) {
                            let difference = (found[at] - expected).abs();
                            assert!(
                                difference < 1e-5 * (1.0 + expected.abs()),
                                "{label} {step:?}"
                            );
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn four_parameters_are_updated_like_each_alone() {
        let step = AdamStep {
            beta1: 0.9,
            beta2: 0.99,
            correction1: 0.19,
            correction2: 0.02,
            epsilon: 1e-6,
            decay: 0.1,
            rate: Some(0.3),
        };
        for (label, device) in test_devices() {
            let factor = || tensor(&[0.25], &device);
            // Less than a launch's units, and more than one launch's width.
            let parameters = || {
                [1, 7, 37, 3_001].map(|size| {
                    let values = |seed: usize| -> Vec<f64> {
                        let number = |at: usize| ((at * 37 + seed * 11) % 101) as f64 / 50.0;
                        (0..size).map(number).collect()
                    };
                    [1, 2, 3, 4].map(|seed| tensor(&values(seed), &device))
                })
            };
            let together = ops::adam_update_of_four(parameters(), factor(), step);
            for (together, alone) in together.into_iter().zip(parameters()) {
                let [value, gradient, first, second] = alone;
                let alone = ops::adam_update(value, gradient, first, second, Some(factor()), step);
                for (together, alone) in together.into_iter().zip(alone) {
                    let (found, expected) = (together.into_data(), alone.into_data());
                    assert_eq!(found, expected, "{label}");
                }
            }
        }
    }

    #[test]
    fn squares_of_tensors_of_any_size_add_up() {
        for (label, device) in test_devices() {
            // One, eight at once and three more; more than one element for every unit of a launch in some.
            let sizes = [1, 37, 300, 100_003, 2, 70_001, 5, 6, 7, 8, 9, 1_000];
            let all = sizes.map(|size| {
                let number = |at: usize| ((at * 37 + size) % 101) as f64 / 50.0 - 1.0;
                (0..size).map(number).collect::<Vec<f64>>()
            });
            let tensors = all.each_ref().map(|values| tensor(values, &device));
            let found = ops::sum_of_all_squares(tensors).unwrap();
            let found = found.into_scalar::<f64>();
            let expected: f64 = all.iter().flatten().map(|value| value * value).sum();
            assert!(
                (found / expected - 1.0).abs() < 1e-5,
                "{label}: {found}, {expected}"
            );
            assert!(ops::sum_of_all_squares([]).is_none());

            let tensors = || all.each_ref().map(|values| tensor(values, &device));
            let expected = expected.sqrt();
            for maximum in [expected / 4.0, expected * 4.0] {
                let (norm, factor) = ops::clipping(tensors(), maximum, 1e-6).unwrap();
                let [norm, factor] = [norm, factor].map(|found| found.into_scalar::<f64>());
                assert!((norm / expected - 1.0).abs() < 1e-5, "{label}: {norm}");
                let bound = (maximum / expected).min(1.0);
                assert!((factor / bound - 1.0).abs() < 1e-5, "{label}: {factor}");
            }
        }
    }
}
