//! The hidden layer of a classifier, between the vectors of the encoder and the outputs.

use bert_core::activation::HiddenAct;
use bert_core::config::BertConfig;
use bert_core::models::ClassifierShape;
use bert_core::nn::BertInit;
use burn::module::Module;
use burn::nn::{Dropout, Linear};
use burn::tensor::Tensor;

/// Dense layer and activation.
#[derive(Module, Debug)]
pub struct HiddenLayer {
    /// Projection from and to the width of the encoder.
    pub dense: Linear,
    #[module(skip)]
    activation: HiddenAct,
    #[module(skip)]
    drops_input: bool,
}

impl HiddenLayer {
    /// The hidden layer of a classifier of this shape, if it has one.
    pub(crate) fn of(shape: ClassifierShape, config: &BertConfig, init: &BertInit) -> Option<Self> {
        let (layer, width) = (shape.hidden?, config.hidden_size);
        Some(Self {
            dense: init.head(width, width),
            activation: layer.activation,
            drops_input: layer.drops_input,
        })
    }

    /// `activation(dense(vectors))`.
    ///
    /// # Shapes
    ///
    /// - vectors, output: `[..., hidden]`
    fn forward<const D: usize>(&self, vectors: Tensor<D>) -> Tensor<D> {
        self.activation.after_linear(vectors, &self.dense)
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
        if layer.drops_input {
            vectors = dropout.forward(vectors);
        }
        vectors = layer.forward(vectors);
    }
    classifier.forward(dropout.forward(vectors))
}
