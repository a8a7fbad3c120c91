//! Everything a checkpoint computes on one device, its head included, for comparing devices.

use bert_core::agreement::{Probe, Trace};
use bert_core::checkpoint::{Checkpoint, Loading};
use bert_core::device::Device;
use burn::tensor::{Int, Tensor};

use crate::error::Result;
use crate::model_kind::{ModelKind, classifier_kind};
use crate::tasks::masked_lm::BertForMaskedLm;
use crate::tasks::multiple_choice::BertForMultipleChoice;
use crate::tasks::next_sentence::BertForNextSentencePrediction;
use crate::tasks::question_answering::BertForQuestionAnswering;
use crate::tasks::replaced_tokens::BertForReplacedTokens;
use crate::tasks::sequence_classification::BertForSequenceClassification;
use crate::tasks::token_classification::BertForTokenClassification;

/// Hidden states, outputs, attention probabilities, logits of the heads that the checkpoint has, and
/// the gradient of every encoder parameter under the probe's loss.
///
/// The weights are loaded anew for each part, so that one copy is on the device at a time.
///
/// # Errors
///
/// When the weights do not load.
pub fn trace(checkpoint: &Checkpoint, probe: &Probe, device: &Device) -> Result<Trace> {
    let (model, _) = checkpoint.load_model(Loading::Strict, device)?;
    let mut trace = probe.forward(&model, device);
    drop(model);
    push_logits(&mut trace, checkpoint, probe, device)?;

    let device = device.clone().autodiff();
    let (model, _) = checkpoint.load_model(Loading::Strict, &device)?;
    trace.extend(probe.backward(model, &device));
    Ok(trace)
}

/// The logits of every head whose task is known; a `classifier` of which nothing tells whether it is
/// about texts, words or choices is left out. Names of outputs play no part.
fn push_logits(
    trace: &mut Trace,
    checkpoint: &Checkpoint,
    probe: &Probe,
    device: &Device,
) -> Result<()> {
    let input = probe.input(device);
    if checkpoint.contains("cls.predictions.transform.dense.weight") {
        let model = BertForMaskedLm::from_checkpoint(checkpoint, device)?;
        let [batch, seq] = probe.shape;
        let everywhere = Tensor::<1, Int>::arange(0..(batch * seq) as i64, device);
        trace.push_tensor("logits", model.forward(input.clone(), everywhere));
    }
    if checkpoint.contains("cls.seq_relationship.weight") {
        let model = BertForNextSentencePrediction::from_checkpoint(checkpoint, device)?;
        trace.push_tensor("next_sentence_logits", model.forward(input.clone()));
    }
    if checkpoint.contains("qa_outputs.weight") {
        let model = BertForQuestionAnswering::from_checkpoint(checkpoint, device)?;
        let logits = model.forward(input.clone());
        trace.push_tensor("start_logits", logits.start);
        trace.push_tensor("end_logits", logits.end);
    }
    if BertForReplacedTokens::is_in(checkpoint) {
        let model = BertForReplacedTokens::from_checkpoint(checkpoint, device)?;
        trace.push_tensor("logits", model.forward(input.clone()));
    }
    if !checkpoint.contains("classifier.weight") {
        return Ok(());
    }
    match classifier_kind(checkpoint).map(|found| found.kind) {
        Some(ModelKind::Texts) => {
            let model = BertForSequenceClassification::from_weights(checkpoint, device)?;
            trace.push_tensor("logits", model.forward(input));
        }
        Some(ModelKind::Tokens) => {
            let model = BertForTokenClassification::from_weights(checkpoint, device)?;
            trace.push_tensor("logits", model.forward(input));
        }
        Some(ModelKind::Choices) => {
            // One score per text: which of them belong together makes no difference to it.
            let model = BertForMultipleChoice::from_weights(checkpoint, device)?;
            trace.push_tensor("logits", model.forward(input, 1));
        }
        _ => {}
    }
    Ok(())
}
