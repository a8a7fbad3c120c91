//! Exact GELU, `x · Φ(x)`, and its gradient.

use core::f32::consts::{FRAC_1_SQRT_2, FRAC_2_SQRT_PI};
use std::mem::MaybeUninit;

use rayon::prelude::*;

use crate::parallel::{CHUNK_LEN, par_fill_chunks};
use crate::simd::math::{erf, exp};
use crate::simd::vectorized;

/// `x · Φ(x)`.
#[inline(always)]
pub(crate) fn gelu(x: f32) -> f32 {
    0.5 * x * (1.0 + erf(x * FRAC_1_SQRT_2))
}

/// GELU of every element of `input`.
///
/// # Panics
///
/// Panics if `output` is longer than `input`.
pub fn forward<'a>(input: &[f32], output: &'a mut [MaybeUninit<f32>]) -> &'a mut [f32] {
    par_fill_chunks(output, CHUNK_LEN, |at, to| {
        let from = &input[at * CHUNK_LEN..][..to.len()];
        vectorized(
            #[inline(always)]
            || {
                for (to, &from) in to.iter_mut().zip(from) {
                    *to = gelu(from);
                }
            },
        );
    })
}

/// GELU of every element, in place.
pub fn forward_in_place(values: &mut [f32]) {
    values.par_chunks_mut(CHUNK_LEN).for_each(|chunk| {
        vectorized(
            #[inline(always)]
            || {
                for value in chunk {
                    *value = gelu(*value);
                }
            },
        );
    });
}

/// Gradient with respect to `input`, in place of `grad`.
pub fn backward(input: &[f32], grad: &mut [f32]) {
    grad.par_chunks_mut(CHUNK_LEN)
        .zip(input.par_chunks(CHUNK_LEN))
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
}

#[cfg(test)]
mod tests {
    use core::f64::consts::{PI, SQRT_2};

    use super::*;
    use crate::output::init_vec;
    use crate::testing::{self, assert_close, numbers, size};

    #[test]
    fn gelu_and_its_gradient_equal_their_definition() {
        // Two chunks.
        let count = size(CHUNK_LEN + 100, 100);
        let input: Vec<f32> = numbers(count, 7).iter().map(|x| 5.0 * x).collect();
        let grad = numbers(count, 11);
        let distribution = |x: f64| 0.5 * (1.0 + testing::erf(x / SQRT_2));
        let wide = || input.iter().map(|&x| f64::from(x));
        let expected: Vec<f64> = wide().map(|x| x * distribution(x)).collect();
        let found = init_vec(count, |to| forward(&input, to));
        assert_close(&found, &expected, 2e-6);
        let mut in_place = input.clone();
        forward_in_place(&mut in_place);
        assert_eq!(in_place, found);

        let expected: Vec<f64> = (wide().zip(&grad))
            .map(|(x, &grad)| {
                let density = (-0.5 * x * x).exp() / (2.0 * PI).sqrt();
                f64::from(grad) * (distribution(x) + x * density)
            })
            .collect();
        let mut found = grad;
        backward(&input, &mut found);
        assert_close(&found, &expected, 2e-6);
    }
}
