//! Operations that LibTorch has as one, where Burn's backend composes them; and the kernels of [`host`] over its tensors, where
//! LibTorch lacks them or [is the slower of the two](kernels).

use std::sync::Arc;

use burn::backend::LibTorch;
use burn::backend::libtorch::TchTensor;
use burn::backend::ops::{ActivationOps, FloatTensorOps, ModuleOps};
use tch::Tensor;

use super::packed::Layout;
use super::{
    AdamStep, HeldWeight, PackedForm, attention as default_attention, host, linear, softmax,
};

mod kernels;
mod tensor;

pub(crate) use kernels::{Kernels, chosen_kernels, own_are_chosen};

/// [`BertOps::attention`](super::BertOps::attention).
///
/// LibTorch's mask is true at what takes part; burn-tch 0.22.1 hands Burn's over unchanged, which means the opposite
/// (`tests/upstream/` tells when that is mended).
/// It is spread over the queries alone: LibTorch turns it into floats of the shape that it is given, which with the heads
/// is as large as the scores.
pub(super) fn attention(
    query: TchTensor,
    key: TchTensor,
    value: TchTensor,
    mask_pad: TchTensor,
) -> TchTensor {
    let (query, key, value) = (query.tensor, key.tensor, value.tensor);
    let attended = mask_pad.tensor.logical_not();
    let [batch, queries, keys] = [query.size()[0], query.size()[2], key.size()[2]];
    let attended = attended.expand([batch, 1, queries, keys], false);
    TchTensor::new(Tensor::scaled_dot_product_attention(
        &query,
        &key,
        &value,
        Some(attended),
        0.0,
        false,
        None,
        false,
    ))
}

/// [`BertOps::project`](super::BertOps::project): the bias is there before the product is added to it.
pub(super) fn project(input: TchTensor, weight: TchTensor, bias: TchTensor) -> TchTensor {
    if kernels::are_own([&input, &weight, &bias]) {
        return host::project(input, weight, bias);
    }
    TchTensor::new(affine(&input.tensor, &weight.tensor, &bias.tensor))
}

/// [`BertOps::project_held`](super::BertOps::project_held).
pub(super) fn project_held(
    input: TchTensor,
    bias: TchTensor,
    weight: Arc<HeldWeight>,
    gelu: bool,
) -> TchTensor {
    match &*weight {
        HeldWeight::Panels(weight) if host::are_here([&input, &bias]) => {
            host::project_panels(input, bias, weight, gelu)
        }
        _ => linear::project_data::<LibTorch>(input, bias, weight.floats(), gelu),
    }
}

/// [`BertOps::project_gelu`](super::BertOps::project_gelu), over the output of the projection.
pub(super) fn project_gelu(input: TchTensor, weight: TchTensor, bias: TchTensor) -> TchTensor {
    if kernels::are_own([&input, &weight, &bias]) {
        return host::project_gelu(input, weight, bias);
    }
    TchTensor::new(affine(&input.tensor, &weight.tensor, &bias.tensor).gelu_("none"))
}

/// [`BertOps::project_input_backward`](super::BertOps::project_input_backward).
pub(super) fn project_input_backward(weight: TchTensor, grad: TchTensor) -> TchTensor {
    if kernels::are_own([&weight, &grad]) {
        return host::project_input_backward(weight, grad);
    }
    LibTorch::linear_x_backward(weight, grad)
}

/// [`BertOps::project_weight_backward`](super::BertOps::project_weight_backward).
pub(super) fn project_weight_backward(input: TchTensor, grad: TchTensor) -> TchTensor {
    if kernels::are_own([&input, &grad]) {
        return host::project_weight_backward(input, grad);
    }
    LibTorch::linear_weight_backward(input, grad)
}

/// [`BertOps::project_table`](super::BertOps::project_table).
pub(super) fn project_table(input: TchTensor, table: TchTensor, bias: TchTensor) -> TchTensor {
    if kernels::are_own([&input, &table, &bias]) {
        return host::project_table(input, table, bias);
    }
    TchTensor::new(affine(&input.tensor, &table.tensor.tr(), &bias.tensor))
}

