//! `bert pretrain eval`: masked-LM and next-sentence performance on a text.

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Result;
use bert_core::checkpoint::Checkpoint;
use bert_core::hub;
use bert_core::tokenizer::BertTokenizer;
use bert_pretrain::corpus::{Documents, Layout};
use bert_pretrain::model::BertForPreTraining;
use bert_pretrain::objective::export;
use bert_pretrain::run::{evaluate, held_out_batches};
use serde_json::{Map, Value};

use super::options::{InstanceArgs, documents};
use crate::cli::device::DeviceArgs;
use crate::cli::note::note;
use crate::cli::output::Output;

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Model directory or hub id, with pretraining heads.
    #[arg(long, value_name = "MODEL")]
    model: String,
    /// Text files or directories to measure on.
    #[arg(long, value_name = "FILE", required = true, num_args = 1..)]
    corpus: Vec<PathBuf>,
    /// How the text is laid out: auto, lines (one sentence each) or raw.
    #[arg(long, default_value_t)]
    layout: Layout,
    #[command(flatten)]
    instances: InstanceArgs,
    /// Sequences run at once.
    #[arg(long, value_name = "N", default_value_t = 32)]
    batch_size: usize,
    /// Stop after this many batches.
    #[arg(long, value_name = "N")]
    batches: Option<usize>,
    /// Also write the batches as safetensors, to compute the same in another framework.
    #[arg(long, value_name = "FILE")]
    export: Option<PathBuf>,
    #[command(flatten)]
    device: DeviceArgs,
    /// JSON on standard output.
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(args: Args) -> Result<()> {
    let dir = hub::resolve_model(&args.model)?;
    let tokenizer = BertTokenizer::from_dir(&dir)?;
    let checkpoint = Checkpoint::open(&dir)?;
    // Masks draw from the whole vocabulary.
    tokenizer.check_every_token(checkpoint.config().vocab_size)?;
    args.instances.check_length(checkpoint.config())?;
    let device = args.device.open()?;
    let mut pairs = args.instances.pairs();
    let has_head = checkpoint.contains("cls.seq_relationship.weight");
    if pairs.next_sentence && !has_head {
        note("the model has no next-sentence head: measuring the masked LM alone");
        pairs.next_sentence = false;
    }
    let (model, report) =
        BertForPreTraining::from_checkpoint(&checkpoint, pairs.next_sentence, 0, &device)?;
    if let Some(name) = report.missing.first() {
        anyhow::bail!(
            "{}: it lacks `{name}`; a model with a masked-LM head is needed, as `bert pretrain train` writes it",
            dir.display()
        );
    }
    let cache = tempfile::tempdir()?;
    let corpus = documents(
        &cache.path().join("corpus"),
        &args.corpus,
        args.layout,
        &tokenizer,
    )?;
    let corpus: Documents = Arc::new(corpus);
    let batches = held_out_batches(
        &corpus,
        &tokenizer,
        pairs,
        args.instances.masking(),
        args.batch_size,
        args.batches.unwrap_or(usize::MAX),
    )?;
    note(format_args!("{} batches", batches.len()));
    if let Some(path) = &args.export {
        export(path, &batches)?;
    }
    let values = evaluate(&model, &batches);
    let mut output = Output::stdout();
    if args.json {
        let values: Map<String, Value> = values
            .into_iter()
            .map(|(name, value)| (name, value.into()))
            .collect();
        output.json(&values)?;
    } else {
        for (name, value) in values {
            output.line(format_args!("{name:<18} {value:.4}"))?;
        }
    }
    output.finish()
}
