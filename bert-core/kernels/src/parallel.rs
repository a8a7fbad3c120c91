//! Work spread over Rayon's threads.

use std::mem::MaybeUninit;

use rayon::prelude::*;

use crate::output::{OutputSlot, zeroed};

/// Elements that a thread works on at a time: enough to make up for handing them over, few enough for its cache.
pub const CHUNK_LEN: usize = 16 * 1024;

/// Rows of `width` elements in a chunk, at least one.
pub(crate) fn rows_per_chunk(width: usize) -> usize {
    (CHUNK_LEN / width.max(1)).max(1)
}

/// Elements of a chunk of whole rows of `width`, never 0.
pub(crate) fn row_chunk_len(width: usize) -> usize {
    rows_per_chunk(width) * width.max(1)
}

/// Calls `work` with the index and the elements of every chunk of `length`, on all threads if there are several: waking them
/// for one takes longer than a short sentence does.
pub(crate) fn for_each_chunk<E: Send>(
    values: &mut [E],
    length: usize,
    work: impl Fn(usize, &mut [E]) + Sync,
) {
    if values.is_empty() {
        return;
    }
    if values.len() <= length {
        work(0, values);
    } else {
        values
            .par_chunks_mut(length)
            .enumerate()
            .for_each(|(at, chunk)| work(at, chunk));
    }
}

/// Initialises `output` in chunks of `length` elements: `work` gets each by its index, filled with zeros.
///
/// Each chunk is cleared by the thread that works on it, where clearing the whole beforehand is a pass over memory on one.
#[expect(unsafe_code, reason = "the output is cleared chunk by chunk")]
pub(crate) fn par_fill_chunks(
    output: &mut [MaybeUninit<f32>],
    length: usize,
    work: impl Fn(usize, &mut [f32]) + Sync,
) -> &mut [f32] {
    for_each_chunk(output, length, |at, chunk| work(at, zeroed(chunk)));
    // SAFETY: the chunks are all of the slice, and each has been filled.
    unsafe { output.assume_init_mut() }
}

/// Like [`par_fill_chunks`], with ranges of the given lengths one after another, each with one of `beside`; the tail is zeroed.
#[expect(unsafe_code, reason = "the output is cleared range by range")]
pub(crate) fn par_fill_ranges<'a, E: Send>(
    output: &'a mut [MaybeUninit<f32>],
    beside: &mut [E],
    lengths: impl Iterator<Item = [usize; 2]>,
    work: impl Fn(usize, &mut [f32], &mut [E]) + Sync,
) -> &'a mut [f32] {
    let (mut rest, mut rest_beside) = (&mut *output, beside);
    let mut ranges = Vec::new();
    for [length, length_beside] in lengths {
        let (range, others) = rest.split_at_mut(length);
        let (beside, others_beside) = rest_beside.split_at_mut(length_beside);
        ranges.push((range, beside));
        (rest, rest_beside) = (others, others_beside);
    }
    zeroed(rest);
    if let [(range, beside)] = &mut ranges[..] {
        work(0, zeroed(range), beside);
    } else {
        let ranges = ranges.into_par_iter().enumerate();
        ranges.for_each(|(at, (range, beside))| work(at, zeroed(range), beside));
    }
    // SAFETY: the ranges and the rest, all of the slice, have each been cleared.
    unsafe { output.assume_init_mut() }
}

/// Blocks of matrices: rows in ranges, one range after another, by columns in parts of one width.
pub(crate) struct Blocks<'a> {
    /// Rows of a matrix, at least those of all ranges.
    pub(crate) rows: usize,
    /// Rows of every range.
    pub(crate) ranges: &'a [usize],
    /// Parts of the columns.
    pub(crate) parts: usize,
    /// Columns of a part.
    pub(crate) columns: usize,
}

