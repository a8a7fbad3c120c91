//! `bert pretrain train`: the run itself.

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Result, bail};
use bert_core::checkpoint::Checkpoint;
use bert_core::config::BertConfig;
use bert_core::hub;
use bert_core::tokenizer::BertTokenizer;
use bert_core::training::{Decay, OptimizerConfig, Recipe, RunContext, Schedule, TrainerOptions};
use bert_pretrain::corpus::{Documents, Layout, hold_out};
use bert_pretrain::instances::PreparedInstances;
use bert_pretrain::recipe::peak_learning_rate;
use bert_pretrain::run::{Data, LongStage, ReplacedTokenOptions, Run, Settings};

use super::options::{InstanceArgs, documents, family_named, predictions_for};
use crate::cli::note::note;
use crate::cli::output::create_dir;
use crate::cli::training::{self, FollowArgs, Interrupted, TrainingDevices};

/// Objectives of pretraining.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
enum Objective {
    /// Masked LM, and next sentences where the family has them
    #[default]
    Mlm,
    /// Replaced token detection, ELECTRA's: a generator fills masks, and the model learns to tell its tokens from those of
    /// the text; it is written as ElectraForPreTraining, the generator below it in `generator`
    Rtd,
}

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Text files or directories to train on: pairs and masks are drawn anew in every pass.
    #[arg(long, value_name = "FILE", num_args = 1.., required_unless_present = "instances")]
    corpus: Vec<PathBuf>,
    /// Train on instances that `bert pretrain prepare` made, the same in every pass.
    #[arg(
        long,
        value_name = "DIR",
        conflicts_with = "corpus",
        visible_alias = "static"
    )]
    instances: Option<PathBuf>,
    /// Layout of the text: auto, lines (one sentence each) or raw.
    #[arg(long, default_value_t)]
    layout: Layout,
    /// Directory with the vocabulary [default: that of --init or --instances]
    #[arg(long, value_name = "DIR", required_unless_present_any = ["init", "instances"])]
    tokenizer: Option<PathBuf>,
    /// Text to evaluate on [default: a share of the corpus is held out]
    #[arg(long, value_name = "FILE", num_args = 1..)]
    validation: Vec<PathBuf>,
    /// Share of the corpus' documents to hold out where --validation names none.
    #[arg(long, value_name = "SHARE", default_value_t = 0.01)]
    held_out: f64,

    /// Size of a new model: tiny, mini, small, medium, base or large.
    #[arg(long, value_name = "NAME", conflicts_with_all = ["init", "config"], default_value = "tiny")]
    preset: String,
    /// Family of a new model: bert, roberta, …, by the model_type of its config.json; masked LM alone where it has no
    /// next sentences.
    #[arg(long, value_name = "NAME", conflicts_with_all = ["init", "config"], default_value = "bert")]
    family: String,
    /// Sizes of a new model, a config.json; the vocabulary's size is the tokenizer's.
    #[arg(long, value_name = "FILE", conflicts_with = "init")]
    config: Option<PathBuf>,
    /// Go on from a pretrained checkpoint (directory or hub id), for example on the texts of a domain; replaced token
    /// detection takes up the generator in its directory `generator`, if that is of the size asked for.
    #[arg(long, value_name = "MODEL")]
    init: Option<String>,
    /// Objective of the training.
    #[arg(long, value_enum, default_value_t)]
    objective: Objective,
    /// Width of the generator as a share of the model's, for replaced token detection [default: 0.25]
    #[arg(long, value_name = "SHARE")]
    generator_size: Option<f64>,
    /// Dropout everywhere [default: that of the configuration, 0.1]
    #[arg(long, value_name = "P")]
    dropout: Option<f64>,

    /// Optimizer and schedule: google, hf or nvidia.
    #[arg(long, default_value_t)]
    recipe: Recipe,
    /// Optimizer steps.
    #[arg(long, value_name = "N")]
    steps: u64,
    /// Sequences that run at once on a device.
    #[arg(long, value_name = "N", default_value_t = 32)]
    batch_size: usize,
    /// Batches whose gradients make one step; a multiple of the number of devices.
    #[arg(long, value_name = "N", default_value_t = 1)]
    accumulate: usize,
    #[command(flatten)]
    instance: InstanceArgs,
    /// Pad every batch to the full length, so that kernels are compiled for one shape.
    #[arg(long)]
    pad_to_length: bool,
    /// Let the last N steps use long sequences (BERT's second phase).
    #[arg(long, value_name = "N")]
    long_steps: Option<u64>,
    /// Tokens of a long sequence.
    #[arg(long, value_name = "N", default_value_t = 512)]
    long_seq_length: usize,
    /// Long sequences that run at once [default: as many tokens as before]
    #[arg(long, value_name = "N")]
    long_batch_size: Option<usize>,
    /// Peak learning rate [default: the recipe's: 1e-4, nvidia 6e-3]
    #[arg(long, value_name = "X")]
    lr: Option<f64>,
    /// Steps in which the learning rate rises [default: a hundredth of the steps]
    #[arg(long, value_name = "N")]
    warmup: Option<u64>,
    /// Decay of the rate: constant, linear, linear-from-start, cosine, polynomial:POWER [default: the recipe's]
    #[arg(long, value_name = "SHAPE")]
    schedule: Option<Decay>,
    /// Decoupled weight decay [default: 0.01]
    #[arg(long, value_name = "X")]
    weight_decay: Option<f64>,
    /// Decay rate of the mean gradient [default: 0.9]
    #[arg(long, value_name = "X")]
    beta1: Option<f64>,
    /// Decay rate of the mean squared gradient [default: 0.999]
    #[arg(long, value_name = "X")]
    beta2: Option<f64>,
    /// Added to the root of the second moment [default: the recipe's]
    #[arg(long, value_name = "X")]
    epsilon: Option<f64>,
    /// Largest norm of all gradients together; 0 does not clip [default: 1]
    #[arg(long, value_name = "X")]
    max_gradient_norm: Option<f64>,
    /// Decides weights, order, pairs, masks and dropout.
    #[arg(long, value_name = "N", default_value_t = 0)]
    seed: u64,

    #[command(flatten)]
    devices: TrainingDevices,

    /// Output directory for checkpoints, metrics and the final model.
    #[arg(long, value_name = "DIR")]
    output: PathBuf,
    /// Go on with the run in the output directory.
    #[arg(long)]
    resume: bool,
    /// Batches of an evaluation, at most.
    #[arg(long, value_name = "N", default_value_t = 50)]
    eval_batches: usize,
    #[command(flatten)]
    follow: FollowArgs,
}

