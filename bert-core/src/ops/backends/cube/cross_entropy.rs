//! Cross-entropy without its softmax in memory.

use burn::backend::cubecl::dtype_to_storage_type;
use burn::tensor::Shape;
use burn_cubecl::tensor::CubeTensor;
use cubecl::prelude::*;

use super::parts::{
    LOWEST, cube_for_each, empty, highest_of_cube, in_rows, rows_and_width, sum_of_cube,
    to_write_over, units,
};

/// [`BertOps::cross_entropy`](crate::ops::BertOps::cross_entropy).
pub(super) fn cross_entropy(logits: CubeTensor, labels: CubeTensor) -> CubeTensor {
    let [logits, labels] = [logits, labels].map(in_rows);
    let (rows, classes) = rows_and_width(&logits);
    let units = units(&logits, classes);
    let losses = empty(&logits, Shape::new([rows]), logits.dtype);
    let dtypes = [logits.dtype, labels.dtype].map(dtype_to_storage_type);
    cross_entropy_kernel::launch(
        &losses.client,
        cube_for_each(rows),
        CubeDim::new_1d(units as u32),
        logits.into_tensor_arg(),
        labels.into_tensor_arg(),
        losses.clone().into_tensor_arg(),
        rows,
        classes,
        units,
        dtypes,
    );
    losses
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

#[cube(launch)]
fn cross_entropy_kernel<F: Float, I: Numeric>(
    logits: &Tensor<F>,
    labels: &Tensor<I>,
    losses: &mut Tensor<F>,
    rows: usize,
    classes: usize,
    #[comptime] units: usize,
    #[define(F, I)] _dtypes: [ElemType; 2],
) {
    let row = CUBE_POS;
    if row >= rows {
        terminate!();
    }
    let first = row * classes;
    let (highest, sum) = powers::<F>(&logits[first..first + classes], classes, units);
    if UNIT_POS == 0 {
        let expected = f32::cast_from(logits[first + u32::cast_from(labels[row]) as usize]);
        losses[row] = F::cast_from(sum.ln() + (highest - expected));
    }
}

/// [`GradientOps::cross_entropy_backward`](crate::ops::GradientOps::cross_entropy_backward), in place of `logits`.
pub(super) fn cross_entropy_backward(
    logits: CubeTensor,
    labels: CubeTensor,
    grad: CubeTensor,
) -> CubeTensor {
    let logits = to_write_over(logits);
    let [labels, grad] = [labels, grad].map(in_rows);
    let (rows, classes) = rows_and_width(&logits);
    let units = units(&logits, classes);
    let dtypes = [logits.dtype, labels.dtype].map(dtype_to_storage_type);
    cross_entropy_backward_kernel::launch(
        &logits.client.clone(),
        cube_for_each(rows),
        CubeDim::new_1d(units as u32),
        logits.clone().into_tensor_arg(),
        labels.into_tensor_arg(),
        grad.into_tensor_arg(),
        rows,
        classes,
        units,
        dtypes,
    );
    logits
}

#[cube(launch)]
fn cross_entropy_backward_kernel<F: Float, I: Numeric>(
    logits: &mut Tensor<F>,
    labels: &Tensor<I>,
    grad: &Tensor<F>,
    rows: usize,
    classes: usize,
    #[comptime] units: usize,
    #[define(F, I)] _dtypes: [ElemType; 2],
) {
    let row = CUBE_POS;
    if row >= rows {
        terminate!();
    }
    let first = row * classes;
    let (highest, sum) = powers::<F>(&logits[first..first + classes], classes, units);
    let label = u32::cast_from(labels[row]) as usize;
    let weight = f32::cast_from(grad[row]);
    let mut class = UNIT_POS as usize;
    while class < classes {
        let place = first + class;
        let mut slope = (f32::cast_from(logits[place]) - highest).exp() / sum;
        if class == label {
            slope -= f32::new(1.0);
        }
        logits[place] = F::cast_from(slope * weight);
        class += units;
    }
}