/// Computes `N` matrices in blocks: `work` gets the numbers of range and part, a block of each matrix, zeros, and the block's
/// equal share of `beside`. Rows after the ranges are zeros.
///
/// # Shapes
///
/// - blocks: `[range, columns]`
/// - output: `[rows, parts · columns]`
#[expect(unsafe_code, reason = "threads write columns of one matrix")]
pub(crate) fn par_fill_blocks<E: Send, const N: usize>(
    blocks: &Blocks<'_>,
    beside: &mut [E],
    work: impl Fn([usize; 2], [&mut [f32]; N], &mut [E]) + Sync,
) -> [Vec<f32>; N] {
    let &Blocks {
        rows,
        ranges,
        parts,
        columns,
    } = blocks;
    let width = parts * columns;
    let mut next = 0;
    let mut tasks = Vec::with_capacity(ranges.len() * parts);
    let share = beside.len() / (ranges.len() * parts).max(1);
    let mut beside = beside;
    for (range, &length) in ranges.iter().enumerate() {
        for part in 0..parts {
            let (first, others) = std::mem::take(&mut beside).split_at_mut(share);
            tasks.push(([range, part], next, first));
            beside = others;
        }
        next += length;
    }
    assert!(next <= rows, "the matrices have the rows of all ranges");
    let mut matrices = [(); N].map(|()| Vec::<f32>::with_capacity(rows * width));
    let outputs = matrices.each_mut().map(|matrix| {
        let spare = &mut matrix.spare_capacity_mut()[..rows * width];
        zeroed(&mut spare[next * width..]);
        BlockOutput(spare.as_mut_ptr().cast())
    });
    tasks.into_par_iter().for_each(|(at, first, beside)| {
        let size = ranges[at[0]] * columns;
        let mut values = vec![0.0; N * size];
        let mut rest = &mut values[..];
        let local = [(); N].map(|()| {
            let (block, others) = std::mem::take(&mut rest).split_at_mut(size);
            rest = others;
            block
        });
        work(at, local, beside);
        for (matrix, output) in outputs.iter().enumerate() {
            for row in 0..ranges[at[0]] {
                let to = (first + row) * width + at[1] * columns;
                let from = &values[matrix * size + row * columns..][..columns];
                // SAFETY: `to` and the columns from there on are within the matrix, since its row is one of a range and its
                // part one of `parts`; no other task has this range and this part.
                unsafe { output.write(to, from) };
            }
        }
    });
    for matrix in &mut matrices {
        // SAFETY: there was a task for every part of every range, which has written all of its rows; those after the ranges
        // have been cleared.
        unsafe { matrix.set_len(rows * width) };
    }
    matrices
}

/// A matrix that threads write in blocks.
struct BlockOutput(*mut f32);

// SAFETY: all that can be done with it is `write`, whose callers answer for it.
#[expect(unsafe_code, reason = "threads write columns of one matrix")]
unsafe impl Sync for BlockOutput {}

impl BlockOutput {
    /// Copies `values` to an index.
    ///
    /// # Safety
    ///
    /// The matrix, still allocated, has these elements, and no other thread accesses them.
    #[expect(unsafe_code, reason = "threads write columns of one matrix")]
    unsafe fn write(&self, at: usize, values: &[f32]) {
        // SAFETY: by the conditions of this function.
        unsafe {
            let to = self.0.add(at);
            to.copy_from_nonoverlapping(values.as_ptr(), values.len());
        }
    }
}

/// Calls `work` with blocks of whole row tiles, at most `largest` tiles and equally many for every thread, and with the first
/// row of each.
pub(crate) fn for_each_row_block<E: Send>(
    columns: usize,
    (tile, largest): (usize, usize),
    output: &mut [E],
    work: impl Fn(usize, &mut [E]) + Sync,
) {
    let rows = rows_per_block(output.len() / columns.max(1), (tile, largest));
    output
        .par_chunks_mut((rows * columns).max(1))
        .enumerate()
        .for_each(|(at, block)| work(at * rows, block));
}

/// Rows of blocks of whole tiles, at most `largest` tiles, that are as many for every thread; at least one tile.
pub(crate) fn rows_per_block(rows: usize, (tile, largest): (usize, usize)) -> usize {
    let threads = rayon::current_num_threads();
    let blocks = rows.div_ceil(threads * tile * largest).max(1) * threads;
    rows.div_ceil(blocks).max(1).next_multiple_of(tile)
}

