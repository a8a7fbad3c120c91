//! Which backend runs which body of [`BertOps`]: all that adding a backend takes besides its label
//! in [`device`](crate::device).

#[cfg(any(feature = "flex", feature = "tch"))]
use std::sync::Arc;

use burn::backend::AutodiffBackend;
use burn::backend::autodiff::{Autodiff, checkpoint::strategy::CheckpointStrategy};
#[cfg(feature = "flex")]
use burn::backend::flex::FlexTensor;
#[cfg(feature = "tch")]
use burn::backend::libtorch::TchTensor;
use burn::backend::tensor::{BoolTensor, FloatTensor, IntTensor};
use burn::tensor::Shape;

#[cfg(any(feature = "flex", feature = "tch"))]
use super::HeldWeight;
#[cfg(feature = "flex")]
use super::flex;
#[cfg(any(feature = "flex", feature = "tch"))]
use super::host;
#[cfg(feature = "tch")]
use super::libtorch;
use super::packed::Layout;
use super::{BertOps, PackedForm, attention, cross_entropy, gelu, linear, lookup, norm, softmax};

/// Operations that functions of one name in a module have: their tensors, then what else they take.
#[allow(unused_macros, reason = "which backends are compiled in varies")]
macro_rules! operations {
    ($tensor:ty, $module:ident: $(
        $name:ident($($argument:ident),+ $(; $($other:ident: $type:ty),+)?) -> $output:ty;
    )+) => {$(
        fn $name($($argument: $tensor,)+ $($($other: $type),+)?) -> $output {
            $module::$name($($argument,)+ $($($other),+)?)
        }
    )+};
}

/// Attention through the backend's fused kernel.
#[allow(unused_macros, reason = "which backends are compiled in varies")]
macro_rules! fused_attention {
    () => {
        fn attention(
            query: FloatTensor<Self>,
            key: FloatTensor<Self>,
            value: FloatTensor<Self>,
            mask_pad: BoolTensor<Self>,
        ) -> FloatTensor<Self> {
            attention::fused::<Self>(query, key, value, mask_pad)
        }
    };
}

#[cfg(feature = "flex")]
impl BertOps for burn::backend::Flex {
    fused_attention!();

    operations! { FlexTensor, host:
        self_attention(query, key, value, mask_pad; heads: usize, dropout: f64) -> FlexTensor;
        packed_attention(query, key, value, places, slots, padding; form: super::PackedForm)
            -> FlexTensor;
        attention_with_weights(query, key, value, mask_pad; heads: usize, dropout: f64)
            -> (FlexTensor, FlexTensor, FlexTensor);
        attention_backward(query, key, value, probabilities, keep, grad; heads: usize, dropout: f64)
            -> (FlexTensor, FlexTensor, FlexTensor);
        masked_softmax(scores, mask_pad; scale: f64) -> FlexTensor;
        softmax_backward(probabilities, grad; scale: f64) -> FlexTensor;
        normalize(input, gamma, beta; epsilon: f64) -> FlexTensor;
        add_normalize(input, residual, gamma, beta; epsilon: f64) -> FlexTensor;
        normalize_backward(input, gamma, grad; epsilon: f64)
            -> (FlexTensor, FlexTensor, FlexTensor);
        project(input, weight, bias) -> FlexTensor;
        project_input_backward(weight, grad) -> FlexTensor;
        project_weight_backward(input, grad) -> FlexTensor;
        project_bias_backward(grad) -> FlexTensor;
        lookup(table, ids) -> FlexTensor;
        lookup_backward(table, ids, grad) -> FlexTensor;
        project_gelu(input, weight, bias) -> FlexTensor;
        project_table(input, table, bias) -> FlexTensor;
        project_table_backward(table, grad) -> FlexTensor;
        cross_entropy(logits, labels) -> FlexTensor;
        cross_entropy_backward(logits, labels, grad) -> FlexTensor;
        dropout_mask(like; shape: Shape, probability: f64) -> FlexTensor;
        adam_update(value, gradient, first, second; step: super::AdamStep)
            -> (FlexTensor, FlexTensor, FlexTensor);
        sum_of_squares(input) -> FlexTensor;
        scale_by(input, factor) -> FlexTensor;
        gelu_erf(input) -> FlexTensor;
        gelu_erf_backward(input, grad) -> FlexTensor;
    }
    operations! { FlexTensor, flex:
        project_held(input, bias; weight: Arc<HeldWeight>, gelu: bool) -> FlexTensor;
    }
}

