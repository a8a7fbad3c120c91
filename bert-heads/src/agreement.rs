//! Everything a checkpoint computes on one device, its head included, for comparing devices.

use bert_core::agreement::{Probe, Trace};
use bert_core::checkpoint::{Checkpoint, Loading};
use bert_core::device::Device;
use burn::tensor::{Int, Tensor};

use crate::error::Result;
use crate::masked_lm::BertForMaskedLm;

/// Hidden states, outputs, attention probabilities, logits where the checkpoint has a masked-LM
/// head, and the gradient of every encoder parameter under the probe's loss.
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

    if checkpoint.contains("cls.predictions.bias") {
        let model = BertForMaskedLm::from_checkpoint(checkpoint, device)?;
        let [batch, seq] = probe.shape;
        let everywhere = Tensor::<1, Int>::arange(0..(batch * seq) as i64, device);
        trace.push_tensor("logits", model.forward(probe.input(device), everywhere));
    }

    let device = device.clone().autodiff();
    let (model, _) = checkpoint.load_model(Loading::Strict, &device)?;
    trace.extend(probe.backward(model, &device));
    Ok(trace)
}
