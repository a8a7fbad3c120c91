//! Which backend runs which body of [`BertOps`]: all that adding a backend takes besides its label
//! in [`device`](crate::device).

use burn::backend::AutodiffBackend;
use burn::backend::autodiff::{Autodiff, checkpoint::strategy::CheckpointStrategy};
use burn::backend::tensor::{BoolTensor, FloatTensor, IntTensor};
use burn::tensor::Shape;

#[cfg(feature = "flex")]
use super::host;
#[cfg(feature = "tch")]
use super::libtorch;
use super::{BertOps, cross_entropy, gelu, linear, norm, softmax};

/// Gradient of GELU through the backend's own kernel, where that is the exact one.
#[allow(unused_macros, reason = "which backends are compiled in varies")]
macro_rules! native_gelu_backward {
    () => {
        fn gelu_erf_backward(
            input: FloatTensor<Self>,
            grad: FloatTensor<Self>,
        ) -> FloatTensor<Self> {
            <Self as burn::backend::ops::ActivationOps<Self>>::gelu_backward(input, grad)
        }
    };
}

#[cfg(feature = "flex")]
impl BertOps for burn::backend::Flex {
    fn attention(
        query: FloatTensor<Self>,
        key: FloatTensor<Self>,
        value: FloatTensor<Self>,
        mask_pad: BoolTensor<Self>,
    ) -> FloatTensor<Self> {
        use super::attention::{composed, fused};
        if host::attention_fits(&query, &key) {
            composed::<Self>(query, key, value, mask_pad)
        } else {
            fused::<Self>(query, key, value, mask_pad)
        }
    }

    fn self_attention(
        query: FloatTensor<Self>,
        key: FloatTensor<Self>,
        value: FloatTensor<Self>,
        mask_pad: BoolTensor<Self>,
        heads: usize,
    ) -> FloatTensor<Self> {
        host::self_attention(query, key, value, mask_pad, heads)
    }

    fn masked_softmax(
        scores: FloatTensor<Self>,
        mask_pad: BoolTensor<Self>,
        scale: f64,
    ) -> FloatTensor<Self> {
        host::masked_softmax(scores, mask_pad, scale)
    }

    fn softmax_backward(
        probabilities: FloatTensor<Self>,
        grad: FloatTensor<Self>,
        scale: f64,
    ) -> FloatTensor<Self> {
        host::softmax_backward(probabilities, grad, scale)
    }

    fn normalize(
        input: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        beta: FloatTensor<Self>,
        epsilon: f64,
    ) -> FloatTensor<Self> {
        host::normalize(input, gamma, beta, epsilon)
    }

    fn add_normalize(
        input: FloatTensor<Self>,
        residual: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        beta: FloatTensor<Self>,
        epsilon: f64,
    ) -> FloatTensor<Self> {
        host::add_normalize(input, residual, gamma, beta, epsilon)
    }

    fn project(
        input: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
    ) -> FloatTensor<Self> {
        host::project(input, weight, bias)
    }

    fn project_gelu(
        input: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
    ) -> FloatTensor<Self> {
        host::project_gelu(input, weight, bias)
    }

    fn project_input_backward(
        weight: FloatTensor<Self>,
        grad: FloatTensor<Self>,
    ) -> FloatTensor<Self> {
        host::project_input_backward(weight, grad)
    }

    fn project_weight_backward(
        input: FloatTensor<Self>,
        grad: FloatTensor<Self>,
    ) -> FloatTensor<Self> {
        host::project_weight_backward(input, grad)
    }

    fn normalize_backward(
        input: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        grad: FloatTensor<Self>,
        epsilon: f64,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
        host::normalize_backward(input, gamma, grad, epsilon)
    }

    fn cross_entropy(logits: FloatTensor<Self>, labels: IntTensor<Self>) -> FloatTensor<Self> {
        host::cross_entropy(logits, labels)
    }

