//! `bert inspect`: what a checkpoint holds and how it loads.

use bert_core::checkpoint::{Checkpoint, Loading, TensorInfo};
use bert_core::hub;
use serde_json::{Value, json};

use crate::cli::device::DeviceArgs;
use crate::cli::output::Output;

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Model directory or hub id.
    #[arg(long, value_name = "MODEL")]
    model: String,
    #[command(flatten)]
    device: DeviceArgs,
    /// JSON on standard output.
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(args: Args) -> anyhow::Result<()> {
    let dir = hub::resolve_model(&args.model)?;
    let checkpoint = Checkpoint::open(&dir)?;
    let device = args.device.open()?;
    let (_, report) = checkpoint.load_model(Loading::Partial, &device)?;

    let config = checkpoint.config();
    let parameters = config.num_params(checkpoint.has_pooler());
    let stored: usize = checkpoint.tensors().map(elements).sum();
    let mut output = Output::stdout();
    if args.json {
        let tensors: Vec<Value> = checkpoint
            .tensors()
            .map(|tensor| {
                json!({
                    "name": tensor.name,
                    "dtype": tensor.dtype,
                    "shape": tensor.shape,
                    "file": tensor.file,
                })
            })
            .collect();
        output.json(&json!({
            "dir": dir,
            "config": config.to_json(),
            "encoder_parameters": parameters,
            "stored_values": stored,
            "pooler": checkpoint.has_pooler(),
            "tensors": tensors,
            "report": report,
        }))?;
        return output.finish();
    }

    output.line(dir.display())?;
    for (field, value) in config.to_json() {
        output.line(format_args!("  {field}: {value}"))?;
    }
    let pooler = match checkpoint.has_pooler() {
        true => "with",
        false => "without",
    };
    output.line(format_args!(
        "encoder: {} parameters {pooler} pooler, {} values in the files",
        grouped(parameters),
        grouped(stored)
    ))?;
    output.line("tensors:")?;
    for tensor in checkpoint.tensors() {
        output.line(format_args!(
            "  {} {} {:?}",
            tensor.name, tensor.dtype, tensor.shape
        ))?;
    }
    output.line(format_args!("loading the encoder: {report}"))?;
    output.finish()
}

fn elements(tensor: &TensorInfo) -> usize {
    tensor.shape.iter().product()
}

/// `109482240` as `109,482,240`.
fn grouped(number: usize) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}
