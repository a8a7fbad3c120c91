//! Operations that LibTorch has as one, where Burn's backend composes them, for tensors that the kernels of
//! [`host`](super::host) do not compute; and [the choice](kernels) between the two.

use burn::backend::LibTorch;
use burn::backend::libtorch::TchTensor;
use burn::backend::ops::{FloatTensorOps, ModuleOps};
use tch::Tensor;

use super::host::HostBackend;
use crate::ops::AdamStep;

mod kernels;
mod tensor;

pub(crate) use kernels::own_are_chosen;

/// [`BertOps::attend_by_head`](crate::ops::BertOps::attend_by_head).
///
/// LibTorch's mask is true at what takes part; burn-tch 0.22.1 hands Burn's over unchanged, which means the opposite
/// (`tests/upstream/` tells when that is mended).
/// It is spread over the queries alone: LibTorch turns it into floats of the shape that it is given, which with the heads
/// is as large as the scores.
pub(super) fn attend_by_head(
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

impl HostBackend for LibTorch {
    fn prefers_host_kernels() -> bool {
        // Tests run the kernels over LibTorch's tensors on any processor.
        cfg!(test) || own_are_chosen()
    }

    /// The bias is there before the product is added to it.
    fn own_project(input: TchTensor, weight: TchTensor, bias: TchTensor) -> TchTensor {
        TchTensor::new(affine(&input.tensor, &weight.tensor, &bias.tensor))
    }

    /// GELU in place of the projection.
    fn own_project_gelu(input: TchTensor, weight: TchTensor, bias: TchTensor) -> TchTensor {
        TchTensor::new(affine(&input.tensor, &weight.tensor, &bias.tensor).gelu_("none"))
    }

    fn own_project_table(input: TchTensor, table: TchTensor, bias: TchTensor) -> TchTensor {
        TchTensor::new(affine(&input.tensor, &table.tensor.tr(), &bias.tensor))
    }

    fn own_softmax_backward(probabilities: TchTensor, grad: TchTensor, scale: f64) -> TchTensor {
        let (grad, probabilities) = (grad.tensor, probabilities.tensor);
        let kind = probabilities.kind();
        let mut grad = Tensor::internal_softmax_backward_data(&grad, &probabilities, -1, kind);
        TchTensor::new(grad.g_mul_scalar_(scale))
    }

    fn own_add_normalize(
        input: TchTensor,
        residual: TchTensor,
        gamma: TchTensor,
        beta: TchTensor,
        epsilon: f64,
    ) -> TchTensor {
        let sum = Self::float_add(input, residual);
        Self::layer_norm(sum, gamma, Some(beta), epsilon)
    }

    /// In the buffers of gradient and moments, where they are unique.
    fn own_adam_update(
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
}

/// The tensor, or a copy if its buffer is shared.
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
    use crate::ops::adam;

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
            let found = LibTorch::own_adam_update(value, gradient, first, second, step);
            let [value, gradient, first, second] = tensors();
            let expected = adam::update::<LibTorch>(value, gradient, first, second, step);
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
