//! `bert similarity`: how alike the vectors of two texts are.

use anyhow::Result;
use bert_core::hub::resolve_model;
use bert_heads::sentence_embedding::{EmbedderOptions, SentenceEmbedder, SimilarityFunction};
use serde::Serialize;

use crate::cli::device::{DeviceArgs, WeightArgs};
use crate::cli::note::note;
use crate::cli::output::Output;

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

#[derive(Serialize)]
struct Compared {
    similarity: f64,
    /// `cosine` or the function that the model's files name.
    function: String,
}

pub(crate) fn run(args: Args) -> Result<()> {
    let dir = resolve_model(&args.model)?;
    let (device, weights) = args.device.open_for_inference(&args.weights)?;
    let options = EmbedderOptions {
        weights,
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
    let function = embedder.similarity_function();
    let similarity = function.between(&embeddings[0].values, &embeddings[1].values);
    if function != SimilarityFunction::Cosine && !args.json {
        note(format_args!(
            "similarity: {function}, as the model's config_sentence_transformers.json says"
        ));
    }
    let mut output = Output::stdout();
    match args.json {
        true => output.json(&Compared {
            similarity,
            function: function.to_string(),
        })?,
        false => output.line(format_args!("{similarity:.6}"))?,
    }
    output.finish()
}
