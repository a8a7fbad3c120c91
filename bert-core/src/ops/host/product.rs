//! Products of large matrices.
//!
//! They go to the `gemm` crate, as Flex's own do, but straight from and to slices: Flex 0.22.1 fills every result with zeros
//! on one thread and copies it to another place before it computes.

use std::mem::MaybeUninit;

use burn::tensor::Shape;
use gemm::Parallelism;
use rayon::prelude::*;

use super::few_rows::{multiply_few, reads_in_place};
use super::tensor::{HostTensor, rows_and_width};

/// Rows up to which packing the right matrix is not worth it.
const FEW_ROWS: usize = 48;

/// Multiplications from which a product is worth spreading over threads.
const WORTH_SPREADING: usize = 192 * 192 * 192;

/// Rows and columns that are turned together: each line of the cache is then read once.
const TURNED: usize = 16;

/// Columns of a right matrix up to which it is turned beforehand: `gemm` packs those of few on one thread, while of many, as
/// a vocabulary has, every thread packs its own.
const FEW_COLUMNS: usize = 4096;

/// A matrix within a slice.
#[derive(Clone, Copy)]
pub(super) struct Matrix<'a> {
    values: &'a [f32],
    rows: usize,
    columns: usize,
    row_stride: usize,
    column_stride: usize,
}

impl<'a> Matrix<'a> {
    /// All rows of a dense tensor that is here.
    pub(super) fn of(tensor: &'a impl HostTensor) -> Self {
        let (rows, width) = rows_and_width(tensor);
        Self::of_rows(tensor.floats(), rows, width)
    }

