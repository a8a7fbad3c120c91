//! The hidden layer of a classifier, between the vectors of the encoder and the outputs.

use bert_core::activation::HiddenAct;
use bert_core::batch::BertInput;
use bert_core::config::BertConfig;
use bert_core::models::{ClassifierShape, Reads};
use bert_core::nn::{BertInit, BertModel};
use bert_core::ops;
use burn::module::Module;
use burn::nn::{Dropout, DropoutConfig, LayerNorm, Linear};
use burn::tensor::Tensor;

/// Dropout, dense layer, activation and, in some families, LayerNorm.
#[derive(Module, Debug)]
pub struct HiddenLayer {
    /// Projection from and to the width of the encoder.
    pub dense: Linear,
    /// Normalisation of the activated projection.
    pub layer_norm: Option<LayerNorm>,
    layer_norm_eps: f64,
    #[module(skip)]
    activation: HiddenAct,
    dropout: Dropout,
}

impl HiddenLayer {
    /// The hidden layer of a classifier of this shape, if it has one.
    pub(crate) fn of(shape: ClassifierShape, config: &BertConfig, init: &BertInit) -> Option<Self> {
        let (layer, width) = (shape.hidden?, config.hidden_size);
        Some(Self {
            dense: init.head_with(width, width, layer.bias),
            layer_norm: layer.norm.then(|| init.layer_norm(width)),
            layer_norm_eps: config.layer_norm_eps,
            activation: layer.activation,
            dropout: DropoutConfig::new(config.dropout_prob(layer.dropout)).init(),
        })
    }

    /// `activation(dense(dropout(vectors)))`, and LayerNorm where there is one.
    ///
    /// # Shapes
    ///
    /// - vectors, output: `[..., hidden]`
    fn forward<const D: usize>(&self, vectors: Tensor<D>) -> Tensor<D> {
        let vectors = self.dropout.forward(vectors);
        let activated = self.activation.after_linear(vectors, &self.dense);
        match &self.layer_norm {
            Some(norm) => ops::layer_norm(activated, norm, self.layer_norm_eps),
            None => activated,
        }
    }
}

/// Vectors of texts that a classifier reads, `[batch, hidden]`.
///
/// # Panics
///
/// When it reads those of the pooler and that has been taken out of `bert`.
pub(crate) fn vectors(bert: &BertModel, input: BertInput, reads: Reads) -> Tensor<2> {
    match reads {
        Reads::Pooled => bert
            .forward_pooled(input)
            .expect("every constructor makes a pooler"),
        Reads::FirstToken | Reads::EveryToken => bert.forward_first(input),
        Reads::Mean => {
            let mask_pad = input.mask_pad.clone();
            bert.forward(input).mean_of_tokens(mask_pad)
        }
    }
}

/// Outputs of a classifier: its hidden layer, if there is one, dropout, and a linear layer.
///
/// # Shapes
///
/// - vectors: `[..., hidden]`
/// - output: `[..., outputs]`
pub(crate) fn outputs<const D: usize>(
    mut vectors: Tensor<D>,
    hidden: Option<&HiddenLayer>,
    dropout: &Dropout,
    classifier: &Linear,
) -> Tensor<D> {
    if let Some(layer) = hidden {
        vectors = layer.forward(vectors);
    }
    classifier.forward(dropout.forward(vectors))
}
