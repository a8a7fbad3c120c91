//! The span of a context that answers a question (BERT §4.2).

use std::path::Path;

use bert_core::batch::BertInput;
use bert_core::checkpoint::{Checkpoint, LoadReport};
use bert_core::config::BertConfig;
use bert_core::nn::{BertInit, BertModel};
use burn::module::Module;
use burn::nn::{Dropout, DropoutConfig, Linear};
use burn::tensor::{Device, Int, Tensor};

use crate::error::Result;
use crate::labels::remove_labels;
use crate::losses::{IGNORED_LABEL, Loss, cross_entropy};
use crate::tasks::head::TaskHead;
use crate::tasks::hidden_layer::{HiddenLayer, outputs};

pub(crate) const HEAD: TaskHead = TaskHead {
    class: "ForQuestionAnswering",
    tensors: ["qa_outputs.weight", "qa_outputs.bias"],
    shape: |config| config.heads.question_answering,
};

/// The encoder with two scores per token; `BertForQuestionAnswering` in transformers.
#[derive(Module, Debug)]
pub struct BertForQuestionAnswering {
    /// The encoder, without a pooler.
    pub bert: BertModel,
    dropout: Dropout,
    /// The hidden layer of the head, where the family has one.
    pub pre_classifier: Option<HiddenLayer>,
    /// Output 0 scores the start of the answer, 1 its end.
    pub qa_outputs: Linear,
}

/// Logits of the start and the end of an answer.
#[derive(Clone, Debug)]
pub struct SpanLogits {
    /// `[batch, seq]`, at padding and in the question too.
    pub start: Tensor<2>,
    /// `[batch, seq]`, at padding and in the question too.
    pub end: Tensor<2>,
}

/// The losses of both ends of the answers.
#[derive(Clone, Debug)]
pub struct SpanLoss {
    /// Over the rows whose start lies in the window.
    pub start: Loss,
    /// Over the rows whose end lies in the window.
    pub end: Loss,
}

impl BertForQuestionAnswering {
    /// A model with fresh weights.
    pub fn new(config: &BertConfig, init: &BertInit) -> Self {
        Self::with_encoder(BertModel::new(config, false, init), config, init)
    }

    fn with_encoder(bert: BertModel, config: &BertConfig, init: &BertInit) -> Self {
        let shape = config.heads.question_answering;
        Self {
            bert,
            dropout: DropoutConfig::new(config.dropout_prob_of(shape)).init(),
            pre_classifier: HiddenLayer::of(shape, config, init),
            qa_outputs: init.head(config.hidden_size, 2),
        }
    }

    /// Loads encoder and head on `device`, strictly.
    ///
    /// # Errors
    ///
    /// [`NoHead`](crate::Error::NoHead) if the checkpoint was saved without the head, and those of
    /// [`Checkpoint::load_into`].
    pub fn from_checkpoint(checkpoint: &Checkpoint, device: &Device) -> Result<Self> {
        let config = checkpoint.config();
        let fresh = Self::new(config, &BertInit::new(config, 0, device));
        HEAD.load(checkpoint, fresh)
    }

    /// A model for fine-tuning: the encoder of any checkpoint and a fresh head, on the device of
    /// `init`. What is fresh stands in the report as missing: show it.
    ///
    /// # Errors
    ///
    /// Those of [`Checkpoint::load_into`] for the encoder.
    pub fn from_encoder(checkpoint: &Checkpoint, init: &BertInit) -> Result<(Self, LoadReport)> {
        HEAD.begin(checkpoint, init, |bert| {
            Self::with_encoder(bert, checkpoint.config(), init)
        })
    }

    /// Writes a directory that transformers' class loads without missing or unexpected keys.
    ///
    /// Labels in `config` are left out: transformers takes the number of outputs from them.
    ///
    /// # Errors
    ///
    /// [`Core`](crate::Error::Core) when the directory cannot be written.
    pub fn save(&self, dir: impl AsRef<Path>, config: &BertConfig) -> Result<()> {
        let mut config = config.clone();
        remove_labels(&mut config);
        HEAD.save(dir, self, &config)
    }

    /// Scores of every token as start and as end of the answer.
    ///
    /// # Shapes
    ///
    /// - input: `[batch, seq]` ids, segments and padding
    /// - output: `[batch, seq]` logits, twice; those of padding mean nothing
    pub fn forward(&self, input: BertInput) -> SpanLogits {
        let sequence = self.bert.forward(input).sequence_output; // [batch, seq, hidden]
        let hidden = self.pre_classifier.as_ref();
        let logits = outputs(sequence, hidden, &self.dropout, &self.qa_outputs); // [batch, seq, 2]
        let column = |index| logits.clone().narrow(2, index, 1).squeeze_dim::<2>(2);
        SpanLogits {
            start: column(0),
            end: column(1),
        }
    }
}

impl SpanLoss {
    /// The mean of the two means, `[1]`: the loss of transformers.
    pub fn mean(self) -> Tensor<1> {
        (self.start.mean() + self.end.mean()) * 0.5
    }
}

/// Cross-entropy of the first and of the last token of the answers (run_squad.py
/// `compute_loss`).
///
/// Positions outside the window count as in transformers: negative ones as 0, where `[CLS]` stands
/// for "no answer here", and those of `seq` or more not at all. The scores of padding count, as in transformers, unless the
/// caller has made them too low for it.
///
/// # Shapes
///
/// - logits: `[batch, seq]`, twice
/// - start_positions, end_positions: `[batch]`
pub fn question_answering_loss(
    logits: SpanLogits,
    start_positions: Tensor<1, Int>,
    end_positions: Tensor<1, Int>,
) -> SpanLoss {
    let loss = |logits: Tensor<2>, positions: Tensor<1, Int>| {
        let [_, seq] = logits.dims();
        let outside = positions.clone().greater_equal_elem(seq as i64); // [batch]
        let positions = positions.clamp_min(0).mask_fill(outside, IGNORED_LABEL);
        cross_entropy(logits, positions, None)
    };
    SpanLoss {
        start: loss(logits.start, start_positions),
        end: loss(logits.end, end_positions),
    }
}
