//! Sums of products of bf16 by AVX-512 BF16, two products and their sum in each of sixteen columns at a time.

use core::arch::x86_64::{
    __m512, __m512bh, __m512i, _mm512_dpbf16_ps, _mm512_load_si512, _mm512_set1_epi32,
    _mm512_setzero_ps, _mm512_storeu_ps,
};
use core::mem::transmute;

use bytemuck::cast_ref;

use super::activations::Line;
use super::tile_shape::VECTOR_ROWS;
use super::weights::{Block, LANES, PAIR, PAIRS, PANEL, VECTORS};

/// True if the processor has the instructions.
pub(super) fn is_available() -> bool {
    is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512bf16")
}

/// The sums of the first `R` rows of a tile of six with a panel, on a processor that [has the instructions](is_available).
#[expect(unsafe_code, reason = "a function for some processors")]
pub(super) fn sums<const R: usize>(
    lines: &[Line],
    panel: &[Block],
    sums: &mut [[f32; PANEL]; VECTOR_ROWS],
) {
    assert!(is_available(), "checked by the caller");
    // SAFETY: the processor has the features that the function is compiled for, as has just been checked.
    unsafe { sums_with_bf16::<R>(lines, panel, sums) }
}

#[target_feature(enable = "avx512f,avx512bf16")]
fn sums_with_bf16<const R: usize>(
    lines: &[Line],
    panel: &[Block],
    sums: &mut [[f32; PANEL]; VECTOR_ROWS],
) {
    let (tile, _) = lines.as_chunks::<VECTOR_ROWS>();
    let mut vectors = [[_mm512_setzero_ps(); VECTORS]; R];
    for (lines, block) in tile.iter().zip(panel) {
        let rows: [&[i32; PAIRS]; R] = core::array::from_fn(|row| cast_ref(&lines[row].0));
        for pair in 0..PAIRS {
            let weights: [__m512bh; VECTORS] =
                core::array::from_fn(|vector| load(&block.0[vector][pair]));
            for (vectors, row) in vectors.iter_mut().zip(rows) {
                let numbers = numbers_of(_mm512_set1_epi32(row[pair]));
                for (vector, &weights) in vectors.iter_mut().zip(&weights) {
                    *vector = _mm512_dpbf16_ps(*vector, numbers, weights);
                }
            }
        }
    }
    for (sums, vectors) in sums.iter_mut().zip(vectors) {
        store(sums, vectors);
    }
}

#[inline]
#[target_feature(enable = "avx512f")]
#[expect(unsafe_code, reason = "loads take pointers")]
fn load(pairs: &[[u16; PAIR]; LANES]) -> __m512bh {
    // SAFETY: sixteen pairs of four bytes are the 64 bytes that a load reads, at multiples of 64 in a block that is so aligned.
    numbers_of(unsafe { _mm512_load_si512(pairs.as_ptr().cast()) })
}

#[inline]
#[target_feature(enable = "avx512f")]
#[expect(unsafe_code, reason = "the types have no other conversion")]
fn numbers_of(bits: __m512i) -> __m512bh {
    // SAFETY: both are the 512 bits of a register.
    unsafe { transmute(bits) }
}

#[inline]
#[target_feature(enable = "avx512f")]
#[expect(unsafe_code, reason = "stores take pointers")]
fn store(sums: &mut [f32; PANEL], vectors: [__m512; VECTORS]) {
    for (sums, vector) in sums.as_chunks_mut::<LANES>().0.iter_mut().zip(vectors) {
        // SAFETY: sixteen floats are the 64 bytes that a store writes.
        unsafe { _mm512_storeu_ps(sums.as_mut_ptr(), vector) }
    }
}
