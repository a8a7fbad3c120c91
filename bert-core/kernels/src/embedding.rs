//! Embedding: rows gathered from a table, and their gradient.

use std::mem::MaybeUninit;

use crate::parallel::{CHUNK_LEN, par_fill_chunks, rows_per_chunk};
use crate::simd::math::add;
use crate::simd::vectorized;

/// The rows of `table` with the numbers `ids`.
///
/// # Shapes
///
/// - table: `[any, width]`
/// - ids: `[rows]`
/// - output: `[rows, width]`
///
/// # Panics
///
/// Panics if an id is beyond the table.
pub fn gather<'a>(
    table: &[f32],
    width: usize,
    ids: &[usize],
    output: &'a mut [MaybeUninit<f32>],
) -> &'a mut [f32] {
    let rows = rows_per_chunk(width);
    par_fill_chunks(output, rows * width, |at, to| {
        for (to, id) in to.chunks_exact_mut(width).zip(&ids[at * rows..]) {
            to.copy_from_slice(&table[id * width..][..width]);
        }
    })
}

/// Gradient with respect to the table: zeros written by all threads, and a pass over `grad`.
///
/// Calloc'ed memory would cost more: its pages map to the shared zero page, and each first write faults and triggers a TLB
/// shootdown on all threads.
///
/// # Shapes
///
/// - ids: `[rows]`
/// - grad: `[rows, width]`
/// - output: `[any, width]`
///
/// # Panics
///
/// Panics if an id is beyond the table.
pub fn backward<'a>(
    ids: &[usize],
    grad: &[f32],
    width: usize,
    output: &'a mut [MaybeUninit<f32>],
) -> &'a mut [f32] {
    let table = par_fill_chunks(output, CHUNK_LEN, |_, _| {});
    vectorized(
        #[inline(always)]
        || {
            for (id, grad) in ids.iter().zip(grad.chunks_exact(width.max(1))) {
                add(&mut table[id * width..][..width], grad);
            }
        },
    );
    table
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::init_vec;
    use crate::testing::{assert_close, numbers, size};

    #[test]
    fn rows_are_gathered_and_their_gradients_added() {
        // One row several times, others never; several chunks.
        let (count, width) = size((2000, 20), (20, 20));
        let ids: Vec<usize> = (0..count).map(|at| [3, 0, 3, 8, 1, 7][at % 6]).collect();
        let table = numbers(9 * width, 7);
        let found = init_vec(count * width, |to| gather(&table, width, &ids, to));
        for (row, id) in found.chunks_exact(width).zip(&ids) {
            assert_eq!(row, &table[id * width..][..width]);
        }

        let grad = numbers(count * width, 11);
        let mut expected = vec![0.0; table.len()];
        for (id, grad) in ids.iter().zip(grad.chunks_exact(width)) {
            for (at, &grad) in grad.iter().enumerate() {
                expected[id * width + at] += f64::from(grad);
            }
        }
        let found = init_vec(table.len(), |to| backward(&ids, &grad, width, to));
        assert_close(&found, &expected, 1e-4);
        assert!(init_vec(0, |to| gather(&[], 0, &[0; 3], to)).is_empty());
        assert!(init_vec(0, |to| backward(&[0; 3], &[], 0, to)).is_empty());
    }
}
