//! Scaffold of a run: begun from its settings or resumed from its newest checkpoint, trained, written, summed up.

use std::path::{Path, PathBuf};

use burn::tensor::Device;
use serde::Serialize;
use serde_json::{Map, Value};

use super::batches::Update;
use super::model::TrainableModel;
use super::observe::Observer;
use super::optimizer::Optimizer;
use super::replicas::training_devices;
use super::schedule::Schedule;
use super::store::{Best, CheckpointStore, TrainerState, read_optimizer};
use super::trainer::{Ending, Trainer, TrainerOptions};
use crate::checkpoint::Checkpoint;
use crate::files::copy_directory;
use crate::stop::{ShouldStop, StopFlag};
use crate::{Error, Result};

/// Surroundings of a run: devices, output directory, observer.
pub struct RunContext<'a> {
    /// Devices to share the micro-batches, without autodiff.
    pub devices: Vec<Device>,
    /// Recompute what is cheap in the backward pass instead of keeping it.
    pub gradient_checkpointing: bool,
    /// Intervals, patience and precision.
    pub options: TrainerOptions,
    /// Output directory for checkpoints and the final model.
    pub output: PathBuf,
    /// Checkpoints to keep.
    pub keep: usize,
    /// Resume the run in `output`.
    pub resume: bool,
    /// Observer of the run.
    pub observer: &'a mut dyn Observer,
    /// Stops the run between two steps.
    pub stop: StopFlag,
}

/// Outcome of a run.
#[derive(Clone, Debug, Serialize)]
pub struct Summary {
    /// Optimizer steps taken.
    pub step: u64,
    /// True if the run came to its end, early or not; otherwise a checkpoint holds the state.
    pub finished: bool,
    /// Seconds of training, all sessions together.
    pub elapsed_s: f64,
    /// Tokens trained on.
    pub tokens: u64,
    /// Best evaluation, if there was any.
    pub best: Option<Best>,
    /// All numbers of the evaluation whose model is saved, or of the last one of this session.
    pub evaluation: Map<String, Value>,
}

/// A run between two steps, up to its next interruption or its end.
pub struct Session<'a, M> {
    /// Model, on the first device with autodiff.
    pub model: M,
    /// Optimizer, with its moments when the run is resumed.
    pub optimizer: Optimizer,
    /// State of the run, of step 0 in a new one.
    pub state: TrainerState,
    /// Surroundings.
    pub context: RunContext<'a>,
    schedule: Schedule,
    devices: Vec<Device>,
    store: CheckpointStore,
}

/// Numbers of an evaluation for observers and the choice of the best checkpoint, and all of it for the summary.
pub type Evaluation = (Vec<(String, f64)>, Map<String, Value>);

impl<'a> RunContext<'a> {
    /// A new run on `device` with the default options, which keeps one checkpoint in `output`.
    pub fn new(device: Device, output: impl Into<PathBuf>, observer: &'a mut dyn Observer) -> Self {
        Self {
            devices: vec![device],
            gradient_checkpointing: false,
            options: TrainerOptions::default(),
            output: output.into(),
            keep: 1,
            resume: false,
            observer,
            stop: StopFlag::new(),
        }
    }

    /// Resumes the run in `output`, or begins one with the state `initial`, whose settings a resumed run must share.
    ///
    /// `model` loads the model of the run's checkpoint, or without one makes that of a new run.
    ///
    /// # Errors
    /// [`Error::Config`] for an optimizer or a schedule out of range, [`Error::Run`] if `output` holds another run; those
    /// of `model` and the disk.
    pub fn begin<M, E: From<Error>>(
        self,
        initial: TrainerState,
        model: impl FnOnce(Option<&Checkpoint>, &Device, &mut dyn Observer) -> Result<M, E>,
    ) -> Result<Session<'a, M>, E> {
        let schedule = initial.schedule;
        initial.optimizer.validate()?;
        schedule.validate()?;
        let found = CheckpointStore::find(&self.output, self.resume)?;
        let store = CheckpointStore::open(&self.output, self.keep)?;
        let devices = training_devices(&self.devices, self.gradient_checkpointing);
        let device = devices.first().ok_or_else(|| Error::Training {
            reason: "there is no device: name at least one".to_owned(),
        })?;
        let (model, optimizer, state) = match found {
            Some((path, state)) => {
                state.check_settings(&self.output, &initial.settings)?;
                let model = model(Some(&Checkpoint::open(&path)?), device, self.observer)?;
                let optimizer = read_optimizer(&path, &state, device)?;
                self.observer
                    .message(&format!("resuming from {}", path.display()));
                (model, optimizer, state)
            }
            None => {
                let model = model(None, device, self.observer)?;
                (model, Optimizer::new(initial.optimizer), initial)
            }
        };
        Ok(Session {
            model,
            optimizer,
            state,
            context: self,
            schedule,
            devices,
            store,
        })
    }
}

impl<M: TrainableModel> Session<'_, M> {
    /// Trains to the end of the run, or until asked to stop.
    ///
    /// A finished run's model is then in the output directory: with `saves_best` that of the best evaluation, if there was
    /// any, else that of the last step.
    ///
    /// # Errors
    /// Those of [`Trainer::run`].
    pub fn train<E: From<Error> + Send + 'static>(
        self,
        updates: impl Iterator<Item = Result<Update<M::Data>, E>> + Send + 'static,
        write_model: impl Fn(&M, &Path) -> Result<(), E>,
        evaluate: Option<impl FnMut(&M, ShouldStop<'_>) -> Result<Option<Evaluation>, E>>,
        saves_best: bool,
    ) -> Result<Summary, E> {
        let RunContext {
            options,
            output,
            observer,
            stop,
            ..
        } = self.context;
        let metric = options.best_metric.0.clone();
        let mut evaluations = Vec::new();
        let recorded = &mut evaluations;
        let mut evaluate = evaluate.map(|mut evaluate| {
            move |model: &M, should_stop: ShouldStop<'_>| -> Result<_, E> {
                let evaluation = evaluate(model, should_stop)?;
                Ok(evaluation.map(|(numbers, all)| {
                    recorded.push(all);
                    numbers
                }))
            }
        });
        let trainer = Trainer {
            model: self.model,
            optimizer: self.optimizer,
            schedule: self.schedule,
            devices: self.devices,
            options,
            state: self.state,
            store: Some(&self.store),
            write_model: &write_model,
            evaluate: match &mut evaluate {
                Some(evaluate) => Some(evaluate),
                None => None,
            },
            observer,
            stop,
        };
        let (model, state, ending) = trainer.run(updates)?;

        let finished = ending != Ending::Interrupted;
        let saved = state.best.as_ref().filter(|_| saves_best);
        if finished {
            match saved {
                Some(_) => copy_directory(&self.store.best_dir(), &output)?,
                None => write_model(&model, &output)?,
            }
        }
        let is_saved = |evaluation: &&Map<String, Value>| {
            let value = evaluation.get(&metric).and_then(Value::as_f64);
            saved.is_some_and(|best| value == Some(best.value))
        };
        let evaluation = evaluations.iter().find(is_saved).or(evaluations.last());
        Ok(Summary {
            step: state.step,
            finished,
            elapsed_s: state.elapsed_s,
            tokens: state.tokens,
            evaluation: evaluation.cloned().unwrap_or_default(),
            best: state.best,
        })
    }
}
