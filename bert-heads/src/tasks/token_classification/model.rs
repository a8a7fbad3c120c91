//! A label for every token: named entities, parts of speech, word boundaries (BERT §5.3).

use std::path::Path;

use bert_core::batch::BertInput;
use bert_core::checkpoint::{Checkpoint, LoadReport};
use bert_core::config::BertConfig;
use bert_core::nn::{BertInit, BertModel};
use burn::module::Module;
use burn::nn::{Dropout, DropoutConfig, Linear};
use burn::tensor::{Device, Int, Tensor};
use serde_json::{Value, json};

use super::Crf;
use crate::error::Result;
use crate::labels::{Labels, refuse, stated};
use crate::losses::{self, Loss};
use crate::model_kind::CRF_TENSORS;
use crate::tasks::head::TaskHead;
use crate::tasks::hidden_layer::{HiddenLayer, outputs};

pub(crate) const HEAD: TaskHead = TaskHead {
    class: "ForTokenClassification",
    tensors: ["classifier.weight", "classifier.bias"],
    shape: |config| config.heads.token,
};

/// The encoder with a classifier over every token; `BertForTokenClassification` in transformers.
#[derive(Module, Debug)]
pub struct BertForTokenClassification {
    /// The encoder, without a pooler.
    pub bert: BertModel,
    dropout: Dropout,
    /// The hidden layer of the classifier, where the family has one.
    pub pre_classifier: Option<HiddenLayer>,
    /// One output per label.
    pub classifier: Linear,
    /// Scores of sequences of labels, where it was trained with them; transformers' class does not
    /// know it and leaves it out, with a warning.
    pub crf: Option<Crf>,
}

/// The field of `config.json` that says whether there is a [`Crf`].
const CRF_FIELD: &str = "crf";

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
        let shape = config.heads.token;
        Self {
            bert,
            dropout: DropoutConfig::new(config.dropout_prob_of(shape)).init(),
            pre_classifier: HiddenLayer::of(shape, config, init),
            classifier: init.head(config.hidden_size, num_labels),
            crf: None,
        }
    }

    /// Adds a fresh [`Crf`] over the words.
    #[must_use]
    pub fn with_crf(mut self, init: &BertInit) -> Self {
        let [_, labels] = self.classifier.weight.lazy_shape().dims();
        self.crf = Some(Crf::new(labels, init));
        self
    }

    /// Loads encoder and classifier on `device`, strictly; [`Labels::of`] the configuration names
    /// its outputs, and its field `crf` says whether there is a [`Crf`]; without
    /// the field there is one if its tensors are there.
    ///
    /// # Errors
    ///
    /// [`NoHead`](crate::Error::NoHead) if the checkpoint was saved without a classifier,
    /// [`WrongHead`](crate::Error::WrongHead) if its classifier is one of texts or choices,
    /// [`HeadLabels`](crate::Error::HeadLabels) if the labels of its configuration are not those of
    /// its classifier, those of [`Checkpoint::load_into`], and [`Core`](crate::Error::Core) naming
    /// `crf` when it is neither true nor false, or true without the tensors.
    pub fn from_checkpoint(checkpoint: &Checkpoint, device: &Device) -> Result<Self> {
        HEAD.check(checkpoint)?;
        Labels::of_head(checkpoint, HEAD.outputs(checkpoint)?)?;
        Self::from_weights(checkpoint, device)
    }

    /// Loads encoder and classifier on `device`, strictly, with as many outputs as the weights have,
    /// whatever the configuration says of class and labels.
    ///
    /// # Errors
    ///
    /// [`NoHead`](crate::Error::NoHead), those of [`Checkpoint::load_into`], and
    /// [`Core`](crate::Error::Core) naming `crf`.
    pub fn from_weights(checkpoint: &Checkpoint, device: &Device) -> Result<Self> {
        let config = checkpoint.config();
        let init = BertInit::new(config, 0, device);
        let fresh = Self::new(config, HEAD.outputs(checkpoint)?, &init);
        HEAD.load_tensors(
            checkpoint,
            match has_crf(checkpoint)? {
                true => fresh.with_crf(&init),
                false => fresh,
            },
        )
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
        HEAD.begin(checkpoint, init, |bert| {
            Self::with_encoder(bert, checkpoint.config(), num_labels, init)
        })
    }

    /// Writes a directory that transformers' class loads without missing or unexpected keys, those
    /// of a [`Crf`] excepted; labels in `config` give way to `labels`.
    ///
    /// # Errors
    ///
    /// [`LabelNames`](crate::Error::LabelNames) when there is not one name per output,
    /// [`Core`](crate::Error::Core) when the directory cannot be written.
    pub fn save(&self, dir: impl AsRef<Path>, config: &BertConfig, labels: &Labels) -> Result<()> {
        labels.check_outputs(&self.classifier)?;
        let mut config = config.clone();
        labels.write_into(&mut config);
        // One of an earlier task may be in the configuration.
        config.extra.shift_remove(CRF_FIELD);
        if self.crf.is_some() {
            config.extra.insert(CRF_FIELD.to_owned(), json!(true));
        }
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
        let hidden = self.pre_classifier.as_ref();
        outputs(sequence, hidden, &self.dropout, &self.classifier)
    }
}

/// True if a checkpoint has a [`Crf`]: as its configuration says, else if the tensors are there.
pub(crate) fn has_crf(checkpoint: &Checkpoint) -> Result<bool> {
    let stated = match stated(checkpoint.config(), CRF_FIELD) {
        None => return Ok(CRF_TENSORS.iter().any(|name| checkpoint.contains(name))),
        Some(Value::Bool(stated)) => *stated,
        Some(other) => {
            return refuse(CRF_FIELD, format!("is {other}, but must be true or false"));
        }
    };
    let missing: Vec<&str> = CRF_TENSORS
        .into_iter()
        .filter(|name| !checkpoint.contains(name))
        .collect();
    match stated && !missing.is_empty() {
        // As transformers leaves a checkpoint that it has saved anew.
        true => refuse(
            CRF_FIELD,
            format!(
                "is true, but the weights lack {}: take a whole checkpoint, or say false to tag words on their own",
                missing.join(", ")
            ),
        ),
        false => Ok(stated),
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
