//! Inputs, naive references in f64 and comparison for the tests of kernels.

use core::f64::consts::{PI, SQRT_2};

use crate::activation::Activation;

/// An activation of every kind.
pub(crate) const ACTIVATIONS: [Activation; 4] = [
    Activation::Identity,
    Activation::Gelu,
    Activation::GeluTanh,
    Activation::Swish(1.702),
];

/// `full`, or under Miri, which runs a thousand times as long, `small`.
pub(crate) const fn size<T: Copy>(full: T, small: T) -> T {
    if cfg!(miri) { small } else { full }
}

/// Numbers between -1 and 1 in no order.
pub(crate) fn numbers(count: usize, step: usize) -> Vec<f32> {
    (0..count)
        .map(|at| (at * step % 997) as f32 / 498.0 - 1.0)
        .collect()
}

/// Integers in f32, of which every order of a sum is exact.
pub(crate) fn integers(count: usize, step: usize) -> Vec<f32> {
    (0..count)
        .map(|at| (at * step % 23) as f32 - 11.0)
        .collect()
}

/// `left · right` in f64, `[rows, depth]` and `[depth, columns]`.
pub(crate) fn matmul(left: &[f32], right: &[f32], columns: usize, depth: usize) -> Vec<f64> {
    let rows = left.len() / depth.max(1);
    (0..rows * columns)
        .map(|at| {
            let (row, column) = (at / columns, at % columns);
            (0..depth)
                .map(|k| f64::from(left[row * depth + k]) * f64::from(right[k * columns + column]))
                .sum()
        })
        .collect()
}

/// The columns of `values`, rows of `columns`, one after another.
pub(crate) fn transposed(values: &[f32], columns: usize) -> Vec<f32> {
    let rows = values.len() / columns;
    (0..values.len())
        .map(|at| values[at % rows * columns + at / rows])
        .collect()
}

/// `erf(x)` in f64: 2/√π · Σ (-1)^n x^(2n+1) / (n! (2n+1)), which converges for every x.
pub(crate) fn erf(x: f64) -> f64 {
    let (mut term, mut total) = (x, x);
    for n in 1..200 {
        term *= -x * x / f64::from(n);
        total += term / f64::from(2 * n + 1);
    }
    total * core::f64::consts::FRAC_2_SQRT_PI
}

/// Value and derivative of an activation at `x`.
pub(crate) fn activation(activation: Activation, x: f64) -> (f64, f64) {
    match activation {
        Activation::Identity => (x, 1.0),
        Activation::Gelu => {
            let distribution = 0.5 * (1.0 + erf(x / SQRT_2));
            let density = (-0.5 * x * x).exp() / (2.0 * PI).sqrt();
            (x * distribution, distribution + x * density)
        }
        Activation::GeluTanh => {
            let factor = (2.0 / PI).sqrt();
            let tanh = (factor * (x + 0.044_715 * x.powi(3))).tanh();
            let inner = factor * (1.0 + 3.0 * 0.044_715 * x * x);
            let gate = 0.5 * (1.0 + tanh);
            (x * gate, gate + 0.5 * x * (1.0 - tanh * tanh) * inner)
        }
        Activation::Swish(slope) => {
            let slope = f64::from(slope);
            let gate = 1.0 / (1.0 + (-slope * x).exp());
            (x * gate, gate + slope * x * gate * (1.0 - gate))
        }
    }
}

/// Compares with a reference, to `bar` of the larger of 1 and its magnitude.
#[track_caller]
pub(crate) fn assert_close(found: &[f32], expected: &[f64], bar: f64) {
    assert_eq!(found.len(), expected.len());
    for (at, (&found, &expected)) in found.iter().zip(expected).enumerate() {
        let difference = (f64::from(found) - expected).abs();
        assert!(
            difference <= bar * expected.abs().max(1.0),
            "{found} is not {expected} at {at}"
        );
    }
}
