//! The loop: data, steps, evaluations, checkpoints.

use std::path::Path;
use std::time::Instant;

use burn::tensor::Device;
use serde_json::{Map, Value, json};

use super::batches::{Prefetch, Update};
use super::finite::first_not_finite;
use super::interval::Interval;
use super::model::{MicroBatch, TrainableModel};
use super::observe::{Event, Observer, RunInfo, Split};
use super::optimizer::Optimizer;
use super::precision::PassPrecision;
use super::replicas::Replicas;
use super::schedule::Schedule;
use super::store::{Best, CheckpointStore, TrainerState};
use crate::device::Precision;
use crate::device::fault::{self, Fault};
use crate::stop::{ShouldStop, StopFlag};
use crate::{Error, Result};

/// Measures a model: named numbers, or none if asked to stop before it is done.
pub type Evaluate<'a, M, E> =
    dyn FnMut(&M, ShouldStop<'_>) -> Result<Option<Vec<(String, f64)>>, E> + 'a;

/// Options of the loop: intervals, patience, precision.
#[derive(Clone, Debug)]
pub struct TrainerOptions {
    /// For headings: "pretraining".
    pub title: String,
    /// Steps between two lines of metrics.
    pub log_every: u64,
    /// Steps between two evaluations; 0 evaluates at the end only.
    pub evaluate_every: u64,
    /// Steps between two checkpoints; 0 saves at the end and when stopped only.
    pub checkpoint_every: u64,
    /// Evaluations in a row without a new best after which the run ends early.
    pub patience: Option<u64>,
    /// Evaluation metric that chooses the best checkpoint, and whether smaller is better.
    pub best_metric: (String, bool),
    /// Float type of forward and backward pass.
    pub precision: Precision,
    /// Updates the data thread prepares ahead.
    pub prefetch: usize,
}

impl Default for TrainerOptions {
    fn default() -> Self {
        Self {
            title: "training".to_owned(),
            log_every: 10,
            evaluate_every: 0,
            checkpoint_every: 0,
            patience: None,
            best_metric: ("loss".to_owned(), true),
            precision: Precision::F32,
            prefetch: 4,
        }
    }
}

/// A run about to begin or to be resumed.
pub struct Trainer<'a, M: TrainableModel, E> {
    /// The model, on the first device with autodiff.
    pub model: M,
    /// The optimizer, with its moments when the run is resumed.
    pub optimizer: Optimizer,
    /// Learning rates; its `total_steps` is the length of the run.
    pub schedule: Schedule,
    /// Devices that share the work, with autodiff; the model lives on the first.
    pub devices: Vec<Device>,
    /// Intervals, patience and precision.
    pub options: TrainerOptions,
    /// State of the run; a fresh run's has step 0.
    pub state: TrainerState,
    /// Store of the checkpoints, if any.
    pub store: Option<&'a CheckpointStore>,
    /// Writes the model as users load it: weights, configuration, tokenizer.
    pub write_model: &'a dyn Fn(&M, &Path) -> Result<(), E>,
    /// Evaluates the model, which comes without autodiff.
    pub evaluate: Option<&'a mut Evaluate<'a, M, E>>,
    /// Observer of the run.
    pub observer: &'a mut dyn Observer,
    /// Set from elsewhere to stop between two steps, or within an evaluation.
    pub stop: StopFlag,
}

/// End of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// All steps were taken.
    Finished,
    /// The evaluations stopped getting better.
    EarlyStop,
    /// It was asked to stop; a checkpoint holds its state.
    Interrupted,
}

