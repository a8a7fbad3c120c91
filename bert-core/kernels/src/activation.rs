//! Activations, element by element, and their gradients.

use core::f32::consts::{FRAC_1_SQRT_2, FRAC_2_SQRT_PI};
use std::mem::MaybeUninit;

use crate::parallel::{CHUNK_LEN, for_each_chunk, par_fill_chunks};
use crate::simd::math::{erf, exp};
use crate::simd::vectorized;

/// The function that follows a linear layer.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Activation {
    /// None.
    Identity,
    /// Exact GELU, `x · Φ(x)`.
    Gelu,
    /// GELU by the tanh approximation of Hendrycks & Gimpel 2016.
    GeluTanh,
    /// Swish, `x · σ(slope·x)`, with its slope (Ramachandran et al. 2017).
    Swish(f32),
}

/// Evaluates an expression, in code of its own for each kind of activation, with its [`Function`].
macro_rules! with_function {
    ($activation:expr, $function:ident => $body:expr) => {
        match $activation {
            $crate::activation::Activation::Identity => {
                let $function = $crate::activation::Identity;
                $body
            }
            $crate::activation::Activation::Gelu => {
                let $function = $crate::activation::Gelu;
                $body
            }
            $crate::activation::Activation::GeluTanh => {
                let $function = $crate::activation::GeluTanh;
                $body
            }
            $crate::activation::Activation::Swish(slope) => {
                let $function = $crate::activation::Swish(slope);
                $body
            }
        }
    };
}
pub(crate) use with_function;

/// An activation that compiles into the loop it is called in.
pub(crate) trait Function: Copy + Sync {
    /// The value at `x`.
    fn value(self, x: f32) -> f32;

    /// Value and derivative at `x`.
    fn value_and_slope(self, x: f32) -> (f32, f32);
}

#[derive(Clone, Copy)]
pub(crate) struct Identity;

#[derive(Clone, Copy)]
pub(crate) struct Gelu;

#[derive(Clone, Copy)]
pub(crate) struct GeluTanh;

#[derive(Clone, Copy)]
pub(crate) struct Swish(pub(crate) f32);

impl Function for Identity {
    #[inline(always)]
    fn value(self, x: f32) -> f32 {
        x
    }

    #[inline(always)]
    fn value_and_slope(self, x: f32) -> (f32, f32) {
        (x, 1.0)
    }
}

impl Function for Gelu {
    #[inline(always)]
    fn value(self, x: f32) -> f32 {
        0.5 * x * (1.0 + erf(x * FRAC_1_SQRT_2))
    }

    #[inline(always)]
    fn value_and_slope(self, x: f32) -> (f32, f32) {
        let distribution = 0.5 + 0.5 * erf(x * FRAC_1_SQRT_2);
        // 1/√(2π) = (2/√π) · (1/√2) / 2
        let density = exp(-0.5 * x * x) * (FRAC_2_SQRT_PI * FRAC_1_SQRT_2 * 0.5);
        (x * distribution, distribution + x * density)
    }
}

impl GeluTanh {
    /// Coefficient of the cube.
    const CUBIC: f32 = 0.044_715;
    /// `2·√(2/π)`: `½(1 + tanh u)` is `σ(2u)`.
    const FACTOR: f32 = 2.0 * FRAC_2_SQRT_PI * FRAC_1_SQRT_2;
}

impl Function for GeluTanh {
    #[inline(always)]
    fn value(self, x: f32) -> f32 {
        x * sigmoid(Self::FACTOR * (x + Self::CUBIC * x * x * x))
    }

    #[inline(always)]
    fn value_and_slope(self, x: f32) -> (f32, f32) {
        let square = x * x;
        let (gate, rest) = sigmoid_and_rest(Self::FACTOR * (x + Self::CUBIC * square * x));
        let inner = Self::FACTOR * (1.0 + 3.0 * Self::CUBIC * square);
        (x * gate, gate + x * gate * rest * inner)
    }
}

impl Function for Swish {
    #[inline(always)]
    fn value(self, x: f32) -> f32 {
        x * sigmoid(self.0 * x)
    }

