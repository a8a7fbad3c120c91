//! Interface between the trainer and a model.

use burn::backend::ExecutionError;
use burn::tensor::Tensor;
use burn::train::{ItemLazy, LearnerModel, TrainStep};

use super::batches::MicroBatch;

/// A model with its loss: Burn's [`TrainStep`] and [`InferenceStep`](burn::train::InferenceStep) over [`MicroBatch`]es,
/// so that Burn's multi-device strategies run it too.
///
/// `TrainStep::step` computes the loss of a part, scaled by [`MicroBatch::loss_scale`], and its gradients;
/// `InferenceStep::step` computes the same sums without gradients.
pub trait TrainableModel:
    LearnerModel
    + TrainStep<Input = MicroBatch<Self::Data>, Output = Sums>
    + burn::train::InferenceStep<Input = MicroBatch<Self::Data>, Output = Sums>
    + Clone
    + Send
{
    /// A part of an update, on the host.
    type Data: Send + 'static;

    /// Named numbers out of the sums of `updates` updates (or of an evaluation as a single one), `loss` first.
    fn values(sums: &[f64], updates: u64) -> Vec<(&'static str, f64)>;
}

/// Sums that a model computes while it runs, `[n]`: they can be added over micro-batches, steps and devices.
#[derive(Clone, Debug)]
pub struct Sums(pub Tensor<1>);

impl Sums {
    /// The scalars in `parts`, `[1]` each, one after the other, cut off from the graph.
    pub fn new(parts: Vec<Tensor<1>>) -> Self {
        Self(Tensor::cat(parts, 0).inner())
    }

    /// Waits for the device and copies the sums.
    pub fn to_host(&self) -> Vec<f64> {
        self.0.to_data().iter::<f64>().collect()
    }
}

impl ItemLazy for Sums {
    fn sync(self) -> Result<Self, ExecutionError> {
        Ok(self)
    }
}
