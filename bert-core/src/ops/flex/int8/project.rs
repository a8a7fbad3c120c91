//! The operation over tensors.

use std::mem::MaybeUninit;

use burn::backend::flex::FlexTensor;

use super::{Int8Weight, product};
use crate::ops::host::{HostTensor, exact_gelu, with_width};

/// [`BertOps::project_held`](crate::ops::BertOps::project_held) by a weight in 8 bits, of tensors that are here.
pub(in crate::ops) fn project_int8(
    input: FlexTensor,
    bias: FlexTensor,
    weight: &Int8Weight,
    gelu: bool,
) -> FlexTensor {
    if gelu {
        affine(input, bias, weight, exact_gelu)
    } else {
        affine(
            input,
            bias,
            weight,
            #[inline(always)]
            |x| x,
        )
    }
}

/// `activation(input · weight + bias)`.
#[expect(unsafe_code, reason = "the output is not cleared beforehand")]
fn affine(
    input: FlexTensor,
    bias: FlexTensor,
    weight: &Int8Weight,
    activation: impl Fn(f32) -> f32 + Sync,
) -> FlexTensor {
    let shape = with_width(&input, weight.shape()[1]);
    let [input, bias] = [input, bias].map(HostTensor::dense);
    let write = |to: &mut [MaybeUninit<f32>]| {
        product(input.floats(), weight, bias.floats(), to, activation);
    };
    // SAFETY: the product writes all of its output.
    unsafe { input.written_like_this(shape, write) }
}