#[cfg(feature = "ndarray")]
impl BertOps for burn::backend::NdArray {}

#[cfg(feature = "tch")]
impl BertOps for burn::backend::LibTorch {
    operations! { TchTensor, libtorch:
        attention(query, key, value, mask_pad) -> TchTensor;
        self_attention(query, key, value, mask_pad; heads: usize, dropout: f64) -> TchTensor;
        packed_attention(query, key, value, places, slots, padding; form: super::PackedForm)
            -> TchTensor;
        attention_with_weights(query, key, value, mask_pad; heads: usize, dropout: f64)
            -> (TchTensor, TchTensor, TchTensor);
        attention_backward(query, key, value, probabilities, keep, grad; heads: usize, dropout: f64)
            -> (TchTensor, TchTensor, TchTensor);
        masked_softmax(scores, mask_pad; scale: f64) -> TchTensor;
        softmax_backward(probabilities, grad; scale: f64) -> TchTensor;
        add_normalize(input, residual, gamma, beta; epsilon: f64) -> TchTensor;
        project(input, weight, bias) -> TchTensor;
        project_input_backward(weight, grad) -> TchTensor;
        project_weight_backward(input, grad) -> TchTensor;
        project_gelu(input, weight, bias) -> TchTensor;
        project_held(input, bias; weight: Arc<HeldWeight>, gelu: bool) -> TchTensor;
        project_table(input, table, bias) -> TchTensor;
        project_table_backward(table, grad) -> TchTensor;
        gelu_erf(input) -> TchTensor;
        gelu_erf_backward(input, grad) -> TchTensor;
        adam_update(value, gradient, first, second; step: super::AdamStep)
            -> (TchTensor, TchTensor, TchTensor);
    }
    operations! { TchTensor, host:
        project_bias_backward(grad) -> TchTensor;
        lookup(table, ids) -> TchTensor;
        lookup_backward(table, ids, grad) -> TchTensor;
        normalize(input, gamma, beta; epsilon: f64) -> TchTensor;
        normalize_backward(input, gamma, grad; epsilon: f64) -> (TchTensor, TchTensor, TchTensor);
        cross_entropy(logits, labels) -> TchTensor;
        cross_entropy_backward(logits, labels, grad) -> TchTensor;
        dropout_mask(like; shape: Shape, probability: f64) -> TchTensor;
        sum_of_squares(input) -> TchTensor;
        scale_by(input, factor) -> TchTensor;
    }
}

#[cfg(any(feature = "wgpu", feature = "cuda", feature = "rocm", feature = "cpu"))]
impl BertOps for burn::backend::Cube {
    fused_attention!();
}

// Every default body is made of operations that the server knows.
#[cfg(feature = "remote")]
impl BertOps for burn::backend::Remote {}

impl<B: BertOps, C: CheckpointStrategy> BertOps for Autodiff<B, C> {
    fn self_attention(
        query: FloatTensor<Self>,
        key: FloatTensor<Self>,
        value: FloatTensor<Self>,
        mask_pad: BoolTensor<Self>,
        heads: usize,
        dropout: f64,
    ) -> FloatTensor<Self> {
        let layout = Layout::<B>::Padded { mask_pad };
        attention::autodiff::<B, C>([query, key, value], layout, heads, dropout)
    }

    fn packed_attention(
        query: FloatTensor<Self>,
        key: FloatTensor<Self>,
        value: FloatTensor<Self>,
        places: IntTensor<Self>,
        slots: IntTensor<Self>,
        padding: BoolTensor<Self>,
        form: PackedForm,
    ) -> FloatTensor<Self> {
        let layout = Layout::<B>::packed([places, slots], padding, &form);
        attention::autodiff::<B, C>([query, key, value], layout, form.heads, form.dropout)
    }

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

    fn project_table(
        input: FloatTensor<Self>,
        table: FloatTensor<Self>,
        bias: FloatTensor<Self>,
    ) -> FloatTensor<Self> {
        linear::table_autodiff::<B, C>(input, table, bias)
    }

    fn lookup(table: FloatTensor<Self>, ids: IntTensor<Self>) -> FloatTensor<Self> {
        lookup::autodiff::<B, C>(table, ids)
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
