//! `bert inspect`: what a checkpoint holds and how it loads.

use bert_core::checkpoint::{Checkpoint, Loading, TensorInfo};
use bert_core::device::DeviceSpec;
use bert_core::hub;
use serde_json::{Value, json};

/// Configuration, sizes, tensors and the load report of a checkpoint.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Model directory or hub id.
    #[arg(long, value_name = "MODEL")]
    model: String,
    /// Device to load on for the report [default: as for the other commands].
    #[arg(long, value_name = "DEVICE")]
    device: Option<String>,
    /// JSON on standard output.
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(args: Args) -> anyhow::Result<()> {
    let dir = hub::resolve_model(&args.model)?;
    let checkpoint = Checkpoint::open(&dir)?;
    let device = DeviceSpec::resolve(args.device.as_deref())?.open()?;
    let (_, report) = checkpoint.load_model(Loading::Partial, &device)?;

    let config = checkpoint.config();
    let parameters = config.num_params(checkpoint.has_pooler());
    let stored: usize = checkpoint.tensors().map(elements).sum();
    if args.json {
        let tensors: Vec<Value> = checkpoint
            .tensors()
            .map(|tensor| json!({ "name": tensor.name, "dtype": tensor.dtype, "shape": tensor.shape, "file": tensor.file }))
            .collect();
        println!(
            "{}",
            json!({
                "dir": dir,
                "config": config.to_json(),
                "encoder_parameters": parameters,
                "stored_values": stored,
                "pooler": checkpoint.has_pooler(),
                "tensors": tensors,
                "report": report,
            })
        );
        return Ok(());
    }

    println!("{}", dir.display());
    for (field, value) in config.to_json() {
        println!("  {field}: {value}");
    }
    println!(
        "encoder: {} parameters {} pooler, {} values in the files",
        grouped(parameters),
        if checkpoint.has_pooler() { "with" } else { "without" },
        grouped(stored)
    );
    println!("tensors:");
    for tensor in checkpoint.tensors() {
        println!("  {} {} {:?}", tensor.name, tensor.dtype, tensor.shape);
    }
    println!("loading the encoder: {report}");
    Ok(())
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