    fn cross_entropy_backward(
        logits: FloatTensor<Self>,
        labels: IntTensor<Self>,
        grad: FloatTensor<Self>,
    ) -> FloatTensor<Self> {
        host::cross_entropy_backward(logits, labels, grad)
    }

    fn dropout_mask(like: FloatTensor<Self>, shape: Shape, probability: f64) -> FloatTensor<Self> {
        host::dropout_mask(like, shape, probability)
    }

    fn adam_direction(
        value: FloatTensor<Self>,
        gradient: FloatTensor<Self>,
        first: FloatTensor<Self>,
        second: FloatTensor<Self>,
        step: super::AdamStep,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
        host::adam_direction(value, gradient, first, second, step)
    }

    fn gelu_erf(input: FloatTensor<Self>) -> FloatTensor<Self> {
        host::gelu(input)
    }

    fn gelu_erf_backward(input: FloatTensor<Self>, grad: FloatTensor<Self>) -> FloatTensor<Self> {
        host::gelu_backward(input, grad)
    }
}

#[cfg(feature = "ndarray")]
impl BertOps for burn::backend::NdArray {}

#[cfg(feature = "tch")]
impl BertOps for burn::backend::LibTorch {
    native_gelu_backward!();

    fn attention(
        query: FloatTensor<Self>,
        key: FloatTensor<Self>,
        value: FloatTensor<Self>,
        mask_pad: BoolTensor<Self>,
    ) -> FloatTensor<Self> {
        libtorch::attention(query, key, value, mask_pad)
    }

    fn project(
        input: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
    ) -> FloatTensor<Self> {
        libtorch::project(input, weight, bias)
    }

    fn project_gelu(
        input: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
    ) -> FloatTensor<Self> {
        libtorch::project_gelu(input, weight, bias)
    }

    fn softmax_backward(
        probabilities: FloatTensor<Self>,
        grad: FloatTensor<Self>,
        scale: f64,
    ) -> FloatTensor<Self> {
        libtorch::softmax_backward(probabilities, grad, scale)
    }
}

#[cfg(any(feature = "wgpu", feature = "cuda", feature = "rocm", feature = "cpu"))]
impl BertOps for burn::backend::Cube {
    fn attention(
        query: FloatTensor<Self>,
        key: FloatTensor<Self>,
        value: FloatTensor<Self>,
        mask_pad: BoolTensor<Self>,
    ) -> FloatTensor<Self> {
        super::attention::fused::<Self>(query, key, value, mask_pad)
    }
}

// Every default body is made of operations that the server knows.
#[cfg(feature = "remote")]
impl BertOps for burn::backend::Remote {}

impl<B: BertOps, C: CheckpointStrategy> BertOps for Autodiff<B, C> {
    fn masked_softmax(
        scores: FloatTensor<Self>,
        mask_pad: BoolTensor<Self>,
        scale: f64,
    ) -> FloatTensor<Self> {
        softmax::masked_autodiff::<B, C>(scores, mask_pad, scale)
    }

    fn normalize(
        input: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        beta: FloatTensor<Self>,
        epsilon: f64,
    ) -> FloatTensor<Self> {
        norm::normalize_autodiff::<B, C>(input, gamma, beta, epsilon)
    }

    fn project(
        input: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
    ) -> FloatTensor<Self> {
        linear::project_autodiff::<B, C>(input, weight, bias)
    }

    fn cross_entropy(logits: FloatTensor<Self>, labels: IntTensor<Self>) -> FloatTensor<Self> {
        cross_entropy::autodiff::<B, C>(logits, labels)
    }

    fn dropout_mask(like: FloatTensor<Self>, shape: Shape, probability: f64) -> FloatTensor<Self> {
        Self::from_inner(B::dropout_mask(like.into_primitive(), shape, probability))
    }

    fn gelu_erf(input: FloatTensor<Self>) -> FloatTensor<Self> {
        gelu::erf_autodiff::<B, C>(input)
    }
}
