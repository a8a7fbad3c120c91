//! `bert embed`: texts, one a line, to vectors.

use std::path::PathBuf;

use anyhow::{Context, Result};
use bert_core::hub::resolve_model;
use bert_heads::datasets::Layout;
use bert_heads::npy::NpyWriter;
use bert_heads::sentence_embedding::{
    BATCH_TOKENS, EmbedderOptions, LongInputs, Poolings, Progress, SentenceEmbedder,
    SentenceEmbedding, Summary,
};
use clap::ValueEnum;
use serde::Serialize;

use crate::cli::device::{DeviceArgs, WeightArgs};
use crate::cli::input;
use crate::cli::note::note;
use crate::cli::output::Output;
use crate::cli::progress::ProgressLine;
use crate::cli::usage::Usage;

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Model directory or hub id
    #[arg(long)]
    model: String,
    #[command(flatten)]
    device: DeviceArgs,
    #[command(flatten)]
    weights: WeightArgs,
    /// Pooling of token vectors: cls, mean, mean-sqrt-len, weighted-mean, max, last-token, pooler, or several joined by +
    /// [default: as the model's 1_Pooling/config.json says, else mean]
    #[arg(long)]
    pooling: Option<Poolings>,
    /// Scale vectors to length 1 [default: if the model's modules.json says so]
    #[arg(
        long,
        value_name = "BOOL",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "true"
    )]
    normalize: Option<bool>,
    /// Give the vector of every token instead of one per text
    #[arg(long, conflicts_with_all = ["pooling", "normalize"])]
    tokens: bool,
    /// Most tokens of a text, special tokens included [default: as the model's files say]
    #[arg(long, value_name = "N")]
    max_length: Option<usize>,
    /// Handling of longer texts: cut, which is counted, or mean, of the vectors of their parts,
    /// each with the weight of its tokens
    #[arg(long, value_name = "HOW", default_value_t, conflicts_with = "tokens")]
    long_texts: LongInputs,
    /// Most tokens of a batch, padding included
    #[arg(long, value_name = "N", default_value_t = BATCH_TOKENS)]
    batch_tokens: usize,
    /// JSON lines, or one NumPy array
    #[arg(long, value_enum, default_value_t = Format::Jsonl)]
    format: Format,
    /// File to write; it appears when it is complete [default: standard output]
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Texts, one a line; `-` or nothing for standard input
    file: Option<PathBuf>,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    Jsonl,
    Npy,
}

#[derive(Serialize)]
struct TextLine<'a> {
    index: usize,
    embedding: &'a [f32],
}

#[derive(Serialize)]
struct TokensLine<'a> {
    index: usize,
    tokens: &'a [String],
    embeddings: Vec<&'a [f32]>,
}

pub(crate) fn run(args: Args) -> Result<()> {
    if args.tokens && args.format == Format::Npy {
        let reason = "--tokens gives a matrix per text, and a NumPy array holds only one: use --format jsonl";
        return Err(Usage(reason).into());
    }
    if let Some(path) = args
        .file
        .as_deref()
        .filter(|path| Layout::of(path).is_some())
    {
        note(format_args!(
            "{}: every line is a text as it stands; to embed a column, write it to a file of its own",
            path.display()
        ));
    }
    let lines = input::lines(args.file.as_deref())?;
    let mut output = Output::open(args.output.as_deref())?;
    let dir = resolve_model(&args.model)?;
    let (device, weights) = args.device.open_for_inference(&args.weights)?;
    let options = EmbedderOptions {
        pooling: args.pooling,
        normalize: args.normalize,
        max_length: args.max_length,
        long_texts: args.long_texts,
        batch_tokens: Some(args.batch_tokens),
        weights,
    };
    let embedder = SentenceEmbedder::from_dir(dir, &options, &device)?;

    let mut line = ProgressLine::new();
    let progress = |so_far| line.update(so_far);
    let outcome = match (args.tokens, args.format) {
        (true, _) => embedder.embed_line_tokens(lines, progress, |text| {
            output.json(&TokensLine {
                index: text.index,
                tokens: &text.tokens,
                embeddings: text.values.chunks(embedder.token_dimension()).collect(),
            })
        }),
        (false, Format::Jsonl) => embedder.embed_lines(lines, progress, |text| {
            output.json(&TextLine {
                index: text.index,
                embedding: &text.values,
            })
        }),
        // The number of rows stands at the front and is known at the end.
        (false, Format::Npy) => output.seekable(|file| {
            const CANNOT: &str = "cannot write the array";
            let mut array = NpyWriter::new(file, embedder.dimension()).context(CANNOT)?;
            let row = |text: SentenceEmbedding| array.row(&text.values).context(CANNOT);
            let summary = embedder.embed_lines(lines, progress, row)?;
            array.finish().context(CANNOT)?;
            Ok(summary)
        }),
    };
    line.clear();
    let summary = outcome?;
    output.finish()?;
    report(&summary, embedder.max_length(), &line);
    Ok(())
}

fn report(summary: &Summary, max_length: usize, line: &ProgressLine) {
    note(line.status(Progress {
        texts: summary.texts,
        tokens: summary.tokens,
    }));
    if let Some(first) = summary.first_truncated {
        note(format_args!(
            "warning: {} of {} texts were cut to {max_length} tokens, the first on line {}; {} tokens are left out",
            summary.truncated_texts,
            summary.texts,
            first + 1,
            summary.truncated_tokens
        ));
    }
}
