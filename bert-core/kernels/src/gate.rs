//! Gated activation: one half of every row activated and multiplied by the other (Shazeer 2020).

use core::f32::consts::{FRAC_1_SQRT_2, FRAC_2_SQRT_PI};
use std::mem::MaybeUninit;

use crate::gelu::gelu;
use crate::parallel::{par_fill_chunks, rows_per_chunk};
use crate::simd::math::{erf, exp};
use crate::simd::vectorized;

/// Form of a gate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GateForm {
    /// Activation of the gate.
    pub activation: GateActivation,
    /// Half of every row that is the gate.
    pub activated: GateHalf,
}

/// Activation of the gate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GateActivation {
    /// Exact GELU.
    Gelu,
    /// `x · σ(x)`.
    Silu,
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
    /// This half and the other, of the halves in their order.
    #[inline(always)]
    fn before_other<T>(self, (first, second): (T, T)) -> (T, T) {
        match self {
            Self::First => (first, second),
            Self::Second => (second, first),
        }
    }
}

/// `activation(a) · b` of the halves of every row, `a` being the one that is activated.
///
/// # Shapes
///
/// - input: `[rows, 2 · width]`
/// - output: `[rows, width]`
///
/// # Panics
///
/// Panics if `output` is longer than half of `input`.
pub fn forward<'a>(
    input: &[f32],
    width: usize,
    form: GateForm,
    output: &'a mut [MaybeUninit<f32>],
) -> &'a mut [f32] {
    let rows = rows_per_chunk(width);
    par_fill_chunks(output, rows * width.max(1), |at, to| {
        let from = &input[2 * at * rows * width..][..2 * to.len()];
        let GateForm {
            activation,
            activated,
        } = form;
        match activation {
            GateActivation::Gelu => fill((from, activated), width, to, gelu),
            GateActivation::Silu => fill(
                (from, activated),
                width,
                to,
                #[inline(always)]
                |x| x * sigmoid(x),
            ),
        }
    })
}

/// Gradient of [`forward`] with respect to its input.
///
/// # Shapes
///
/// - input, output: `[rows, 2 · width]`
/// - grad: `[rows, width]`
///
/// # Panics
///
/// Panics if the shapes do not fit together.
pub fn backward<'a>(
    input: &[f32],
    grad: &[f32],
    width: usize,
    form: GateForm,
    output: &'a mut [MaybeUninit<f32>],
) -> &'a mut [f32] {
    let rows = rows_per_chunk(2 * width);
    par_fill_chunks(output, rows * 2 * width.max(1), |at, to| {
        let from = &input[at * rows * 2 * width..][..to.len()];
        let grad = &grad[at * rows * width..][..to.len() / 2];
        let GateForm {
            activation,
            activated,
        } = form;
        match activation {
            GateActivation::Gelu => fill_gradient(
                (from, activated),
                grad,
                width,
                to,
                #[inline(always)]
                |x| {
                    let distribution = 0.5 + 0.5 * erf(x * FRAC_1_SQRT_2);
                    // 1/√(2π) = (2/√π) · (1/√2) / 2
                    let density = exp(-0.5 * x * x) * (FRAC_2_SQRT_PI * FRAC_1_SQRT_2 * 0.5);
                    (x * distribution, distribution + x * density)
                },
            ),
            GateActivation::Silu => fill_gradient(
                (from, activated),
                grad,
                width,
                to,
                #[inline(always)]
                |x| {
                    let slope = sigmoid(x);
                    (x * slope, slope * (1.0 + x * (1.0 - slope)))
                },
            ),
        }
    })
}

#[inline(always)]
fn sigmoid(x: f32) -> f32 {
    1.0 / (1.0 + exp(-x))
}

fn fill(
    (from, half): (&[f32], GateHalf),
    width: usize,
    to: &mut [f32],
    activation: impl Fn(f32) -> f32,
) {
    vectorized(
        #[inline(always)]
        || {
            let rows = from.chunks_exact(2 * width).zip(to.chunks_exact_mut(width));
            for (from, to) in rows {
                let (activated, other) = half.before_other(from.split_at(width));
                for ((to, &x), other) in to.iter_mut().zip(activated).zip(other) {
                    *to = activation(x) * other;
                }
            }
        },
    );
}

/// `activation` gives its value and its derivative.
fn fill_gradient(
    (from, half): (&[f32], GateHalf),
    grad: &[f32],
    width: usize,
    to: &mut [f32],
    activation: impl Fn(f32) -> (f32, f32),
) {
    vectorized(
        #[inline(always)]
        || {
            let rows = from.chunks_exact(2 * width).zip(grad.chunks_exact(width));
            for ((from, grad), to) in rows.zip(to.chunks_exact_mut(2 * width)) {
                let (activated, other) = half.before_other(from.split_at(width));
                let (of_activated, of_other) = half.before_other(to.split_at_mut(width));
                let to = of_activated.iter_mut().zip(of_other);
                let values = activated.iter().zip(other).zip(grad);
                for ((of_activated, of_other), ((&x, other), grad)) in to.zip(values) {
                    let (value, slope) = activation(x);
                    *of_activated = grad * other * slope;
                    *of_other = grad * value;
                }
            }
        },
    );
}

#[cfg(test)]
mod tests {
    use core::f64::consts::{PI, SQRT_2};

    use super::*;
    use crate::output::init_vec;
    use crate::testing::{self, assert_close, numbers, size};

    /// Value and derivative.
    fn activated(activation: GateActivation, x: f64) -> (f64, f64) {
        match activation {
            GateActivation::Gelu => {
                let distribution = 0.5 * (1.0 + testing::erf(x / SQRT_2));
                let density = (-0.5 * x * x).exp() / (2.0 * PI).sqrt();
                (x * distribution, distribution + x * density)
            }
            GateActivation::Silu => {
                let slope = 1.0 / (1.0 + (-x).exp());
                (x * slope, slope + x * slope * (1.0 - slope))
            }
        }
    }

    #[test]
    fn a_gate_and_its_gradient_equal_their_definition() {
        // Several chunks.
        let (rows, width) = size((90, 401), (3, 5));
        let input: Vec<f32> = (numbers(rows * 2 * width, 7).iter())
            .map(|x| 5.0 * x)
            .collect();
        let grad = numbers(rows * width, 11);
        let activations = [GateActivation::Gelu, GateActivation::Silu];
        let halves = [GateHalf::First, GateHalf::Second];
        let forms = activations.into_iter().flat_map(|activation| {
            halves.map(|activated| GateForm {
                activation,
                activated,
            })
        });
        for form in forms {
            let mut expected = vec![0.0; rows * width];
            let mut of_input = vec![0.0; rows * 2 * width];
            for at in 0..rows * width {
                let place = at / width * 2 * width + at % width;
                let (own, other) = form.activated.before_other((place, place + width));
                let (value, slope) = activated(form.activation, f64::from(input[own]));
                let [grad, factor] = [grad[at], input[other]].map(f64::from);
                expected[at] = value * factor;
                of_input[own] = grad * factor * slope;
                of_input[other] = grad * value;
            }
            let found = init_vec(expected.len(), |to| forward(&input, width, form, to));
            assert_close(&found, &expected, 1e-5);
            let found = init_vec(of_input.len(), |to| {
                backward(&input, &grad, width, form, to)
            });
            assert_close(&found, &of_input, 1e-5);
        }
    }
}
