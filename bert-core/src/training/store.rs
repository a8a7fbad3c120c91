//! Checkpoints of a run on disk: whole or not there at all.

use std::collections::{BTreeMap, HashMap};
use std::fs::{self, File};
use std::path::{Path, PathBuf};

use burn::tensor::{Device, Tensor, TensorData};
use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensors};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::optimizer::{Moments, Optimizer};
use super::precision::LossScale;
use super::recipe::OptimizerConfig;
use super::schedule::Schedule;
use crate::device::fault;
use crate::error::{Error, Result};
use crate::files::write_atomically;

/// Everything about a run besides its tensors.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TrainerState {
    /// Optimizer steps taken.
    pub step: u64,
    /// Seconds of training, all sessions together.
    pub elapsed_s: f64,
    /// Tokens trained on, without padding.
    pub tokens: u64,
    /// Position of the data, as its source put it.
    pub cursor: Value,
    /// Seeds dropout; each step derives its own from it.
    pub seed: u64,
    /// The factor on the loss when training in f16.
    pub loss_scale: Option<LossScale>,
    /// The best evaluation so far.
    pub best: Option<Best>,
    /// Evaluations since then.
    pub since_best: u64,
    /// True if the run was interrupted within the evaluation after its last step, which is then repeated.
    #[serde(default, alias = "evaluation_left")]
    pub evaluation_pending: bool,
    /// The optimizer's numbers.
    pub optimizer: OptimizerConfig,
    /// The learning rates.
    pub schedule: Schedule,
    /// The settings of the run as its command keeps them, to be checked when it is taken up again.
    pub settings: Value,
}

/// The evaluation that was best by the run's metric.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Best {
    /// Optimizer steps taken at that time.
    pub step: u64,
    /// The metric's name.
    pub metric: String,
    /// Its value.
    pub value: f64,
}

/// The directory of a run: `checkpoints/step-N/` for resuming, `best/` for the best evaluation.
///
/// A checkpoint is written under another name and renamed when all of it is on disk, and renamed before it is deleted, so
/// a directory called `step-N` is always whole, whenever the process is killed.
#[derive(Debug)]
pub struct CheckpointStore {
    dir: PathBuf,
    keep: usize,
}

const WRITING: &str = ".writing-";
const DELETING: &str = ".deleting-";
const STATE: &str = "trainer_state.json";
const OPTIMIZER: &str = "optimizer.safetensors";

impl TrainerState {
    /// The state of a run that has not begun.
    pub fn new(seed: u64, optimizer: OptimizerConfig, schedule: Schedule, settings: Value) -> Self {
        Self {
            step: 0,
            elapsed_s: 0.0,
            tokens: 0,
            cursor: Value::Null,
            seed,
            loss_scale: None,
            best: None,
            since_best: 0,
            evaluation_pending: false,
            optimizer,
            schedule,
            settings,
        }
    }

    /// Position of the data, as their source left it; the beginning for a fresh run.
    ///
    /// # Errors
    /// [`Error::Run`] naming `dir` if the source cannot read it.
    pub fn cursor_as<T: DeserializeOwned + Default>(&self, dir: &Path) -> Result<T> {
        match &self.cursor {
            Value::Null => Ok(T::default()),
            cursor => serde_json::from_value(cursor.clone()).map_err(|error| Error::Run {
                dir: dir.to_owned(),
                reason: format!("holds a checkpoint with an unreadable data position ({error})"),
            }),
        }
    }

    /// Refuses to resume under other settings than the run in `dir` was begun with.
    ///
    /// # Errors
    /// [`Error::Run`] naming every setting that differs.
    pub fn check_settings(&self, dir: &Path, now: &Value) -> Result<()> {
        let refuse = |reason| Error::Run {
            dir: dir.to_owned(),
            reason,
        };
        let (Value::Object(before), Value::Object(now)) = (&self.settings, now) else {
            return Err(refuse(
                "holds a checkpoint without settings: it was not written by this command"
                    .to_owned(),
            ));
        };
        let gone = before
            .iter()
            .filter(|(name, _)| !now.contains_key(*name))
            .map(|(name, value)| format!("{name} was {value} and is now absent"));
        let changed: Vec<String> = now
            .iter()
            .filter(|(name, value)| before.get(*name) != Some(value))
            .map(|(name, value)| {
                let was = before
                    .get(name)
                    .map_or("absent".to_owned(), Value::to_string);
                format!("{name} was {was} and is now {value}")
            })
            .chain(gone)
            .collect();
        match changed.is_empty() {
            true => Ok(()),
            false => Err(refuse(format!(
                "was begun with other settings ({}): resume with the same, or start in another directory",
                changed.join("; ")
            ))),
        }
    }
}