impl<M, E> Trainer<'_, M, E>
where
    M: TrainableModel,
    E: From<Error> + Send + 'static,
{
    /// Runs to the end, to an early stop, or until asked to stop; returns the model and the state.
    ///
    /// The data source must stand where `state.cursor` says. Its updates are taken on a thread of their own.
    ///
    /// # Errors
    /// Those of the data, the evaluation, the observers and the disk; [`Error::Diverged`] when the loss, the gradients or
    /// the weights are not finite any more, [`Error::DeviceFailed`] when a device fails, and [`Error::Training`] when the
    /// data end before the run. Checkpoints hold what was finite and came from sound devices.
    pub fn run(
        mut self,
        updates: impl Iterator<Item = Result<Update<M::Data>, E>> + Send + 'static,
    ) -> Result<(M, TrainerState, Ending), E> {
        self.schedule.validate()?;
        self.optimizer.config().validate()?;
        // A run may go on in another float type than it was begun in; only f16 needs its loss scaled.
        self.state.loss_scale = match self.options.precision {
            Precision::F16 => Some(self.state.loss_scale.unwrap_or_default()),
            _ => None,
        };
        let settings = match &self.state.settings {
            Value::Object(settings) => settings.clone(),
            _ => Map::new(),
        };
        self.observer.start(&RunInfo {
            title: self.options.title.clone(),
            total_steps: self.schedule.total_steps,
            first_step: self.state.step,
            settings,
        })?;
        let device = self.devices[0].clone().inner();
        let passes = PassPrecision::new(self.options.precision, &device, &format!("{device:?}"))?;
        let replicas = Replicas::<M>::new(self.devices.clone());
        let mut updates = Prefetch::new(updates, self.options.prefetch);
        let outcome = fault::catching(|| self.steps((&replicas, passes), &mut updates))
            .and_then(|outcome| fault::first().map_or(Ok(outcome), Err));
        drop(updates);
        let finished = self.observer.finish();
        let ending = outcome.map_err(|fault| self.failed(fault))??;
        finished?;
        Ok((self.model, self.state, ending))
    }

    fn steps(
        &mut self,
        (replicas, passes): (&Replicas<M>, PassPrecision),
        updates: &mut Prefetch<Result<Update<M::Data>, E>>,
    ) -> Result<Ending, E> {
        let total = self.schedule.total_steps;
        let mut interval = Interval::new();
        let mut saved_at = None;
        if self.state.evaluation_pending
            && let Some(ending) = self.after_step(&mut saved_at)?
        {
            return Ok(ending);
        }
        while self.state.step < total {
            if self.stop.is_set() || self.observer.wants_to_stop() {
                return self.interrupted(saved_at);
            }
            self.step((replicas, passes), updates, &mut interval)?;
            fault::check()?;
            if self.due(self.options.log_every) || self.evaluates() || self.saves() {
                self.report(&mut interval, updates)?;
            }
            if let Some(ending) = self.after_step(&mut saved_at)? {
                return Ok(ending);
            }
            if self.evaluates() || self.saves() {
                interval.start = Instant::now();
            }
        }
        Ok(Ending::Finished)
    }

    /// True if an action that is taken every so many steps, and after the last, is due.
    fn due(&self, every: u64) -> bool {
        let step = self.state.step;
        step == self.schedule.total_steps || (every > 0 && step.is_multiple_of(every))
    }

    fn evaluates(&self) -> bool {
        self.evaluate.is_some() && self.due(self.options.evaluate_every)
    }

    fn saves(&self) -> bool {
        self.store.is_some() && self.due(self.options.checkpoint_every)
    }

    /// A device's failure, with what remains of the run.
    fn failed(&self, fault: Fault) -> Error {
        fault.into_error(self.store.map(CheckpointStore::remains).as_deref())
    }

    fn diverged(&self, quantity: String) -> Error {
        Error::Diverged {
            quantity,
            step: self.state.step,
            remains: self
                .store
                .map(|store| format!("; {}", store.remains()))
                .unwrap_or_default(),
        }
    }

    /// Fails unless weights and optimizer are finite; waits for the device.
    fn check_finite(&self) -> Result<()> {
        first_not_finite(&self.model, &self.optimizer)
            .map_or(Ok(()), |name| Err(self.diverged(name)))
    }

    fn interrupted(&mut self, saved_at: Option<u64>) -> Result<Ending, E> {
        self.observer.message("stopping: interrupt requested");
        if saved_at != Some(self.state.step) {
            self.save()?;
        }
        Ok(Ending::Interrupted)
    }

    /// Evaluates and saves where that is due after a step; how the run ended, if it did.
    fn after_step(&mut self, saved_at: &mut Option<u64>) -> Result<Option<Ending>, E> {
        let pending = std::mem::take(&mut self.state.evaluation_pending);
        if (pending || self.evaluates()) && !self.evaluate_now()? {
            self.state.evaluation_pending = true;
            return self.interrupted(None).map(Some);
        }
        let step = self.state.step;
        if self.saves() {
            self.save()?;
            *saved_at = Some(step);
        }
        let since_best = self.state.since_best;
        if self
            .options
            .patience
            .is_some_and(|patience| since_best >= patience.max(1))
        {
            self.observer.message(&format!(
                "stopped early: {since_best} evaluations without a better {}",
                self.options.best_metric.0
            ));
            if *saved_at != Some(step) {
                self.save()?;
            }
            return Ok(Some(Ending::EarlyStop));
        }
        Ok(None)
    }

    /// One optimizer step.
    fn step(
        &mut self,
        (replicas, passes): (&Replicas<M>, PassPrecision),
        updates: &mut Prefetch<Result<Update<M::Data>, E>>,
        interval: &mut Interval,
    ) -> Result<(), E> {
        let step = self.state.step;
        let _operation = fault::during(format!("training step {}", step + 1));
        let update = updates.next().ok_or_else(|| Error::Training {
            reason: format!("the data ended after {step} steps: give more data or fewer steps"),
        })??;
        interval.waited += updates.take_waited();

        let loss_scale = self.state.loss_scale.map_or(1.0, |scale| scale.scale);
        let micro_batches: Vec<_> = update
            .micro_batches
            .into_iter()
            .enumerate()
            .map(|(index, data)| MicroBatch {
                data,
                seed: mix(self.state.seed, step, index as u64),
                loss_scale,
                products: passes.products(),
            })
            .collect();
        let working = passes.working_copy(&self.model);
        let (mut gradients, sums) = replicas.run(&working, micro_batches)?;
        drop(working);

        let learning_rate = self.schedule.learning_rate(step);
        let mut usable = true;
        if let Some(scale) = &mut self.state.loss_scale {
            gradients.scale(1.0 / loss_scale);
            let norm = gradients
                .norm()
                .map_or(0.0, |norm| norm.into_scalar::<f64>());
            let lowest = scale.is_lowest();
            usable = scale.update(norm.is_finite());
            if !usable && lowest {
                let quantity = format!("the gradient norm ({norm}) without loss scaling");
                return Err(self.diverged(quantity).into());
            }
        }
        let mut norm = None;
        if usable {
            let model = self.model.clone();
            (self.model, norm) = self.optimizer.step(model, gradients, learning_rate);
        }

        interval.add(sums, norm, !usable);
        interval.tokens += update.tokens as u64;
        interval.padded_tokens += update.padded_tokens as u64;
        interval.learning_rate = learning_rate;
        self.state.step += 1;
        self.state.tokens += update.tokens as u64;
        self.state.cursor = update.cursor;
        Ok(())
    }

    /// Reports the metrics since the last time; this waits for the device.
    fn report(
        &mut self,
        interval: &mut Interval,
        updates: &mut Prefetch<Result<Update<M::Data>, E>>,
    ) -> Result<(), E> {
        let _operation = fault::during(format!("training step {}", self.state.step));
        let _ = updates.take_waited();
        let done = std::mem::replace(interval, Interval::new());
        let Some(metrics) = done.finish::<M>(self.state.loss_scale) else {
            return Ok(());
        };
        fault::check()?;
        self.state.elapsed_s += metrics.seconds;
        self.observer.event(&Event {
            split: Split::Train,
            step: self.state.step,
            elapsed_s: self.state.elapsed_s,
            values: metrics.values,
        })?;
        match metrics.not_finite {
            Some(quantity) => Err(self.diverged(quantity).into()),
            None => Ok(()),
        }
    }

    /// Evaluates, and saves the model if this is the best so far; false if it was asked to stop meanwhile.
    fn evaluate_now(&mut self) -> Result<bool, E> {
        if self.evaluate.is_some() {
            self.check_finite()?;
        }
        let Some(evaluate) = &mut self.evaluate else {
            return Ok(true);
        };
        let _operation = fault::during(format!("the evaluation after step {}", self.state.step));
        let model = self.model.valid();
        let (stop, observer) = (&self.stop, &*self.observer);
        let should_stop = || stop.is_set() || observer.wants_to_stop();
        let Some(numbers) = evaluate(&model, &should_stop)? else {
            return Ok(false);
        };
        fault::check()?;
        let (metric, smaller_is_better) = &self.options.best_metric;
        let value = numbers
            .iter()
            .find(|(name, _)| name == metric)
            .map(|(_, value)| *value);
        let values = numbers
            .into_iter()
            .map(|(name, value)| (name, json!(value)))
            .collect();
        self.observer.event(&Event {
            split: Split::Evaluation,
            step: self.state.step,
            elapsed_s: self.state.elapsed_s,
            values,
        })?;
        let better = value.is_some_and(|value| {
            value.is_finite()
                && self
                    .state
                    .best
                    .as_ref()
                    .is_none_or(|best| match smaller_is_better {
                        true => value < best.value,
                        false => value > best.value,
                    })
        });
        self.state.since_best += 1;
        if let Some(value) = value.filter(|_| better) {
            self.state.best = Some(Best {
                step: self.state.step,
                metric: metric.clone(),
                value,
            });
            self.state.since_best = 0;
            if let Some(store) = self.store {
                store.save_best(|dir| (self.write_model)(&self.model, dir))?;
            }
        }
        Ok(true)
    }

    fn save(&mut self) -> Result<(), E> {
        let Some(store) = self.store else {
            return Ok(());
        };
        let _operation = fault::during(format!("the checkpoint of step {}", self.state.step));
        self.check_finite()?;
        let path = store.save(&self.state, &self.optimizer, |dir| {
            (self.write_model)(&self.model, dir)
        })?;
        self.observer.message(&format!("saved {}", path.display()));
        Ok(())
    }
}

/// A seed of its own for every micro-batch of a run (splitmix64).
fn mix(seed: u64, step: u64, index: u64) -> u64 {
    let mut z = seed
        .wrapping_add(step.wrapping_mul(0x9E37_79B9_7F4A_7C15))
        .wrapping_add(index.wrapping_mul(0xD1B5_4A32_D192_ED03))
        .wrapping_add(0x9E37_79B9_7F4A_7C15);
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}
