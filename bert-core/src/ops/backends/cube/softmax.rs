//! Rows of attention: scale, mask, window, softmax and dropout in one pass, and their gradient.

use burn::backend::TensorMetadata;
use burn::backend::cubecl::dtype_to_storage_type;
use burn::tensor::{DType, Shape};
use burn_cubecl::tensor::CubeTensor;
use cubecl::prelude::*;

use super::parts::{
    LOWEST, cube_for_each, dropout_numbers, empty, highest_of_cube, in_rows, keep_factor,
    sum_of_cube, to_write_over, units,
};
use crate::ops::AttentionForm;

/// Probabilities after dropout, in place of `scores`, and highest score and inverse of the sum of powers of every row,
/// `[rows, 2]`; `seed` is read if there is dropout.
///
/// # Shapes
///
/// - scores: `[batch, heads, queries, keys]`
/// - mask: `[batch, 1, 1 or queries, keys]`, true at keys that are left out
pub(super) fn softmax(
    scores: CubeTensor,
    mask: CubeTensor,
    seed: CubeTensor,
    form: AttentionForm,
) -> (CubeTensor, CubeTensor) {
    let kept = to_write_over(scores);
    let mask = in_rows(mask);
    let [_, heads, queries, keys] = kept.shape().dims::<4>();
    let rows = kept.shape().num_elements() / keys.max(1);
    let statistics = empty(&kept, Shape::new([rows, 2]), DType::F32);
    let units = units(&kept, keys);
    let (threshold, factor) = dropout_numbers(form.dropout);
    let dtypes = [kept.dtype, mask.dtype].map(dtype_to_storage_type);
    let mask_rows = mask.shape()[2];
    softmax_kernel::launch(
        &statistics.client,
        cube_for_each(rows),
        CubeDim::new_1d(units as u32),
        kept.clone().into_tensor_arg(),
        mask.into_tensor_arg(),
        seed.into_tensor_arg(),
        statistics.clone().into_tensor_arg(),
        rows,
        keys,
        queries,
        heads * queries,
        mask_rows,
        form.reach.unwrap_or(0),
        form.scale as f32,
        threshold,
        factor,
        units,
        form.reach.is_some(),
        form.dropout > 0.0,
        dtypes,
    );
    (kept, statistics)
}

/// True if a query attends to a key.
#[cube]
fn attends<M: Numeric>(
    mask: &Tensor<M>,
    mask_first: usize,
    query: usize,
    key: usize,
    reach: usize,
    #[comptime] windowed: bool,
) -> bool {
    let mut inside = u32::cast_from(mask[mask_first + key]) == 0u32;
    if comptime![windowed] {
        if query + reach < key {
            inside = false;
        }
        if key + reach < query {
            inside = false;
        }
    }
    inside
}

#[cube(launch)]
fn softmax_kernel<F: Float, M: Numeric>(
    scores: &mut Tensor<F>,
    mask: &Tensor<M>,
    seed: &Tensor<f32>,
    statistics: &mut Tensor<f32>,
    rows: usize,
    keys: usize,
    queries: usize,
    rows_of_sequence: usize,
    mask_rows: usize,
    reach: usize,
    scale: f32,
    threshold: u32,
    factor: f32,
    #[comptime] units: usize,
    #[comptime] windowed: bool,
    #[comptime] drops: bool,
    #[define(F, M)] _dtypes: [ElemType; 2],
) {
    let row = CUBE_POS;
    if row >= rows {
        terminate!();
    }
    let first = row * keys;
    let query = row % queries;
    let mask_first = ((row / rows_of_sequence) * mask_rows + query % mask_rows) * keys;
    let mut highest = f32::new(LOWEST);
    let mut key = UNIT_POS as usize;
    while key < keys {
        if attends::<M>(mask, mask_first, query, key, reach, windowed) {
            highest = max(highest, f32::cast_from(scores[first + key]) * scale);
        }
        key += units;
    }
    let of_row = highest_of_cube(highest, units);
    // Powers are added up as they are written: an error of a driver's `exp` that all share leaves their shares right.
    let mut sum = f32::new(0.0);
    let mut key = UNIT_POS as usize;
    while key < keys {
        let place = first + key;
        let mut power = f32::new(0.0);
        if attends::<M>(mask, mask_first, query, key, reach, windowed) {
            power = (f32::cast_from(scores[place]) * scale - of_row).exp();
        }
        scores[place] = F::cast_from(power);
        sum += power;
        key += units;
    }
    let total = sum_of_cube(sum, units);
    let mut inverse = f32::new(0.0);
    if total > f32::new(0.0) {
        inverse = f32::new(1.0) / total;
    }
    let mut key = UNIT_POS as usize;
    while key < keys {
        let place = first + key;
        let mut kept = f32::cast_from(scores[place]) * inverse;
        if comptime![drops] {
            kept *= keep_factor(place, seed, threshold, factor);
        }
        scores[place] = F::cast_from(kept);
        key += units;
    }
    if UNIT_POS == 0 {
        statistics[2 * row] = of_row;
        statistics[2 * row + 1] = inverse;
    }
}

