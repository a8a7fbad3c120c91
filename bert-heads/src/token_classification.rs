//! A label for every token: named entities, parts of speech, word boundaries (BERT §5.3).

use std::path::Path;

use bert_core::batch::BertInput;
use bert_core::checkpoint::{Checkpoint, LoadReport};
use bert_core::config::BertConfig;
use bert_core::init::BertInit;
use bert_core::model::BertModel;
use burn::module::Module;
use burn::nn::{Dropout, DropoutConfig, Linear};
use burn::tensor::{Device, Int, Tensor};

use crate::error::Result;
use crate::head::TaskHead;
use crate::labels::Labels;
use crate::losses::{self, Loss};

const HEAD: TaskHead = TaskHead {
    class: "BertForTokenClassification",
    tensors: ["classifier.weight", "classifier.bias"],
    pooler: false,
};

/// The encoder with a classifier over every token; `BertForTokenClassification` in transformers.
#[derive(Module, Debug)]
pub struct BertForTokenClassification {
    /// The encoder, without a pooler.
    pub bert: BertModel,
    dropout: Dropout,
    /// One output per label.
    pub classifier: Linear,
}

impl BertForTokenClassification {
    /// A model with fresh weights and `num_labels` outputs, at least one.
    pub fn new(config: &BertConfig, num_labels: usize, init: &BertInit) -> Self {
        let bert = BertModel::new(config, false, init);
        Self::with_encoder(bert, config, num_labels, init)
    }

    fn with_encoder(
        bert: BertModel,
        config: &BertConfig,
        num_labels: usize,
        init: &BertInit,
    ) -> Self {
        Self {
            bert,
            dropout: DropoutConfig::new(config.head_dropout_prob()).init(),
            classifier: init.linear(config.hidden_size, num_labels),
        }
    }

    /// Loads encoder and classifier on `device`, strictly; [`Labels::of`] the configuration names
    /// its outputs.
    ///
    /// # Errors
    ///
    /// [`NoHead`](crate::Error::NoHead) if the checkpoint was saved without a classifier,
    /// [`WrongHead`](crate::Error::WrongHead) if its classifier is one of texts or choices, those of
    /// [`Labels::of`], and those of [`Checkpoint::load_into`].
    pub fn from_checkpoint(checkpoint: &Checkpoint, device: &Device) -> Result<Self> {
        let config = checkpoint.config();
        let num_labels = Labels::of(config)?.count();
        let fresh = Self::new(config, num_labels, &BertInit::new(config, 0, device));
        HEAD.load(checkpoint, fresh)
    }

    /// A model for fine-tuning: the encoder of any checkpoint and a fresh classifier, on the device
    /// of `init`. What is fresh stands in the report as missing: show it.
    ///
    /// # Errors
    ///
    /// [`Labels`](crate::Error::Labels) when `num_labels` is 0, and those of
    /// [`Checkpoint::load_into`] for the encoder.
    pub fn from_encoder(
        checkpoint: &Checkpoint,
        num_labels: usize,
        init: &BertInit,
    ) -> Result<(Self, LoadReport)> {
        // Refuses numbers that no classifier can have.
        Labels::numbered(num_labels)?;
        let (bert, report) = HEAD.load_encoder(checkpoint, init)?;
        let model = Self::with_encoder(bert, checkpoint.config(), num_labels, init);
        Ok((model, report))
    }

    /// Writes a directory that transformers' class loads without missing or unexpected keys;
    /// labels in `config` give way to `labels`.
    ///
    /// # Errors
    ///
    /// [`LabelNames`](crate::Error::LabelNames) when there is not one name per output,
    /// [`Core`](crate::Error::Core) when the directory cannot be written.
    pub fn save(&self, dir: impl AsRef<Path>, config: &BertConfig, labels: &Labels) -> Result<()> {
        labels.check_outputs(&self.classifier)?;
        let mut config = config.clone();
        labels.write_into(&mut config);
        HEAD.save(dir, self, &config)
    }

    /// Scores of every label for each token.
    ///
    /// # Shapes
    ///
    /// - input: `[batch, seq]` ids, segments and padding
    /// - output: `[batch, seq, num_labels]` logits, at padding too
    pub fn forward(&self, input: BertInput) -> Tensor<3> {
        let sequence = self.bert.forward(input).sequence_output; // [batch, seq, hidden]
        self.classifier.forward(self.dropout.forward(sequence))
    }
}

/// Cross-entropy over the tokens that have a label.
///
/// Padding, special tokens and later pieces of a word carry
/// [`IGNORED_LABEL`](losses::IGNORED_LABEL).
///
/// # Shapes
///
/// - logits: `[batch, seq, num_labels]`
/// - labels: `[batch, seq]`
/// - class_weights: `[num_labels]`, see [`cross_entropy`](losses::cross_entropy)
pub fn token_classification_loss(
    logits: Tensor<3>,
    labels: Tensor<2, Int>,
    class_weights: Option<Tensor<1>>,
) -> Loss {
    let [batch, seq, num_labels] = logits.dims();
    losses::cross_entropy(
        logits.reshape([batch * seq, num_labels]),
        labels.reshape([batch * seq]),
        class_weights,
    )
}
