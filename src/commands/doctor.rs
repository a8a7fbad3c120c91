//! `bert doctor`: what this binary can run on, with a numeric self-test per device.

use std::time::{Duration, Instant};

use benchmarks::machine::{BURN, Machine};
use bert_core::agreement::self_test;
use bert_core::device::{self, DeviceSpec, Measurement, Precision, set_dtype};
use bert_core::inference::{bfloat16_instructions, int8_instructions, libtorch_kernels_are_own};
use serde::Serialize;
use serde_json::{Value, json};

use crate::cli::adapters::{Adapter, adapters, find_adapters};
use crate::cli::note::note;
use crate::cli::output::Output;
use crate::cli::proof::{Proving, Unproven, worst};

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Test only these devices, separated by commas [default: all that are found].
    #[arg(long, value_name = "DEVICES", value_delimiter = ',')]
    devices: Vec<String>,
    /// Float type to test in: f32, f16 or bf16
    #[arg(long, value_name = "TYPE", default_value_t)]
    dtype: Precision,
    /// Test again what has passed with this build before.
    #[arg(long)]
    again: bool,
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
    /// Everything that was compared, with its bar.
    measured: Vec<Measurement>,
    seconds: f64,
    /// Time of the test in seconds since 1970-01-01 (UTC), if an earlier run's result is shown.
    proven_at: Option<u64>,
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

pub(crate) fn run(args: Args) -> anyhow::Result<()> {
    let mut output = Output::stdout();
    if args.list_adapters {
        output.json(&adapters())?;
        return output.finish();
    }
    if let Some(spec) = args.self_test {
        let device = spec.open()?;
        set_dtype(&device, &spec.to_string(), args.dtype)?;
        output.json(&self_test(&device, args.dtype)?)?;
        return output.finish();
    }

    let limit = Duration::from_secs(args.timeout);
    // A label that is mistyped is the caller's error, not a device's.
    for label in &args.devices {
        label.parse::<DeviceSpec>()?;
    }
    let (found, listing_problem) = find_adapters(limit)?;
    let labels: Vec<String> = if args.devices.is_empty() {
        found.iter().map(|adapter| adapter.label.clone()).collect()
    } else {
        args.devices
    };
    let rows: Vec<Row> = labels
        .into_iter()
        .map(|label| {
            let adapter = found.iter().find(|adapter| adapter.label == label).cloned();
            test(label, adapter, args.dtype, args.again, limit)
        })
        .collect::<Result<_, _>>()?;

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

/// The outcome of a device's self-test: the one that is remembered, or a new one.
fn test(
    label: String,
    adapter: Option<Adapter>,
    dtype: Precision,
    again: bool,
    limit: Duration,
) -> anyhow::Result<Row> {
    let start = Instant::now();
    let spec: DeviceSpec = label.parse()?;
    let proving = Proving::of(&spec, dtype)?;
    let remembered = match again || !spec.wants_proof() {
        true => None,
        false => proving.recall(),
    };
    let proven_at = remembered.as_ref().map(|proof| proof.unix_time);
    let outcome = match remembered {
        Some(proof) => Ok(proof),
        None => {
            note(format_args!("testing {label}"));
            if again {
                spec.forget_tuning();
            }
            proving.attempt(limit)
        }
    };
    let (status, reason, measured, seconds) = match outcome {
        Ok(proof) => (Status::Ok, None, proof.measured, proof.seconds),
        Err(unproven) => {
            let reason = Some(unproven.to_string());
            let (status, measured) = match unproven {
                Unproven::Differs(measured) => (Status::Fail, measured),
                Unproven::Failed(_) => (Status::Fail, Vec::new()),
                Unproven::Crashed(_) => (Status::Crashed, Vec::new()),
                Unproven::Hung(_) => (Status::Hung, Vec::new()),
            };
            (status, reason, measured, start.elapsed().as_secs_f64())
        }
    };
    let (forward, gradients) = match measured.is_empty() {
        true => (None, None),
        false => {
            let (forward, gradients) = worst(&measured);
            (Some(forward), Some(gradients))
        }
    };
    Ok(Row {
        device: label,
        adapter,
        status,
        forward,
        gradients,
        measured,
        seconds,
        proven_at,
        reason,
    })
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
        "bf16_instructions": bfloat16_instructions(),
        "int8": int8_instructions().is_some(),
        "int8_instructions": int8_instructions(),
        "libtorch": device::libtorch_info().map(|info| json!({
            "version": info.version,
            "threads": info.threads,
            "own_kernels": libtorch_kernels_are_own(),
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
    let absent: Vec<_> = device::BACKENDS
        .iter()
        .filter(|backend| !backend.compiled)
        .map(|backend| backend.feature)
        .collect();
    output.line(format_args!(
        "backends in this build: {}",
        compiled.join(", ")
    ))?;
    if ["flex", "ndarray"]
        .iter()
        .any(|name| compiled.contains(name))
    {
        let weights = match bfloat16_instructions() {
            Some(name) => format!("for inference with the processor's own instructions ({name})"),
            None => "not for inference, since this processor lacks the instructions (AVX-512 BF16, AMX) that make it fast"
                .to_owned(),
        };
        output.line(format_args!("--dtype bf16 on flex and ndarray: {weights}"))?;
    }
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
            if libtorch_kernels_are_own() {
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
    if row.proven_at.is_some() {
        line += " (remembered; --again tests it again)";
    }
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
