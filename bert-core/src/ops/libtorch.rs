//! Operations that LibTorch has as one, where Burn's backend composes them.

use burn::backend::LibTorch;
use burn::backend::libtorch::TchTensor;
use burn::backend::ops::ActivationOps;
use tch::Tensor;

use super::AdamStep;

/// [`BertOps::attention`](super::BertOps::attention).
///
/// LibTorch's mask is true at what takes part; burn-tch 0.22.1 hands Burn's over unchanged, which means the opposite
/// (`tests/upstream.rs` tells when that is mended).
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
    TchTensor::new(affine(&input.tensor, &weight.tensor, &bias.tensor))
}

/// [`BertOps::project_gelu`](super::BertOps::project_gelu), over the output of the projection.
pub(super) fn project_gelu(input: TchTensor, weight: TchTensor, bias: TchTensor) -> TchTensor {
    TchTensor::new(affine(&input.tensor, &weight.tensor, &bias.tensor).gelu_("none"))
}

/// [`BertOps::softmax_backward`](super::BertOps::softmax_backward).
pub(super) fn softmax_backward(probabilities: TchTensor, grad: TchTensor, scale: f64) -> TchTensor {
    let (grad, probabilities) = (grad.tensor, probabilities.tensor);
    let kind = probabilities.kind();
    let mut grad = Tensor::internal_softmax_backward_data(&grad, &probabilities, -1, kind);
    TchTensor::new(grad.g_mul_scalar_(scale))
}

/// [`BertOps::gelu_erf_backward`](super::BertOps::gelu_erf_backward): LibTorch's own is the exact one.
pub(super) fn gelu_erf_backward(input: TchTensor, grad: TchTensor) -> TchTensor {
    LibTorch::gelu_backward(input, grad)
}

/// [`BertOps::adam_update`](super::BertOps::adam_update), in the buffers of gradient and moments where nobody else holds them:
/// new ones of the size of a large parameter would be mapped page by page in every step.
pub(super) fn adam_update(
    value: TchTensor,
    gradient: TchTensor,
    first: TchTensor,
    second: TchTensor,
    step: AdamStep,
) -> (TchTensor, TchTensor, TchTensor) {
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
