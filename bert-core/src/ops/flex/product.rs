//! Products of large matrices.
//!
//! They go to the `gemm` crate, as Flex's own do, but straight from and to slices: Flex 0.22.1 fills every result with zeros
//! on one thread and copies it to another place before it computes.

use gemm::Parallelism;

use super::few_rows::multiply_few;

/// Rows up to which packing the right matrix is not worth it.
const FEW_ROWS: usize = 48;

/// Multiplications from which a product is worth spreading over threads.
const WORTH_SPREADING: usize = 192 * 192 * 192;

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
    /// `values` as rows of `columns`, one after another.
    pub(super) fn of_rows(values: &'a [f32], rows: usize, columns: usize) -> Self {
        assert_eq!(values.len(), rows * columns, "a matrix fills its slice");
        Self {
            values,
            rows,
            columns,
            row_stride: columns,
            column_stride: 1,
        }
    }

    /// The same with rows and columns exchanged.
    pub(super) fn transposed(self) -> Self {
        Self {
            rows: self.columns,
            columns: self.rows,
            row_stride: self.column_stride,
            column_stride: self.row_stride,
            ..self
        }
    }
}

/// `left · right`, rows of `right.columns` one after another.
///
/// # Shapes
///
/// - left: `[rows, depth]`
/// - right: `[depth, columns]`
/// - output: `[rows, columns]`
#[expect(unsafe_code, reason = "gemm takes pointers and strides")]
pub(super) fn product(left: Matrix<'_>, right: Matrix<'_>) -> Vec<f32> {
    let (rows, depth, columns) = (left.rows, left.columns, right.columns);
    assert_eq!(depth, right.rows, "the matrices fit together");
    let size = rows * columns;
    if size == 0 || depth == 0 {
        return vec![0.0; size];
    }
    let by_rows = [left, right].iter().all(|matrix| matrix.column_stride == 1);
    if rows <= FEW_ROWS
        && by_rows
        && let Some(output) = multiply_few(rows, left.values, right.values, columns)
    {
        return output;
    }
    let parallelism = if size.saturating_mul(depth) >= WORTH_SPREADING {
        Parallelism::Rayon(0) // all threads
    } else {
        Parallelism::None
    };
    let mut output: Vec<f32> = Vec::with_capacity(size);
    // SAFETY: the capacity is rows · columns, whose elements `gemm` writes each, at row · columns + column, and does not read,
    // as `read_dst` is false. What it reads of `left` and `right` lies in their slices: a `Matrix` is only made by `of_rows`,
    // which checks that its largest offset is its slice's last, and `transposed`, which leaves the offsets as they are.
    unsafe {
        gemm::gemm(
            rows,
            columns,
            depth,
            output.as_mut_ptr(),
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
        output.set_len(size);
    }
    output
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whole numbers, so that every order of a sum is exact.
    fn numbers(count: usize, step: usize) -> Vec<f32> {
        (0..count)
            .map(|at| (at * step % 23) as f32 - 11.0)
            .collect()
    }

    #[test]
    fn products_equal_the_sums_of_their_definition() {
        // The last is spread over threads.
        for (rows, depth, columns) in [(1, 1, 1), (3, 5, 7), (64, 17, 33), (200, 190, 210)] {
            let (left, right) = (numbers(rows * depth, 7), numbers(depth * columns, 5));
            let expected: Vec<f32> = (0..rows * columns)
                .map(|at| {
                    let (row, column) = (at / columns, at % columns);
                    (0..depth)
                        .map(|k| left[row * depth + k] * right[k * columns + column])
                        .sum()
                })
                .collect();
            let (a, b) = (
                Matrix::of_rows(&left, rows, depth),
                Matrix::of_rows(&right, depth, columns),
            );
            assert_eq!(product(a, b), expected);

            // (b^T · a^T) is the same with its rows as columns.
            let turned = product(b.transposed(), a.transposed());
            let back: Vec<f32> = (0..rows * columns)
                .map(|at| turned[at % columns * rows + at / columns])
                .collect();
            assert_eq!(back, expected);
        }
    }

    #[test]
    fn an_empty_depth_sums_to_zero() {
        let (left, right) = (Matrix::of_rows(&[], 2, 0), Matrix::of_rows(&[], 0, 3));
        assert_eq!(product(left, right), [0.0; 6]);
        assert!(product(Matrix::of_rows(&[], 0, 4), Matrix::of_rows(&[0.0; 8], 4, 2)).is_empty());
    }

    #[test]
    #[should_panic(expected = "fills its slice")]
    fn a_matrix_larger_than_its_slice_is_refused() {
        Matrix::of_rows(&[0.0; 5], 2, 3);
    }
}
