//! `bert bench`: throughput of devices and of other implementations, side by side.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use benchmarks::child::Program;
use benchmarks::contract::{Limits, Mode};
use benchmarks::diff::changes;
use benchmarks::lengths::{self, Lengths};
use benchmarks::peers::Peer;
use benchmarks::plan::{Model, ModelSource, Plan};
use benchmarks::record::Record;
use benchmarks::run::{Runner, run as measure};
use benchmarks::{device, markdown, page, summary};
use bert_core::config::BertConfig;
use bert_core::device::{DeviceSpec, Precision, remote_token_environment, threads};
use bert_core::files::write_atomically;
use bert_core::hub::resolve_model;
use bert_core::models::{BERT, FAMILIES, Family, family};

use crate::cli::adapters::find_adapters;
use crate::cli::note::note;
use crate::cli::output::Output;
use crate::cli::proof::ProofArgs;

#[derive(clap::Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct Args {
    #[command(subcommand)]
    action: Option<Action>,
    #[command(flatten)]
    options: Options,
}

#[derive(clap::Subcommand)]
enum Action {
    /// Show what changed from one record to another, beyond the noise
    Diff {
        /// The record to start from, as --json wrote it
        before: PathBuf,
        /// The record to compare with it
        after: PathBuf,
        /// JSON on standard output instead of a table
        #[arg(long)]
        json: bool,
    },
    /// Show several records as one table: modes and float types below each other, memory over the iterations
    Table {
        /// Records, as --json wrote them
        #[arg(required = true, num_args = 1..)]
        records: Vec<PathBuf>,
    },
}

#[derive(clap::Args)]
struct Options {
    /// Model directory or hub id
    #[arg(long, conflicts_with = "preset")]
    model: Option<String>,
    /// Fresh models of these sizes: tiny, mini, small, medium, base, large
    #[arg(
        long,
        value_name = "SIZES",
        value_delimiter = ',',
        default_value = "base"
    )]
    preset: Vec<String>,
    /// Families of the fresh models, by model_type, or `all`; base is the size of their published models
    #[arg(
        long,
        value_name = "FAMILIES",
        value_delimiter = ',',
        default_value = BERT.model_type,
        conflicts_with = "model"
    )]
    family: Vec<String>,
    /// Devices to measure, or `all` that this build finds, software rasterisers left out
    #[arg(
        long,
        value_name = "DEVICES",
        value_delimiter = ',',
        default_value = "all"
    )]
    devices: Vec<String>,
    /// Workload to time: forward, backward, train (a classifier's step), pretrain (a pretraining step) or
    /// embed (texts to vectors)
    #[arg(long, default_value_t = Mode::Forward)]
    mode: Mode,
    /// Rows of a batch; texts for embed
    #[arg(long, value_name = "N,…", value_delimiter = ',', default_values_t = [8])]
    batch_sizes: Vec<usize>,
    /// Tokens of a row, padding included; those of the longest text for embed
    #[arg(long, value_name = "N,…", value_delimiter = ',', default_values_t = [128])]
    seq_lengths: Vec<usize>,
    /// Lengths of real texts, one number of tokens a line, to draw the rows from [default: rows without padding]
    #[arg(long, value_name = "FILE", conflicts_with = "lengths_of")]
    lengths: Option<PathBuf>,
    /// A text whose lines have the lengths to draw the rows from
    #[arg(long, value_name = "FILE")]
    lengths_of: Option<PathBuf>,
    /// Float type to compute in: f32, f16 or bf16
    #[arg(long, value_name = "TYPE", default_value_t)]
    dtype: Precision,
    /// Measure flex a second time with the encoder's weights in 8 bits, in modes forward and embed
    #[arg(long)]
    int8: bool,
    /// Threads on the processor, for devices and peers alike [default: all]
    #[arg(long, value_name = "N", default_value_t = threads())]
    threads: usize,
    /// Other implementations to measure too: transformers, transformers-eager, transformers-tf32, transformers-stock, onnxruntime, onnxruntime-int8, sentence-transformers, candle
    #[arg(long, value_name = "PEERS", value_delimiter = ',')]
    peers: Vec<Peer>,
    /// Directory of the programs that `cargo xtask peers` made
    #[arg(
        long,
        value_name = "DIR",
        env = "BERT_PEERS_DIR",
        default_value = "target/xtask/peers"
    )]
    peers_dir: PathBuf,
    /// Device of peers: cpu or cuda
    #[arg(long, value_name = "DEVICE", default_value = "cpu", value_parser = ["cpu", "cuda"])]
    peer_device: String,
    /// Number of measurements of every contestant of a case, in turn and in a new process each time
    #[arg(long, value_name = "N", default_value_t = 3)]
    rounds: usize,
    /// Seconds to collect samples for, of each contestant and case, all rounds together
    #[arg(long, value_name = "SECONDS", default_value_t = 5.0)]
    seconds: f64,
    /// Seconds after which warming up ends even if times have not settled
    #[arg(long, value_name = "SECONDS", default_value_t = 10.0)]
    warmup_seconds: f64,
    /// Samples to collect even if that takes longer
    #[arg(long, value_name = "N", default_value_t = 5)]
    min_samples: usize,
    /// Samples after which it is enough
    #[arg(long, value_name = "N", default_value_t = 200)]
    max_samples: usize,
    /// Seconds after which a contestant's process counts as hung
    #[arg(long, value_name = "SECONDS", default_value_t = 600)]
    time_limit: u64,
    /// Leave out cases that count more billion operations in an iteration
    #[arg(long, value_name = "N")]
    max_gflop: Option<f64>,
    /// Seed of weights, inputs and dropout
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Write everything that was measured, raw samples included, for scripts and for `bert bench diff`
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Write a page with charts
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,
    #[command(flatten)]
    proof: ProofArgs,
    /// Internal: do the job in this file on the device of --on and print the reply as JSON.
    #[arg(long, hide = true, value_name = "FILE", requires = "on")]
    job: Option<PathBuf>,
    /// Internal: the device of --job.
    #[arg(long, hide = true, value_name = "DEVICE")]
    on: Option<DeviceSpec>,
}

