//! Cross-entropy without its softmax in memory.

use burn::backend::TensorMetadata;
use burn::backend::cubecl::dtype_to_storage_type;
use burn::tensor::{DType, Shape};
use burn_cubecl::tensor::CubeTensor;
use cubecl::prelude::*;

use super::parts::{
    LOWEST, cube_for_each, empty, highest_of_cube, in_rows, rows_and_width, sum_of_cube,
    to_write_over, units,
};
use crate::ops::CrossEntropy;

/// Numbers that a row adds to the totals.
const TOTALS: usize = CrossEntropy::TOTALS;

/// [`BertOps::cross_entropy`](crate::ops::BertOps::cross_entropy).
pub(super) fn cross_entropy(
    logits: CubeTensor,
    labels: CubeTensor,
    weights: CubeTensor,
) -> (CubeTensor, CubeTensor) {
    let [logits, labels, weights] = [logits, labels, weights].map(in_rows);
    let (rows, classes) = rows_and_width(&logits);
    let dtype = dtype_to_storage_type(logits.dtype);
    let client = logits.client.clone();
    let of_rows = empty(&logits, Shape::new([rows, TOTALS]), DType::F32);
    let sum = empty(&logits, Shape::new([1]), logits.dtype);
    let totals = empty(&logits, Shape::new([TOTALS]), logits.dtype);
    let units_of_row = units(&logits, classes);
    rows_kernel::launch(
        &client,
        cube_for_each(rows),
        CubeDim::new_1d(units_of_row as u32),
        logits.clone().into_tensor_arg(),
        labels.clone().into_tensor_arg(),
        weights.clone().into_tensor_arg(),
        of_rows.clone().into_tensor_arg(),
        rows,
        classes,
        units_of_row,
        by_class(&weights),
        [dtype, dtype_to_storage_type(labels.dtype)],
    );
    let units = units(&logits, rows);
    totals_kernel::launch(
        &client,
        cube_for_each(1),
        CubeDim::new_1d(units as u32),
        of_rows.into_tensor_arg(),
        sum.clone().into_tensor_arg(),
        totals.clone().into_tensor_arg(),
        rows,
        units,
        dtype,
    );
    (sum, totals)
}

/// True if the weight of a row is that of its label.
fn by_class(weights: &CubeTensor) -> bool {
    weights.shape().num_elements() > 1
}

/// The label of a row, and true if the row counts; one that does not has a negative label, and the first class here: all units
/// take the same way, which barriers need.
#[cube]
fn label_of<I: Numeric>(labels: &Tensor<I>, row: usize) -> (usize, bool) {
    let label = i32::cast_from(labels[row]);
    (max(label, 0i32) as usize, label >= 0i32)
}

/// The weight of a row with that label.
#[cube]
fn weight_of<F: Float>(weights: &Tensor<F>, label: usize, #[comptime] by_class: bool) -> f32 {
    if comptime![by_class] {
        f32::cast_from(weights[label])
    } else {
        f32::cast_from(weights[0])
    }
}

/// Highest number of a row and the sum of the powers of all above it.
#[cube]
fn powers<F: Float>(logits: &[F], classes: usize, #[comptime] units: usize) -> (f32, f32) {
    let mut highest = f32::new(LOWEST);
    let mut sum = f32::new(0.0);
    let mut class = UNIT_POS as usize;
    while class < classes {
        let logit = f32::cast_from(logits[class]);
        if logit > highest {
            sum = sum * (highest - logit).exp() + f32::new(1.0);
            highest = logit;
        } else {
            sum += (logit - highest).exp();
        }
        class += units;
    }
    let of_row = highest_of_cube(highest, units);
    let total = sum_of_cube(sum * (highest - of_row).exp(), units);
    (of_row, total)
}

