//! Operations that LibTorch has as one, where Burn's backend composes them.

use burn::backend::LibTorch;
use burn::backend::libtorch::TchTensor;
use burn::backend::ops::ActivationOps;
use tch::Tensor;

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
