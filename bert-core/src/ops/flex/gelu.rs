//! Exact GELU and its gradient.

use core::f32::consts::{FRAC_1_SQRT_2, FRAC_2_SQRT_PI};

use burn::backend::Flex;
use burn::backend::flex::FlexTensor;
use burn::backend::ops::ActivationOps;
use rayon::prelude::*;

use super::map;
use crate::ops::host::math::{erf, exp};
use crate::ops::host::{HostTensor, PIECE, are_here, vectorized};

/// [`BertOps::gelu_erf`](crate::ops::BertOps::gelu_erf).
pub(in crate::ops) fn gelu_erf(input: FlexTensor) -> FlexTensor {
    if !are_here([&input]) {
        return Flex::gelu(input);
    }
    map(input, exact)
}

/// `x · Φ(x)`.
#[inline(always)]
pub(super) fn exact(x: f32) -> f32 {
    0.5 * x * (1.0 + erf(x * FRAC_1_SQRT_2))
}

/// [`BertOps::gelu_erf_backward`](crate::ops::BertOps::gelu_erf_backward).
pub(in crate::ops) fn gelu_erf_backward(input: FlexTensor, grad: FlexTensor) -> FlexTensor {
    if !are_here([&input, &grad]) {
        return Flex::gelu_backward(input, grad);
    }
    let input = input.dense();
    let mut grad = grad.dense();
    grad.storage_mut::<f32>()
        .par_chunks_mut(PIECE)
        .zip(input.storage::<f32>().par_chunks(PIECE))
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
