//! One forward and backward pass over an update, on one device or on several.

use burn::data::dataloader::{DataLoaderIterator, Progress};
use burn::data::dataset::DatasetError;
use burn::tensor::Device;
use burn::train::TrainStep;
use burn::train::train::MultiDevicesTrainStep;

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
/// Several devices run as Burn's multi-device strategy does: each gets a copy of the model and a micro-batch at a time, and
/// the gradients are added up on the first.
pub(crate) struct Replicas<M: TrainableModel> {
    devices: Vec<Device>,
    workers: Option<MultiDevicesTrainStep<M>>,
}

impl<M: TrainableModel> Replicas<M> {
    /// `devices` has at least one; the model lives on the first.
    pub(crate) fn new(devices: Vec<Device>) -> Self {
        let workers = (devices.len() > 1).then(|| MultiDevicesTrainStep::new(&devices));
        Self { devices, workers }
    }

    /// The sum of the micro-batches' gradients and sums, on the first device.
    pub(crate) fn run(
        &self,
        model: &M,
        micro_batches: Vec<MicroBatch<M::Data>>,
    ) -> Result<(ParameterGradients, Sums)> {
        let mut total = Total::default();
        let Some(workers) = &self.workers else {
            for micro_batch in micro_batches {
                let output = TrainStep::step(model, micro_batch);
                total.add(ParameterGradients::take(model, output.grads), output.item);
            }
            return Ok(total.finish());
        };

        let mut queues: Vec<Vec<MicroBatch<M::Data>>> =
            self.devices.iter().map(|_| vec![]).collect();
        for (index, micro_batch) in micro_batches.into_iter().enumerate() {
            queues[index % self.devices.len()].push(micro_batch);
        }
        let mut queues: Vec<Box<dyn DataLoaderIterator<MicroBatch<M::Data>>>> = queues
            .into_iter()
            .map(|queue| Box::new(Queue(queue.into_iter())) as Box<_>)
            .collect();
        loop {
            let (outputs, _) =
                workers
                    .step(&mut queues, model)
                    .map_err(|error| Error::Training {
                        reason: error.to_string(),
                    })?;
            if outputs.is_empty() {
                return Ok(total.finish());
            }
            // Answers come in the order in which devices finish; with three or more the rounding of the sums may differ
            // from run to run.
            for output in outputs {
                let gradients = output
                    .output
                    .grads
                    .to_device(&self.devices[0].clone().inner(), model);
                let sums = Sums(
                    output
                        .output
                        .item
                        .0
                        .to_device(&self.devices[0].clone().inner()),
                );
                total.add(ParameterGradients::take(model, gradients), sums);
            }
        }
    }
}

#[derive(Default)]
struct Total(Option<(ParameterGradients, Sums)>);

impl Total {
    fn add(&mut self, gradients: ParameterGradients, sums: Sums) {
        self.0 = Some(match self.0.take() {
            Some((total, total_sums)) => (total.plus(gradients), Sums(total_sums.0 + sums.0)),
            None => (gradients, sums),
        });
    }

    fn finish(self) -> (ParameterGradients, Sums) {
        self.0.expect("an update has a micro-batch")
    }
}

/// One device's share of an update.
struct Queue<T>(std::vec::IntoIter<T>);

impl<T> Iterator for Queue<T> {
    type Item = std::result::Result<T, DatasetError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.0.next().map(Ok)
    }
}

impl<T> DataLoaderIterator<T> for Queue<T> {
    fn progress(&self) -> Progress {
        Progress::new(0, self.0.len(), None)
    }
}
