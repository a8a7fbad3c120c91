//! Gated activation: one half of every row activated and multiplied by the other (Shazeer 2020).

use std::mem::MaybeUninit;

use crate::activation::{Activation, Function, with_function};
use crate::parallel::{
    CHUNK_LEN, for_each_chunk, par_fill_chunks, par_fill_ranges, rows_per_chunk,
};
use crate::simd::vectorized;

/// Form of a gate.
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
        with_function!(form.activation, function => {
            fill((from, form.activated), width, to, function);
        });
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
        with_function!(form.activation, function => {
            fill_gradient((from, form.activated), grad, width, to, function);
        });
    })
}

/// `activation(gate) · other`, in place of a gate that lies apart from what it is multiplied with.
///
/// # Panics
///
/// Panics if the lengths differ.
pub fn apart(activation: Activation, gate: &mut [f32], other: &[f32]) {
    assert_eq!(gate.len(), other.len());
    with_function!(activation, function => {
        for_each_chunk(gate, CHUNK_LEN, |at, gate| {
            let other = &other[at * CHUNK_LEN..][..gate.len()];
            vectorized(
                #[inline(always)]
                || {
                    for (gate, other) in gate.iter_mut().zip(other) {
                        *gate = function.value(*gate) * other;
                    }
                },
            );
        });
    });
}

/// Gradients of [`apart`]: that of the gate in `of_gate`, that of the other in place of `grad`.
///
/// # Panics
///
/// Panics if the lengths differ.
pub fn apart_backward<'a>(
    activation: Activation,
    [gate, other]: [&[f32]; 2],
    grad: &mut [f32],
    of_gate: &'a mut [MaybeUninit<f32>],
) -> &'a mut [f32] {
    let count = grad.len();
    assert_eq!([gate.len(), other.len(), of_gate.len()], [count; 3]);
    let firsts = (0..count).step_by(CHUNK_LEN);
    let lengths = firsts.map(|first| [CHUNK_LEN.min(count - first); 2]);
    with_function!(activation, function => {
        par_fill_ranges(of_gate, grad, lengths, |at, of_gate, grad| {
            let [gate, other] = [gate, other].map(|from| &from[at * CHUNK_LEN..][..grad.len()]);
            vectorized(
                #[inline(always)]
                || {
                    let grads = of_gate.iter_mut().zip(grad);
                    for ((of_gate, grad), (&gate, other)) in grads.zip(gate.iter().zip(other)) {
                        let (value, slope) = function.value_and_slope(gate);
                        *of_gate = *grad * other * slope;
                        *grad *= value;
                    }
                },
            );
        })
    })
}

fn fill((from, half): (&[f32], GateHalf), width: usize, to: &mut [f32], function: impl Function) {
    vectorized(
        #[inline(always)]
        || {
            let rows = from.chunks_exact(2 * width).zip(to.chunks_exact_mut(width));
            for (from, to) in rows {
                let (activated, other) = half.before_other(from.split_at(width));
                for ((to, &x), other) in to.iter_mut().zip(activated).zip(other) {
                    *to = function.value(x) * other;
                }
            }
        },
    );
}

fn fill_gradient(
    (from, half): (&[f32], GateHalf),
    grad: &[f32],
    width: usize,
    to: &mut [f32],
    function: impl Function,
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
                    let (value, slope) = function.value_and_slope(x);
                    *of_activated = grad * other * slope;
                    *of_other = grad * value;
                }
            }
        },
    );
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::init_vec;
    use crate::testing::{self, ACTIVATIONS, assert_close, numbers, size};

    #[test]
    fn a_gate_and_its_gradient_equal_their_definition() {
        // Several chunks.
        let (rows, width) = size((90, 401), (3, 5));
        let input: Vec<f32> = (numbers(rows * 2 * width, 7).iter())
            .map(|x| 5.0 * x)
            .collect();
        let grad = numbers(rows * width, 11);
        let halves = [GateHalf::First, GateHalf::Second];
        let forms = ACTIVATIONS.into_iter().flat_map(|activation| {
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
                let (value, slope) = testing::activation(form.activation, f64::from(input[own]));
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
            if form.activated == GateHalf::Second {
                continue;
            }
            let half = |first: usize, values: &[f32]| -> Vec<f32> {
                let rows = values.chunks_exact(2 * width);
                rows.flat_map(|row| row[first..][..width].to_vec())
                    .collect()
            };
            let [gate, other] = [0, width].map(|first| half(first, &input));
            let mut value = gate.clone();
            apart(form.activation, &mut value, &other);
            assert_close(&value, &expected, 1e-5);
            let mut of_other = grad.clone();
            let of_gate = init_vec(value.len(), |to| {
                apart_backward(form.activation, [&gate, &other], &mut of_other, to)
            });
            assert_eq!(of_gate, half(0, &found));
            assert_eq!(of_other, half(width, &found));
        }
    }
}
