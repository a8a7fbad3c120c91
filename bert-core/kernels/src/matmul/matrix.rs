//! Matrices within slices.

use std::mem::MaybeUninit;

use rayon::prelude::*;

use super::transpose::{TILE, transpose_into};

/// A row-major matrix that fills a slice, or its transposed view.
#[derive(Clone, Copy, Debug)]
pub struct Matrix<'a> {
    pub(super) values: &'a [f32],
    pub(super) rows: usize,
    pub(super) columns: usize,
    pub(super) row_stride: usize,
    pub(super) column_stride: usize,
}

impl<'a> Matrix<'a> {
    /// `values` as rows of `columns`, one after another.
    ///
    /// # Panics
    ///
    /// Panics if the matrix does not fill the slice.
    pub fn new(values: &'a [f32], rows: usize, columns: usize) -> Self {
        assert_eq!(values.len(), rows * columns, "a matrix fills its slice");
        Self {
            values,
            rows,
            columns,
            row_stride: columns,
            column_stride: 1,
        }
    }

    /// Transposed view of the matrix: rows and columns exchanged, nothing moved.
    pub fn transposed(self) -> Self {
        Self {
            rows: self.columns,
            columns: self.rows,
            row_stride: self.column_stride,
            column_stride: self.row_stride,
            ..self
        }
    }

    /// `[rows, columns]`
    pub(crate) fn shape(self) -> [usize; 2] {
        [self.rows, self.columns]
    }

    /// `count` rows from `first` on.
    pub(crate) fn row_range(self, first: usize, count: usize) -> Self {
        assert!(first + count <= self.rows, "the matrix has these rows");
        Self {
            values: &self.values[(first * self.row_stride).min(self.values.len())..],
            rows: count,
            ..self
        }
    }

    /// A row of a row-major matrix.
    pub(crate) fn row(self, at: usize) -> &'a [f32] {
        assert!(self.is_row_major() && at < self.rows);
        &self.values[at * self.row_stride..][..self.columns]
    }

    /// True if elements of a row lie side by side.
    pub(crate) fn is_row_major(self) -> bool {
        self.column_stride == 1
    }

    /// True if elements of a column lie side by side, and those of a row do not.
    pub(super) fn is_column_major(self) -> bool {
        self.row_stride == 1 && self.column_stride > 1
    }

    /// Copies a column-major matrix row by row into `output`.
    #[expect(unsafe_code, reason = "the output is written tile by tile")]
    pub(super) fn to_row_major(self, output: &mut [MaybeUninit<f32>]) -> &mut [f32] {
        let columns = self.columns;
        assert_eq!(
            output.len(),
            self.rows * columns,
            "a matrix fills its slice"
        );
        assert_eq!(self.row_stride, 1, "its columns lie one after another");
        output
            .par_chunks_mut(TILE * columns)
            .enumerate()
            .for_each(|(block, to)| {
                let from = &self.values[block * TILE..];
                let sizes = (columns, columns);
                transpose_into(from, self.column_stride, sizes, to, |to, value| {
                    to.write(value);
                });
            });
        // SAFETY: the blocks are all of the slice, and of each every row and column was written.
        unsafe { output.assume_init_mut() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::init_vec;
    use crate::testing::{numbers, transposed};

    #[test]
    fn a_transposed_view_becomes_row_major() {
        let (rows, columns) = (37, 19);
        let values = numbers(rows * columns, 7);
        let matrix = Matrix::new(&values, rows, columns).transposed();
        assert!(matrix.is_column_major() && !matrix.is_row_major());
        let found = init_vec(values.len(), |to| matrix.to_row_major(to));
        assert_eq!(found, transposed(&values, columns));
    }

    #[test]
    fn a_range_of_rows_is_a_matrix() {
        let values = numbers(7 * 3, 5);
        let rows = Matrix::new(&values, 7, 3).row_range(2, 4);
        assert_eq!((rows.shape(), rows.row(1)), ([4, 3], &values[9..12]));
        let columns = Matrix::new(&values, 7, 3).transposed().row_range(1, 2);
        assert_eq!(columns.shape(), [2, 7]);
        assert_eq!(columns.transposed().row(6), &values[19..21]);
        assert_eq!(Matrix::new(&[], 0, 3).row_range(0, 0).shape(), [0, 3]);
    }

    #[test]
    #[should_panic(expected = "fills its slice")]
    fn a_matrix_larger_than_its_slice_is_refused() {
        Matrix::new(&[0.0; 5], 2, 3);
    }
}
