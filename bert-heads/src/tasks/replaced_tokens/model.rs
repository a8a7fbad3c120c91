//! The discriminator of replaced tokens (ELECTRA §2).

use bert_core::activation::HiddenAct;
use bert_core::batch::BertInput;
use bert_core::checkpoint::Checkpoint;
use bert_core::config::BertConfig;
use bert_core::models::ClassifierShape;
use bert_core::nn::{BertInit, BertModel};
use burn::module::Module;
use burn::nn::Linear;
use burn::tensor::{Device, Tensor};

use crate::error::Result;
use crate::tasks::head::TaskHead;

/// Class of the checkpoints, without its family.
const CLASS: &str = "ForPreTraining";

/// The layers of the head, each with its weight and its bias.
const LAYERS: [TaskHead; 2] = [
    TaskHead {
        class: CLASS,
        tensors: [
            "cls.discriminator.dense.weight",
            "cls.discriminator.dense.bias",
        ],
        shape: |_| ClassifierShape::SPANS,
    },
    TaskHead {
        class: CLASS,
        tensors: [
            "cls.discriminator.dense_prediction.weight",
            "cls.discriminator.dense_prediction.bias",
        ],
        shape: |_| ClassifierShape::SPANS,
    },
];

/// The encoder with one score per token; `ElectraForPreTraining` in transformers.
#[derive(Module, Debug)]
pub struct BertForReplacedTokens {
    /// The encoder, without a pooler.
    pub bert: BertModel,
    /// The head.
    pub cls: ReplacedTokenHeads,
}

/// The head under the name it has in checkpoints, `cls.discriminator`.
#[derive(Module, Debug)]
pub struct ReplacedTokenHeads {
    /// Hidden layer and score.
    pub discriminator: ReplacedTokenHead,
}

/// A hidden layer and a score for each token.
#[derive(Module, Debug)]
pub struct ReplacedTokenHead {
    /// Projection from and to the width of the encoder.
    pub dense: Linear,
    /// Score of the activated projection.
    pub dense_prediction: Linear,
    #[module(skip)]
    activation: HiddenAct,
}

impl BertForReplacedTokens {
    /// A model with fresh weights.
    pub fn new(config: &BertConfig, init: &BertInit) -> Self {
        Self {
            bert: BertModel::new(config, false, init),
            cls: ReplacedTokenHeads {
                discriminator: ReplacedTokenHead::new(config, init),
            },
        }
    }

    /// Loads encoder and head on `device`, strictly.
    ///
    /// # Errors
    ///
    /// [`NoHead`](crate::Error::NoHead) for a checkpoint without the head, [`Core`](crate::Error::Core) for a family
    /// without it, and those of [`Checkpoint::load_into`].
    pub fn from_checkpoint(checkpoint: &Checkpoint, device: &Device) -> Result<Self> {
        let config = checkpoint.config();
        config.check_replaced_tokens()?;
        let fresh = Self::new(config, &BertInit::new(config, 0, device));
        let [hidden, score] = LAYERS;
        hidden.check(checkpoint)?;
        score.load(checkpoint, fresh)
    }

    /// True if a checkpoint has the head.
    pub fn is_in(checkpoint: &Checkpoint) -> bool {
        LAYERS.iter().all(|layer| layer.is_in(checkpoint))
    }

    /// The class of transformers that loads it, of the family of `config`.
    pub fn architecture(config: &BertConfig) -> String {
        config.family.class(CLASS)
    }

    /// Scores of the tokens: the higher, the likelier it is that another token stood in the place of this.
    ///
    /// # Shapes
    ///
    /// - input: `[batch, seq]` ids, segments and padding
    /// - output: `[batch, seq]` logits, at padding without meaning
    pub fn forward(&self, input: BertInput) -> Tensor<2> {
        let vectors = self.bert.forward(input).sequence_output; // [batch, seq, hidden]
        self.cls.discriminator.forward(vectors)
    }
}

impl ReplacedTokenHead {
    fn new(config: &BertConfig, init: &BertInit) -> Self {
        let width = config.hidden_size;
        Self {
            dense: init.linear(width, width),
            dense_prediction: init.linear(width, 1),
            activation: config.hidden_act,
        }
    }

    /// Scores of token vectors.
    ///
    /// # Shapes
    ///
    /// - vectors: `[batch, seq, hidden]`
    /// - output: `[batch, seq]`
    fn forward(&self, vectors: Tensor<3>) -> Tensor<2> {
        let activated = self.activation.after_linear(vectors, &self.dense);
        self.dense_prediction.forward(activated).squeeze_dim(2)
    }
}
