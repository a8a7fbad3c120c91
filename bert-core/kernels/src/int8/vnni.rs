//! Sums of products of 8-bit numbers by AVX-512 VNNI, four products and their sum in each of sixteen columns at a time.

use core::arch::x86_64::{
    __m512i, _mm512_dpbusd_epi32, _mm512_loadu_si512, _mm512_set1_epi32, _mm512_setzero_si512,
    _mm512_storeu_si512,
};

use super::tile_shape::VECTOR_ROWS;
use super::weights::{Group, PANEL};

/// Columns of a vector.
const LANES: usize = 16;
/// Vectors of a panel.
const VECTORS: usize = PANEL / LANES;

/// True if the processor has the instructions.
pub(super) fn is_available() -> bool {
    is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512vnni")
}

/// The sums of up to six rows with a panel, on a processor that [has the instructions](is_available).
#[expect(unsafe_code, reason = "a function for some processors")]
pub(super) fn sums<const R: usize>(
    rows: [&[i32]; R],
    panel: &[Group],
    sums: &mut [[i32; PANEL]; VECTOR_ROWS],
) {
    assert!(is_available(), "checked by the caller");
    // SAFETY: the processor has the features that the function is compiled for, as has just been checked.
    unsafe { sums_with_vnni(rows, panel, sums) }
}

#[target_feature(enable = "avx512f,avx512vnni")]
fn sums_with_vnni<const R: usize>(
    rows: [&[i32]; R],
    panel: &[Group],
    sums: &mut [[i32; PANEL]; VECTOR_ROWS],
) {
    for row in rows {
        // Known to the compiler from here on, which leaves the check out of the loop.
        assert_eq!(row.len(), panel.len());
    }
    let mut vectors = [[_mm512_setzero_si512(); VECTORS]; R];
    for (at, group) in panel.iter().enumerate() {
        let weights = load(group);
        for (vectors, row) in vectors.iter_mut().zip(rows) {
            let numbers = _mm512_set1_epi32(row[at]);
            for (vector, &weights) in vectors.iter_mut().zip(&weights) {
                *vector = _mm512_dpbusd_epi32(*vector, numbers, weights);
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
fn load(group: &Group) -> [__m512i; VECTORS] {
    let columns = group.0.as_chunks::<LANES>().0;
    // SAFETY: sixteen columns of four bytes are the 64 bytes that a load reads.
    core::array::from_fn(|at| unsafe { _mm512_loadu_si512(columns[at].as_ptr().cast()) })
}

#[inline]
#[target_feature(enable = "avx512f")]
#[expect(unsafe_code, reason = "stores take pointers")]
fn store(sums: &mut [i32; PANEL], vectors: [__m512i; VECTORS]) {
    for (sums, vector) in sums.as_chunks_mut::<LANES>().0.iter_mut().zip(vectors) {
        // SAFETY: sixteen sums of four bytes are the 64 bytes that a store writes.
        unsafe { _mm512_storeu_si512(sums.as_mut_ptr().cast(), vector) }
    }
}