/// [`BertOps::project_table_backward`](super::BertOps::project_table_backward).
pub(super) fn project_table_backward(table: TchTensor, grad: TchTensor) -> TchTensor {
    if kernels::are_own([&table, &grad]) {
        return host::project_table_backward(table, grad);
    }
    LibTorch::float_matmul(grad, table)
}

/// [`BertOps::self_attention`](super::BertOps::self_attention).
pub(super) fn self_attention(
    query: TchTensor,
    key: TchTensor,
    value: TchTensor,
    mask_pad: TchTensor,
    heads: usize,
    dropout: f64,
) -> TchTensor {
    if kernels::are_own([&query, &key, &value]) {
        return host::self_attention(query, key, value, mask_pad, heads, dropout);
    }
    default_attention::padded::<LibTorch>(query, key, value, mask_pad, heads, dropout)
}

/// [`BertOps::packed_attention`](super::BertOps::packed_attention).
pub(super) fn packed_attention(
    query: TchTensor,
    key: TchTensor,
    value: TchTensor,
    places: TchTensor,
    slots: TchTensor,
    padding: TchTensor,
    form: PackedForm,
) -> TchTensor {
    if kernels::are_own([&query, &key, &value]) {
        return host::packed_attention(query, key, value, places, slots, padding, form);
    }
    let layout = Layout::<LibTorch>::packed([places, slots], padding, &form);
    default_attention::packed([query, key, value], &layout, form.heads, form.dropout)
}

/// [`BertOps::attention_with_weights`](super::BertOps::attention_with_weights).
pub(super) fn attention_with_weights(
    query: TchTensor,
    key: TchTensor,
    value: TchTensor,
    mask_pad: TchTensor,
    heads: usize,
    dropout: f64,
) -> (TchTensor, TchTensor, TchTensor) {
    if kernels::are_own([&query, &key, &value]) {
        return host::attention_with_weights(query, key, value, mask_pad, heads, dropout);
    }
    default_attention::with_weights::<LibTorch>(query, key, value, mask_pad, heads, dropout)
}

/// [`BertOps::attention_backward`](super::BertOps::attention_backward).
#[expect(
    clippy::too_many_arguments,
    reason = "what the forward pass took and gave"
)]
pub(super) fn attention_backward(
    query: TchTensor,
    key: TchTensor,
    value: TchTensor,
    probabilities: TchTensor,
    keep: TchTensor,
    grad: TchTensor,
    heads: usize,
    dropout: f64,
) -> (TchTensor, TchTensor, TchTensor) {
    if kernels::are_own([&query, &key, &value]) {
        return host::attention_backward(
            query,
            key,
            value,
            probabilities,
            keep,
            grad,
            heads,
            dropout,
        );
    }
    let inputs = [query, key, value];
    default_attention::backward::<LibTorch>(inputs, [probabilities, keep], grad, heads, dropout)
}

/// [`BertOps::masked_softmax`](super::BertOps::masked_softmax).
pub(super) fn masked_softmax(scores: TchTensor, mask_pad: TchTensor, scale: f64) -> TchTensor {
    if kernels::are_own([&scores]) {
        return host::masked_softmax(scores, mask_pad, scale);
    }
    softmax::masked::<LibTorch>(scores, mask_pad, scale)
}

/// [`BertOps::softmax_backward`](super::BertOps::softmax_backward).
pub(super) fn softmax_backward(probabilities: TchTensor, grad: TchTensor, scale: f64) -> TchTensor {
    if kernels::are_own([&probabilities, &grad]) {
        return host::softmax_backward(probabilities, grad, scale);
    }
    let (grad, probabilities) = (grad.tensor, probabilities.tensor);
    let kind = probabilities.kind();
    let mut grad = Tensor::internal_softmax_backward_data(&grad, &probabilities, -1, kind);
    TchTensor::new(grad.g_mul_scalar_(scale))
}

/// [`BertOps::add_normalize`](super::BertOps::add_normalize).
pub(super) fn add_normalize(
    input: TchTensor,
    residual: TchTensor,
    gamma: TchTensor,
    beta: TchTensor,
    epsilon: f64,
) -> TchTensor {
    if kernels::are_own([&input, &residual, &gamma, &beta]) {
        return host::add_normalize(input, residual, gamma, beta, epsilon);
    }
    LibTorch::layer_norm(
        LibTorch::float_add(input, residual),
        gamma,
        Some(beta),
        epsilon,
    )
}