    #[inline(always)]
    fn value_and_slope(self, x: f32) -> (f32, f32) {
        let (gate, rest) = sigmoid_and_rest(self.0 * x);
        (x * gate, gate + self.0 * x * gate * rest)
    }
}

#[inline(always)]
fn sigmoid(x: f32) -> f32 {
    1.0 / (1.0 + exp(-x))
}

/// `σ(x)` and `1 - σ(x)`, both to a few units in the last place.
#[inline(always)]
fn sigmoid_and_rest(x: f32) -> (f32, f32) {
    let power = exp(-x);
    let gate = 1.0 / (1.0 + power);
    (gate, power * gate)
}

/// The activation of every element of `input`.
///
/// # Panics
///
/// Panics if `output` is longer than `input`.
pub fn forward<'a>(
    activation: Activation,
    input: &[f32],
    output: &'a mut [MaybeUninit<f32>],
) -> &'a mut [f32] {
    with_function!(activation, function => {
        par_fill_chunks(output, CHUNK_LEN, |at, to| {
            let from = &input[at * CHUNK_LEN..][..to.len()];
            vectorized(
                #[inline(always)]
                || {
                    for (to, &from) in to.iter_mut().zip(from) {
                        *to = function.value(from);
                    }
                },
            );
        })
    })
}

/// The activation of every element, in place.
pub fn forward_in_place(activation: Activation, values: &mut [f32]) {
    with_function!(activation, function => {
        for_each_chunk(values, CHUNK_LEN, |_, chunk| {
            vectorized(
                #[inline(always)]
                || {
                    for value in chunk {
                        *value = function.value(*value);
                    }
                },
            );
        });
    });
}

/// Gradient with respect to `input`, in place of `grad`.
///
/// # Panics
///
/// Panics if `grad` is longer than `input`.
pub fn backward(activation: Activation, input: &[f32], grad: &mut [f32]) {
    with_function!(activation, function => {
        for_each_chunk(grad, CHUNK_LEN, |at, grad| {
            let input = &input[at * CHUNK_LEN..][..grad.len()];
            vectorized(
                #[inline(always)]
                || {
                    for (grad, &x) in grad.iter_mut().zip(input) {
                        *grad *= function.value_and_slope(x).1;
                    }
                },
            );
        });
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::init_vec;
    use crate::testing::{ACTIVATIONS, activation as definition, assert_close, numbers, size};

    #[test]
    fn activations_and_their_gradients_equal_their_definition() {
        // Two chunks.
        let count = size(CHUNK_LEN + 100, 100);
        let input: Vec<f32> = numbers(count, 7).iter().map(|x| 5.0 * x).collect();
        let grad = numbers(count, 11);
        for activation in ACTIVATIONS {
            let points = input.iter().map(|&x| definition(activation, f64::from(x)));
            let (expected, slopes): (Vec<f64>, Vec<f64>) = points.unzip();
            let found = init_vec(count, |to| forward(activation, &input, to));
            assert_close(&found, &expected, 2e-6);
            let mut in_place = input.clone();
            forward_in_place(activation, &mut in_place);
            assert_eq!(in_place, found);

            let grads = slopes.iter().zip(&grad);
            let expected: Vec<f64> = grads
                .map(|(slope, &grad)| f64::from(grad) * slope)
                .collect();
            let mut found = grad.clone();
            backward(activation, &input, &mut found);
            assert_close(&found, &expected, 2e-6);
        }
    }

    #[test]
    fn far_from_zero_activations_are_zero_or_their_argument() {
        let input: [f32; 4] = [-1e4, -200.0, 200.0, 1e4];
        let expected: [f32; 4] = [0.0, 0.0, 200.0, 1e4];
        for &activation in &ACTIVATIONS[1..] {
            let found = init_vec(input.len(), |to| forward(activation, &input, to));
            for ((found, expected), x) in found.iter().zip(expected).zip(input) {
                assert!((found - expected).abs() <= 1e-7 * x.abs(), "{found} at {x}");
            }
            let mut slopes = [1.0; 4];
            backward(activation, &input, &mut slopes);
            assert_close(&slopes, &[0.0, 0.0, 1.0, 1.0], 1e-6);
        }
    }
}
