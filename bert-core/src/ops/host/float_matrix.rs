//! Weights in 32 bits, packed once into the panels that products read.

use rayon::prelude::*;

use super::panels::{Packed, Panels};
use super::spread::{by_columns, by_rows};

/// Multiplications from which a product is worth spreading over threads.
const WORTH_SPREADING: usize = 1 << 20;

/// Rows that a thread works on at a time when there are many: whole tiles.
const BLOCK: usize = 48;

/// A matrix `[depth, columns]` in panels.
pub(in crate::ops) struct FloatMatrix {
    depth: usize,
    columns: usize,
    panels: Panels,
    packed: Packed,
}

impl FloatMatrix {
    /// Packs `values`, rows of `columns` one after another.
    pub(in crate::ops) fn pack(values: &[f32], columns: usize) -> Self {
        let depth = values.len() / columns.max(1);
        let panels = Panels::new(depth, columns);
        let width = panels.width();
        let packed = Packed::new(1, panels.size(), |_, to| {
            let each = (depth * width).max(1);
            to[..panels.size()]
                .par_chunks_mut(each)
                .enumerate()
                .for_each(|(at, to)| {
                    let first = at * width;
                    let panel = panels.of_columns(width.min(columns - first));
                    panel.pack(&values[first..], columns, to);
                });
        });
        Self {
            depth,
            columns,
            panels,
            packed,
        }
    }

    /// The matrix again, rows of `columns` one after another.
    pub(in crate::ops) fn floats(&self) -> Vec<f32> {
        let width = self.panels.width();
        let mut values = Vec::with_capacity(self.depth * self.columns);
        for row in 0..self.depth {
            for first in (0..self.columns).step_by(width) {
                let line = &self.packed.get(0)[first * self.depth + row * width..];
                values.extend_from_slice(&line[..width.min(self.columns - first)]);
            }
        }
        values
    }

    pub(in crate::ops) fn shape(&self) -> [usize; 2] {
        [self.depth, self.columns]
    }

    /// `left · self`, rows one after another; `finish` gets the rows of a block and their first column as soon as they are there.
    ///
    /// # Shapes
    ///
    /// - left: `[rows, depth]`
    /// - output: `[rows, columns]`
    pub(super) fn product(
        &self,
        rows: usize,
        left: &[f32],
        finish: impl Fn(&mut [f32], usize, usize) + Sync,
    ) -> Vec<f32> {
        let (depth, columns, panel) = (self.depth, self.columns, self.panels.width());
        let work = |first_row: usize, first: usize, width: usize, to: &mut [f32]| {
            let rows = to.len() / width;
            let left = &left[first_row * depth..][..rows * depth];
            let right = &self.packed.get(0)[first * depth..];
            self.panels
                .of_columns(width)
                .multiply(rows, (left, depth), right, (&mut *to, width));
            finish(to, first, width);
        };
        if rows * depth * columns < WORTH_SPREADING {
            let mut output = vec![0.0; rows * columns];
            work(0, 0, columns, &mut output);
            return output;
        }
        // Few rows have not enough blocks for all threads.
        if rows < BLOCK * rayon::current_num_threads() {
            return by_columns(rows, columns, panel, |first, width, to| {
                work(0, first, width, to)
            });
        }
        by_rows(rows, columns, BLOCK, |first, to| {
            work(first, 0, columns, to)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn products_equal_the_sums_of_their_definition_and_values_come_back() {
        // On one thread; by columns and by rows, unevenly, on several.
        for (rows, depth, columns) in [(1, 3, 5), (13, 37, 129), (20, 300, 200), (300, 60, 130)] {
            // Whole numbers, so that every order of a sum is exact.
            let left: Vec<f32> = (0..rows * depth).map(|i| (i * 37 % 11) as f32).collect();
            let right: Vec<f32> = (0..depth * columns).map(|i| (i * 53 % 7) as f32).collect();
            let matrix = FloatMatrix::pack(&right, columns);
            assert_eq!(matrix.floats(), right);
            assert_eq!(matrix.shape(), [depth, columns]);
            let found = matrix.product(rows, &left, |to, first, width| {
                for row in to.chunks_exact_mut(width) {
                    for (column, value) in row.iter_mut().enumerate() {
                        *value += (first + column) as f32;
                    }
                }
            });
            let expected: Vec<f32> = (0..rows * columns)
                .map(|i| {
                    let products = (0..depth)
                        .map(|k| left[i / columns * depth + k] * right[k * columns + i % columns]);
                    products.sum::<f32>() + (i % columns) as f32
                })
                .collect();
            assert_eq!(found, expected, "{rows} x {depth} x {columns}");
        }
    }
}
