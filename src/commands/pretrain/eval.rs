//! `bert pretrain eval`: how well a model does at its objective of pretraining on a text.

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Result, bail};
use bert_core::checkpoint::Checkpoint;
use bert_core::device::Device;
use bert_core::hub;
use bert_core::tokenizer::BertTokenizer;
use bert_heads::tasks::replaced_tokens::BertForReplacedTokens;
use bert_pretrain::corpus::{Documents, Layout};
use bert_pretrain::instances::{MaskingOptions, PairOptions};
use bert_pretrain::model::BertForPreTraining;
use bert_pretrain::objective::{PreTrainingBatch, export};
use bert_pretrain::replaced_tokens::ReplacedTokenDetection;
use bert_pretrain::run::{evaluate, held_out_batches};
use serde_json::{Map, Value};

use super::options::{InstanceArgs, documents};
use crate::cli::device::DeviceArgs;
use crate::cli::note::note;
use crate::cli::output::Output;

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Model directory or hub id, with pretraining heads; an ELECTRA discriminator with its generator in `generator`.
    #[arg(long, value_name = "MODEL")]
    model: String,
    /// Text files or directories to measure on.
    #[arg(long, value_name = "FILE", required = true, num_args = 1..)]
    corpus: Vec<PathBuf>,
    /// Layout of the text: auto, lines (one sentence each) or raw.
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
    let measured = Measured::open(&checkpoint, &args.instances, &device)?;
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
        measured.pairs,
        measured.masking,
        args.batch_size,
        args.batches.unwrap_or(usize::MAX),
    )?;
    note(format_args!("{} batches", batches.len()));
    if let Some(path) = &args.export {
        export(path, &batches)?;
    }
    let values = (measured.evaluate)(&batches);
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

/// Named numbers of a model over batches.
type Evaluation = Box<dyn Fn(&[PreTrainingBatch]) -> Vec<(String, f64)>>;

/// A model with the instances of its objective.
struct Measured {
    pairs: PairOptions,
    masking: MaskingOptions,
    evaluate: Evaluation,
}

impl Measured {
    fn open(checkpoint: &Checkpoint, instances: &InstanceArgs, device: &Device) -> Result<Self> {
        match BertForReplacedTokens::is_in(checkpoint) {
            true => Self::replaced_tokens(checkpoint, instances, device),
            false => Self::masked_lm(checkpoint, instances, device),
        }
    }

    fn masked_lm(
        checkpoint: &Checkpoint,
        instances: &InstanceArgs,
        device: &Device,
    ) -> Result<Self> {
        let mut pairs = instances.pairs();
        let has_head = checkpoint.contains("cls.seq_relationship.weight");
        if pairs.next_sentence && !has_head {
            note("the model has no next-sentence head: measuring the masked LM alone");
            pairs.next_sentence = false;
        }
        let (model, report) =
            BertForPreTraining::from_checkpoint(checkpoint, pairs.next_sentence, 0, device)?;
        if let Some(name) = report.missing.first() {
            bail!(
                "{}: it lacks `{name}`; a model with a masked-LM head is needed, as `bert pretrain train` writes it",
                checkpoint.dir().display()
            );
        }
        Ok(Self {
            pairs,
            masking: instances.masking(),
            evaluate: Box::new(move |batches| evaluate(&model, batches)),
        })
    }

    fn replaced_tokens(
        checkpoint: &Checkpoint,
        instances: &InstanceArgs,
        device: &Device,
    ) -> Result<Self> {
        let (model, missing) =
            ReplacedTokenDetection::from_checkpoint(checkpoint, None, 0, device)?;
        if let Some(name) = missing.first() {
            bail!(
                "{}: it lacks {name}, and without a generator no token is replaced; take the whole directory as \
                 `bert pretrain train --objective rtd` writes it",
                checkpoint.dir().display()
            );
        }
        let (pairs, masking) = instances.of_replaced_tokens();
        Ok(Self {
            pairs,
            masking,
            evaluate: Box::new(move |batches| evaluate(&model, batches)),
        })
    }
}
