//! What the commands that train share: devices, following the run, stopping it, the report.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use bert_core::device::{Device, DeviceSpec, Precision};
use bert_core::files::write_atomically;
use bert_core::training::{
    DashboardMode, Event, MetricsLog, Observer, Observers, RunInfo, StopFlag, TrainerOptions,
    curves_svg, follow as follow_run, restore_terminal, write_report as write_html,
};
use burn::tensor::FloatDType;

use crate::output::note;

/// How often a run reports, measures and saves.
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
    /// Draw the dashboard; without this and the next option, wherever a terminal can show it.
    #[arg(long, conflicts_with = "no_dashboard")]
    dashboard: bool,
    /// Progress as lines on standard error.
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

    pub(crate) fn keep(&self) -> usize {
        self.keep_checkpoints
    }
}

/// Adds the dashboard or the progress lines.
pub(crate) fn follow(observers: &mut Observers, args: &FollowArgs) -> Result<()> {
    let mode = match (args.dashboard, args.no_dashboard) {
        (true, _) => DashboardMode::On,
        (_, true) => DashboardMode::Off,
        _ => DashboardMode::Auto,
    };
    observers.push(follow_run(mode)?);
    Ok(())
}

/// Opens the devices to train on, and their names. Without any, the one that other commands would take.
pub(crate) fn open_devices(
    labels: &[DeviceSpec],
    precision: Precision,
) -> Result<(Vec<Device>, Vec<String>)> {
    let specs = match labels {
        [] => vec![DeviceSpec::resolve(None)?],
        labels => labels.to_vec(),
    };
    let mut devices = Vec::new();
    for spec in &specs {
        let device = spec.open()?;
        let dtype = FloatDType::from(precision);
        if precision != Precision::F32 && !device.supports_dtype(dtype) {
            return Err(bert_core::Error::DTypeNotSupported {
                label: spec.to_string(),
                dtype: precision.to_string(),
                supported: "f32".to_owned(),
            }
            .into());
        }
        devices.push(device);
    }
    Ok((devices, specs.iter().map(DeviceSpec::to_string).collect()))
}

/// A flag that Ctrl-C sets: the run then stops after the step it is at, with a checkpoint. A second Ctrl-C ends the
/// process at once. Nothing is written here, where a dashboard may be on the screen; the run itself says that it stops.
pub(crate) fn stop_on_ctrl_c() -> Result<StopFlag> {
    let flag = StopFlag::new();
    let handler = flag.clone();
    ctrlc::set_handler(move || {
        if handler.set() {
            restore_terminal();
            std::process::exit(130);
        }
    })
    .context("cannot listen to Ctrl-C")?;
    Ok(flag)
}

/// The run was stopped before its end, with a checkpoint to go on from: exit code 130, as shells report Ctrl-C.
#[derive(Debug)]
pub(crate) struct Interrupted {
    pub(crate) step: u64,
    pub(crate) steps: u64,
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

/// Keeps what the report says about the run beside its metrics.
pub(crate) struct RunFile {
    path: PathBuf,
}

const RUN_FILE: &str = "run.json";

impl RunFile {
    pub(crate) fn new(dir: &Path) -> Self {
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

/// Writes `report.html` and `curves.svg` from the metrics of the run in `dir`.
pub(crate) fn write_report(dir: &Path) -> Result<()> {
    let run_file = dir.join(RUN_FILE);
    let text = std::fs::read_to_string(&run_file)
        .with_context(|| format!("cannot read {}", run_file.display()))?;
    let run: RunInfo = serde_json::from_str(&text)
        .with_context(|| format!("{} is damaged", run_file.display()))?;
    let events = MetricsLog::read(dir.join("metrics.jsonl"))?;
    let report = dir.join("report.html");
    write_html(&report, &run, &events, &[])?;
    write_atomically(dir.join("curves.svg"), curves_svg(&events).as_bytes())?;
    note(format_args!("report: {}", report.display()));
    Ok(())
}
