//! Products of few rows with a large matrix, as a short sentence has them.

use std::mem::MaybeUninit;

use super::MIN_PARALLEL;
use super::microkernel::{BlockedProduct, K_BLOCK};
use super::panels::PanelLayout;
use crate::output::zeroed;
use crate::parallel::par_fill_columns;

/// True if a matrix of so many columns ends with a whole panel, as [`multiply_skinny`] requires.
pub(super) fn reads_in_place(columns: usize) -> bool {
    columns.is_multiple_of(PanelLayout::new(1, columns).width())
}

/// `left · right` for few rows of `left`: `right` is read unpacked, since packing it would take longer than the product.
///
/// # Shapes
///
/// - left: `[rows, depth]`
/// - right: `[depth, columns]`, of [as many columns as panels have](reads_in_place)
/// - output: `[rows, columns]`
pub(super) fn multiply_skinny<'a>(
    rows: usize,
    left: &[f32],
    right: &[f32],
    columns: usize,
    output: &'a mut [MaybeUninit<f32>],
) -> &'a mut [f32] {
    let depth = left.len() / rows.max(1);
    let panel = PanelLayout::new(depth, columns).width();
    let part = |first: usize, width: usize, output: &mut [f32]| {
        BlockedProduct {
            rows,
            depth,
            columns: width,
            panel_width: panel,
            left,
            left_stride: depth,
            right: &right[first..],
            panel_stride: panel,
            panel_row_stride: columns,
            output,
            output_stride: width,
            k_block: K_BLOCK,
            accumulate: false,
        }
        .compute();
    };
    if rows * depth * columns < MIN_PARALLEL {
        let output = zeroed(output);
        part(0, columns, output);
        output
    } else {
        par_fill_columns(columns, panel, output, part)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::init_vec;
    use crate::testing::{integers, matmul, size};

    #[test]
    fn products_of_few_rows_equal_the_sums_of_their_definition() {
        // The last is spread over threads, unevenly if there are two or four.
        for (rows, depth, columns) in size(
            [(1, 3, 64), (7, 5, 128), (20, 600, 192)],
            [(1, 3, 64), (7, 5, 128), (2, 70, 64)],
        ) {
            let (left, right) = (integers(rows * depth, 7), integers(depth * columns, 5));
            assert!(reads_in_place(columns));
            let found = init_vec(rows * columns, |to| {
                multiply_skinny(rows, &left, &right, columns, to)
            });
            let expected = matmul(&left, &right, columns, depth);
            assert_eq!(
                found,
                expected.iter().map(|&x| x as f32).collect::<Vec<_>>()
            );
        }
        assert!(!reads_in_place(67));
    }
}
