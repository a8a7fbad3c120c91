//! `bert similarity`: the cosine between the vectors of two texts.

use anyhow::Result;
use bert_core::hub::resolve_model;
use bert_heads::sentence_embedding::{EmbedderOptions, SentenceEmbedder, cosine_similarity};
use serde_json::json;

use crate::device::{DeviceArgs, WeightArgs};
use crate::output::{Output, note};

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Model directory or hub id
    #[arg(long)]
    model: String,
    #[command(flatten)]
    device: DeviceArgs,
    #[command(flatten)]
    weights: WeightArgs,
    /// First text
    a: String,
    /// Second text
    b: String,
    /// Print a line of JSON
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(args: Args) -> Result<()> {
    let dir = resolve_model(&args.model)?;
    let device = args.device.open()?;
    let options = EmbedderOptions {
        weights: args.weights.get(),
        ..EmbedderOptions::default()
    };
    let embedder = SentenceEmbedder::from_dir(dir, &options, &device)?;
    let embeddings = embedder.embed(&[&args.a, &args.b])?;
    for (name, embedding) in ["first", "second"].iter().zip(&embeddings) {
        if embedding.truncated > 0 {
            note(format_args!(
                "warning: the {name} text was cut to {} tokens; {} are left out",
                embedder.max_length(),
                embedding.truncated
            ));
        }
    }
    let similarity = cosine_similarity(&embeddings[0].values, &embeddings[1].values);
    let mut output = Output::stdout();
    match args.json {
        true => output.json(&json!({ "similarity": similarity }))?,
        false => output.line(format_args!("{similarity:.6}"))?,
    }
    output.finish()
}