    /// `values` as rows of `columns`, one after another.
    fn of_rows(values: &'a [f32], rows: usize, columns: usize) -> Self {
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
    pub(super) fn transposed(self) -> Self {
        Self {
            rows: self.columns,
            columns: self.rows,
            row_stride: self.column_stride,
            column_stride: self.row_stride,
            ..self
        }
    }

    /// The elements of this matrix, whose columns lie one after another, row by row into `to`.
    fn turn(self, to: &mut [MaybeUninit<f32>]) {
        let columns = self.columns;
        assert_eq!(to.len(), self.rows * columns, "a matrix fills its slice");
        assert_eq!(self.row_stride, 1, "its columns lie one after another");
        to.par_chunks_mut(TURNED * columns)
            .enumerate()
            .for_each(|(block, to)| {
                let from = &self.values[block * TURNED..];
                turn(
                    from,
                    self.column_stride,
                    (columns, columns),
                    to,
                    |to, value| {
                        to.write(value);
                    },
                );
            });
    }
}

/// Puts rows of `columns` elements into `to`, where they begin `step` apart; each column begins `stride` after the one before
/// in `from`.
pub(super) fn turn<E>(
    from: &[f32],
    stride: usize,
    (columns, step): (usize, usize),
    to: &mut [E],
    put: impl Fn(&mut E, f32),
) {
    for left in (0..columns).step_by(TURNED) {
        let right = columns.min(left + TURNED);
        for (row, to) in to.chunks_exact_mut(step).enumerate() {
            for (column, to) in (left..right).zip(&mut to[left..right]) {
                put(to, from[column * stride + row]);
            }
        }
    }
}

/// `left · right` as a tensor of `shape` on the device of `like`, rows of `right.columns` one after another.
///
/// # Shapes
///
/// - left: `[rows, depth]`
/// - right: `[depth, columns]`
/// - output: `shape`, as many elements as `[rows, columns]`
#[expect(unsafe_code, reason = "gemm takes pointers and strides")]
pub(super) fn product<T: HostTensor>(
    left: Matrix<'_>,
    right: Matrix<'_>,
    like: &T,
    shape: Shape,
) -> T {
    let (rows, depth, columns) = (left.rows, left.columns, right.columns);
    assert_eq!(depth, right.rows, "the matrices fit together");
    let size = rows * columns;
    assert_eq!(shape.num_elements(), size, "the product fills its tensor");
    if size == 0 || depth == 0 {
        return like.zeros_like_this(shape);
    }
    let by_rows = [left, right].iter().all(|matrix| matrix.column_stride == 1);
    if rows <= FEW_ROWS && by_rows && reads_in_place(columns) {
        let mut output = like.zeros_like_this(shape);
        multiply_few(
            rows,
            left.values,
            right.values,
            columns,
            output.floats_mut(),
        );
        return output;
    }
    let spread = size.saturating_mul(depth) >= WORTH_SPREADING;
    let parallelism = if spread {
        Parallelism::Rayon(0) // all threads
    } else {
        Parallelism::None
    };
    let lies_across = right.row_stride == 1 && right.column_stride > 1;
    if spread && lies_across && columns <= FEW_COLUMNS && rayon::current_num_threads() > 1 {
        // SAFETY: `turn` writes every element of the slice, whose length it checks.
        let turned =
            unsafe { like.written_like_this(Shape::new([depth, columns]), |to| right.turn(to)) };
        return product(left, Matrix::of(&turned), like, shape);
    }
    // SAFETY: the slice has the elements of `shape`, rows · columns, which `gemm` writes each, at row · columns + column, and
    // does not read, as `read_dst` is false. What it reads of `left` and `right` lies in their slices: a `Matrix` is only
    // made by `of_rows`, which checks that its largest offset is its slice's last, and `transposed`, which leaves the offsets
    // as they are.
    unsafe {
        like.written_like_this(shape, |output| {
            assert_eq!(output.len(), size, "a tensor has the elements of its shape");
            gemm::gemm(
                rows,
                columns,
                depth,
                output.as_mut_ptr().cast::<f32>(),
                1,
                columns as isize,
                false,
                left.values.as_ptr(),
                left.column_stride as isize,
                left.row_stride as isize,
                right.values.as_ptr(),
                right.column_stride as isize,
                right.row_stride as isize,
                0.0,
                1.0,
                false,
                false,
                false,
                parallelism,
            );
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::host::tensor::tests::{filled, for_each_backend};

    /// Whole numbers, so that every order of a sum is exact.
    fn numbers(count: usize, step: usize) -> Vec<f32> {
        (0..count)
            .map(|at| (at * step % 23) as f32 - 11.0)
            .collect()
    }

    fn products_equal_the_sums_of_their_definition<T: HostTensor>(like: &T) {
        // The third to last has few rows, the last two are spread over threads, and turned there where they lie across.
        for (rows, depth, columns) in [
            (1, 1, 1),
            (3, 5, 7),
            (64, 17, 33),
            (5, 7, 64),
            (200, 190, 210),
            (60, 507, 250),
        ] {
            let (left, right) = (numbers(rows * depth, 7), numbers(depth * columns, 5));
            let expected: Vec<f32> = (0..rows * columns)
                .map(|at| {
                    let (row, column) = (at / columns, at % columns);
                    (0..depth)
                        .map(|k| left[row * depth + k] * right[k * columns + column])
                        .sum()
                })
                .collect();
            let (left, right) = (
                filled(like, [rows, depth], &left),
                filled(like, [depth, columns], &right),
            );
            let (a, b) = (Matrix::of(&left), Matrix::of(&right));
            let found = product(a, b, like, Shape::new([rows, columns]));
            assert_eq!(found.floats(), expected);

            // The same where the right matrix lies across.
            let columns_of_b: Vec<f32> = (0..columns * depth)
                .map(|at| b.values[at % depth * columns + at / depth])
                .collect();
            let across = Matrix::of_rows(&columns_of_b, columns, depth).transposed();
            let found = product(a, across, like, Shape::new([rows, columns]));
            assert_eq!(found.floats(), expected);

            // (b^T · a^T) is the same with its rows as columns.
            let shape = Shape::new([columns, rows]);
            let turned = product(b.transposed(), a.transposed(), like, shape);
            let turned = turned.floats();
            let back: Vec<f32> = (0..rows * columns)
                .map(|at| turned[at % columns * rows + at / columns])
                .collect();
            assert_eq!(back, expected);
        }
    }

    fn an_empty_depth_sums_to_zero<T: HostTensor>(like: &T) {
        let (left, right) = (Matrix::of_rows(&[], 2, 0), Matrix::of_rows(&[], 0, 3));
        let found = product(left, right, like, Shape::new([2, 3]));
        assert_eq!(found.floats(), [0.0; 6]);
        let (left, right) = (Matrix::of_rows(&[], 0, 4), Matrix::of_rows(&[0.0; 8], 4, 2));
        let found = product(left, right, like, Shape::new([0, 2]));
        assert!(found.floats().is_empty());
    }

    for_each_backend!(
        products_equal_the_sums_of_their_definition,
        an_empty_depth_sums_to_zero
    );

    #[test]
    #[should_panic(expected = "fills its slice")]
    fn a_matrix_larger_than_its_slice_is_refused() {
        Matrix::of_rows(&[0.0; 5], 2, 3);
    }
}
