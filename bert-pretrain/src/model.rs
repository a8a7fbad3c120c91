//! The encoder with both pretraining heads (BERT §3.1).

use bert_core::batch::BertInput;
use bert_core::checkpoint::{Checkpoint, LoadReport, Loading};
use bert_core::config::BertConfig;
use bert_core::nn::{BertInit, BertModel};
use bert_core::ops;
use bert_heads::tasks::masked_lm::BertLmPrediction;
use burn::module::Module;
use burn::nn::Linear;
use burn::tensor::{Device, Tensor, TensorData};

use crate::Result;

/// The encoder with the masked-LM head and, unless pretraining goes without it, the next-sentence head; transformers'
/// `BertForPreTraining`, or `BertForMaskedLM` without.
#[derive(Module, Debug)]
pub struct BertForPreTraining {
    /// The encoder, with a pooler if there is a next-sentence head. Its word embeddings are also the decoder, unless the
    /// masked-LM head has its own.
    pub bert: BertModel,
    /// Both heads.
    pub cls: BertPreTrainingHeads,
}

/// The heads under the names they have in checkpoints.
#[derive(Module, Debug)]
pub struct BertPreTrainingHeads {
    /// Scores over the vocabulary.
    pub predictions: BertLmPrediction,
    /// Scores of "is the next sentence" and "is a random one".
    pub seq_relationship: Option<Linear>,
}

/// Logits of a forward pass.
#[derive(Clone, Debug)]
pub struct PreTrainingLogits {
    /// `[n, vocab_size]`, a row for each position asked for; `None` if none was.
    pub predictions: Option<Tensor<2>>,
    /// `[batch, 2]`: column 0 is "is the next sentence".
    pub seq_relationship: Option<Tensor<2>>,
}

/// Checks that a model of `config` can learn from `pairs`: its family has a head for them, and it tells two segments apart.
pub(crate) fn check_segments(config: &BertConfig, pairs: bool) -> Result<()> {
    if pairs {
        config.check_next_sentence()?;
    }
    let segments = config.type_vocab_size;
    match pairs && segments < 2 {
        true => Err(bert_core::Error::SegmentMismatch {
            segment: 1,
            segments,
        }
        .into()),
        false => Ok(()),
    }
}

/// Loads `fresh` from a checkpoint that has at least the encoder; what it lacks besides stays fresh and is listed as missing.
///
/// # Errors
/// Those of [`Checkpoint::load_into`], [`MissingTensors`](bert_core::Error::MissingTensors) for an incomplete encoder, and
/// [`ShapeMismatch`](bert_core::Error::ShapeMismatch).
pub(crate) fn load_with_encoder<M: Module>(
    checkpoint: &Checkpoint,
    fresh: M,
) -> Result<(M, LoadReport)> {
    let config = checkpoint.config();
    let (model, report) = checkpoint.load_into(fresh, Loading::Partial)?;
    let lost: Vec<String> = report
        .missing
        .iter()
        .filter(|name| {
            let name = config.family.our_name(name);
            name.starts_with("bert.") && !name.starts_with("bert.pooler.")
        })
        .cloned()
        .collect();
    if let Some(reshaped) = report.mismatched.first() {
        return Err(bert_core::Error::ShapeMismatch {
            name: reshaped.name.clone(),
            expected: reshaped.expected.clone(),
            found: reshaped.found.clone(),
        }
        .into());
    }
    if !lost.is_empty() {
        return Err(bert_core::Error::MissingTensors { names: lost }.into());
    }
    Ok((model, report))
}

impl BertForPreTraining {
    /// A model with fresh weights.
    pub fn new(config: &BertConfig, next_sentence: bool, init: &BertInit) -> Self {
        Self {
            bert: BertModel::new(config, next_sentence, init),
            cls: BertPreTrainingHeads {
                predictions: BertLmPrediction::new(config, init),
                seq_relationship: next_sentence.then(|| init.linear(config.hidden_size, 2)),
            },
        }
    }

    /// A model from a checkpoint, for continued pretraining; heads that the checkpoint lacks start fresh from `seed` and are
    /// listed as missing in the report.
    ///
    /// # Errors
    /// Those of [`Checkpoint::load_into`]; a checkpoint whose encoder is incomplete is refused, and
    /// [`SegmentMismatch`](bert_core::Error::SegmentMismatch) for pairs and a model of one segment.
    pub fn from_checkpoint(
        checkpoint: &Checkpoint,
        next_sentence: bool,
        seed: u64,
        device: &Device,
    ) -> Result<(Self, LoadReport)> {
        let config = checkpoint.config();
        check_segments(config, next_sentence)?;
        checkpoint.note_stale_decoder()?;
        let fresh = Self::new(config, next_sentence, &BertInit::new(config, seed, device));
        load_with_encoder(checkpoint, fresh)
    }

    /// The class of transformers that loads what is saved of this model, of the family of `config`.
    pub fn architecture(&self, config: &BertConfig) -> String {
        config.family.class(match self.cls.seq_relationship {
            Some(_) => "ForPreTraining",
            None => "ForMaskedLM",
        })
    }

    /// Predicts masked tokens and next sentences.
    ///
    /// Only the first tokens and those at `positions` go through the end of the last block and the heads: the projection to
    /// the vocabulary costs what the predictions cost and not what all tokens would.
    ///
    /// # Shapes
    /// - input: `[batch, seq]` ids, segments and padding
    /// - positions: `[n]`, each `row * seq + column`; none skips the masked-LM head
    pub fn forward(&self, input: BertInput, positions: &[i64]) -> PreTrainingLogits {
        let next_sentence = self.cls.seq_relationship.as_ref();
        let next_sentence = next_sentence.zip(self.bert.pooler.as_ref());
        let [batch, seq] = input.dims();
        let rows = next_sentence.map_or(0, |_| batch);
        let firsts = (0..rows).map(|row| (row * seq) as i64);
        let all: Vec<i64> = firsts.chain(positions.iter().copied()).collect();
        if all.is_empty() {
            return PreTrainingLogits {
                predictions: None,
                seq_relationship: None,
            };
        }
        let (count, device) = (all.len(), input.device());
        let all = Tensor::from_data(TensorData::new(all, [count]), &device);
        let vectors = self.bert.forward_at(input, all); // [rows + n, hidden]
        let predictions = (!positions.is_empty()).then(|| {
            let gathered = ops::rows_in_order(vectors.clone(), rows, positions.len()); // [n, hidden]
            let table = self.bert.embeddings.word_embeddings.weight.val();
            self.cls.predictions.forward(gathered, table)
        });
        let seq_relationship = next_sentence.map(|(head, pooler)| {
            let firsts = ops::rows_in_order(vectors, 0, rows); // [batch, hidden]
            head.forward(pooler.forward_first(firsts))
        });
        PreTrainingLogits {
            predictions,
            seq_relationship,
        }
    }
}
