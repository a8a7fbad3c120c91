//! `bert doctor`: what this binary can run on, with a numeric self-test per device.

use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::Context;
use benchmarks::child::{Outcome, supervise};
use benchmarks::machine::{BURN, Machine};
use bert_core::agreement::{Difference, Golden};
use bert_core::device::{self, AdapterKind, DeviceSpec};
use bert_core::inference::int8_instructions;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::output::{Output, note};

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Test only these devices, separated by commas [default: all that are found].
    #[arg(long, value_name = "DEVICES", value_delimiter = ',')]
    devices: Vec<String>,
    /// Seconds after which a device's self-test counts as hung.
    #[arg(long, value_name = "SECONDS", default_value_t = 900)]
    timeout: u64,
    /// JSON on standard output.
    #[arg(long)]
    json: bool,
    /// Internal: list adapters as JSON.
    #[arg(long, hide = true)]
    list_adapters: bool,
    /// Internal: run the self-test on one device and print its result as JSON.
    #[arg(long, hide = true, value_name = "DEVICE")]
    self_test: Option<DeviceSpec>,
}

/// An adapter as the listing child reports it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Adapter {
    pub(crate) label: String,
    name: String,
    driver: String,
    api: String,
    kind: String,
}

/// The outcome of one device's self-test.
#[derive(Debug, Serialize)]
struct Row {
    device: String,
    adapter: Option<Adapter>,
    status: Status,
    /// Largest difference of a forward value from float64.
    forward: Option<f64>,
    /// Largest difference of a gradient, as a share of the largest value.
    gradients: Option<f64>,
    seconds: f64,
    reason: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "UPPERCASE")]
enum Status {
    Ok,
    Fail,
    Crashed,
    Hung,
}

/// What a self-test child prints.
#[derive(Serialize, Deserialize)]
struct Verdict {
    within_bars: bool,
    forward: f64,
    gradients: f64,
}

pub(crate) fn run(args: Args) -> anyhow::Result<()> {
    let mut output = Output::stdout();
    if args.list_adapters {
        output.json(&adapters())?;
        return output.finish();
    }
    if let Some(spec) = args.self_test {
        output.json(&self_test(&spec)?)?;
        return output.finish();
    }

    let limit = Duration::from_secs(args.timeout);
    // A label that is mistyped is the caller's error, not a device's.
    for label in &args.devices {
        label.parse::<DeviceSpec>()?;
    }
    let (found, listing_problem) = found(limit)?;
    let labels: Vec<String> = if args.devices.is_empty() {
        found.iter().map(|adapter| adapter.label.clone()).collect()
    } else {
        args.devices
    };
    let rows: Vec<Row> = labels
        .into_iter()
        .map(|label| {
            note(format_args!("testing {label}"));
            let adapter = found.iter().find(|adapter| adapter.label == label).cloned();
            test(label, adapter, limit)
        })
        .collect();

    if args.json {
        let machine = machine();
        let report =
            json!({ "machine": machine, "devices": rows, "listing_problem": listing_problem });
        output.json(&report)?;
    } else {
        write_machine(&mut output)?;
        if let Some(problem) = &listing_problem {
            output.line(format_args!("listing the adapters failed: {problem}"))?;
        }
        output.line("")?;
        for row in &rows {
            write_row(&mut output, row)?;
        }
    }
    output.finish()?;
    let failed = rows.iter().filter(|row| row.status != Status::Ok).count();
    if failed > 0 {
        anyhow::bail!("{failed} of {} devices failed their self-test", rows.len());
    }
    if let Some(problem) = listing_problem {
        anyhow::bail!("listing the adapters failed: {problem}");
    }
    Ok(())
}

impl Adapter {
    pub(crate) fn is_software_rasteriser(&self) -> bool {
        self.kind == AdapterKind::SoftwareRasteriser.to_string()
    }
}

/// The adapters that a child process finds, and what went wrong if it did not come to an end.
pub(crate) fn found(limit: Duration) -> anyhow::Result<(Vec<Adapter>, Option<String>)> {
    match child(&["--list-adapters"], limit) {
        Outcome::Finished(output) => {
            let found = serde_json::from_str(&output).context("adapter listing")?;
            Ok((found, None))
        }
        other => Ok((Vec::new(), Some(other.reason()))),
    }
}

fn adapters() -> Vec<Adapter> {
    device::adapters()
        .into_iter()
        .map(|info| Adapter {
            label: info.spec.to_string(),
            name: info.name,
            driver: info.driver,
            api: info.api,
            kind: info.kind.to_string(),
        })
        .collect()
}

fn self_test(spec: &DeviceSpec) -> anyhow::Result<Verdict> {
    let device = spec.open()?;
    let differences = Golden::built_in()?.check(&device)?;
    let worst = |gradient: bool, value: fn(&Difference) -> f64| {
        differences
            .iter()
            .filter(|difference| difference.is_gradient() == gradient)
            .map(value)
            .fold(0.0, f64::max)
    };
    Ok(Verdict {
        within_bars: differences.iter().all(Difference::is_within_bars),
        // JSON has no infinity.
        forward: worst(false, |d| d.max_abs).min(f64::MAX),
        gradients: worst(true, Difference::relative).min(f64::MAX),
    })
}

