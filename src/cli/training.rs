//! Parts common to the training commands: devices, following the run, stopping it, the report.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use bert_core::device::{Device, DeviceSpec, Precision};
use bert_core::files::write_atomically;
use bert_core::report::Section;
use bert_core::stop::StopFlag;
use bert_core::training::{
    CheckpointStore, DashboardMode, Event, MetricsLog, Observer, Observers, PassPrecision, RunInfo,
    Summary, TrainerOptions, curves_svg, follow, write_report as write_html,
};
use serde::Serialize;

use super::interrupt::{AFTER_THE_STEP, stop_on_ctrl_c};
use super::note::note;
use super::output::Output;
use super::proof::ProofArgs;

/// Intervals in which a run reports, measures and saves.
#[derive(clap::Args)]
pub(crate) struct FollowArgs {
    /// Steps between two lines of metrics.
    #[arg(long, value_name = "N", default_value_t = 10)]
    log_every: u64,
    /// Steps between two evaluations; 0 evaluates at the end only [default: 500 in pretraining, an epoch in fine-tuning]
    #[arg(long, value_name = "N")]
    eval_every: Option<u64>,
    /// Steps between two checkpoints; 0 saves at the end and on Ctrl-C only [default: 500 in pretraining, an epoch in
    /// fine-tuning]
    #[arg(long, value_name = "N")]
    checkpoint_every: Option<u64>,
    /// Checkpoints to keep, besides the best.
    #[arg(long, value_name = "N", default_value_t = 2)]
    keep_checkpoints: usize,
    /// Draw the dashboard, in builds with the Cargo feature `dashboard`; without this and the next option, wherever a
    /// terminal can show it
    #[arg(long, conflicts_with = "no_dashboard")]
    dashboard: bool,
    /// Show progress as lines on standard error
    #[arg(long)]
    no_dashboard: bool,
}

impl FollowArgs {
    pub(crate) fn options(&self) -> TrainerOptions {
        self.options_every(500)
    }

    /// The options, with evaluations and checkpoints every `steps` steps where nothing else is said.
    pub(crate) fn options_every(&self, steps: u64) -> TrainerOptions {
        TrainerOptions {
            log_every: self.log_every.max(1),
            evaluate_every: self.eval_every.unwrap_or(steps),
            checkpoint_every: self.checkpoint_every.unwrap_or(steps),
            ..TrainerOptions::default()
        }
    }

    pub(crate) fn mode(&self) -> DashboardMode {
        match (self.dashboard, self.no_dashboard) {
            (true, _) => DashboardMode::On,
            (_, true) => DashboardMode::Off,
            _ => DashboardMode::Auto,
        }
    }

    pub(crate) fn keep(&self) -> usize {
        self.keep_checkpoints
    }
}

/// Devices and number format to train with.
#[derive(clap::Args)]
pub(crate) struct TrainingDevices {
    /// Device to train on; several, separated by commas, share the batches [default: as for other commands]
    #[arg(long, value_name = "LABEL", value_delimiter = ',')]
    device: Vec<DeviceSpec>,
    /// Float type of forward and backward pass; the weights are kept in f32.
    #[arg(long, value_name = "TYPE", default_value_t)]
    pub(crate) dtype: Precision,
    /// Compute cheap intermediate results again in the backward pass instead of keeping them.
    #[arg(long)]
    pub(crate) gradient_checkpointing: bool,
    #[command(flatten)]
    proof: ProofArgs,
}

impl TrainingDevices {
    /// Opens the devices, and their names. Without any, the one that other commands would take.
    pub(crate) fn open(&self) -> Result<(Vec<Device>, Vec<String>)> {
        let specs = match self.device.as_slice() {
            [] => vec![DeviceSpec::default_device()?],
            labels => labels.to_vec(),
        };
        let mut devices = Vec::new();
        for spec in &specs {
            // The weights and the optimizer compute in f32 whatever the passes do.
            let device = match self.dtype {
                Precision::F32 => self.proof.open(spec, &[Precision::F32])?,
                dtype => self.proof.open(spec, &[Precision::F32, dtype])?,
            };
            PassPrecision::new(self.dtype, &device, &spec.to_string())?;
            devices.push(device);
        }
        Ok((devices, specs.iter().map(DeviceSpec::to_string).collect()))
    }
}

