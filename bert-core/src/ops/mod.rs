//! BERT's own operations, written once against Burn's generic [`Backend`] trait.
//!
//! [`BertOps`] gives every operation a default body in terms of `Self: Backend`, so that a backend
//! is added by an empty `impl` in the private module `backends`; overrides replace the default
//! where a backend has a better kernel. The default body is the reference that the overrides are tested against, and
//! [`backend_extension`] routes a call on a [`Tensor`] to the implementation of its device.
#![cfg_attr(
    any(feature = "ndarray", feature = "tch"),
    expect(
        deprecated,
        reason = "NdArray and LibTorch leave Burn after 0.22; they are supported while they are there"
    )
)]

#[expect(
    unused_imports,
    reason = "named by the code that `backend_extension` generates"
)]
use burn::backend::*;
use burn::backend::{
    Backend, Dispatch, backend_extension, tensor::BoolTensor, tensor::FloatTensor,
};
use burn::tensor::{Bool, Tensor};

mod attention;
mod backends;
mod gelu;

/// Operations of the encoder that go below the module API.
#[backend_extension(
    Autodiff,
    Flex: cfg(feature = "flex"),
    NdArray: cfg(feature = "ndarray"),
    LibTorch: cfg(feature = "tch"),
    Cube: cfg(any(feature = "wgpu", feature = "cuda", feature = "rocm", feature = "cpu")),
    Remote: cfg(feature = "remote")
)]
pub trait BertOps: Backend {
    /// Probabilities `softmax(q·kᵀ / √head_size)` over the keys that are not padding.
    ///
    /// # Shapes
    ///
    /// - query, key: `[batch, heads, seq, head_size]`
    /// - mask_pad: `[batch, 1, 1, seq]`, true at padding
    /// - output: `[batch, heads, seq, seq]`; a row whose keys are all padding is all zero
    fn attention_probabilities(
        query: FloatTensor<Self>,
        key: FloatTensor<Self>,
        mask_pad: BoolTensor<Self>,
    ) -> FloatTensor<Self> {
        attention::probabilities::<Self>(query, key, mask_pad)
    }

    /// Attention without dropout and without a need for its probabilities.
    ///
    /// # Shapes
    ///
    /// - query, key, value, output: `[batch, heads, seq, head_size]`
    /// - mask_pad: `[batch, 1, 1, seq]`, true at padding
    fn attention(
        query: FloatTensor<Self>,
        key: FloatTensor<Self>,
        value: FloatTensor<Self>,
        mask_pad: BoolTensor<Self>,
    ) -> FloatTensor<Self> {
        attention::composed::<Self>(query, key, value, mask_pad)
    }

    /// Attention with dropout on the probabilities.
    ///
    /// # Shapes
    ///
    /// - query, key, value, output: `[batch, heads, seq, head_size]`
    /// - mask_pad: `[batch, 1, 1, seq]`, true at padding
    /// - keep: `[batch, heads, seq, seq]`, 0 where a probability is dropped and `1 / (1 - p)`
    ///   elsewhere
    fn attention_dropout(
        query: FloatTensor<Self>,
        key: FloatTensor<Self>,
        value: FloatTensor<Self>,
        mask_pad: BoolTensor<Self>,
        keep: FloatTensor<Self>,
    ) -> FloatTensor<Self> {
        attention::composed_dropout::<Self>(query, key, value, mask_pad, keep)
    }

    /// Exact GELU, `x · Φ(x)`.
    fn gelu_erf(input: FloatTensor<Self>) -> FloatTensor<Self> {
        Self::gelu(input)
    }

    /// Gradient of [`gelu_erf`](BertOps::gelu_erf) with respect to its input.
    ///
    /// Burn's own default differentiates the tanh approximation with constants of six digits,
    /// which is off by up to 1e-3.
    fn gelu_erf_backward(input: FloatTensor<Self>, grad: FloatTensor<Self>) -> FloatTensor<Self> {
        gelu::erf_backward::<Self>(input, grad)
    }

    /// GELU by the tanh approximation of Hendrycks & Gimpel 2016.
    ///
    /// Burn's `gelu_approximate` raises a negative base to a float power, which GPU shaders leave
    /// undefined; this body multiplies.
    fn gelu_tanh(input: FloatTensor<Self>) -> FloatTensor<Self> {
        gelu::tanh::<Self>(input)
    }
}

/// Scaled dot-product attention over the keys that are not padding (BERT §3, Vaswani et al. §3.2.1).
///
/// Dropout acts on the probabilities after the softmax, by way of `keep`. Fused kernels serve where
/// a backend has a right one and neither gradients nor dropout are wanted.
///
/// # Shapes
///
/// - query, key, value, output: `[batch, heads, seq, head_size]`
/// - mask_pad: `[batch, seq]`, true at padding
/// - keep: `[batch, heads, seq, seq]`, 0 where a probability is dropped and `1 / (1 - p)` elsewhere
pub fn attention(
    query: Tensor<4>,
    key: Tensor<4>,
    value: Tensor<4>,
    mask_pad: Tensor<2, Bool>,
    keep: Option<Tensor<4>>,
) -> Tensor<4> {
    let (query, key, value) = (
        query.into_dispatch(),
        key.into_dispatch(),
        value.into_dispatch(),
    );
    let mask_pad = broadcastable(mask_pad).into_dispatch();
    Tensor::from_dispatch(match keep {
        None => <Dispatch as BertOps>::attention(query, key, value, mask_pad),
        Some(keep) => <Dispatch as BertOps>::attention_dropout(
            query,
            key,
            value,
            mask_pad,
            keep.into_dispatch(),
        ),
    })
}

/// [`attention`] that also returns the probabilities before dropout, `[batch, heads, seq, seq]`.
pub fn attention_with_probabilities(
    query: Tensor<4>,
    key: Tensor<4>,
    value: Tensor<4>,
    mask_pad: Tensor<2, Bool>,
    keep: Option<Tensor<4>>,
) -> (Tensor<4>, Tensor<4>) {
    let probabilities: Tensor<4> =
        Tensor::from_dispatch(<Dispatch as BertOps>::attention_probabilities(
            query.into_dispatch(),
            key.into_dispatch(),
            broadcastable(mask_pad).into_dispatch(),
        ));
    let kept = match keep {
        Some(keep) => probabilities.clone() * keep,
        None => probabilities.clone(),
    };
    (kept.matmul(value), probabilities)
}

/// Exact GELU with an exact gradient on every backend.
pub fn gelu_erf<const D: usize>(input: Tensor<D>) -> Tensor<D> {
    Tensor::from_dispatch(<Dispatch as BertOps>::gelu_erf(input.into_dispatch()))
}

/// GELU by its tanh approximation.
pub fn gelu_tanh<const D: usize>(input: Tensor<D>) -> Tensor<D> {
    Tensor::from_dispatch(<Dispatch as BertOps>::gelu_tanh(input.into_dispatch()))
}

/// `[batch, seq]` to `[batch, 1, 1, seq]`.
fn broadcastable(mask_pad: Tensor<2, Bool>) -> Tensor<4, Bool> {
    let [batch, seq] = mask_pad.dims();
    mask_pad.reshape([batch, 1, 1, seq])
}