impl CheckpointStore {
    /// The store of the run in `dir`, keeping the last `keep` checkpoints; leftovers of a killed process are removed.
    ///
    /// # Errors
    /// [`Error::Io`] if the directory cannot be written.
    pub fn open(dir: impl Into<PathBuf>, keep: usize) -> Result<Self> {
        let store = Self {
            dir: dir.into(),
            keep: keep.max(1),
        };
        let checkpoints = store.checkpoints();
        fs::create_dir_all(&checkpoints)
            .map_err(|error| Error::io("create", &checkpoints, error))?;
        for parent in [checkpoints, store.dir.clone()] {
            for (name, path) in entries(&parent)? {
                if (name.starts_with(WRITING) || name.starts_with(DELETING)) && path.is_dir() {
                    fs::remove_dir_all(&path).map_err(|error| Error::io("remove", &path, error))?;
                }
            }
        }
        Ok(store)
    }

    /// The newest checkpoint of a run in `dir` and its state, if there is one. Nothing is written.
    ///
    /// # Errors
    /// [`Error::Run`] if there is one and `resume` is not set.
    pub fn find(dir: &Path, resume: bool) -> Result<Option<(PathBuf, TrainerState)>> {
        let store = Self {
            dir: dir.to_owned(),
            keep: 1,
        };
        if !store.checkpoints().exists() {
            return Ok(None);
        }
        match store.latest()? {
            None => Ok(None),
            Some(path) if resume => {
                let state = read_state(&path)?;
                Ok(Some((path, state)))
            }
            Some(path) => Err(Error::Run {
                dir: dir.to_owned(),
                reason: format!(
                    "holds a run already ({}): resume it (--resume), or choose another directory",
                    path.file_name().unwrap_or_default().to_string_lossy()
                ),
            }),
        }
    }

    fn checkpoints(&self) -> PathBuf {
        self.dir.join("checkpoints")
    }

    /// Directory of the best evaluation's weights, once there was one.
    pub fn best_dir(&self) -> PathBuf {
        self.dir.join("best")
    }

    /// The checkpoints by step, oldest first.
    ///
    /// # Errors
    /// [`Error::Io`] if the directory cannot be read.
    pub fn list(&self) -> Result<Vec<(u64, PathBuf)>> {
        let mut found: Vec<_> = entries(&self.checkpoints())?
            .into_iter()
            .filter_map(|(name, path)| Some((name.strip_prefix("step-")?.parse().ok()?, path)))
            .collect();
        found.sort();
        Ok(found)
    }

    /// The newest checkpoint.
    ///
    /// # Errors
    /// Those of [`list`](Self::list).
    pub fn latest(&self) -> Result<Option<PathBuf>> {
        Ok(self.list()?.pop().map(|(_, path)| path))
    }

    /// The checkpoint that remains when a run fails and how to resume from it, as the end of an error's message.
    pub(crate) fn remains(&self) -> String {
        match self.latest() {
            Ok(Some(path)) => format!(
                "the checkpoint {} remains, and the same command with --resume goes on from it",
                path.display()
            ),
            _ => format!("{} holds no checkpoint yet", self.dir.display()),
        }
    }

    /// Writes a checkpoint: `write_model` puts the weights and whatever belongs to them into the directory it is given.
    /// Older ones beyond the number to keep are deleted.
    ///
    /// # Errors
    /// [`Error::Io`], and what `write_model` returns.
    pub fn save<E: From<Error>>(
        &self,
        state: &TrainerState,
        optimizer: &Optimizer,
        write_model: impl FnOnce(&Path) -> Result<(), E>,
    ) -> Result<PathBuf, E> {
        let path = self.checkpoints().join(format!("step-{:08}", state.step));
        replace_directory(&path, |dir| -> Result<(), E> {
            write_model(dir)?;
            write_moments(&dir.join(OPTIMIZER), optimizer)?;
            let text = serde_json::to_string_pretty(state).expect("a state is JSON");
            Ok(write_atomically(
                dir.join(STATE),
                format!("{text}\n").as_bytes(),
            )?)
        })?;
        let mut all = self.list()?;
        let surplus = all.len().saturating_sub(self.keep);
        for (_, old) in all.drain(..surplus) {
            remove_directory(&old)?;
        }
        Ok(path)
    }

    /// Writes `best/` anew, as a whole.
    ///
    /// # Errors
    /// Those of [`save`](Self::save).
    pub fn save_best<E: From<Error>>(
        &self,
        write_model: impl FnOnce(&Path) -> Result<(), E>,
    ) -> Result<(), E> {
        replace_directory(&self.best_dir(), write_model)
    }
}

/// Reads the state beside the weights in a checkpoint directory.
///
/// # Errors
/// [`Error::Io`] or [`Error::Malformed`] naming the file.
pub fn read_state(checkpoint: &Path) -> Result<TrainerState> {
    let path = checkpoint.join(STATE);
    let text = fs::read_to_string(&path).map_err(|error| Error::io("read", &path, error))?;
    serde_json::from_str(&text).map_err(|error| Error::malformed(path, "trainer state", error))
}

