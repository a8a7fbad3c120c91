//! Operations that LibTorch has as one, where Burn's backend composes them; and its tensors as slices, for kernels that
//! LibTorch lacks.

use burn::backend::LibTorch;
use burn::backend::libtorch::TchTensor;
use burn::backend::ops::ActivationOps;
use burn::tensor::Shape;
use tch::{Device, Kind, Tensor};

use super::AdamStep;
use super::host::{self, HostTensor};

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

impl HostTensor for TchTensor {
    type Backend = LibTorch;

    fn is_here(&self) -> bool {
        self.tensor.device() == Device::Cpu && self.tensor.kind() == Kind::Float
    }

    fn dense(self) -> Self {
        if self.tensor.is_contiguous() {
            self
        } else {
            Self::new(self.tensor.contiguous())
        }
    }

    fn zeros_like_this(&self, shape: Shape) -> Self {
        let shape: Vec<i64> = shape.iter().map(|&size| size as i64).collect();
        Self::new(Tensor::zeros(shape, (Kind::Float, Device::Cpu)))
    }

    fn draw(&self) -> u64 {
        let uniform = Tensor::rand([1], (Kind::Double, Device::Cpu));
        uniform.double_value(&[0]).to_bits()
    }

    #[expect(unsafe_code, reason = "LibTorch gives a pointer to its elements")]
    fn floats(&self) -> &[f32] {
        assert_floats(&self.tensor);
        // SAFETY: a contiguous tensor of f32 on the processor has that many elements from there on, and holds its buffer for
        // as long as it is borrowed. LibTorch writes into a buffer by way of operations that Burn's backend only calls for
        // tensors that hold it alone, as `floats_mut` does.
        unsafe { std::slice::from_raw_parts(self.tensor.data_ptr().cast(), self.tensor.numel()) }
    }

    #[expect(unsafe_code, reason = "LibTorch gives a pointer to its elements")]
    fn floats_mut(&mut self) -> &mut [f32] {
        if !self.can_mut() {
            *self = Self::new(self.tensor.copy());
        }
        assert_floats(&self.tensor);
        // SAFETY: as in `floats`; and nobody else holds the buffer, or this tensor would not be mutable.
        unsafe {
            std::slice::from_raw_parts_mut(self.tensor.data_ptr().cast(), self.tensor.numel())
        }
    }
}

/// Refuses what has no slice of f32.
fn assert_floats(tensor: &Tensor) {
    let here = tensor.device() == Device::Cpu && tensor.kind() == Kind::Float;
    assert!(
        here && tensor.is_contiguous(),
        "a dense tensor of f32 on the processor"
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers() -> TchTensor {
        TchTensor::new(Tensor::arange(6, (Kind::Float, Device::Cpu)).reshape([2, 3]))
    }

    #[test]
    fn slices_follow_the_rows_of_any_view() {
        let rows = numbers();
        let columns = TchTensor::from_existing(rows.tensor.transpose(0, 1), rows.storage.clone());
        assert_eq!(rows.floats(), [0.0, 1.0, 2.0, 3.0, 4.0, 5.0]);
        assert_eq!(columns.dense().floats(), [0.0, 3.0, 1.0, 4.0, 2.0, 5.0]);
        let last = TchTensor::from_existing(rows.tensor.narrow(0, 1, 1), rows.storage.clone());
        assert_eq!(last.dense().floats(), [3.0, 4.0, 5.0]);
        let spread = TchTensor::new(Tensor::from(7.0_f32).expand([2], false));
        assert_eq!(spread.dense().floats(), [7.0, 7.0]);
    }

    #[test]
    fn what_others_hold_is_copied_before_it_is_written() {
        let held = numbers();
        let mut shared = held.clone();
        shared.floats_mut()[0] = 9.0;
        assert_eq!((held.floats()[0], shared.floats()[0]), (0.0, 9.0));
        let place = shared.tensor.data_ptr();
        shared.floats_mut()[0] = 8.0;
        assert_eq!(
            shared.tensor.data_ptr(),
            place,
            "alone, it is written in place"
        );
    }

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

    #[test]
    #[should_panic(expected = "dense tensor of f32")]
    fn whole_numbers_are_no_floats() {
        TchTensor::new(Tensor::arange(6, (Kind::Int64, Device::Cpu))).floats();
    }

    #[test]
    #[should_panic(expected = "dense tensor of f32")]
    fn a_view_must_be_made_dense() {
        TchTensor::new(numbers().tensor.transpose(0, 1)).floats();
    }
}
