//! Convolution over tokens (He et al. 2021, DeBERTa v2): n-grams of the embeddings beside the first block.

use burn::module::{Module, Param};
use burn::nn::{Dropout, DropoutConfig, LayerNorm};
use burn::tensor::{Int, Tensor, TensorData};

use super::BertInit;
use crate::activation::HiddenAct;
use crate::batch::TokenLayout;
use crate::config::BertConfig;
use crate::models::Convolution;
use crate::ops::{self, PackedLayout};

/// Convolution, dropout, activation, residual and LayerNorm.
#[derive(Module, Debug)]
pub struct TokenConvolution {
    /// Weights of the neighbours of a token.
    pub conv: ConvolutionKernel,
    /// Normalisation of the sum with the residual.
    pub layer_norm: LayerNorm,
    dropout: Dropout,
    layer_norm_eps: f64,
    #[module(skip)]
    activation: HiddenAct,
}

/// Weights of a convolution.
#[derive(Module, Debug)]
pub struct ConvolutionKernel {
    /// `[hidden, hidden, kernel]`, outputs first.
    pub weight: Param<Tensor<3>>,
    /// `[hidden]`
    pub bias: Param<Tensor<1>>,
}

impl TokenConvolution {
    /// A convolution for `config`.
    pub fn new(shape: Convolution, config: &BertConfig, init: &BertInit) -> Self {
        let hidden = config.hidden_size;
        Self {
            conv: ConvolutionKernel {
                weight: init.kernel(hidden, shape.kernel),
                bias: init.zeros(hidden),
            },
            layer_norm: init.layer_norm(hidden),
            dropout: DropoutConfig::new(config.hidden_dropout_prob).init(),
            layer_norm_eps: config.layer_norm_eps,
            activation: shape.activation,
        }
    }

    /// `LayerNorm(residual + activation(dropout(convolution(embeddings))))`, beyond the ends of a sequence zeros.
    ///
    /// # Shapes
    ///
    /// - embeddings, residual, output: `[batch, seq, hidden]`, or `[1, tokens, hidden]` if `layout` is packed
    pub fn forward(
        &self,
        embeddings: Tensor<3>,
        residual: Tensor<3>,
        layout: &TokenLayout,
    ) -> Tensor<3> {
        let [batch, seq, hidden] = embeddings.dims();
        let weight = self.conv.weight.val(); // [hidden, hidden, kernel]
        let [_, _, kernel] = weight.dims();
        let neighbours = match layout {
            TokenLayout::Padded(mask_pad) => {
                let padding = mask_pad.clone().unsqueeze_dim::<3>(2);
                let padding = padding.expand([batch, seq, hidden]);
                of_rows(embeddings.mask_fill(padding, 0.0), kernel)
            }
            TokenLayout::Packed(layout) => of_sequences(embeddings, layout, kernel),
        };
        let columns = neighbours.reshape([batch * seq, kernel * hidden]);
        let weight = weight.permute([2, 1, 0]);
        let convolved = columns.matmul(weight.reshape([kernel * hidden, hidden]));
        let convolved = convolved + self.conv.bias.val().unsqueeze();
        let convolved = ops::dropout(convolved.reshape([batch, seq, hidden]), &self.dropout);
        let activated = self.activation.forward(convolved);
        ops::add_layer_norm(activated, residual, &self.layer_norm, self.layer_norm_eps)
    }
}

/// The neighbours of every token side by side, in rows whose padding is zero.
///
/// # Shapes
///
/// - embeddings: `[batch, seq, hidden]`
/// - output: `[batch, seq, kernel · hidden]`
fn of_rows(embeddings: Tensor<3>, kernel: usize) -> Tensor<3> {
    let [batch, seq, hidden] = embeddings.dims();
    if kernel == 1 {
        return embeddings;
    }
    let outside = [batch, kernel / 2, hidden];
    let outside = Tensor::zeros(outside, (&embeddings.device(), embeddings.dtype()));
    let extended = Tensor::cat(vec![outside.clone(), embeddings, outside], 1);
    let shifted = (0..kernel).map(|first| extended.clone().narrow(1, first, seq));
    Tensor::cat(shifted.collect(), 2)
}

/// [`of_rows`] for sequences side by side.
///
/// # Shapes
///
/// - embeddings: `[1, tokens, hidden]`
/// - output: `[1, tokens, kernel · hidden]`
fn of_sequences(embeddings: Tensor<3>, layout: &PackedLayout, kernel: usize) -> Tensor<3> {
    let [_, tokens, hidden] = embeddings.dims();
    let device = embeddings.device();
    let outside = Tensor::zeros([1, hidden], (&device, embeddings.dtype()));
    let rows = Tensor::cat(vec![embeddings.reshape([tokens, hidden]), outside], 0);
    let mut first = 0;
    let mut neighbours = Vec::with_capacity(tokens * kernel);
    for &length in layout.lengths.iter() {
        for token in 0..length {
            let before = (token + first).wrapping_sub(kernel / 2);
            let indices = (0..kernel).map(|shift| before.wrapping_add(shift));
            let within = |place: &usize| (first..first + length).contains(place);
            neighbours.extend(indices.map(|place| {
                let place = Some(place).filter(within).unwrap_or(tokens);
                place as i32
            }));
        }
        first += length;
    }
    let indices = TensorData::new(neighbours, [1, tokens * kernel]);
    let indices = Tensor::<2, Int>::from_data(indices, &device);
    ops::lookup(rows, indices).reshape([1, tokens, kernel * hidden])
}
