//! Which backend runs which body of [`BertOps`]: all that adding a backend takes besides its label
//! in [`device`](crate::device).

use burn::backend::autodiff::{Autodiff, checkpoint::strategy::CheckpointStrategy};
use burn::backend::tensor::FloatTensor;

use super::{BertOps, gelu};

/// Attention through the backend's own fused kernel.
#[allow(unused_macros, reason = "which backends are compiled in varies")]
macro_rules! fused_attention {
    ($polarity:ident) => {
        fn attention(
            query: FloatTensor<Self>,
            key: FloatTensor<Self>,
            value: FloatTensor<Self>,
            mask_pad: burn::backend::tensor::BoolTensor<Self>,
        ) -> FloatTensor<Self> {
            use super::attention::{Polarity, fused};
            fused::<Self>(query, key, value, mask_pad, Polarity::$polarity)
        }
    };
}

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
    fused_attention!(Masked);
    native_gelu_backward!();
}

#[cfg(feature = "ndarray")]
impl BertOps for burn::backend::NdArray {}

#[cfg(feature = "tch")]
impl BertOps for burn::backend::LibTorch {
    fused_attention!(Attended);
    native_gelu_backward!();
}

#[cfg(any(feature = "wgpu", feature = "cuda", feature = "rocm", feature = "cpu"))]
impl BertOps for burn::backend::Cube {
    fused_attention!(Masked);
}

// Every default body is made of operations that the server knows.
#[cfg(feature = "remote")]
impl BertOps for burn::backend::Remote {}

impl<B: BertOps, C: CheckpointStrategy> BertOps for Autodiff<B, C> {
    fn gelu_erf(input: FloatTensor<Self>) -> FloatTensor<Self> {
        gelu::erf_autodiff::<B, C>(input)
    }
}