/// [`BertOps::gelu_erf`](super::BertOps::gelu_erf).
pub(super) fn gelu_erf(input: TchTensor) -> TchTensor {
    if kernels::are_own([&input]) {
        return host::gelu_erf(input);
    }
    LibTorch::gelu(input)
}

/// [`BertOps::gelu_erf_backward`](super::BertOps::gelu_erf_backward): LibTorch's own is the exact one.
pub(super) fn gelu_erf_backward(input: TchTensor, grad: TchTensor) -> TchTensor {
    if kernels::are_own([&input, &grad]) {
        return host::gelu_erf_backward(input, grad);
    }
    LibTorch::gelu_backward(input, grad)
}

/// [`BertOps::adam_update`](super::BertOps::adam_update), in one pass over what is in this process' memory, else in the buffers
/// of gradient and moments where nobody else holds them.
pub(super) fn adam_update(
    value: TchTensor,
    gradient: TchTensor,
    first: TchTensor,
    second: TchTensor,
    step: AdamStep,
) -> (TchTensor, TchTensor, TchTensor) {
    if host::are_here([&value, &gradient, &first, &second]) {
        return host::adam_update(value, gradient, first, second, step);
    }
    let [mut gradient, mut first, mut second] = [gradient, first, second].map(writable);
    let _ = first.lerp_(&gradient, 1.0 - step.beta1);
    let _ = gradient.square_();
    let _ = second.lerp_(&gradient, 1.0 - step.beta2);
    // (√(v / c₂) + ε) · c₁, by which the mean is divided.
    let mut output = second.sqrt_out(&gradient);
    let _ = output.g_mul_scalar_(step.correction1 / step.correction2.sqrt());
    let _ = output.g_add_scalar_(step.epsilon * step.correction1);
    let mut output = first.div_out(&output, &output);
    let of_value = match step.rate {
        Some(rate) => {
            let _ = output.g_mul_scalar_(-rate);
            1.0 - rate * step.decay
        }
        None => step.decay,
    };
    if of_value != 0.0 {
        let factor = Tensor::from(of_value)
            .to_kind(output.kind())
            .to_device(output.device());
        let _ = output.addcmul_(&value.tensor, &factor);
    }
    (
        TchTensor::new(output),
        TchTensor::new(first),
        TchTensor::new(second),
    )
}

/// The tensor, or a copy if others hold its buffer.
fn writable(tensor: TchTensor) -> Tensor {
    if tensor.can_mut() {
        tensor.tensor
    } else {
        tensor.tensor.copy()
    }
}

/// `input · weight + bias` over all leading dimensions.
fn affine(input: &Tensor, weight: &Tensor, bias: &Tensor) -> Tensor {
    let mut shape = input.size();
    let depth = weight.size()[0];
    if let Some(width) = shape.last_mut() {
        *width = weight.size()[1];
    }
    bias.addmm(&input.reshape([-1, depth]), weight)
        .reshape(shape)
}

#[cfg(test)]
mod tests {
    use tch::{Device, Kind};

    use super::*;

    #[test]
    fn an_update_of_another_type_equals_the_default_one() {
        let tensors = || {
            [0.5, -0.25, 0.75, 0.125].map(|step| {
                let numbers = Tensor::arange(7, (Kind::Double, Device::Cpu)) * step + 1.0;
                TchTensor::new(numbers.square())
            })
        };
        for rate in [None, Some(0.3)] {
            let step = AdamStep {
                beta1: 0.9,
                beta2: 0.99,
                correction1: 0.19,
                correction2: 0.02,
                epsilon: 1e-6,
                decay: 0.1,
                rate,
            };
            let [value, gradient, first, second] = tensors();
            let found = adam_update(value, gradient, first, second, step);
            let [value, gradient, first, second] = tensors();
            let expected =
                super::super::adam::update::<LibTorch>(value, gradient, first, second, step);
            for (found, expected) in [
                (found.0, expected.0),
                (found.1, expected.1),
                (found.2, expected.2),
            ] {
                let difference = (found.tensor - expected.tensor).abs().max();
                assert!(difference.double_value(&[]) < 1e-12);
            }
        }
    }
}
