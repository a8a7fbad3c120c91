//! The operation over tensors.

use std::sync::Arc;

use burn::backend::Flex;
use burn::backend::flex::FlexTensor;

use super::super::gelu::exact;
use super::super::project::with_width;
use super::super::tensor;
use super::{Int8Weight, product};
use crate::ops::host::{HostTensor, are_here, rows_and_width};
use crate::ops::linear::project_floats;

/// [`BertOps::project_int8`](crate::ops::BertOps::project_int8).
pub(in crate::ops) fn project_int8(
    input: FlexTensor,
    bias: FlexTensor,
    weight: Arc<Int8Weight>,
    gelu: bool,
) -> FlexTensor {
    if !are_here([&input, &bias]) {
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
    weight: &Int8Weight,
    activation: impl Fn(f32) -> f32 + Sync,
) -> FlexTensor {
    let shape = with_width(&input, weight.shape()[1]);
    let (rows, _) = rows_and_width(&input);
    let [input, bias] = [input, bias].map(HostTensor::dense);
    let (input, bias) = (input.storage::<f32>(), bias.storage::<f32>());
    tensor(product(rows, input, weight, bias, activation), shape)
}
