//! `bert fill-mask`: the likeliest tokens for each gap of a text.

use anyhow::Result;
use bert_core::hub::resolve_model;
use bert_heads::tasks::masked_lm::{Candidate, FillMask};
use serde::Serialize;

use crate::cli::device::{DeviceArgs, WeightArgs};
use crate::cli::output::Output;

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Model directory or hub id, of a checkpoint with a masked-LM head
    #[arg(long)]
    model: String,
    #[command(flatten)]
    device: DeviceArgs,
    #[command(flatten)]
    weights: WeightArgs,
    /// Text with one or more mask tokens of the model, `[MASK]` or `<mask>`
    text: String,
    /// Tokens to show for each gap
    #[arg(long, value_name = "K", default_value_t = 5)]
    top_k: usize,
    /// Print a line of JSON
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Filled {
    /// One list for each gap.
    masks: Vec<Vec<Candidate>>,
}

pub(crate) fn run(args: Args) -> Result<()> {
    let dir = resolve_model(&args.model)?;
    let (device, weights) = args.device.open_for_inference(&args.weights)?;
    let masks = FillMask::from_dir(dir, &device, weights)?.fill(&args.text, args.top_k)?;
    let mut output = Output::stdout();
    if args.json {
        output.json(&Filled { masks })?;
        return output.finish();
    }
    // Number of the gap, probability, token as text.
    for (number, candidates) in (1..).zip(masks) {
        for candidate in candidates {
            let (probability, text) = (candidate.probability, candidate.text);
            output.line(format_args!("{number}\t{probability:.6}\t{text}"))?;
        }
    }
    output.finish()
}
