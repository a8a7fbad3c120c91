//! `bert pretrain prepare`: instances made once and for all.

use std::path::PathBuf;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use bert_core::files::TemporaryDirectory;
use bert_core::hub::resolve_model;
use bert_core::tokenizer::BertTokenizer;
use bert_pretrain::corpus::Layout;
use bert_pretrain::instances::{self, PrepareOptions, PrepareProgress};

use super::options::{InstanceArgs, documents, family_named};
use crate::cli::note::note;
use crate::cli::output::create_dir;

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Text files or directories.
    #[arg(long, value_name = "FILE", required = true, num_args = 1.., visible_alias = "corpus")]
    input: Vec<PathBuf>,
    /// Layout of the text: auto, lines (one sentence each) or raw.
    #[arg(long, default_value_t)]
    layout: Layout,
    /// Directory with the vocabulary, or hub id.
    #[arg(long, value_name = "MODEL")]
    tokenizer: String,
    /// Family of the model that learns from them, by the model_type of its config.json; full sentences where it has no next
    /// sentences [default: that of the tokenizer]
    #[arg(long, value_name = "NAME")]
    family: Option<String>,
    /// Directory to write; instances in it are replaced when the new ones are complete.
    #[arg(long, value_name = "DIR")]
    output: PathBuf,
    #[command(flatten)]
    instances: InstanceArgs,
    /// Number of passes over each document, with other pairs and masks each time.
    #[arg(long, value_name = "N", default_value_t = 10)]
    dupe_factor: usize,
    /// Decides pairs, masks and order.
    #[arg(long, value_name = "N", default_value_t = 12345)]
    seed: u64,
    /// Files to spread the instances over.
    #[arg(long, value_name = "N", default_value_t = 1)]
    shards: usize,
    /// Threads to work with; the result is the same with any number [default: one per core]
    #[arg(long, value_name = "N")]
    threads: Option<usize>,
    /// Memory to work in, roughly, in MiB; the result is the same with any.
    #[arg(long, value_name = "MIB", default_value_t = 256)]
    memory: usize,
    /// Directory to keep the tokenized text in, for other preparations of it [default: none is kept]
    #[arg(long, value_name = "DIR")]
    cache: Option<PathBuf>,
}

pub(crate) fn run(args: Args) -> Result<()> {
    // Zero lets rayon decide.
    let pool = rayon::ThreadPoolBuilder::new()
        .num_threads(args.threads.unwrap_or(0))
        .build()
        .context("cannot start the threads")?;
    pool.install(|| prepare(args))
}

fn prepare(args: Args) -> Result<()> {
    let tokenizer = BertTokenizer::from_dir(resolve_model(&args.tokenizer)?)?;
    let family = match &args.family {
        Some(name) => family_named(name)?,
        None => tokenizer.family(),
    };
    let options = PrepareOptions {
        pair: args.instances.pairs_for(family),
        masking: args.instances.masking(),
        duplicates: args.dupe_factor,
        seed: args.seed,
        shards: args.shards,
        buffer: args.memory.saturating_mul(1 << 20),
    };
    // Before hours of reading.
    options.check()?;
    create_dir(&args.output)?;
    let temporary = TemporaryDirectory::create_in(&args.output, ".corpus-")?;
    let cache = match args.cache {
        Some(cache) => cache,
        None => temporary.path().join("tokens"),
    };
    let corpus = documents(&cache, &args.input, args.layout, &tokenizer)?;

    let start = Instant::now();
    let shown = Mutex::new(start);
    let progress = |progress: PrepareProgress| {
        // A thread that finds another one writing goes on.
        let Ok(mut shown) = shown.try_lock() else {
            return;
        };
        if shown.elapsed() >= Duration::from_secs(5) {
            *shown = Instant::now();
            note(status(progress));
        }
    };
    let prepared = instances::prepare(&corpus, &tokenizer, &options, &args.output, progress)?;
    let statistics = prepared.statistics();
    note(format_args!(
        "{} instances with {} tokens, {} of them to predict, in {:.1} s: {}",
        statistics.instances,
        statistics.tokens,
        statistics.predictions,
        start.elapsed().as_secs_f64(),
        args.output.display()
    ));
    Ok(())
}

fn status(progress: PrepareProgress) -> String {
    let PrepareProgress {
        documents,
        total_documents,
        instances,
        written,
    } = progress;
    match written {
        0 => format!("cutting: {documents} of {total_documents} documents, {instances} instances"),
        _ => format!("shuffling: {written} of {instances} instances"),
    }
}
