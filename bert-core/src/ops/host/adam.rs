//! An update by Adam in one pass over a parameter.

use rayon::prelude::*;

use super::tensor::{HostTensor, are_here};
use super::{PIECE, vectorized};
use crate::ops::adam::{self, AdamStep};

/// [`BertOps::adam_update`](crate::ops::BertOps::adam_update): the output takes the place of the gradient, the
/// moments are changed where they are.
pub(in crate::ops) fn adam_update<T: HostTensor>(
    value: T,
    gradient: T,
    first: T,
    second: T,
    step: AdamStep,
) -> (T, T, T) {
    if !are_here([&value, &gradient, &first, &second]) {
        return adam::update::<T::Backend>(value, gradient, first, second, step);
    }
    let value = value.dense();
    let [mut gradient, mut first, mut second] = [gradient, first, second].map(T::dense);
    let [beta1, beta2] = [step.beta1, step.beta2].map(|beta| beta as f32);
    let [rest1, rest2] = [step.beta1, step.beta2].map(|beta| (1.0 - beta) as f32);
    let (correction1, root2) = (step.correction1 as f32, step.correction2.sqrt() as f32);
    let (epsilon, decay) = (step.epsilon as f32, step.decay as f32);
    // `value - rate · direction`, or the direction itself.
    let (of_value, of_direction) = step.rate.map_or((0.0, 1.0), |rate| (1.0, -rate as f32));
    let values = value.floats().par_chunks(PIECE);
    let moments =
        (first.floats_mut().par_chunks_mut(PIECE)).zip(second.floats_mut().par_chunks_mut(PIECE));
    (gradient.floats_mut().par_chunks_mut(PIECE))
        .zip(values)
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
                        *gradient = of_value * value + of_direction * direction;
                    }
                },
            );
        });
    (gradient, first, second)
}