pub(crate) fn run(args: Args) -> Result<()> {
    let first_step = training::first_step(&args.output, args.resume)?;
    let initial = match &args.init {
        Some(model) => Some(Checkpoint::open(hub::resolve_model(model)?)?),
        None => None,
    };
    let instances = match &args.instances {
        Some(dir) => Some(PreparedInstances::open(dir)?),
        None => None,
    };
    let tokenizer = match (&args.tokenizer, &initial, &instances) {
        (Some(dir), ..) => BertTokenizer::from_dir(dir)?,
        (None, Some(checkpoint), _) => BertTokenizer::from_dir(checkpoint.dir())?,
        (None, None, Some(instances)) => instances.tokenizer()?,
        (None, None, None) => bail!("--tokenizer DIR is needed for a new model"),
    };
    let config = args.model_config(&tokenizer, initial.as_ref())?;
    let (devices, names) = args.devices.open()?;
    if !args.accumulate.is_multiple_of(devices.len()) {
        bail!(
            "--accumulate is {}, but {} devices share its batches: make it a multiple",
            args.accumulate,
            devices.len()
        );
    }
    create_dir(&args.output)?;
    let (data, held_out, data_name) = args.data(&tokenizer, instances)?;
    let settings = args.settings(&config, data_name)?;

    let (mut observers, stop) = training::begin(&args.output, first_step, args.follow.mode())?;
    note(format_args!(
        "{} layers, hidden {}, vocabulary {}; {}",
        config.num_hidden_layers,
        config.hidden_size,
        config.vocab_size,
        names.join(", ")
    ));
    let summary = Run {
        settings,
        config,
        initial,
        tokenizer,
        data,
        held_out,
        evaluation_batches: args.eval_batches,
    }
    .run(RunContext {
        devices,
        gradient_checkpointing: args.devices.gradient_checkpointing,
        options: TrainerOptions {
            title: "pretraining".to_owned(),
            precision: args.devices.dtype,
            ..args.follow.options()
        },
        output: args.output.clone(),
        keep: args.follow.keep(),
        resume: args.resume,
        observer: &mut observers,
        stop,
    })?;
    let interrupted = Interrupted::of(&summary, args.steps);
    training::conclude(&args.output, &summary, interrupted)
}