/// Reads the optimizer's memory from a checkpoint directory, onto `device`.
///
/// # Errors
/// [`Error::Io`] or [`Error::Malformed`] naming the file.
pub fn read_optimizer(
    checkpoint: &Path,
    state: &TrainerState,
    device: &Device,
) -> Result<Optimizer> {
    let path = checkpoint.join(OPTIMIZER);
    let bytes = fs::read(&path).map_err(|error| Error::io("read", &path, error))?;
    let malformed = |reason: String| Error::malformed(&path, "optimizer state", reason);
    let file = SafeTensors::deserialize(&bytes).map_err(|error| malformed(error.to_string()))?;
    let device = device.clone().inner();
    let mut parts: BTreeMap<String, [Option<Tensor<1>>; 2]> = BTreeMap::new();
    for (name, view) in file.tensors() {
        let (index, parameter) = match name.split_once(':') {
            Some(("exp_avg", parameter)) => (0, parameter),
            Some(("exp_avg_sq", parameter)) => (1, parameter),
            _ => return Err(malformed(format!("unknown tensor `{name}`"))),
        };
        if view.dtype() != Dtype::F32 || view.shape().len() != 1 {
            return Err(malformed(format!("`{name}` is not a list of f32")));
        }
        let (chunks, _) = view.data().as_chunks::<4>();
        let values: Vec<f32> = chunks
            .iter()
            .map(|chunk| f32::from_le_bytes(*chunk))
            .collect();
        let size = values.len();
        let tensor = Tensor::from_data(TensorData::new(values, [size]), &device);
        parts.entry(parameter.to_owned()).or_default()[index] = Some(tensor);
    }
    let mut moments = BTreeMap::new();
    for (name, pair) in parts {
        let [Some(first), Some(second)] = pair else {
            return Err(malformed(format!("`{name}` lacks one of its two moments")));
        };
        moments.insert(name, Moments { first, second });
    }
    let mut optimizer = Optimizer::new(state.optimizer);
    optimizer.restore(state.step, moments);
    Ok(optimizer)
}

fn write_moments(path: &Path, optimizer: &Optimizer) -> Result<()> {
    let mut tensors: Vec<(String, Vec<u8>, usize)> = Vec::new();
    for (name, moments) in optimizer.moments() {
        for (kind, tensor) in [("exp_avg", &moments.first), ("exp_avg_sq", &moments.second)] {
            let values: Vec<f32> = tensor.to_data().iter::<f32>().collect();
            let bytes = values
                .iter()
                .flat_map(|value| value.to_le_bytes())
                .collect();
            tensors.push((format!("{kind}:{name}"), bytes, values.len()));
        }
    }
    let views = tensors.iter().map(|(name, bytes, size)| {
        let view = TensorView::new(Dtype::F32, vec![*size], bytes).expect("four bytes a value");
        (name.as_str(), view)
    });
    let bytes = safetensors::serialize(views, None::<HashMap<String, String>>)
        .map_err(|error| Error::malformed(path, "optimizer state", error))?;
    write_atomically(path, &bytes)
}

/// Lets `write` fill a directory that appears at `path` as a whole, in place of what is there.
pub(crate) fn replace_directory<E: From<Error>>(
    path: &Path,
    write: impl FnOnce(&Path) -> Result<(), E>,
) -> Result<(), E> {
    let parent = path.parent().unwrap_or(Path::new("."));
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let writing = parent.join(format!("{WRITING}{name}"));
    if writing.exists() {
        fs::remove_dir_all(&writing).map_err(|error| Error::io("remove", &writing, error))?;
    }
    fs::create_dir_all(&writing).map_err(|error| Error::io("create", &writing, error))?;
    write(&writing)?;
    // Nothing that a failed device gave takes the place of what is there.
    fault::check()?;
    sync(&writing);
    if path.exists() {
        remove_directory(path)?;
    }
    fs::rename(&writing, path).map_err(|error| Error::io("write", path, error))?;
    sync(parent);
    Ok(())
}

/// Takes a directory away under another name first, so that none is ever half there.
fn remove_directory(path: &Path) -> Result<()> {
    let parent = path.parent().unwrap_or(Path::new("."));
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let deleting = parent.join(format!("{DELETING}{name}"));
    fs::rename(path, &deleting)
        .and_then(|()| fs::remove_dir_all(&deleting))
        .map_err(|error| Error::io("remove", path, error))
}

/// Puts a directory's entries on disk where the system can do that.
fn sync(dir: &Path) {
    if let Ok(dir) = File::open(dir) {
        let _ = dir.sync_all();
    }
}

fn entries(dir: &Path) -> Result<Vec<(String, PathBuf)>> {
    let failed = |error| Error::io("read", dir, error);
    fs::read_dir(dir)
        .map_err(failed)?
        .map(|entry| {
            let entry = entry.map_err(failed)?;
            Ok((
                entry.file_name().to_string_lossy().into_owned(),
                entry.path(),
            ))
        })
        .collect()
}
