//! Adam's update in one pass over a parameter.

use rayon::prelude::*;

use crate::parallel::CHUNK_LEN;
use crate::simd::vectorized;

/// The numbers of one update.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Step {
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
    /// Learning rate; without one the output is the direction.
    pub rate: Option<f64>,
}

/// One update: updates the moments in place and writes the new value, or without a rate the direction
/// `m / (√v + ε) + decay · value`, in place of the gradient. All slices have one length.
pub fn update(
    values: &[f32],
    gradient: &mut [f32],
    first: &mut [f32],
    second: &mut [f32],
    step: Step,
) {
    let [beta1, beta2] = [step.beta1, step.beta2].map(|beta| beta as f32);
    let [rest1, rest2] = [step.beta1, step.beta2].map(|beta| (1.0 - beta) as f32);
    let (correction1, root2) = (step.correction1 as f32, step.correction2.sqrt() as f32);
    let (epsilon, decay) = (step.epsilon as f32, step.decay as f32);
    // `value - rate · direction`, or the direction itself.
    let (value_factor, direction_factor) = step.rate.map_or((0.0, 1.0), |rate| (1.0, -rate as f32));
    let moments = (first.par_chunks_mut(CHUNK_LEN)).zip(second.par_chunks_mut(CHUNK_LEN));
    (gradient.par_chunks_mut(CHUNK_LEN))
        .zip(values.par_chunks(CHUNK_LEN))
        .zip(moments)
        .for_each(|((gradients, values), (firsts, seconds))| {
            vectorized(
                #[inline(always)]
                || {
                    let moments = firsts.iter_mut().zip(seconds);
                    for ((gradient, &value), (first, second)) in
                        gradients.iter_mut().zip(values).zip(moments)
                    {
                        *first = *first * beta1 + *gradient * rest1;
                        *second = *second * beta2 + *gradient * *gradient * rest2;
                        let denominator = second.sqrt() / root2 + epsilon;
                        let direction = *first / correction1 / denominator + value * decay;
                        *gradient = value_factor * value + direction_factor * direction;
                    }
                },
            );
        });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{assert_close, numbers, size};

    #[test]
    fn an_update_equals_its_definition() {
        // Two chunks.
        let count = size(CHUNK_LEN + 100, 40);
        let [values, gradient, first] = [7, 11, 13].map(|step| numbers(count, step));
        let second: Vec<f32> = numbers(count, 17).iter().map(|x| x * x).collect();
        for rate in [None, Some(0.3)] {
            let step = Step {
                beta1: 0.9,
                beta2: 0.99,
                correction1: 0.19,
                correction2: 0.02,
                epsilon: 1e-2,
                decay: 0.1,
                rate,
            };
            let (mut outputs, mut firsts, mut seconds) = (Vec::new(), Vec::new(), Vec::new());
            for at in 0..count {
                let [value, gradient, first, second] =
                    [values[at], gradient[at], first[at], second[at]].map(f64::from);
                let first = first * 0.9 + gradient * 0.1;
                let second = second * 0.99 + gradient * gradient * 0.01;
                let direction = first / 0.19 / ((second / 0.02).sqrt() + 1e-2) + 0.1 * value;
                outputs.push(rate.map_or(direction, |rate| value - rate * direction));
                firsts.push(first);
                seconds.push(second);
            }
            let mut found = (gradient.clone(), first.clone(), second.clone());
            update(&values, &mut found.0, &mut found.1, &mut found.2, step);
            assert_close(&found.0, &outputs, 1e-5);
            assert_close(&found.1, &firsts, 1e-6);
            assert_close(&found.2, &seconds, 1e-6);
        }
    }
}
