//! Size of a gradient, and its multiplication by one number: what clipping takes.

use rayon::prelude::*;

use crate::parallel::{CHUNK_LEN, for_each_chunk};
use crate::simd::math::sum;
use crate::simd::vectorized;

/// The sum of the squares of `values`; the sums of chunks are added up in 64 bits.
pub fn sum_of_squares(values: &[f32]) -> f32 {
    let of_chunk = |chunk: &[f32]| {
        vectorized(
            #[inline(always)]
            || f64::from(sum(chunk, |x| x * x)),
        )
    };
    let chunks: Vec<f64> = values.par_chunks(CHUNK_LEN).map(of_chunk).collect();
    chunks.iter().sum::<f64>() as f32
}

/// Multiplies `values` by `factor`.
pub fn scale(values: &mut [f32], factor: f32) {
    // x · 1 is x for NaN and infinities, too.
    if factor == 1.0 {
        return;
    }
    for_each_chunk(values, CHUNK_LEN, |_, values| {
        vectorized(
            #[inline(always)]
            || values.iter_mut().for_each(|value| *value *= factor),
        );
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::size;

    #[test]
    fn squares_are_summed_and_values_scaled() {
        // Several chunks, whose exact sum is known: a third of the values is 1, a third -2, the rest 0.
        let thirds = size(30_000, 20);
        let mut values: Vec<f32> = (0..3 * thirds).map(|at| [1.0, -2.0, 0.0][at % 3]).collect();
        assert_eq!(sum_of_squares(&values), 5.0 * thirds as f32);
        scale(&mut values, 1.0);
        assert_eq!(values[..3], [1.0, -2.0, 0.0]);
        scale(&mut values, 0.25);
        assert!(values.chunks(3).all(|three| three == [0.25, -0.5, 0.0]));
        assert_eq!(sum_of_squares(&[]), 0.0);
    }
}
