//! Transposition by square tiles.

/// Rows and columns of a tile: each cache line is then read once.
pub(crate) const TILE: usize = 16;

/// Writes the transpose of a matrix into rows of `columns` elements that begin `row_stride` apart in `to` and of which the last
/// may end with its columns; the columns begin `stride` apart in `from`.
pub(crate) fn transpose_into<E>(
    from: &[f32],
    stride: usize,
    (columns, row_stride): (usize, usize),
    to: &mut [E],
    put: impl Fn(&mut E, f32),
) {
    for left in (0..columns).step_by(TILE) {
        let right = columns.min(left + TILE);
        for (row, to) in to.chunks_mut(row_stride).enumerate() {
            for (column, to) in (left..right).zip(&mut to[left..right]) {
                put(to, from[column * stride + row]);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{numbers, transposed};

    #[test]
    fn rows_become_columns() {
        for (rows, columns) in [(1, 1), (3, 5), (20, 33)] {
            let from = numbers(rows * columns, 7);
            let mut to = vec![0.0; rows * columns];
            transpose_into(&from, columns, (rows, rows), &mut to, |to, value| {
                *to = value;
            });
            assert_eq!(to, transposed(&from, columns));

            // Among longer rows, of which the last ends with its columns, and added to what is there.
            let mut among = vec![1.0; (columns - 1) * (rows + 2) + rows];
            transpose_into(&from, columns, (rows, rows + 2), &mut among, |to, value| {
                *to += value;
            });
            for (found, expected) in among.chunks(rows + 2).zip(to.chunks(rows)) {
                let expected: Vec<f32> = expected.iter().map(|value| value + 1.0).collect();
                assert_eq!(found[..rows], expected);
                assert!(found[rows..].iter().all(|&value| value == 1.0));
            }
        }
    }
}