/// Step to resume from in `output`, `None` for a fresh run.
///
/// # Errors
/// If it holds a run that is not to be resumed, or a damaged one.
pub(crate) fn first_step(output: &Path, resume: bool) -> Result<Option<u64>> {
    let found = CheckpointStore::find(output, resume)?;
    if resume && found.is_none() {
        note(format_args!(
            "{} holds no checkpoint yet: starting at step 0",
            output.display()
        ));
    }
    Ok(found.map(|(_, state)| state.step))
}

/// Observers of a run in `output`, and the flag that stops it.
pub(crate) fn begin(
    output: &Path,
    first_step: Option<u64>,
    mode: DashboardMode,
) -> Result<(Observers, StopFlag)> {
    let stop = stop_on_ctrl_c(AFTER_THE_STEP)?;
    let mut observers = Observers::default();
    observers.push(MetricsLog::open(output.join("metrics.jsonl"), first_step)?);
    observers.push(RunFile::new(output));
    observers.push(follow(mode)?);
    Ok((observers, stop))
}

/// Writes the report, prints the summary, and ends in [`Interrupted`] if the run did not come to its end.
pub(crate) fn conclude(
    output: &Path,
    summary: &impl Serialize,
    interrupted: Option<Interrupted>,
) -> Result<()> {
    write_report(output, &output.join("report.html"), &[])?;
    let mut stdout = Output::stdout();
    stdout.json(summary)?;
    stdout.finish()?;
    interrupted.map_or(Ok(()), |interrupted| Err(interrupted.into()))
}

/// The run was stopped before its end, with a checkpoint to go on from: exit code 130, as shells report Ctrl-C.
#[derive(Debug)]
pub(crate) struct Interrupted {
    step: u64,
    steps: u64,
}

impl Interrupted {
    /// The interruption of a run of `steps` steps that did not come to its end.
    pub(crate) fn of(summary: &Summary, steps: u64) -> Option<Self> {
        let step = summary.step;
        (!summary.finished).then_some(Self { step, steps })
    }
}

impl std::fmt::Display for Interrupted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "stopped at step {} of {}; the same command with --resume goes on",
            self.step, self.steps
        )
    }
}

impl std::error::Error for Interrupted {}

/// Observer that writes `run.json`, the head of the report.
struct RunFile {
    path: PathBuf,
}

const RUN_FILE: &str = "run.json";

impl RunFile {
    fn new(dir: &Path) -> Self {
        Self {
            path: dir.join(RUN_FILE),
        }
    }
}

impl Observer for RunFile {
    fn start(&mut self, run: &RunInfo) -> bert_core::Result<()> {
        let text = serde_json::to_string_pretty(run).expect("a run is JSON");
        write_atomically(&self.path, format!("{text}\n").as_bytes())
    }

    fn event(&mut self, _event: &Event) -> bert_core::Result<()> {
        Ok(())
    }

    fn finish(&mut self) -> bert_core::Result<()> {
        Ok(())
    }
}

/// Writes `curves.svg` into the run in `dir`, and from its metrics and the `extra` sections the page `report`.
pub(crate) fn write_report(dir: &Path, report: &Path, extra: &[Section]) -> Result<()> {
    let run_file = dir.join(RUN_FILE);
    let text = std::fs::read_to_string(&run_file)
        .with_context(|| format!("cannot read {}", run_file.display()))?;
    let run: RunInfo = serde_json::from_str(&text)
        .with_context(|| format!("{} is damaged", run_file.display()))?;
    let events = MetricsLog::read(dir.join("metrics.jsonl"))?;
    write_html(report, &run, &events, extra)?;
    write_atomically(dir.join("curves.svg"), curves_svg(&events).as_bytes())?;
    note(format_args!("report: {}", report.display()));
    Ok(())
}
