//! Gradients of [`BertOps`], which the nodes of the autodiff graph ask of the backend below.

use burn::backend::tensor::{BoolTensor, FloatTensor};
use burn::tensor::Shape;

use super::attention::composed;
use super::{
    AttentionForm, AttentionGradients, AttentionInputs, AttentionOutput, AttentionWeights, BertOps,
};

/// Operations of the way back, without gradients of their own.
pub trait GradientOps: BertOps {
    /// [`BertOps::self_attention`], with what [`attention_backward`](GradientOps::attention_backward) wants of it.
    ///
    /// # Shapes
    ///
    /// - mask_pad: `[batch, 1, 1, seq]`, true at padding
    fn attention_with_weights(
        inputs: AttentionInputs<Self>,
        mask_pad: BoolTensor<Self>,
        form: AttentionForm,
    ) -> AttentionOutput<Self> {
        composed::with_weights::<Self>(inputs, mask_pad, form)
    }

    /// Gradients of [`BertOps::self_attention`] with respect to queries, keys and values, and to a bias of shape `bias` if its
    /// own is wanted: summed over the batch for one that all sequences share.
    ///
    /// # Shapes
    ///
    /// - inputs, grad: `[batch, seq, heads · head_size]`
    fn attention_backward(
        inputs: [FloatTensor<Self>; 3],
        weights: AttentionWeights<Self>,
        grad: FloatTensor<Self>,
        form: AttentionForm,
        bias: Option<Shape>,
    ) -> AttentionGradients<Self> {
        composed::backward::<Self>(inputs, weights, grad, form, bias)
    }
}
