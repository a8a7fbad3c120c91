//! Sums of products of 8-bit numbers: a few rows by a panel, over the whole depth.

use super::rows::Rows;
use super::weight::{GROUP, Group, PANEL};
use crate::ops::host::vectorized;

/// Rows of a tile: their sums with a panel fill 24 of the 32 registers of AVX-512.
const ROWS: usize = 6;
/// Rows of a tile on the matrix unit, the most that there are.
pub(super) const MOST_ROWS: usize = 32;

/// Rows from which the matrix unit is worth it: one sentence of 16 tokens took half as long again with it.
const MANY_ROWS: usize = 2 * MOST_ROWS;

/// Rows of a tile where there are `count` over so many groups.
pub(super) fn rows_of(count: usize, groups: usize) -> usize {
    if count >= MANY_ROWS && is_on_matrix_unit(groups) {
        MOST_ROWS
    } else {
        ROWS
    }
}

fn is_on_matrix_unit(groups: usize) -> bool {
    #[cfg(all(target_arch = "x86_64", target_os = "linux"))]
    return super::amx::suits(groups);
    #[cfg(not(all(target_arch = "x86_64", target_os = "linux")))]
    {
        let _ = groups;
        false
    }
}

/// The sums of `count` rows from `first` on, at most [so many](rows_of), with a panel.
pub(super) fn tile(
    rows: &Rows,
    first: usize,
    count: usize,
    panel: &[Group],
    sums: &mut [[i32; PANEL]; MOST_ROWS],
) {
    #[cfg(all(target_arch = "x86_64", target_os = "linux"))]
    if rows.of_a_tile() == MOST_ROWS {
        return super::amx::sums(rows.rows(first, MOST_ROWS), panel, sums);
    }
    let row = |offset: usize| rows.rows(first + offset, 1);
    let sums = sums.first_chunk_mut().expect("more than six");
    match count {
        1 => of([row(0)], panel, sums),
        2 => of([row(0), row(1)], panel, sums),
        3 => of([row(0), row(1), row(2)], panel, sums),
        4 => of([row(0), row(1), row(2), row(3)], panel, sums),
        5 => of([row(0), row(1), row(2), row(3), row(4)], panel, sums),
        _ => of(
            [row(0), row(1), row(2), row(3), row(4), row(5)],
            panel,
            sums,
        ),
    }
}

fn of<const R: usize>(rows: [&[i32]; R], panel: &[Group], sums: &mut [[i32; PANEL]; ROWS]) {
    #[cfg(target_arch = "x86_64")]
    if vnni::is_there() {
        return vnni::sums(rows, panel, sums);
    }
    portable(rows, panel, sums);
}

/// The instructions that multiply 8-bit numbers faster than floats, if this processor has some.
pub(crate) fn instructions() -> Option<&'static str> {
    #[cfg(all(target_arch = "x86_64", target_os = "linux"))]
    if super::amx::is_there() {
        return Some("AMX");
    }
    #[cfg(target_arch = "x86_64")]
    if vnni::is_there() {
        return Some("AVX-512 VNNI");
    }
    None
}

fn portable<const R: usize>(rows: [&[i32]; R], panel: &[Group], sums: &mut [[i32; PANEL]; ROWS]) {
    vectorized(
        #[inline(always)]
        || {
            for (row, sums) in rows.iter().zip(sums) {
                *sums = [0; PANEL];
                for (numbers, group) in row.iter().zip(panel) {
                    let numbers = numbers.to_ne_bytes().map(i32::from);
                    for (sum, weights) in sums.iter_mut().zip(&group.0) {
                        for at in 0..GROUP {
                            *sum += numbers[at] * i32::from(weights[at]);
                        }
                    }
                }
            }
        },
    );
}

/// The instructions of AVX-512 VNNI, four products and their sum in each of sixteen columns at a time.
#[cfg(target_arch = "x86_64")]
mod vnni {
    use core::arch::x86_64::{
        __m512i, _mm512_dpbusd_epi32, _mm512_loadu_si512, _mm512_set1_epi32, _mm512_setzero_si512,
        _mm512_storeu_si512,
    };

    use super::{Group, PANEL, ROWS};

    /// Columns of a vector.
    const LANES: usize = 16;
    /// Vectors of a panel.
    const VECTORS: usize = PANEL / LANES;

    pub(super) fn is_there() -> bool {
        is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512vnni")
    }

    /// Like [`portable`](super::portable), on a processor that [has them](is_there).
    #[expect(unsafe_code, reason = "a function for some processors")]
    pub(super) fn sums<const R: usize>(
        rows: [&[i32]; R],
        panel: &[Group],
        sums: &mut [[i32; PANEL]; ROWS],
    ) {
        assert!(is_there(), "checked by the caller");
        // SAFETY: the processor has the features that the function is compiled for, as has just been checked.
        unsafe { sums_on_this_processor(rows, panel, sums) }
    }

    #[target_feature(enable = "avx512f,avx512vnni")]
    fn sums_on_this_processor<const R: usize>(
        rows: [&[i32]; R],
        panel: &[Group],
        sums: &mut [[i32; PANEL]; ROWS],
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
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instructions_of_the_processor_sum_what_plain_loops_sum() {
        // The largest numbers of both signs too: nothing saturates.
        let numbers = |at: usize| [255, 0, (at * 37 % 256) as u8, (at * 11 % 256) as u8];
        let panel: Vec<Group> = (0..50)
            .map(|at| {
                Group(core::array::from_fn(|column| {
                    [
                        -127,
                        127,
                        (at * 5 + column * 3) as i8,
                        if column % 2 == 0 { 127 } else { -127 },
                    ]
                }))
            })
            .collect();
        let rows: Vec<Vec<i32>> = (0..3)
            .map(|row| {
                (0..50)
                    .map(|at| i32::from_ne_bytes(numbers(at * 3 + row)))
                    .collect()
            })
            .collect();
        let rows = [&rows[0][..], &rows[1], &rows[2]];
        let (mut plain, mut fast) = ([[7; PANEL]; ROWS], [[7; PANEL]; ROWS]);
        portable(rows, &panel, &mut plain);
        of(rows, &panel, &mut fast);
        assert_eq!(fast, plain);
        #[cfg(all(target_arch = "x86_64", target_os = "linux"))]
        if super::super::amx::suits(48) {
            let panel = &panel[..48];
            let numbers: Vec<i32> = (0..MOST_ROWS)
                .flat_map(|row| {
                    rows[row % 3][..48]
                        .iter()
                        .map(move |x| x.rotate_left(8 * row as u32))
                })
                .collect();
            let mut found = [[7; PANEL]; MOST_ROWS];
            super::super::amx::sums(&numbers, panel, &mut found);
            for (numbers, found) in numbers.chunks_exact(48).zip(&found) {
                let mut expected = [[0; PANEL]; ROWS];
                portable([numbers], panel, &mut expected);
                assert_eq!(*found, expected[0]);
            }
        }
        let by_hand: i32 = (0..50)
            .map(|at| {
                let weights = panel[at].0[9].map(i32::from);
                let numbers = numbers(at * 3 + 1).map(i32::from);
                weights.iter().zip(numbers).map(|(a, b)| a * b).sum::<i32>()
            })
            .sum();
        assert_eq!(plain[1][9], by_hand);
        assert_eq!(plain[3], [7; PANEL]); // beyond the rows given
    }
}