/// Initialises rows of `columns` in as many ranges of columns as there are threads, for few rows: `work` gets the first column
/// and the number of columns, a multiple of `panel` but at the end, and fills zeroed rows of that many.
#[expect(unsafe_code, reason = "the output is written range by range")]
pub(crate) fn par_fill_columns(
    columns: usize,
    panel: usize,
    output: &mut [MaybeUninit<f32>],
    work: impl Fn(usize, usize, &mut [f32]) + Sync,
) -> &mut [f32] {
    assert!(
        columns > 0 && output.len().is_multiple_of(columns),
        "the output has whole rows"
    );
    let rows = output.len() / columns;
    let share = columns
        .div_ceil(panel)
        .div_ceil(rayon::current_num_threads())
        * panel;
    let parts: Vec<Vec<f32>> = (0..columns.div_ceil(share))
        .into_par_iter()
        .map(|at| {
            let first = at * share;
            let width = share.min(columns - first);
            let mut part = vec![0.0; rows * width];
            work(first, width, &mut part);
            part
        })
        .collect();
    for (at, part) in parts.iter().enumerate() {
        let width = share.min(columns - at * share);
        for (to, from) in output
            .chunks_exact_mut(columns)
            .zip(part.chunks_exact(width))
        {
            for (to, &value) in to[at * share..][..width].iter_mut().zip(from) {
                to.put(value);
            }
        }
    }
    // SAFETY: the ranges are all columns, and each part has as many rows as the output, which has whole rows alone.
    unsafe { output.assume_init_mut() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::init_vec;

    #[test]
    fn chunks_ranges_and_columns_cover_the_output() {
        for len in [0, 1, 5, 10, 11] {
            let found = init_vec(len, |to| {
                par_fill_chunks(to, 5, |at, chunk| {
                    assert!(chunk.iter().all(|&value| value == 0.0));
                    chunk.fill(at as f32 + 1.0);
                })
            });
            let expected: Vec<f32> = (0..len).map(|at| (at / 5 + 1) as f32).collect();
            assert_eq!(found, expected);
        }
        for (lengths, expected) in [
            (vec![], [0.0; 4]),
            (vec![3], [1.0, 1.0, 1.0, 0.0]),
            (vec![1, 2], [1.0, 2.0, 2.0, 0.0]),
        ] {
            let mut beside = vec![0; 2 * lengths.len()];
            let found = init_vec(4, |to| {
                let lengths = lengths.iter().map(|&length| [length, 2]);
                par_fill_ranges(to, &mut beside, lengths, |at, range, beside| {
                    range.fill(at as f32 + 1.0);
                    beside.fill(at);
                })
            });
            assert_eq!(found, expected);
            let expected: Vec<usize> = (0..beside.len()).map(|at| at / 2).collect();
            assert_eq!(beside, expected);
        }
        for columns in [1, 4, 7, 30] {
            let found = init_vec(3 * columns, |to| {
                par_fill_columns(columns, 4, to, |first, width, part| {
                    for row in part.chunks_exact_mut(width) {
                        for (at, to) in row.iter_mut().enumerate() {
                            *to += (first + at) as f32;
                        }
                    }
                })
            });
            let expected: Vec<f32> = (0..3 * columns).map(|at| (at % columns) as f32).collect();
            assert_eq!(found, expected);
        }
    }

    #[test]
    fn blocks_of_rows_and_columns_fill_matrices() {
        for (rows, ranges, parts, columns) in [
            (6, vec![2, 0, 3], 3, 2),
            (4, vec![4], 1, 5),
            (2, vec![], 2, 2),
            (0, vec![0, 0], 2, 3),
            (3, vec![3], 2, 0),
        ] {
            let blocks = Blocks {
                rows,
                ranges: &ranges,
                parts,
                columns,
            };
            let mut beside = vec![[0; 2]; ranges.len() * parts * 2];
            let number =
                |[range, part]: [usize; 2], at: usize| (100 * range + 10 * part + at) as f32;
            let [first, second] =
                par_fill_blocks(&blocks, &mut beside, |at, [first, second], beside| {
                    assert!(first.iter().chain(&*second).all(|&value| value == 0.0));
                    assert_eq!((first.len(), beside.len()), (ranges[at[0]] * columns, 2));
                    for (place, value) in first.iter_mut().enumerate() {
                        *value = number(at, place);
                    }
                    second.fill(1.0);
                    beside.fill(at);
                });
            let width = parts * columns;
            let mut expected = Vec::new();
            for (range, &length) in ranges.iter().enumerate() {
                for at in 0..length * width {
                    let (row, column) = (at / width, at % width);
                    let place = row * columns + column % columns;
                    expected.push(number([range, column / columns], place));
                }
            }
            assert_eq!(second[..expected.len()], vec![1.0; expected.len()]);
            expected.resize(rows * width, 0.0);
            assert_eq!(first, expected);
            assert_eq!(second.len(), expected.len());
            for (place, beside) in beside.chunks_exact(2).enumerate() {
                assert_eq!(beside, [[place / parts, place % parts]; 2]);
            }
        }
    }

    #[test]
    fn blocks_of_rows_are_whole_tiles() {
        for (rows, columns) in [(1, 3), (7, 2), (100, 5)] {
            let mut values = vec![0; rows * columns];
            for_each_row_block(columns, (6, 2), &mut values, |first, block| {
                assert!(first.is_multiple_of(6) && block.len() <= 12 * columns);
                for (at, row) in block.chunks_exact_mut(columns).enumerate() {
                    row.fill(first + at);
                }
            });
            let expected: Vec<usize> = (0..rows * columns).map(|at| at / columns).collect();
            assert_eq!(values, expected);
        }
        // A row wider than a chunk is one, and rows without elements have no chunk.
        assert_eq!(row_chunk_len(CHUNK_LEN + 1), CHUNK_LEN + 1);
        for_each_chunk(&mut [0.0; 0], row_chunk_len(0), |_, _| unreachable!());
    }
}