/// Contribution of each row to the totals.
#[cube(launch)]
fn rows_kernel<F: Float, I: Numeric>(
    logits: &Tensor<F>,
    labels: &Tensor<I>,
    weights: &Tensor<F>,
    of_rows: &mut Tensor<f32>,
    rows: usize,
    classes: usize,
    #[comptime] units: usize,
    #[comptime] by_class: bool,
    #[define(F, I)] _dtypes: [ElemType; 2],
) {
    let row = CUBE_POS;
    if row >= rows {
        terminate!();
    }
    let (label, counts) = label_of::<I>(labels, row);
    let first = row * classes;
    let logits = &logits[first..first + classes];
    let (highest, sum) = powers::<F>(logits, classes, units);
    let expected = f32::cast_from(logits[label]);
    // Classes before the label that are as likely.
    let mut rivals = f32::new(0.0);
    let mut class = UNIT_POS as usize;
    while class < label {
        if f32::cast_from(logits[class]) == expected {
            rivals += f32::new(1.0);
        }
        class += units;
    }
    let rivals = sum_of_cube(rivals, units);
    if UNIT_POS == 0 {
        let (zero, one) = (f32::new(0.0), f32::new(1.0));
        let weight = weight_of::<F>(weights, label, by_class);
        let loss = weight * (sum.ln() + (highest - expected));
        let is_hit = counts && expected >= highest && rivals == zero;
        let place = row * TOTALS;
        of_rows[place] = select(counts, loss, zero);
        of_rows[place + 1] = select(counts, weight, zero);
        of_rows[place + 2] = select(is_hit, one, zero);
        of_rows[place + 3] = select(counts, one, zero);
    }
}

/// The totals of all rows, by one cube.
#[cube(launch)]
fn totals_kernel<F: Float>(
    of_rows: &Tensor<f32>,
    sum: &mut Tensor<F>,
    totals: &mut Tensor<F>,
    rows: usize,
    #[comptime] units: usize,
    #[define(F)] _dtype: ElemType,
) {
    for column in 0..TOTALS {
        let mut part = f32::new(0.0);
        let mut row = UNIT_POS as usize;
        while row < rows {
            part += of_rows[row * TOTALS + column];
            row += units;
        }
        let total = sum_of_cube(part, units);
        if UNIT_POS == 0 {
            totals[column] = F::cast_from(total);
            if column == 0 {
                sum[0] = F::cast_from(total);
            }
        }
    }
}

/// [`GradientOps::cross_entropy_backward`](crate::ops::GradientOps::cross_entropy_backward), in place of `logits`.
pub(super) fn cross_entropy_backward(
    logits: CubeTensor,
    labels: CubeTensor,
    weights: CubeTensor,
    grad: CubeTensor,
) -> CubeTensor {
    let logits = to_write_over(logits);
    let [labels, weights, grad] = [labels, weights, grad].map(in_rows);
    let (rows, classes) = rows_and_width(&logits);
    let units = units(&logits, classes);
    let dtypes = [logits.dtype, labels.dtype].map(dtype_to_storage_type);
    let by_class = by_class(&weights);
    backward_kernel::launch(
        &logits.client.clone(),
        cube_for_each(rows),
        CubeDim::new_1d(units as u32),
        logits.clone().into_tensor_arg(),
        labels.into_tensor_arg(),
        weights.into_tensor_arg(),
        grad.into_tensor_arg(),
        rows,
        classes,
        units,
        by_class,
        dtypes,
    );
    logits
}

#[cube(launch)]
fn backward_kernel<F: Float, I: Numeric>(
    logits: &mut Tensor<F>,
    labels: &Tensor<I>,
    weights: &Tensor<F>,
    grad: &Tensor<F>,
    rows: usize,
    classes: usize,
    #[comptime] units: usize,
    #[comptime] by_class: bool,
    #[define(F, I)] _dtypes: [ElemType; 2],
) {
    let row = CUBE_POS;
    if row >= rows {
        terminate!();
    }
    let first = row * classes;
    let (label, counts) = label_of::<I>(labels, row);
    let (highest, sum) = powers::<F>(&logits[first..first + classes], classes, units);
    let weight = weight_of::<F>(weights, label, by_class) * f32::cast_from(grad[0]);
    let mut class = UNIT_POS as usize;
    while class < classes {
        let place = first + class;
        let mut slope = (f32::cast_from(logits[place]) - highest).exp() / sum;
        if class == label {
            slope -= f32::new(1.0);
        }
        logits[place] = F::cast_from(select(counts, slope * weight, f32::new(0.0)));
        class += units;
    }
}
