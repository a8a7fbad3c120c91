//! The best of several continuations or answers (BERT §4.4).

use std::path::Path;

use bert_core::batch::BertInput;
use bert_core::checkpoint::{Checkpoint, LoadReport};
use bert_core::config::BertConfig;
use bert_core::models::ClassifierShape;
use bert_core::nn::{BertInit, BertModel};
use burn::module::Module;
use burn::nn::{Dropout, DropoutConfig, Linear};
use burn::tensor::{Device, Tensor};

use crate::error::Result;
use crate::labels::remove_labels;
use crate::tasks::head::TaskHead;
use crate::tasks::hidden_layer::{HiddenLayer, outputs, vectors};

pub(crate) const HEAD: TaskHead = TaskHead {
    class: "ForMultipleChoice",
    tensors: ["classifier.weight", "classifier.bias"],
    shape: |config| config.heads.choice,
};

/// The encoder with one score per choice; `BertForMultipleChoice` in transformers.
///
/// The loss is [`cross_entropy`](crate::losses::cross_entropy) over the choices of an example.
#[derive(Module, Debug)]
pub struct BertForMultipleChoice {
    /// The encoder, with its pooler if the classifier reads that.
    pub bert: BertModel,
    dropout: Dropout,
    #[module(skip)]
    shape: ClassifierShape,
    /// The hidden layer of the classifier, where the family has one.
    pub pre_classifier: Option<HiddenLayer>,
    /// One output.
    pub classifier: Linear,
}

impl BertForMultipleChoice {
    /// A model with fresh weights.
    pub fn new(config: &BertConfig, init: &BertInit) -> Self {
        let bert = BertModel::new(config, HEAD.has_pooler(config), init);
        Self::with_encoder(bert, config, init)
    }

    fn with_encoder(bert: BertModel, config: &BertConfig, init: &BertInit) -> Self {
        let shape = config.heads.choice;
        Self {
            bert,
            dropout: DropoutConfig::new(config.dropout_prob_of(shape)).init(),
            shape,
            pre_classifier: HiddenLayer::of(shape, config, init),
            classifier: init.head(config.hidden_size, 1),
        }
    }

    /// Loads encoder and classifier on `device`, strictly.
    ///
    /// # Errors
    ///
    /// [`NoHead`](crate::Error::NoHead) if the checkpoint was saved without a classifier,
    /// [`WrongHead`](crate::Error::WrongHead) if its classifier is one of texts or tokens, and those
    /// of [`Checkpoint::load_into`].
    pub fn from_checkpoint(checkpoint: &Checkpoint, device: &Device) -> Result<Self> {
        let config = checkpoint.config();
        let fresh = Self::new(config, &BertInit::new(config, 0, device));
        HEAD.load(checkpoint, fresh)
    }

    /// Loads encoder and classifier on `device`, strictly, whatever class the configuration states.
    ///
    /// # Errors
    ///
    /// [`NoHead`](crate::Error::NoHead), and those of [`Checkpoint::load_into`].
    pub fn from_weights(checkpoint: &Checkpoint, device: &Device) -> Result<Self> {
        let config = checkpoint.config();
        let fresh = Self::new(config, &BertInit::new(config, 0, device));
        HEAD.load_tensors(checkpoint, fresh)
    }

    /// A model for fine-tuning: the encoder of any checkpoint and a fresh classifier, on the device
    /// of `init`. What is fresh stands in the report as missing: show it.
    ///
    /// # Errors
    ///
    /// Those of [`Checkpoint::load_into`] for the encoder; only its pooler may be absent.
    pub fn from_encoder(checkpoint: &Checkpoint, init: &BertInit) -> Result<(Self, LoadReport)> {
        HEAD.begin(checkpoint, init, |bert| {
            Self::with_encoder(bert, checkpoint.config(), init)
        })
    }

    /// Writes a directory that transformers' class loads without missing or unexpected keys; labels
    /// in `config`, which belong to another task, are left out.
    ///
    /// # Errors
    ///
    /// [`Core`](crate::Error::Core) when the directory cannot be written.
    pub fn save(&self, dir: impl AsRef<Path>, config: &BertConfig) -> Result<()> {
        let mut config = config.clone();
        remove_labels(&mut config);
        HEAD.save(dir, self, &config)
    }

    /// Scores of the choices of each example.
    ///
    /// # Shapes
    ///
    /// - input: `[examples * num_choices, seq]` ids, segments and padding; the choices of an example
    ///   are neighbouring rows, each with the context before it
    /// - output: `[examples, num_choices]` logits
    ///
    /// # Panics
    ///
    /// When `num_choices` does not divide the rows, or the pooler has been taken out of `bert`.
    pub fn forward(&self, input: BertInput, num_choices: usize) -> Tensor<2> {
        let [rows, _] = input.dims();
        assert!(
            num_choices > 0 && rows.is_multiple_of(num_choices),
            "{rows} rows are not made of examples with {num_choices} choices each"
        );
        let vectors = vectors(&self.bert, input, self.shape.reads); // [rows, hidden]
        let hidden = self.pre_classifier.as_ref();
        let scores = outputs(vectors, hidden, &self.dropout, &self.classifier); // [rows, 1]
        scores.reshape([rows / num_choices, num_choices])
    }
}
