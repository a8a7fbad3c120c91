//! Weights of linear layers, packed once for all the products that read them.
//!
//! Where they lie as checkpoints have them, every line of a panel is in another page than the one before, and a product of few
//! rows waits for memory; and one of many packs them again in every call.

use std::fmt::{self, Debug, Formatter};

use rayon::prelude::*;

use super::few_rows::WORTH_SPREADING;
use super::panels::Panels;
use super::project::add_bias;
use super::spread::{by_columns, rows_per_block};
use super::tensor::{HostTensor, rows_and_width, with_width};
use super::tile::ROWS;
use super::{made_in_pieces, processor};

/// Rows up to which columns are spread over threads, as too few of them are left for each.
const FEW_ROWS: usize = 48;
/// Most tiles of rows that a thread works on at a time: their left matrix stays in the second cache.
const TILES: usize = 32;
/// Rows of a panel after which sums are put down: what a panel has in them stays in the second cache.
const STRETCH: usize = 768;

/// True if packed weights make products faster on this processor: measured on AMD's with AVX-512; on Intel's those of many rows
/// were slower (docs/performance.md).
pub(crate) fn packed_weights_pay() -> bool {
    processor::is_amd_with_avx512()
}

/// The weight `[d_input, d_output]` of a linear layer in panels.
pub struct PanelWeight {
    panels: Panels,
    /// Not aligned to lines of the cache: a buffer of the size of the one that it replaces fits where that was, and is no slower.
    values: Vec<f32>,
}

impl PanelWeight {
    /// Packs `values`, rows of `columns` one after another.
    pub(crate) fn pack(values: &[f32], columns: usize) -> Self {
        let panels = Panels::new(values.len() / columns.max(1), columns);
        let mut packed = vec![0.0; panels.size()];
        packed
            .par_chunks_mut(panels.size_of_one().max(1))
            .enumerate()
            .for_each(|(panel, to)| panels.pack_one(panel, values, columns, to));
        Self {
            panels,
            values: packed,
        }
    }

    /// The values, rows of columns one after another.
    pub(crate) fn floats(&self) -> Vec<f32> {
        self.panels.unpack(&self.values)
    }

    pub(crate) fn shape(&self) -> [usize; 2] {
        self.panels.shape()
    }
}

impl Debug for PanelWeight {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "PanelWeight {:?}", self.shape())
    }
}

/// [`BertOps::project_held`](crate::ops::BertOps::project_held) by a packed weight, of tensors that are here.
pub(in crate::ops) fn project_panels<T: HostTensor>(
    input: T,
    bias: T,
    weight: &PanelWeight,
    gelu: bool,
) -> T {
    let [depth, columns] = weight.shape();
    let shape = with_width(&input, columns);
    let (rows, _) = rows_and_width(&input);
    let [input, bias] = [input, bias].map(T::dense);
    if columns == 0 {
        return input.zeros_like_this(shape);
    }
    let (left, bias) = (input.floats(), bias.floats());
    // `width` columns of the rows from one on, from a panel on.
    let block = |row: usize, first: usize, width: usize, to: &mut [f32]| {
        let rows = to.len() / width;
        let left = (&left[row * depth..][..rows * depth], depth);
        let panels = weight.panels.of_columns(width);
        let right = &weight.values[weight.panels.start_of(first)..];
        panels.multiply_in(STRETCH, rows, left, right, (to, width));
        add_bias(to, &bias[first..][..width], gelu);
    };
    if rows <= FEW_ROWS && rows * columns * depth >= WORTH_SPREADING {
        let mut output = input.zeros_like_this(shape);
        let work = |first, width, to: &mut [f32]| block(0, first, width, to);
        by_columns(columns, weight.panels.width(), output.floats_mut(), work);
        return output;
    }
    let tall = if rows * columns * depth < WORTH_SPREADING {
        rows
    } else {
        rows_per_block(rows, (ROWS, TILES))
    };
    made_in_pieces(&input, shape, tall * columns, |at, to| {
        block(at * tall, 0, columns, to);
    })
}
