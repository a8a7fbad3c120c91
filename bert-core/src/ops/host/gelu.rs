//! Exact GELU and its gradient.

use core::f32::consts::{FRAC_1_SQRT_2, FRAC_2_SQRT_PI};

use burn::backend::ops::ActivationOps;
use rayon::prelude::*;

use super::math::{erf, exp};
use super::tensor::{HostTensor, are_here};
use super::{PIECE, made_in_pieces, vectorized};

/// [`BertOps::gelu_erf`](crate::ops::BertOps::gelu_erf).
pub(in crate::ops) fn gelu_erf<T: HostTensor>(input: T) -> T {
    if !are_here([&input]) {
        return T::Backend::gelu(input);
    }
    map(input, exact_gelu)
}

/// `function` of every element, written over `input` where nobody else holds it.
fn map<T: HostTensor>(input: T, function: impl Fn(f32) -> f32 + Sync) -> T {
    let mut input = input.dense();
    if let Some(values) = input.floats_if_alone() {
        values.par_chunks_mut(PIECE).for_each(|piece| {
            vectorized(
                #[inline(always)]
                || {
                    for value in piece {
                        *value = function(*value);
                    }
                },
            );
        });
        return input;
    }
    let inputs = input.floats();
    made_in_pieces(&input, input.shape(), PIECE, |at, to| {
        vectorized(
            #[inline(always)]
            || {
                for (to, &from) in to.iter_mut().zip(&inputs[at * PIECE..]) {
                    *to = function(from);
                }
            },
        );
    })
}

/// `x · Φ(x)`.
#[inline(always)]
pub(in crate::ops) fn exact_gelu(x: f32) -> f32 {
    0.5 * x * (1.0 + erf(x * FRAC_1_SQRT_2))
}

/// [`BertOps::gelu_erf_backward`](crate::ops::BertOps::gelu_erf_backward).
pub(in crate::ops) fn gelu_erf_backward<T: HostTensor>(input: T, grad: T) -> T {
    if !are_here([&input, &grad]) {
        return T::Backend::gelu_backward(input, grad);
    }
    let input = input.dense();
    let mut grad = grad.dense();
    grad.floats_mut()
        .par_chunks_mut(PIECE)
        .zip(input.floats().par_chunks(PIECE))
        .for_each(|(grad, input)| {
            vectorized(
                #[inline(always)]
                || {
                    for (grad, &x) in grad.iter_mut().zip(input) {
                        let distribution = 0.5 + 0.5 * erf(x * FRAC_1_SQRT_2);
                        // 1/√(2π) = (2/√π) · (1/√2) / 2
                        let density = exp(-0.5 * x * x) * (FRAC_2_SQRT_PI * FRAC_1_SQRT_2 * 0.5);
                        *grad *= distribution + x * density;
                    }
                },
            );
        });
    grad
}