impl Args {
    fn model_config(
        &self,
        tokenizer: &BertTokenizer,
        initial: Option<&Checkpoint>,
    ) -> Result<BertConfig> {
        let mut config = match (initial, &self.config) {
            (Some(checkpoint), _) => checkpoint.config().clone(),
            (None, Some(file)) => BertConfig::from_file(file)?,
            (None, None) => {
                let sizes = BertConfig::preset_by_name(&self.preset)?;
                sizes.in_family(family_named(&self.family)?, tokenizer.pad_id() as usize)?
            }
        };
        if initial.is_none() {
            config.vocab_size = tokenizer.vocab_size();
            config.pad_token_id = tokenizer.pad_id() as usize;
        }
        if let Some(dropout) = self.dropout {
            config.hidden_dropout_prob = dropout;
            config.attention_probs_dropout_prob = dropout;
        }
        config.validate()?;
        self.instance.check_length(&config)?;
        match self.objective {
            Objective::Rtd => config.check_replaced_tokens()?,
            Objective::Mlm if self.generator_size.is_some() => {
                bail!("--generator-size is for --objective rtd: the masked LM has no generator")
            }
            Objective::Mlm => {}
        }
        Ok(config)
    }

    /// Data to train on, data to evaluate on, and the name of the data in the settings.
    fn data(
        &self,
        tokenizer: &BertTokenizer,
        instances: Option<PreparedInstances>,
    ) -> Result<(Data, Option<Documents>, String)> {
        let mut held_out: Option<Documents> = None;
        if !self.validation.is_empty() {
            let cache = self.output.join("validation");
            held_out = Some(Arc::new(documents(
                &cache,
                &self.validation,
                self.layout,
                tokenizer,
            )?));
        }
        if let Some(instances) = instances {
            instances.check_vocabulary(tokenizer)?;
            let options = serde_json::to_string(instances.options())?;
            let name = format!(
                "{} instances of {} documents, {options}",
                instances.len(),
                instances.documents()
            );
            return Ok((Data::Instances(Arc::new(instances)), held_out, name));
        }
        let corpus = documents(
            &self.output.join("corpus"),
            &self.corpus,
            self.layout,
            tokenizer,
        )?;
        let mut name = format!("corpus {}", corpus.fingerprint());
        let mut corpus: Documents = Arc::new(corpus);
        if held_out.is_none() {
            (corpus, held_out) = hold_out(corpus, self.held_out);
            name = format!("{name}, {} held out", self.held_out);
        }
        Ok((Data::Documents(corpus), held_out, name))
    }

    fn settings(&self, config: &BertConfig, data: String) -> Result<Settings> {
        let recipe = self.recipe;
        let peak = self.lr.unwrap_or(peak_learning_rate(recipe));
        let warmup = self.warmup.unwrap_or(self.steps / 100);
        let mut schedule: Schedule = recipe.schedule(peak, warmup, self.steps);
        if let Some(decay) = self.schedule {
            schedule.decay = decay;
        }
        let defaults = recipe.optimizer();
        let optimizer = OptimizerConfig {
            beta1: self.beta1.unwrap_or(defaults.beta1),
            beta2: self.beta2.unwrap_or(defaults.beta2),
            epsilon: self.epsilon.unwrap_or(defaults.epsilon),
            weight_decay: self.weight_decay.unwrap_or(defaults.weight_decay),
            max_gradient_norm: match self.max_gradient_norm {
                Some(0.0) => None,
                Some(norm) => Some(norm),
                None => defaults.max_gradient_norm,
            },
            ..defaults
        };
        optimizer.validate()?;
        schedule.validate()?;
        for (option, value) in [
            ("--batch-size", self.batch_size),
            ("--accumulate", self.accumulate),
        ] {
            if value == 0 {
                bail!("{option} is 0: at least 1 is needed");
            }
        }
        let long = self.long_steps.map(|steps| LongStage {
            steps,
            seq_length: self.long_seq_length,
            max_predictions: predictions_for(self.long_seq_length),
            batch_size: self.long_batch_size.unwrap_or(
                (self.batch_size * self.instance.seq_length / self.long_seq_length.max(1)).max(1),
            ),
        });
        let initial = match &self.init {
            Some(model) => format!("checkpoint {model}"),
            None => format!(
                "random, {} layers of {}",
                config.num_hidden_layers, config.hidden_size
            ),
        };
        let (pairs, masking, replaced_tokens) = match self.objective {
            Objective::Mlm => {
                let pairs = self.instance.pairs_for(config.family);
                (pairs, self.instance.masking(), None)
            }
            Objective::Rtd => {
                let (pairs, masking) = self.instance.of_replaced_tokens();
                let default = ReplacedTokenOptions::default();
                let generator_size = self.generator_size.unwrap_or(default.generator_size);
                (
                    pairs,
                    masking,
                    Some(ReplacedTokenOptions { generator_size }),
                )
            }
        };
        Ok(Settings {
            data,
            initial,
            recipe,
            optimizer,
            schedule,
            batch_size: self.batch_size,
            accumulate: self.accumulate,
            pairs,
            masking,
            pad_to_length: self.pad_to_length,
            long,
            replaced_tokens,
            seed: self.seed,
        })
    }
}
