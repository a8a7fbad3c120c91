//! Linear layers whose weights are laid out for these kernels.

use std::sync::Arc;

use burn::backend::Flex;
use burn::backend::flex::FlexTensor;

use super::flex::{are_f32, dense, rows_and_width, tensor};
use super::gelu::exact;
use super::int8;
use super::project::with_width;
use crate::ops::held::{HeldWeight, Kind};
use crate::ops::linear::project_floats;

/// [`BertOps::project_held`](crate::ops::BertOps::project_held).
pub(in crate::ops) fn project_held(
    input: FlexTensor,
    bias: FlexTensor,
    weight: Arc<HeldWeight>,
    gelu: bool,
) -> FlexTensor {
    if !are_f32([&input, &bias]) {
        return project_floats::<Flex>(input, bias, &weight, gelu);
    }
    if gelu {
        affine(input, bias, &weight, exact)
    } else {
        affine(
            input,
            bias,
            &weight,
            #[inline(always)]
            |x| x,
        )
    }
}

/// `activation(input · weight + bias)`.
fn affine(
    input: FlexTensor,
    bias: FlexTensor,
    weight: &HeldWeight,
    activation: impl Fn(f32) -> f32 + Sync,
) -> FlexTensor {
    let shape = with_width(&input, weight.shape()[1]);
    let (rows, _) = rows_and_width(&input);
    let [input, bias] = [input, bias].map(dense);
    let Kind::Int8(matrix) = &weight.0;
    let (input, bias) = (input.storage::<f32>(), bias.storage::<f32>());
    tensor(int8::product(rows, input, matrix, bias, activation), shape)
}
