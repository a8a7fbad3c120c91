//! Embeddings, and the gradients of the rows of a table, each written once: no zeros beforehand, and no order between tokens
//! but their own.

use burn::backend::TensorMetadata;
use burn::backend::cubecl::dtype_to_storage_type;
use burn::tensor::Shape;
use burn_cubecl::tensor::CubeTensor;
use cubecl::prelude::*;

use super::parts::{cube_for_each, empty, in_rows, rows_and_width, sum_of_cube, units};

/// Rows of a table of which each is the sum of many tokens' gradients: several units add up a column.
const FEW_ROWS: usize = 64;
/// Columns of such a row that a cube takes.
const COLUMNS_OF_FEW: usize = 32;

/// [`BertOps::embed`](crate::ops::BertOps::embed) by the tables of tokens, segments and positions.
pub(super) fn embed(tables: [CubeTensor; 3], ids: [CubeTensor; 2], first: usize) -> CubeTensor {
    let [words, segments, positions] = tables.map(in_rows);
    let [ids, segment_ids] = ids.map(in_rows);
    let ([batch, seq], (_, width)) = (ids.shape().dims::<2>(), rows_and_width(&words));
    let output = empty(&words, Shape::new([batch, seq, width]), words.dtype);
    let size = batch * seq * width;
    let units = units(&output, size);
    let dtypes = [words.dtype, ids.dtype].map(dtype_to_storage_type);
    embed_kernel::launch(
        &output.client,
        cube_for_each(size.div_ceil(units)),
        CubeDim::new_1d(units as u32),
        words.into_tensor_arg(),
        ids.into_tensor_arg(),
        segments.into_tensor_arg(),
        segment_ids.into_tensor_arg(),
        positions.into_tensor_arg(),
        output.clone().into_tensor_arg(),
        size,
        width,
        seq,
        first,
        dtypes,
    );
    output
}

/// A unit for each element of the output, rounded after each addition, as the operations that it stands for have it.
#[cube(launch)]
fn embed_kernel<F: Float, I: Numeric>(
    words: &Tensor<F>,
    ids: &Tensor<I>,
    segments: &Tensor<F>,
    segment_ids: &Tensor<I>,
    positions: &Tensor<F>,
    output: &mut Tensor<F>,
    size: usize,
    width: usize,
    seq: usize,
    first: usize,
    #[define(F, I)] _dtypes: [ElemType; 2],
) {
    let place = ABSOLUTE_POS;
    if place >= size {
        terminate!();
    }
    let (token, column) = (place / width, place % width);
    let word = usize::cast_from(ids[token]);
    let segment = usize::cast_from(segment_ids[token]);
    let position = first + token % seq;
    let sum = words[word * width + column] + segments[segment * width + column];
    output[place] = sum + positions[position * width + column];
}

/// [`GradientOps::lookup_backward`](crate::ops::GradientOps::lookup_backward) for a table of `rows`.
pub(super) fn lookup_backward(ids: CubeTensor, grad: CubeTensor, rows: usize) -> CubeTensor {
    let [ids, grad] = [ids, grad].map(in_rows);
    let (tokens, width) = rows_and_width(&grad);
    let units = units(&grad, width);
    let columns = match rows <= FEW_ROWS {
        true => COLUMNS_OF_FEW.min(units),
        false => units,
    };
    let blocks = width.div_ceil(columns);
    let output = empty(&grad, Shape::new([rows, width]), grad.dtype);
    let dtypes = [grad.dtype, ids.dtype].map(dtype_to_storage_type);
    lookup_backward_kernel::launch(
        &output.client,
        cube_for_each(rows * blocks),
        CubeDim::new_1d(units as u32),
        ids.into_tensor_arg(),
        grad.into_tensor_arg(),
        output.clone().into_tensor_arg(),
        rows,
        blocks,
        width,
        tokens,
        tokens.div_ceil(units),
        units,
        columns,
        dtypes,
    );
    output
}

/// A cube for a block of columns of each row of the table. Its units look for the row among the tokens, a stretch each; then
/// those that share a column go through the stretches where it was found.
#[cube(launch)]
fn lookup_backward_kernel<F: Float, I: Numeric>(
    ids: &Tensor<I>,
    grad: &Tensor<F>,
    output: &mut Tensor<F>,
    rows: usize,
    blocks: usize,
    width: usize,
    tokens: usize,
    stretch: usize,
    #[comptime] units: usize,
    #[comptime] columns: usize,
    #[define(F, I)] _dtypes: [ElemType; 2],
) {
    if CUBE_POS >= rows * blocks {
        terminate!();
    }
    let row = CUBE_POS / blocks;
    let unit = UNIT_POS as usize;
    let mut found = Shared::<[f32]>::new_slice(units);
    let mut own = f32::new(0.0);
    let end = min((unit + 1) * stretch, tokens);
    let mut token = unit * stretch;
    while token < end {
        if usize::cast_from(ids[token]) == row {
            own += f32::new(1.0);
        }
        token += 1;
    }
    found[unit] = own;
    let of_all = sum_of_cube(own, units);

    let column = (CUBE_POS % blocks) * columns + unit % columns;
    let mut sum = f32::new(0.0);
    if of_all > f32::new(0.0) && column < width {
        let mut part = unit / columns;
        while part < units {
            if found[part] > f32::new(0.0) {
                let end = min((part + 1) * stretch, tokens);
                let mut token = part * stretch;
                while token < end {
                    if usize::cast_from(ids[token]) == row {
                        sum += f32::cast_from(grad[token * width + column]);
                    }
                    token += 1;
                }
            }
            part += comptime![units / columns];
        }
    }
    if comptime![columns < units] {
        let mut sums = Shared::<[f32]>::new_slice(units);
        sums[unit] = sum;
        sync_cube();
        if unit < columns {
            let mut other = unit + columns;
            while other < units {
                sum += sums[other];
                other += columns;
            }
        }
    }
    if unit < columns && column < width {
        output[row * width + column] = F::cast_from(sum);
    }
}

/// [`GradientOps::rows_in_order_backward`](crate::ops::GradientOps::rows_in_order_backward).
pub(super) fn rows_in_order_backward(grad: CubeTensor, rows: usize, first: usize) -> CubeTensor {
    let grad = in_rows(grad);
    let (all, width) = rows_and_width(&grad);
    let shape = grad.shape();
    let count = shape[shape.num_dims() - 2];
    let output = empty(&grad, Shape::new([rows, width]), grad.dtype);
    let size = rows * width;
    let units = units(&output, size);
    let dtype = dtype_to_storage_type(grad.dtype);
    rows_in_order_backward_kernel::launch(
        &output.client,
        cube_for_each(size.div_ceil(units)),
        CubeDim::new_1d(units as u32),
        grad.into_tensor_arg(),
        output.clone().into_tensor_arg(),
        size,
        first * width,
        count * width,
        all / count.max(1),
        dtype,
    );
    output
}

/// A unit for each element of the table, which has a gradient from `first` on, in `count` elements of each row of the batch.
#[cube(launch)]
fn rows_in_order_backward_kernel<F: Float>(
    grad: &Tensor<F>,
    output: &mut Tensor<F>,
    size: usize,
    first: usize,
    count: usize,
    batch: usize,
    #[define(F)] _dtype: ElemType,
) {
    let place = ABSOLUTE_POS;
    if place >= size {
        terminate!();
    }
    let mut sum = f32::new(0.0);
    if place >= first && place < first + count {
        let mut row = 0;
        while row < batch {
            sum += f32::cast_from(grad[row * count + place - first]);
            row += 1;
        }
    }
    output[place] = F::cast_from(sum);
}
