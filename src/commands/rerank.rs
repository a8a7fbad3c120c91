//! `bert rerank`: texts in the order of how well they go with a query, as JSON lines.

use std::path::PathBuf;

use anyhow::Result;
use bert_core::hub::resolve_model;
use bert_heads::runner::in_windows;
use bert_heads::tasks::reranking::{RankedText, Ranking, Reranker};

use crate::cli::device::{DeviceArgs, WeightArgs};
use crate::cli::input;
use crate::cli::long_texts::{LongTextCount, WindowArgs};
use crate::cli::output::Output;

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Directory or hub id of a cross-encoder: a classifier of pairs with one output
    #[arg(long)]
    model: String,
    #[command(flatten)]
    device: DeviceArgs,
    #[command(flatten)]
    weights: WeightArgs,
    /// Give only the best K texts; memory then does not grow with the input
    #[arg(long, value_name = "K", value_parser = clap::value_parser!(u64).range(1..))]
    top_k: Option<u64>,
    #[command(flatten)]
    windows: WindowArgs,
    /// File to write; it appears when it is complete [default: standard output]
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Query that the texts are compared with
    query: String,
    /// Texts to rank, one a line; `-` or nothing for standard input
    file: Option<PathBuf>,
}

pub(crate) fn run(args: Args) -> Result<()> {
    if args.query.trim().is_empty() {
        anyhow::bail!("the query is empty: give one with words to compare texts with");
    }
    let lines = input::lines(args.file.as_deref())?;
    let mut output = Output::open(args.output.as_deref())?;
    let dir = resolve_model(&args.model)?;
    let (device, weights) = args.device.open_for_inference(&args.weights)?;
    let options = args.windows.options(weights);
    let reranker = Reranker::from_dir(dir, &options, &device)?;
    let mut ranking = Ranking::new(args.top_k.map(|k| usize::try_from(k).unwrap_or(usize::MAX)));
    let mut long = LongTextCount::default();
    let texts = lines.zip(1..).map(|(text, line)| -> Result<String> {
        Ok(text.map_err(|source| bert_heads::Error::Line { line, source })?)
    });
    in_windows(
        texts,
        |text| text.len(),
        |texts| Ok(reranker.predict(&args.query, texts)?),
        |index, text, prediction| {
            long.count(index, prediction.windows, reranker.max_length());
            let score = reranker.score(&prediction);
            ranking.add(RankedText { index, score, text });
            Ok(())
        },
    )?;
    for text in ranking.into_sorted() {
        output.json(&text)?;
    }
    output.finish()?;
    long.report();
    Ok(())
}
