//! `bert compare`: how far devices agree on a checkpoint.

use std::collections::BTreeMap;

use anyhow::{Context, bail};
use bert_core::agreement::{Difference, Probe, Trace};
use bert_core::batch::BertBatcher;
use bert_core::checkpoint::Checkpoint;
use bert_core::device::{DeviceSpec, Precision};
use bert_core::hub;
use bert_core::tokenizer::{BertTokenizer, EncodeOptions};
use serde_json::json;

use crate::cli::note::note;
use crate::cli::output::Output;
use crate::cli::proof::ProofArgs;

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Model directory or hub id.
    #[arg(long, value_name = "MODEL")]
    model: String,
    /// Devices to compare, separated by commas.
    #[arg(long, value_name = "DEVICES", value_delimiter = ',', required = true)]
    devices: Vec<DeviceSpec>,
    /// The device the others are measured against [default: the first of --devices].
    #[arg(long, value_name = "DEVICE")]
    reference: Option<DeviceSpec>,
    #[command(flatten)]
    proof: ProofArgs,
    /// Texts to run, as one padded batch; a few sentences by default.
    #[arg(long, value_name = "TEXT")]
    text: Vec<String>,
    /// Seed of the weights of the fixed loss.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// A row for every gradient instead of the worst one per device.
    #[arg(long)]
    all: bool,
    /// JSON on standard output instead of a table.
    #[arg(long)]
    json: bool,
}

const TEXTS: [&str; 4] = [
    "She sat on the bank of the river and watched the boats.",
    "The bank raised its interest rates again.",
    "No.",
    "A sentence that is a good deal longer than the others, so that they are padded, and padding is put to the test.",
];

pub(crate) fn run(args: Args) -> anyhow::Result<()> {
    let dir = hub::resolve_model(&args.model)?;
    let checkpoint = Checkpoint::open(&dir)?;
    let probe = probe(&args, &checkpoint)?;

    let reference = args.reference.clone().unwrap_or(args.devices[0].clone());
    let others: Vec<_> = args
        .devices
        .iter()
        .filter(|spec| **spec != reference)
        .collect();
    if others.is_empty() {
        bail!("nothing to compare: name at least two different devices");
    }

    let expected = trace(&checkpoint, &probe, &reference, &args.proof)?;
    let mut columns = Vec::new();
    for spec in &others {
        let differences = trace(&checkpoint, &probe, spec, &args.proof)?.differences(&expected);
        columns.push((spec.to_string(), differences));
    }
    let mut output = Output::stdout();
    if args.json {
        let devices: BTreeMap<_, _> = columns.iter().cloned().collect();
        let reference = reference.to_string();
        output.json(&json!({ "model": args.model, "reference": reference, "devices": devices }))?;
    } else {
        write_table(&mut output, &reference, &columns, args.all)?;
    }
    output.finish()
}

fn probe(args: &Args, checkpoint: &Checkpoint) -> anyhow::Result<Probe> {
    let config = checkpoint.config();
    let tokenizer = BertTokenizer::from_dir(checkpoint.dir())?;
    tokenizer.check_vocab(config.vocab_size)?;
    let texts: Vec<&str> = if args.text.is_empty() {
        TEXTS.to_vec()
    } else {
        args.text.iter().map(String::as_str).collect()
    };
    let options = EncodeOptions {
        max_length: Some(config.max_input_length()),
        ..EncodeOptions::default()
    };
    let encodings = texts
        .iter()
        .map(|text| tokenizer.encode(text, &options))
        .collect::<Result<Vec<_>, _>>()?;
    // Any device will do to lay out the batch: the probe keeps it on the host.
    let device = args.proof.open(&args.devices[0], &[Precision::F32])?;
    let input = BertBatcher::new(&tokenizer)
        .for_model(config)
        .batch(&encodings, &device)?;
    Ok(Probe::new(&input, config.hidden_size, args.seed))
}

fn trace(
    checkpoint: &Checkpoint,
    probe: &Probe,
    spec: &DeviceSpec,
    proof: &ProofArgs,
) -> anyhow::Result<Trace> {
    note(format_args!("running on {spec}"));
    let device = proof.open(spec, &[Precision::F32])?;
    bert_heads::agreement::trace(checkpoint, probe, &device)
        .with_context(|| format!("device {spec}"))
}

fn write_table(
    output: &mut Output,
    reference: &DeviceSpec,
    columns: &[(String, Vec<Difference>)],
    all: bool,
) -> anyhow::Result<()> {
    output.line(format_args!(
        "difference from {reference}: max |d| (mean |d|); gradients as a share of the largest value"
    ))?;
    for (label, differences) in columns {
        output.line(format_args!("\n{label}"))?;
        for difference in differences.iter().filter(|d| !d.is_gradient()) {
            output.line(format_args!(
                "  {:<24} {:>9.2e} ({:.1e})",
                difference.name, difference.max_abs, difference.mean_abs
            ))?;
        }
        let gradients = differences.iter().filter(|d| d.is_gradient());
        if all {
            for gradient in gradients {
                output.line(format_args!(
                    "  {:<64} {:>9.2e}",
                    gradient.name,
                    gradient.relative()
                ))?;
            }
        } else if let Some(worst) = gradients.max_by(|a, b| a.relative().total_cmp(&b.relative())) {
            output.line(format_args!(
                "  {:<24} {:>9.2e} ({})",
                "gradients, the worst",
                worst.relative(),
                worst.name
            ))?;
        }
    }
    Ok(())
}
