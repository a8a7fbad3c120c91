//! One forward and backward pass over an update, on one device or on several.

use burn::backend::ExecutionError;
use burn::data::dataloader::{DataLoaderIterator, Progress};
use burn::data::dataset::DatasetError;
use burn::module::Module;
use burn::optim::GradientsParams;
use burn::tensor::Device;
use burn::train::train::MultiDevicesTrainStep;
use burn::train::{InferenceStep, ItemLazy, TrainOutput, TrainStep};

use super::gradients::ParameterGradients;
use super::model::{MicroBatch, Sums, TrainableModel};
use crate::{Error, Result};

/// `devices` with gradients; `gradient_checkpointing` computes cheap results again in the backward pass instead of
/// keeping them (Burn's balanced strategy).
pub fn training_devices(devices: &[Device], gradient_checkpointing: bool) -> Vec<Device> {
    devices
        .iter()
        .map(|device| device.clone().autodiff())
        .map(|device| match gradient_checkpointing {
            true => device.gradient_checkpointing(),
            false => device,
        })
        .collect()
}

/// The devices that share the micro-batches of an update.
///
/// Several devices run as Burn's multi-device strategy does. Each gets a copy of the model and its share of the update, and
/// adds the gradients of its share up, so that weights and gradients are copied once an update, however many micro-batches
/// it has. The sums of the devices are added up on the first, in the devices' order.
pub(crate) struct Replicas<M: TrainableModel> {
    devices: Vec<Device>,
    workers: Option<MultiDevicesTrainStep<Replica<M>>>,
}

impl<M: TrainableModel> Replicas<M> {
    /// `devices` has at least one; the model lives on the first.
    pub(crate) fn new(devices: Vec<Device>) -> Self {
        let workers = (devices.len() > 1).then(|| MultiDevicesTrainStep::new(&devices));
        Self { devices, workers }
    }

    /// The sum of the micro-batches' gradients and sums, on the first device.
    ///
    /// # Errors
    /// [`Error::Training`] if a device's thread panics.
    pub(crate) fn run(
        &self,
        model: &M,
        micro_batches: Vec<MicroBatch<M::Data>>,
    ) -> Result<(ParameterGradients, Sums)> {
        let Some(workers) = &self.workers else {
            return Ok(total(model, micro_batches));
        };

        let mut shares: Vec<Share<M::Data>> = (0..self.devices.len())
            .map(|index| Share {
                index,
                micro_batches: Vec::new(),
            })
            .collect();
        for (index, micro_batch) in micro_batches.into_iter().enumerate() {
            shares[index % self.devices.len()]
                .micro_batches
                .push(micro_batch);
        }
        let mut shares: Vec<Box<dyn DataLoaderIterator<Share<M::Data>>>> = shares
            .into_iter()
            .map(|share| Some(share).filter(|share| !share.micro_batches.is_empty()))
            .map(|share| Box::new(Once(share)) as Box<_>)
            .collect();
        let replica = Replica {
            model: model.clone(),
        };
        let (outputs, _) =
            workers
                .step(&mut shares, &replica)
                .map_err(|error| Error::Training {
                    reason: error.to_string(),
                })?;
        let mut outputs: Vec<ShareOutput> =
            outputs.into_iter().map(|done| done.output.item).collect();
        // Answers come in the order in which devices finish.
        outputs.sort_unstable_by_key(|output| output.index);
        let device = self.devices[0].clone().inner();
        let here = |output: ShareOutput| {
            let Sums(sums) = output.sums;
            (
                output.gradients.on_device(&device),
                Sums(sums.to_device(&device)),
            )
        };
        Ok(outputs.into_iter().map(here).reduce(plus).expect(NOT_EMPTY))
    }
}

const NOT_EMPTY: &str = "an update has a micro-batch";

/// The sum of the micro-batches' gradients and sums, one after the other.
fn total<M: TrainableModel>(
    model: &M,
    micro_batches: Vec<MicroBatch<M::Data>>,
) -> (ParameterGradients, Sums) {
    let run = |micro_batch| {
        let output = TrainStep::step(model, micro_batch);
        (ParameterGradients::take(model, output.grads), output.item)
    };
    micro_batches
        .into_iter()
        .map(run)
        .reduce(plus)
        .expect(NOT_EMPTY)
}

fn plus(
    (gradients, Sums(sums)): (ParameterGradients, Sums),
    (more_gradients, Sums(more_sums)): (ParameterGradients, Sums),
) -> (ParameterGradients, Sums) {
    (gradients.plus(more_gradients), Sums(sums + more_sums))
}

/// A model on one of several devices, which takes its share of an update at once.
#[derive(Debug, Module)]
struct Replica<M> {
    model: M,
}

/// Micro-batches of one device.
struct Share<D> {
    /// Place of the device among those that train.
    index: usize,
    micro_batches: Vec<MicroBatch<D>>,
}

/// Sums over a share, on its device.
struct ShareOutput {
    index: usize,
    gradients: ParameterGradients,
    sums: Sums,
}

impl ItemLazy for ShareOutput {
    fn sync(self) -> std::result::Result<Self, ExecutionError> {
        Ok(self)
    }
}

impl<M: TrainableModel> TrainStep for Replica<M> {
    type Input = Share<M::Data>;
    type Output = ShareOutput;

    fn step(&self, share: Self::Input) -> TrainOutput<ShareOutput> {
        let (gradients, sums) = total(&self.model, share.micro_batches);
        TrainOutput {
            // They are in the item, added up.
            grads: GradientsParams::new(),
            item: ShareOutput {
                index: share.index,
                gradients,
                sums,
            },
        }
    }
}

impl<M: TrainableModel> InferenceStep for Replica<M> {
    type Input = MicroBatch<M::Data>;
    type Output = Sums;

    fn step(&self, micro_batch: Self::Input) -> Sums {
        InferenceStep::step(&self.model, micro_batch)
    }
}

/// The one item of a step, if there is one.
struct Once<T>(Option<T>);

impl<T> Iterator for Once<T> {
    type Item = std::result::Result<T, DatasetError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.0.take().map(Ok)
    }
}

impl<T> DataLoaderIterator<T> for Once<T> {
    fn progress(&self) -> Progress {
        Progress::new(0, usize::from(self.0.is_some()), None)
    }
}
