//! Products of large matrices, by the `gemm` crate.

use std::mem::MaybeUninit;

use gemm::Parallelism;

use super::SKINNY_ROWS;
use super::matrix::Matrix;
use super::skinny::{multiply_skinny, reads_in_place};
use crate::output::{init_vec, zeroed};

/// Multiplications from which a product by `gemm` is worth spreading over threads.
const MIN_PARALLEL: usize = 192 * 192 * 192;

/// Columns of a column-major right matrix up to which it is transposed beforehand: `gemm` packs those of few on one thread,
/// while of many, as a vocabulary has, every thread packs its own.
const MAX_TRANSPOSED: usize = 4096;

/// `left · right`, row by row into `output`.
///
/// # Shapes
///
/// - left: `[rows, depth]`
/// - right: `[depth, columns]`
/// - output: `[rows, columns]`
///
/// # Panics
///
/// Panics if the shapes do not fit together.
#[expect(unsafe_code, reason = "gemm takes pointers and strides")]
pub fn matmul<'a>(
    left: Matrix<'_>,
    right: Matrix<'_>,
    output: &'a mut [MaybeUninit<f32>],
) -> &'a mut [f32] {
    let (rows, depth, columns) = (left.rows, left.columns, right.columns);
    assert_eq!(depth, right.rows, "the matrices fit together");
    let size = rows * columns;
    assert_eq!(output.len(), size, "the product fills its output");
    if size == 0 || depth == 0 {
        return zeroed(output);
    }
    let row_major = left.is_row_major() && right.is_row_major();
    if rows <= SKINNY_ROWS && row_major && reads_in_place(columns) {
        return multiply_skinny(rows, left.values, right.values, columns, output);
    }
    let spread = size.saturating_mul(depth) >= MIN_PARALLEL;
    let parallelism = if spread {
        Parallelism::Rayon(0) // all threads
    } else {
        Parallelism::None
    };
    let transpose = spread && right.is_column_major() && columns <= MAX_TRANSPOSED;
    if transpose && rayon::current_num_threads() > 1 {
        let values = init_vec(depth * columns, |to| right.to_row_major(to));
        return matmul(left, Matrix::new(&values, depth, columns), output);
    }
    // SAFETY: the slice has rows · columns elements, which `gemm` writes each, at row · columns + column, and does not read, as
    // `read_dst` is false. What it reads of `left` and `right` lies in their slices: a `Matrix` is only made by `new`, which
    // checks that its largest offset is its slice's last, by `transposed`, which leaves the offsets as they are, and by `row_range`,
    // which takes as much from the largest offset as from the slice, or more.
    unsafe {
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
        output.assume_init_mut()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{integers, transposed};

    #[test]
    #[cfg_attr(miri, ignore = "intrinsics")]
    fn products_equal_the_sums_of_their_definition() {
        // The third to last has few rows, the last two are spread over threads, and transposed there where column-major.
        for (rows, depth, columns) in [
            (1, 1, 1),
            (3, 5, 7),
            (64, 17, 33),
            (5, 7, 64),
            (200, 190, 210),
            (60, 507, 250),
        ] {
            let (left, right) = (integers(rows * depth, 7), integers(depth * columns, 5));
            let expected: Vec<f32> = (0..rows * columns)
                .map(|at| {
                    let (row, column) = (at / columns, at % columns);
                    (0..depth)
                        .map(|k| left[row * depth + k] * right[k * columns + column])
                        .sum()
                })
                .collect();
            let (a, b) = (
                Matrix::new(&left, rows, depth),
                Matrix::new(&right, depth, columns),
            );
            assert_eq!(init_vec(expected.len(), |to| matmul(a, b, to)), expected);

            let by_columns = transposed(&right, columns);
            let column_major = Matrix::new(&by_columns, columns, depth).transposed();
            let found = init_vec(expected.len(), |to| matmul(a, column_major, to));
            assert_eq!(found, expected);

            // bᵀ · aᵀ = (a · b)ᵀ
            let (a, b) = (a.transposed(), b.transposed());
            let found = init_vec(expected.len(), |to| matmul(b, a, to));
            assert_eq!(transposed(&found, rows), expected);
        }
    }

    #[test]
    fn an_empty_depth_sums_to_zero() {
        let (left, right) = (Matrix::new(&[], 2, 0), Matrix::new(&[], 0, 3));
        assert_eq!(init_vec(6, |to| matmul(left, right, to)), [0.0; 6]);
        let (left, right) = (Matrix::new(&[], 0, 4), Matrix::new(&[0.0; 8], 4, 2));
        assert!(init_vec(0, |to| matmul(left, right, to)).is_empty());
    }
}
