//! Sigmoid out of operations that fusion joins.

use burn::backend::tensor::FloatTensor;
use burn::backend::{Backend, TensorMetadata, get_or_init_device_settings};
use burn::tensor::FloatDType;

/// `σ(x)` by one power, of `-|x|`, and one division, in f32.
///
/// Burn's own for backends on CubeCL is `exp(-ln(1 + exp(-x)))`, whose logarithm and outer power are inexact on some drivers.
pub(super) fn sigmoid<B: Backend>(input: FloatTensor<B>) -> FloatTensor<B> {
    let dtype = input.dtype();
    let settings = get_or_init_device_settings::<B>(&input.device());
    let input = B::float_cast(input, FloatDType::F32);
    let is_negative = B::float_lower_elem(input.clone(), 0.0.into(), settings.bool_dtype);
    let power = B::float_exp(B::float_neg(B::float_abs(input)));
    let of_size = B::float_recip(B::float_add_scalar(power.clone(), 1.0.into()));
    let of_negative = B::float_mul(power, of_size.clone());
    let output = B::float_mask_where(of_size, is_negative, of_negative);
    B::float_cast(output, dtype.into())
}
