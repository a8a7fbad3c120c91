//! Kernels over slices of f32, which Flex runs in place of the default bodies, and LibTorch some of them on the processor.
//!
//! They are plain loops: [`vectorized`] compiles each for the widest vectors of the processor it runs on, and Rayon spreads
//! rows over threads. Pieces have a fixed size and partial sums are added in order, so that a result depends neither on the
//! number of threads nor on which of them was faster.

use std::mem::MaybeUninit;

use burn::tensor::Shape;
use macerator::{AutoArch, Simd, WithSimd};
use rayon::prelude::*;

mod adam;
mod attention;
mod attention_gradients;
mod cross_entropy;
mod dropout;
mod few_rows;
mod gelu;
mod lookup;
mod math;
mod norm;
mod panels;
mod processor;
mod product;
mod project;
mod scale;
mod softmax;
mod spread;
mod tensor;
#[cfg(test)]
mod tests;
mod tile;
mod weight;

pub(super) use adam::adam_update;
pub(super) use attention::{packed_attention, self_attention};
pub(super) use attention_gradients::{attention_backward, attention_with_weights};
pub(super) use cross_entropy::{cross_entropy, cross_entropy_backward};
pub(super) use dropout::dropout_mask;
pub(super) use gelu::{exact_gelu, gelu_erf, gelu_erf_backward};
pub(super) use lookup::{lookup, lookup_backward};
pub(super) use math::{maximum, minimum, sum};
pub(super) use norm::{add_normalize, normalize, normalize_backward};
#[cfg(feature = "tch")]
pub(super) use processor::is_amd_with_avx512;
pub(super) use project::{
    project, project_bias_backward, project_gelu, project_input_backward, project_table,
    project_table_backward, project_weight_backward,
};
pub(super) use scale::{scale_by, sum_of_squares};
pub(super) use softmax::{masked_softmax, softmax_backward};
pub(super) use spread::{Place, by_columns, by_rows};
pub(super) use tensor::{HostTensor, are_here, with_width};
pub(super) use weight::project_panels;
pub(crate) use weight::{PanelWeight, packed_weights_pay};

/// Elements that a thread works on at a time: enough to make up for handing them over, few enough for its cache.
pub(super) const PIECE: usize = 16 * 1024;

/// Rows of `width` elements in a piece, at least one.
pub(super) fn rows_per_piece(width: usize) -> usize {
    (PIECE / width.max(1)).max(1)
}

/// A tensor that is here, on the device of `like`, whose pieces of `length` elements `work` gets by index, filled with zeros.
///
/// Each piece is cleared by the thread that works on it, where clearing the whole beforehand is a pass over memory on one.
#[expect(unsafe_code, reason = "the tensor is cleared piece by piece")]
pub(super) fn made_in_pieces<T: HostTensor>(
    like: &T,
    shape: Shape,
    length: usize,
    work: impl Fn(usize, &mut [f32]) + Sync,
) -> T {
    let write = |to: &mut [MaybeUninit<f32>]| {
        over_pieces(to, length, |at, piece| work(at, cleared(piece)));
    };
    // SAFETY: the pieces are all of the slice, and each is filled.
    unsafe { like.written_like_this(shape, write) }
}

/// Like [`made_in_pieces`], with parts of the given lengths one after another; zeros after the last.
#[expect(unsafe_code, reason = "the tensor is cleared part by part")]
pub(super) fn made_in_parts<T: HostTensor>(
    like: &T,
    shape: Shape,
    lengths: impl Iterator<Item = usize>,
    work: impl Fn(usize, &mut [f32]) + Sync,
) -> T {
    let write = |mut rest: &mut [MaybeUninit<f32>]| {
        let mut parts = Vec::new();
        for length in lengths {
            let (part, others) = rest.split_at_mut(length);
            parts.push(part);
            rest = others;
        }
        cleared(rest);
        if let [part] = &mut parts[..] {
            work(0, cleared(part));
        } else {
            let parts = parts.into_par_iter().enumerate();
            parts.for_each(|(at, part)| work(at, cleared(part)));
        }
    };
    // SAFETY: the parts and the rest, all of the slice, are each cleared.
    unsafe { like.written_like_this(shape, write) }
}

/// `to` filled with zeros.
#[expect(unsafe_code, reason = "what has been written is initialised")]
fn cleared(to: &mut [MaybeUninit<f32>]) -> &mut [f32] {
    to.fill(MaybeUninit::new(0.0));
    // SAFETY: every element has just been written.
    unsafe { to.assume_init_mut() }
}

/// Calls `work` with the index and the elements of every piece of `length`, on all threads if there are several: waking them
/// for one takes longer than a short sentence does.
pub(super) fn over_pieces<E: Send>(
    values: &mut [E],
    length: usize,
    work: impl Fn(usize, &mut [E]) + Sync,
) {
    if values.len() <= length {
        work(0, values);
    } else {
        values
            .par_chunks_mut(length)
            .enumerate()
            .for_each(|(at, piece)| work(at, piece));
    }
}

/// Runs `kernel` compiled for the widest vectors of this processor (AVX-512, AVX2, NEON).
///
/// What it calls is compiled so only where it is inlined.
#[inline(always)]
pub(super) fn vectorized<R>(kernel: impl FnOnce() -> R) -> R {
    struct Kernel<F>(F);

    impl<R, F: FnOnce() -> R> WithSimd for Kernel<F> {
        type Output = R;

        #[inline(always)]
        fn with_simd<S: Simd>(self) -> R {
            (self.0)()
        }
    }

    AutoArch::new().dispatch(Kernel(kernel))
}