pub(crate) fn run(args: Args) -> Result<()> {
    let options = args.options;
    if let Some(action) = args.action {
        return show(action);
    }
    if let (Some(job), Some(spec)) = (&options.job, &options.on) {
        return answer(job, spec);
    }
    let mut plan = plan(&options)?;
    let refused = prove(&mut plan, &options.proof)?;
    let program = Program::this().context("cannot find this program")?;
    let device_command = |spec: &DeviceSpec, job: &Path| {
        let mut command = program.command();
        command.args(["bench", "--job"]).arg(job);
        command.envs(remote_token_environment());
        command.args(["--on", &spec.to_string()]);
        command
    };
    let runner = Runner {
        command_line: command_line(),
        device_command: &device_command,
        progress: &mut |message| note(message),
    };
    let record = measure(&plan, runner)?;
    if let Some(path) = &options.json {
        record.write(path)?;
    }
    if let Some(path) = &options.report {
        write_atomically(path, page::page(&record).as_bytes())?;
    }
    let mut output = Output::stdout();
    output.line(markdown::report(&record).trim_end())?;
    output.finish()?;
    if record.rows.iter().all(|row| row.measured().is_none()) {
        bail!(
            "none of {} measurements succeeded; the table says why",
            record.rows.len()
        );
    }
    match refused.as_slice() {
        [] => Ok(()),
        refused => bail!("not measured: {}", refused.join("; ")),
    }
}

/// Takes the devices that are not proven out of the plan, and says why; an error if none is left.
fn prove(plan: &mut Plan, proof: &ProofArgs) -> Result<Vec<String>> {
    let precisions: &[Precision] = match (plan.dtype, plan.mode) {
        (Precision::F32, _) => &[Precision::F32],
        // Weights are in f32 there.
        (dtype, Mode::Train | Mode::Pretrain) => &[Precision::F32, dtype],
        (dtype, _) => &[dtype],
    };
    let mut refused = Vec::new();
    plan.devices.retain(|spec| {
        let proven = proof.require(spec, precisions);
        if let Err(error) = &proven {
            note(format_args!("{error:#}"));
            refused.push(format!("{error:#}"));
        }
        proven.is_ok()
    });
    if plan.devices.is_empty() && !refused.is_empty() {
        bail!("nothing to measure: {}", refused.join("; "));
    }
    Ok(refused)
}

/// Records as something to read.
fn show(action: Action) -> Result<()> {
    let mut output = Output::stdout();
    match action {
        Action::Diff {
            before,
            after,
            json,
        } => {
            let (before, after) = (Record::read(&before)?, Record::read(&after)?);
            match json {
                true => output.json(&changes(&before, &after))?,
                false => output.line(markdown::difference(&before, &after).trim_end())?,
            }
        }
        Action::Table { records } => {
            let records = records.iter().map(|path| Record::read(path));
            let records = records.collect::<Result<Vec<_>, _>>()?;
            output.line(summary::summary(&records).trim_end())?;
        }
    }
    output.finish()
}

