//! Interface between the trainer and a model.

use burn::backend::ExecutionError;
use burn::module::{Module, ModuleDisplay};
use burn::tensor::{Device, Tensor};
use burn::train::{ItemLazy, LearnerModel, TrainOutput, TrainStep};

use crate::ops::{Products, with_products};

/// A model with its loss: Burn's [`TrainStep`] and [`InferenceStep`](burn::train::InferenceStep) over [`MicroBatch`]es,
/// so that Burn's multi-device strategies run it too.
///
/// `TrainStep::step` computes the loss of a part, scaled by [`MicroBatch::loss_scale`], and its gradients;
/// `InferenceStep::step` computes the same sums without gradients.
pub trait TrainableModel:
    LearnerModel
    + ModuleDisplay
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

/// A part of an [`Update`](super::Update) on its way to a model.
#[derive(Clone, Debug)]
pub struct MicroBatch<D> {
    /// The rows.
    pub data: D,
    /// Seeds the device's random numbers, that is dropout.
    pub seed: u64,
    /// The loss is multiplied by this before the backward pass, against underflow in f16.
    pub loss_scale: f64,
    /// Float type of both passes' matrix products.
    pub products: Products,
}

impl<D> MicroBatch<D> {
    /// Sums and gradients of `loss`, computed on `device` as this part asks for.
    pub fn train<M: Module>(
        &self,
        model: &M,
        device: &Device,
        loss: impl FnOnce(&D) -> (Tensor<1>, Sums),
    ) -> TrainOutput<Sums> {
        device.seed(self.seed);
        with_products(self.products, || {
            let (loss, sums) = loss(&self.data);
            let loss = match self.loss_scale {
                1.0 => loss,
                scale => loss * scale,
            };
            let gradients = loss.backward();
            TrainOutput::new(model, gradients, sums)
        })
    }
}

/// Sums that a model computes while it runs, `[n]`: they can be added over micro-batches, steps and devices.
#[derive(Clone, Debug)]
pub struct Sums(pub Tensor<1>);

impl Sums {
    /// The numbers in `parts`, one after the other, cut off from the graph.
    pub fn new(parts: Vec<Tensor<1>>) -> Self {
        let parts = parts.into_iter().map(Tensor::inner).collect();
        Self(Tensor::cat(parts, 0))
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
