//! Right matrices in bf16, packed in panels.

use std::fmt::{self, Debug, Formatter};

use bytemuck::{Pod, Zeroable, cast_mut};
use rayon::prelude::*;

use super::number::{pair_of, rounded, widened};
use super::tile_shape::STEP;
use crate::matmul::Matrix;
use crate::simd::vectorized;

/// Columns of a panel.
pub(super) const PANEL: usize = 64;
/// Columns of a vector of sums, and of a tile of the matrix unit.
pub(super) const LANES: usize = 16;
/// Vectors of a panel.
pub(super) const VECTORS: usize = PANEL / LANES;
/// Numbers of a column that the instructions multiply and sum at a time.
pub(super) const PAIR: usize = 2;
/// Pairs of a step.
pub(super) const PAIRS: usize = STEP / PAIR;

/// A step of a panel: for each vector of columns its pairs of rows, column by column.
#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C, align(64))]
pub(super) struct Block(pub(super) [[[[u16; PAIR]; LANES]; PAIRS]; VECTORS]);

/// A matrix `[depth, columns]` in bf16; zeros fill up the last panel, and the last step of each.
pub struct Bf16Matrix {
    depth: usize,
    columns: usize,
    blocks: Vec<Block>,
}

impl Bf16Matrix {
    /// The nearest numbers to `values`, rows of `columns` one after another.
    pub fn round(values: &[f32], columns: usize) -> Self {
        let depth = values.len() / columns.max(1);
        Self::round_matrix(Matrix::new(values, depth, columns))
    }

    /// The nearest numbers to those of a matrix.
    pub(super) fn round_matrix(matrix: Matrix<'_>) -> Self {
        let [depth, columns] = matrix.shape();
        let steps = depth.div_ceil(STEP);
        let mut blocks = vec![Block::zeroed(); columns.div_ceil(PANEL) * steps];
        if matrix.is_row_major() {
            let mut of_steps: Vec<Vec<&mut Block>> = (0..steps).map(|_| Vec::new()).collect();
            for panel in blocks.chunks_mut(steps.max(1)) {
                for (blocks, block) in of_steps.iter_mut().zip(panel) {
                    blocks.push(block);
                }
            }
            let of_steps = of_steps.par_iter_mut().enumerate();
            of_steps.for_each(|(step, blocks)| round_rows(matrix, step * STEP, blocks));
        } else {
            let panels = blocks.par_chunks_mut(steps.max(1)).enumerate();
            panels.for_each(|(panel, blocks)| {
                let first = panel * PANEL;
                let width = PANEL.min(columns - first);
                round_columns(matrix.transposed(), (first, width), blocks);
            });
        }
        Self {
            depth,
            columns,
            blocks,
        }
    }

    /// The values that the numbers stand for, row by row.
    pub fn widen(&self) -> Vec<f32> {
        let mut values = Vec::with_capacity(self.depth * self.columns);
        for row in 0..self.depth {
            values.extend((0..self.columns).map(|column| {
                let block = &self.panel(column / PANEL)[row / STEP].0;
                let pairs = &block[column % PANEL / LANES][row % STEP / PAIR];
                widened(pairs[column % LANES][row % PAIR])
            }));
        }
        values
    }

    /// `[depth, columns]`
    pub fn shape(&self) -> [usize; 2] {
        [self.depth, self.columns]
    }

    /// The steps of a panel.
    pub(super) fn panel(&self, at: usize) -> &[Block] {
        let steps = self.depth.div_ceil(STEP);
        &self.blocks[at * steps..][..steps]
    }
}

impl Debug for Bf16Matrix {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "Bf16Matrix {:?}", self.shape())
    }
}

/// Rounds the rows of a step from `first` on, each as it lies in memory, into the blocks of all panels.
fn round_rows(matrix: Matrix<'_>, first: usize, blocks: &mut [&mut Block]) {
    let [depth, columns] = matrix.shape();
    let none = vec![0.0; columns];
    let row = |at: usize| match at < depth {
        true => matrix.row(at),
        false => &none[..],
    };
    vectorized(
        #[inline(always)]
        || {
            for pair in 0..PAIRS.min((depth - first).div_ceil(PAIR)) {
                let [values, below] = [0, 1].map(|offset| row(first + pair * PAIR + offset));
                let parts = values.chunks(PANEL).zip(below.chunks(PANEL));
                for (block, (values, below)) in blocks.iter_mut().zip(parts) {
                    let parts = values.chunks(LANES).zip(below.chunks(LANES));
                    for (vector, (values, below)) in block.0.iter_mut().zip(parts) {
                        let pairs: &mut [u32; LANES] = cast_mut(&mut vector[pair]);
                        for (pair, (&value, &below)) in
                            pairs.iter_mut().zip(values.iter().zip(below))
                        {
                            *pair = pair_of(value, below);
                        }
                    }
                }
            }
        },
    );
}

/// Rounds `width` rows of `columns`, which are the columns of a matrix, into a panel.
fn round_columns(columns: Matrix<'_>, (first, width): (usize, usize), blocks: &mut [Block]) {
    vectorized(
        #[inline(always)]
        || {
            for at in 0..width {
                let (whole, rest) = columns.row(first + at).as_chunks::<STEP>();
                let mut blocks = blocks.iter_mut();
                let place = |block: &mut Block, values: &[f32]| {
                    let pairs = &mut block.0[at / LANES];
                    for (pair, values) in pairs.iter_mut().zip(values.chunks(PAIR)) {
                        for (to, &value) in pair[at % LANES].iter_mut().zip(values) {
                            *to = rounded(value);
                        }
                    }
                };
                for (values, block) in whole.iter().zip(&mut blocks) {
                    place(block, values);
                }
                if let Some(block) = blocks.next() {
                    place(block, rest);
                }
            }
        },
    );
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{numbers, transposed};

    #[test]
    fn values_come_back_rounded() {
        for (depth, columns) in [(1, 3), (33, 70), (64, 64)] {
            let values = numbers(depth * columns, 7);
            let weight = Bf16Matrix::round(&values, columns);
            assert_eq!(weight.shape(), [depth, columns]);
            let expected: Vec<f32> = values.iter().map(|&x| widened(rounded(x))).collect();
            assert_eq!(weight.widen(), expected);
            assert_ne!(expected, values);
            // Numbers are their own rounding.
            assert_eq!(Bf16Matrix::round(&expected, columns).widen(), expected);
            let by_columns = transposed(&values, columns);
            let matrix = Matrix::new(&by_columns, columns, depth).transposed();
            assert_eq!(Bf16Matrix::round_matrix(matrix).widen(), expected);
        }
        assert!(Bf16Matrix::round(&[], 0).widen().is_empty());
        let values = Bf16Matrix::round(&[f32::NAN, f32::INFINITY], 2).widen();
        assert!(values[0].is_nan() && values[1] == f32::INFINITY);
    }
}