/// Measures the job on one device, in a process of its own, and prints the reply.
fn answer(job: &Path, spec: &DeviceSpec) -> Result<()> {
    let cannot_read = || format!("cannot read the job {}", job.display());
    let text = std::fs::read(job).with_context(cannot_read)?;
    let job = serde_json::from_slice(&text).with_context(cannot_read)?;
    let mut output = Output::stdout();
    output.json(&device::measure(&job, spec)?)?;
    output.finish()
}

fn plan(options: &Options) -> Result<Plan> {
    let models = match &options.model {
        Some(model) => vec![Model {
            name: model_name(model),
            source: ModelSource::Directory(resolve_model(model)?),
        }],
        None => {
            let families = families(&options.family)?;
            let sizes = options.preset.iter();
            sizes
                .flat_map(|size| families.iter().map(move |family| fresh(size, family)))
                .collect::<Result<_>>()?
        }
    };
    let lengths = match (&options.lengths, &options.lengths_of) {
        (Some(path), _) => Some(Lengths::Known(lengths::read(path)?)),
        (None, Some(path)) => Some(Lengths::OfLines(path.clone())),
        (None, None) => None,
    };
    let time_limit = Duration::from_secs(options.time_limit);
    Ok(Plan {
        models,
        devices: devices(&options.devices, time_limit)?,
        int8: options.int8,
        peers: options.peers.clone(),
        peers_dir: options.peers_dir.clone(),
        peer_device: options.peer_device.clone(),
        mode: options.mode,
        dtype: options.dtype,
        threads: options.threads,
        batch_sizes: options.batch_sizes.clone(),
        seq_lengths: options.seq_lengths.clone(),
        lengths,
        rounds: options.rounds,
        limits: Limits {
            warmup_seconds: options.warmup_seconds,
            seconds: options.seconds,
            min_samples: options.min_samples,
            max_samples: options.max_samples,
        },
        time_limit,
        seed: options.seed,
        max_gflop: options.max_gflop,
    })
}

/// The families of these names, or all.
fn families(names: &[String]) -> Result<Vec<&'static Family>> {
    if names == ["all"] {
        return Ok(FAMILIES.to_vec());
    }
    let named = names.iter().map(|name| {
        family(name).with_context(|| {
            let known = FAMILIES.map(|family| family.model_type).join(", ");
            format!("--family {name} is unknown; there are all, {known}")
        })
    });
    named.collect()
}

/// A fresh model of a family; one of BERT has the name of its size alone.
fn fresh(size: &str, family: &'static Family) -> Result<Model> {
    let name = match *family == BERT {
        true => size.to_owned(),
        false => format!("{} {size}", family.model_type),
    };
    let config = BertConfig::preset_in_family(size, family)?;
    Ok(Model {
        name,
        source: ModelSource::Fresh(Box::new(config)),
    })
}

/// A hub id as it is, a directory by its last part: records of two machines have different paths.
fn model_name(model: &str) -> String {
    let path = Path::new(model);
    let name = path.is_dir().then(|| path.canonicalize().ok()).flatten();
    let name = name.and_then(|path| Some(path.file_name()?.to_string_lossy().into_owned()));
    name.unwrap_or_else(|| model.to_owned())
}

/// The devices that labels name, or all that are found.
fn devices(labels: &[String], limit: Duration) -> Result<Vec<DeviceSpec>> {
    if labels != ["all"] {
        return Ok(labels
            .iter()
            .map(|label| label.parse())
            .collect::<Result<_, _>>()?);
    }
    let (found, problem) = find_adapters(limit)?;
    if let Some(problem) = problem {
        note(format_args!(
            "warning: listing the adapters failed: {problem}"
        ));
    }
    let mut devices = Vec::new();
    for adapter in found {
        if adapter.is_software_rasteriser() {
            note(format_args!(
                "{} is a software rasteriser: name it to measure it",
                adapter.label
            ));
        } else {
            devices.push(adapter.label.parse()?);
        }
    }
    if devices.is_empty() {
        bail!("no device was found to measure: name some with --devices");
    }
    Ok(devices)
}

/// The command line as one could type it again.
fn command_line() -> String {
    let plain = |c: char| c.is_alphanumeric() || "-_./:=,+@%".contains(c);
    let words = std::env::args()
        .skip(1)
        .map(|word| match word.chars().all(plain) {
            true if !word.is_empty() => word,
            _ => format!("'{}'", word.replace('\'', r"'\''")),
        });
    std::iter::once("bert".to_owned())
        .chain(words)
        .collect::<Vec<_>>()
        .join(" ")
}
