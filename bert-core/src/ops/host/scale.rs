//! The size of a tensor, and its multiplication by one number: what clipping gradients takes.

use burn::backend::ops::FloatTensorOps;
use burn::tensor::Shape;
use rayon::prelude::*;

use super::math::sum;
use super::tensor::{HostTensor, are_here};
use super::{PIECE, over_pieces, vectorized};
use crate::ops::scale;

/// [`BertOps::sum_of_squares`](crate::ops::BertOps::sum_of_squares): the sums of pieces are added up in 64 bits.
pub(in crate::ops) fn sum_of_squares<T: HostTensor>(input: T) -> T {
    if !are_here([&input]) {
        return scale::sum_of_squares::<T::Backend>(input);
    }
    let input = input.dense();
    let of_piece = |piece: &[f32]| {
        vectorized(
            #[inline(always)]
            || f64::from(sum(piece, |x| x * x)),
        )
    };
    let pieces: Vec<f64> = input.floats().par_chunks(PIECE).map(of_piece).collect();
    let mut output = input.zeros_like_this(Shape::new([1]));
    output.floats_mut()[0] = pieces.iter().sum::<f64>() as f32;
    output
}

/// [`BertOps::scale_by`](crate::ops::BertOps::scale_by), over `input` itself where nobody else holds it.
pub(in crate::ops) fn scale_by<T: HostTensor>(input: T, factor: T) -> T {
    if !are_here([&input, &factor]) {
        return T::Backend::float_mul(input, factor);
    }
    let [mut input, factor] = [input, factor].map(T::dense);
    let factor = factor.floats()[0];
    // Of NaN and infinities, too, one times is the same.
    if factor != 1.0 {
        over_pieces(input.floats_mut(), PIECE, |_, values| {
            vectorized(
                #[inline(always)]
                || values.iter_mut().for_each(|value| *value *= factor),
            );
        });
    }
    input
}