fn test(label: String, adapter: Option<Adapter>, limit: Duration) -> Row {
    let start = Instant::now();
    let outcome = child(&["--self-test", &label], limit);
    let mut row = Row {
        device: label,
        adapter,
        status: Status::Fail,
        forward: None,
        gradients: None,
        seconds: start.elapsed().as_secs_f64(),
        reason: None,
    };
    match &outcome {
        Outcome::Finished(output) => match serde_json::from_str::<Verdict>(output) {
            Ok(verdict) => {
                row.forward = Some(verdict.forward);
                row.gradients = Some(verdict.gradients);
                if verdict.within_bars {
                    row.status = Status::Ok;
                } else {
                    row.reason = Some("differs from the float64 reference".to_owned());
                }
            }
            Err(error) => row.reason = Some(format!("unreadable result: {error}")),
        },
        Outcome::Failed(_) => row.reason = Some(outcome.reason()),
        Outcome::Crashed(_) => {
            row.status = Status::Crashed;
            row.reason = Some(outcome.reason());
        }
        Outcome::Hung => {
            row.status = Status::Hung;
            row.reason = Some(outcome.reason());
        }
    }
    row
}

/// Runs `bert doctor` with internal arguments.
fn child(arguments: &[&str], limit: Duration) -> Outcome {
    let supervised = std::env::current_exe()
        .map_err(anyhow::Error::from)
        .and_then(|program| {
            let mut command = Command::new(program);
            command.arg("doctor").args(arguments);
            command.envs(device::remote_token_environment());
            Ok(supervise(command, limit)?)
        });
    match supervised {
        Ok(outcome) => outcome,
        Err(error) => Outcome::Failed(format!("the child process did not start: {error:#}")),
    }
}

fn machine() -> serde_json::Value {
    let machine = Machine::here();
    json!({
        "bert": env!("CARGO_PKG_VERSION"),
        "burn": BURN,
        "processor": machine.processor,
        "threads": machine.threads,
        "memory_bytes": machine.memory_bytes,
        "memory_available_bytes": machine.memory_available_bytes,
        "backends": device::compiled_backends(),
        "int8": int8_instructions().is_some(),
        "int8_instructions": int8_instructions(),
        "libtorch": device::libtorch_info().map(|info| json!({
            "version": info.version,
            "threads": info.threads,
            "own_kernels": info.own_kernels,
            "cuda_devices": info.cuda_devices,
            "cudnn": info.cudnn,
            "mps": info.mps,
        })),
    })
}

fn write_machine(output: &mut Output) -> anyhow::Result<()> {
    let machine = machine();
    let gib = |bytes: &Value| bytes.as_f64().unwrap_or_default() / f64::from(1 << 30);
    output.line(format_args!(
        "bert {}, Burn {BURN}; {}, {} threads, {:.1} GiB of memory, {:.1} GiB available",
        env!("CARGO_PKG_VERSION"),
        machine["processor"].as_str().unwrap_or("unknown processor"),
        machine["threads"],
        gib(&machine["memory_bytes"]),
        gib(&machine["memory_available_bytes"]),
    ))?;
    let compiled = device::compiled_backends();
    let absent: Vec<_> = FEATURES
        .into_iter()
        .filter(|feature| !compiled.contains(feature))
        .collect();
    output.line(format_args!(
        "backends in this build: {}",
        compiled.join(", ")
    ))?;
    if compiled.contains(&"flex") {
        let speed = match int8_instructions() {
            Some(name) => format!("with the processor's own instructions ({name})"),
            None => "saves memory, but this processor lacks the instructions (AVX-512 VNNI, AMX) that make it fast"
                .to_owned(),
        };
        output.line(format_args!("--int8 on flex: {speed}"))?;
    }
    if !absent.is_empty() {
        let absent = absent.join(", ");
        output.line(format_args!(
            "others, with `--features` when building: {absent}"
        ))?;
    }
    if let Some(info) = device::libtorch_info() {
        output.line(format_args!(
            "LibTorch {}: {} threads, on the processor with {} kernels, {} CUDA devices{}",
            info.version,
            info.threads,
            if info.own_kernels {
                "Flex's"
            } else {
                "its own"
            },
            info.cuda_devices,
            if info.mps { ", MPS" } else { "" }
        ))?;
    }
    Ok(())
}

fn write_row(output: &mut Output, row: &Row) -> anyhow::Result<()> {
    let status = format!("{:?}", row.status).to_uppercase();
    let mut line = format!("{status:<8} --device {:<20}", row.device);
    if let (Some(forward), Some(gradients)) = (row.forward, row.gradients) {
        line += &format!("  max |difference| {forward:.1e}, gradients {gradients:.1e}");
    }
    line += &format!("  {:.1} s", row.seconds);
    if let Some(adapter) = &row.adapter {
        let about: Vec<_> = [&adapter.kind, &adapter.api, &adapter.driver]
            .into_iter()
            .filter(|part| !part.is_empty())
            .map(String::as_str)
            .collect();
        line += &format!("  {} ({})", adapter.name, about.join(", "));
    }
    output.line(line)?;
    match &row.reason {
        Some(reason) => output.line(format_args!("         {reason}")),
        None => Ok(()),
    }
}

/// The backend features of this package.
const FEATURES: [&str; 10] = [
    "flex", "ndarray", "tch", "wgpu", "vulkan", "metal", "webgpu", "cuda", "rocm", "cpu",
];