/// Probabilities after dropout, in place of `scores`, and the gradient of the scores, in place of that of the probabilities
/// after dropout.
///
/// # Shapes
///
/// - scores, of_kept: `[batch, heads, queries, keys]`
/// - mask: as for [`softmax`]
/// - statistics: `[rows, 2]`, those of [`softmax`]
pub(super) fn softmax_backward(
    scores: CubeTensor,
    of_kept: CubeTensor,
    mask: CubeTensor,
    statistics: CubeTensor,
    seed: CubeTensor,
    form: AttentionForm,
) -> (CubeTensor, CubeTensor) {
    let [kept, of_scores] = [scores, of_kept].map(to_write_over);
    let mask = in_rows(mask);
    let [_, heads, queries, keys] = kept.shape().dims::<4>();
    let rows = kept.shape().num_elements() / keys.max(1);
    let units = units(&kept, keys);
    let (threshold, factor) = dropout_numbers(form.dropout);
    let dtypes = [kept.dtype, mask.dtype].map(dtype_to_storage_type);
    let mask_rows = mask.shape()[2];
    softmax_backward_kernel::launch(
        &kept.client.clone(),
        cube_for_each(rows),
        CubeDim::new_1d(units as u32),
        kept.clone().into_tensor_arg(),
        of_scores.clone().into_tensor_arg(),
        mask.into_tensor_arg(),
        statistics.into_tensor_arg(),
        seed.into_tensor_arg(),
        rows,
        keys,
        queries,
        heads * queries,
        mask_rows,
        form.reach.unwrap_or(0),
        form.scale as f32,
        threshold,
        factor,
        units,
        form.reach.is_some(),
        form.dropout > 0.0,
        dtypes,
    );
    (kept, of_scores)
}

#[cube(launch)]
fn softmax_backward_kernel<F: Float, M: Numeric>(
    scores: &mut Tensor<F>,
    grad: &mut Tensor<F>,
    mask: &Tensor<M>,
    statistics: &Tensor<f32>,
    seed: &Tensor<f32>,
    rows: usize,
    keys: usize,
    queries: usize,
    rows_of_sequence: usize,
    mask_rows: usize,
    reach: usize,
    scale: f32,
    threshold: u32,
    factor: f32,
    #[comptime] units: usize,
    #[comptime] windowed: bool,
    #[comptime] drops: bool,
    #[define(F, M)] _dtypes: [ElemType; 2],
) {
    let row = CUBE_POS;
    if row >= rows {
        terminate!();
    }
    let first = row * keys;
    let query = row % queries;
    let mask_first = ((row / rows_of_sequence) * mask_rows + query % mask_rows) * keys;
    let highest = statistics[2 * row];
    let inverse = statistics[2 * row + 1];
    let mut along = f32::new(0.0);
    let mut key = UNIT_POS as usize;
    while key < keys {
        let place = first + key;
        if attends::<M>(mask, mask_first, query, key, reach, windowed) {
            let mut kept = (f32::cast_from(scores[place]) * scale - highest).exp() * inverse;
            if comptime![drops] {
                kept *= keep_factor(place, seed, threshold, factor);
            }
            along += kept * f32::cast_from(grad[place]);
        }
        key += units;
    }
    let along = sum_of_cube(along, units);
    let mut key = UNIT_POS as usize;
    while key < keys {
        let place = first + key;
        let mut kept = f32::new(0.0);
        let mut outgoing = f32::new(0.0);
        if attends::<M>(mask, mask_first, query, key, reach, windowed) {
            let probability = (f32::cast_from(scores[place]) * scale - highest).exp() * inverse;
            let mut keep = f32::new(1.0);
            if comptime![drops] {
                keep = keep_factor(place, seed, threshold, factor);
            }
            kept = probability * keep;
            outgoing = (f32::cast_from(grad[place]) * keep - along) * probability * scale;
        }
        scores[place] = F::cast_from(kept);
        grad[place] = F::cast_from(outgoing);
        key += units;
    }
}
