//! Products of few rows with a large matrix, as a short sentence has them.

use super::panels::Panels;
use super::spread::by_columns;
use super::tile::{Product, STRETCH};

/// Multiplications from which such a product is worth spreading over threads.
pub(super) const WORTH_SPREADING: usize = 1 << 21;

/// True if a matrix of so many columns ends with a whole panel, as [`multiply_few`] requires.
pub(super) fn reads_in_place(columns: usize) -> bool {
    columns.is_multiple_of(Panels::new(1, columns).width())
}

/// `left · right` for few rows of `left`: `right` is read where it lies, since packing it would take longer than the product.
///
/// # Shapes
///
/// - left: `[rows, depth]`
/// - right: `[depth, columns]`, of [as many columns as panels have](reads_in_place)
/// - to: `[rows, columns]`
pub(super) fn multiply_few(
    rows: usize,
    left: &[f32],
    right: &[f32],
    columns: usize,
    to: &mut [f32],
) {
    let depth = left.len() / rows.max(1);
    let panel = Panels::new(depth, columns).width();
    let part = |first: usize, width: usize, to: &mut [f32]| {
        Product {
            rows,
            depth,
            columns: width,
            width: panel,
            left,
            left_stride: depth,
            right: &right[first..],
            panel_step: panel,
            line_step: columns,
            to,
            to_stride: width,
            stretch: STRETCH,
        }
        .compute();
    };
    if rows * depth * columns < WORTH_SPREADING {
        part(0, columns, to);
    } else {
        by_columns(columns, panel, to, part);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn products_of_few_rows_equal_the_sums_of_their_definition() {
        // The last is spread over threads, unevenly if there are two or four.
        for (rows, depth, columns) in [(1, 3, 64), (7, 5, 128), (20, 600, 192)] {
            let left: Vec<f32> = (0..rows * depth).map(|i| (i * 37 % 11) as f32).collect();
            let right: Vec<f32> = (0..depth * columns).map(|i| (i * 53 % 7) as f32).collect();
            let expected: Vec<f32> = (0..rows * columns)
                .map(|i| {
                    (0..depth)
                        .map(|k| left[i / columns * depth + k] * right[k * columns + i % columns])
                        .sum()
                })
                .collect();
            assert!(reads_in_place(columns));
            let mut found = vec![0.0; rows * columns];
            multiply_few(rows, &left, &right, columns, &mut found);
            assert_eq!(found, expected);
        }
        assert!(!reads_in_place(67));
    }
}
