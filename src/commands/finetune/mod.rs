//! `bert finetune`: from a pretrained encoder to a model of a task.

mod data;
mod rounds;

use std::path::{Path, PathBuf};

use anyhow::{Result, bail};
use bert_core::checkpoint::Checkpoint;
use bert_core::hub;
use bert_core::tokenizer::BertTokenizer;
use bert_core::training::{Recipe, RunContext, Schedule, Summary, TrainerOptions};
use bert_heads::labels::Labels;
use bert_heads::task::{LayerRules, Reads, Settings, TaskEntry};
use bert_heads::tasks::question_answering::QuestionSettings;
use bert_heads::tasks::sequence_classification::{CLASSIFY, MULTI_LABEL};
use bert_heads::tasks::token_classification::CrfSettings;

use crate::cli::data::DataArgs;
use crate::cli::note::note;
use crate::cli::output::create_dir;
use crate::cli::pairs::{self, SimilarityArgs};
use crate::cli::questions::QuestionArgs;
use crate::cli::task::TrainedTask;
use crate::cli::training::{self, FollowArgs, Interrupted, TrainingDevices};
use data::Data;

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Task to learn: a class per text, a class per pair of texts, whether one text follows the other
    /// (labels next and random), a number per text or pair, a label per word, the answer to a question
    /// in a context, the right one of several choices, or vectors of texts by which they are compared
    #[arg(long, value_enum)]
    task: TrainedTask,
    /// Model to begin with: directory or hub id
    #[arg(long)]
    model: String,
    /// Labelled examples to train on
    #[arg(long, value_name = "FILE", required_unless_present = "data")]
    train: Option<PathBuf>,
    /// Labelled examples to evaluate on; the best evaluation is what is saved
    #[arg(long, value_name = "FILE")]
    validation: Option<PathBuf>,
    /// Directory with the files of --preset, in place of --train and --validation
    #[arg(
        long,
        value_name = "DIR",
        requires = "preset",
        conflicts_with = "train"
    )]
    data: Option<PathBuf>,
    #[command(flatten)]
    format: DataArgs,
    /// Texts may have several labels, separated by commas or as a list
    #[arg(long)]
    multi_label: bool,
    /// The labels in the order of the model's outputs [default: as the data set or its rows say]
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    labels: Vec<String>,
    /// Output directory for checkpoints, metrics and the final model
    #[arg(long, value_name = "DIR")]
    out: PathBuf,

    /// Passes over the training examples
    #[arg(
        long,
        value_name = "N",
        default_value_t = 3.0,
        conflicts_with = "steps"
    )]
    epochs: f64,
    /// Optimizer steps, in place of --epochs
    #[arg(long, value_name = "N")]
    steps: Option<u64>,
    /// Texts that run at once on a device
    #[arg(long, value_name = "N", default_value_t = 32)]
    batch_size: usize,
    /// Batches whose gradients make one step
    #[arg(long, value_name = "N", default_value_t = 1)]
    accumulate: usize,
    /// Peak learning rate
    #[arg(long, value_name = "X", default_value_t = 3e-5)]
    lr: f64,
    /// Share of the steps in which the learning rate rises
    #[arg(long, value_name = "SHARE", default_value_t = 0.1)]
    warmup_share: f64,
    /// Decoupled weight decay [default: the recipe's, 0.01]
    #[arg(long, value_name = "X")]
    weight_decay: Option<f64>,
    /// Optimizer and schedule: google, hf or nvidia
    #[arg(long, default_value_t)]
    recipe: Recipe,
    /// Decides fresh weights, order and dropout
    #[arg(long, value_name = "N", default_value_t = 0)]
    seed: u64,
    /// Tokens that texts are cut to for training, or that windows of contexts have [default: 128,
    /// 384 for questions, or what the model has]
    #[arg(long, value_name = "N")]
    max_length: Option<usize>,
    /// Sort rows by length within groups of N updates; less padding, less randomness. 1 disables it
    #[arg(long, value_name = "N", default_value_t = 1)]
    bucket: usize,
    /// Freeze the embeddings and the first N layers
    #[arg(long, value_name = "N")]
    freeze_layers: Option<usize>,
    /// Factor on the learning rate from each block to the one below it
    #[arg(long, value_name = "X", default_value_t = 1.0)]
    layer_decay: f64,
    /// Weights of the labels in the loss, in the order of --labels
    #[arg(long, value_name = "X", value_delimiter = ',')]
    class_weights: Option<Vec<f32>>,
    /// Choose the tags of a sentence together by a conditional random field over its words (for
    /// --task tokens)
    #[arg(long)]
    crf: bool,
    /// Factor on the learning rate of the conditional random field
    #[arg(
        long,
        value_name = "X",
        default_value_t = CrfSettings::default().learning_rate_scale,
        requires = "crf"
    )]
    crf_lr_scale: f64,
    /// Texts without labels: a classifier labels those that it is sure of, and the next one learns
    /// from them too
    #[arg(long, value_name = "FILE", conflicts_with_all = ["resume", "multi_label"])]
    unlabelled: Option<PathBuf>,
    /// Probability from which a label of --unlabelled is taken
    #[arg(long, value_name = "P", default_value_t = 0.9, requires = "unlabelled")]
    confidence: f32,
    /// Rounds with --unlabelled after the first, which learns from labelled texts alone
    #[arg(long, value_name = "N", default_value_t = 1, requires = "unlabelled")]
    rounds: usize,
    /// Begin with random weights in place of the encoder's, for comparison
    #[arg(long)]
    from_scratch: bool,
    #[command(flatten)]
    questions: QuestionArgs,
    #[command(flatten)]
    similarity: SimilarityArgs,
    /// Metric that chooses the best evaluation [default: the primary one of the task]
    #[arg(long, value_name = "NAME")]
    metric: Option<String>,
    /// Stop after N evaluations without a better one
    #[arg(long, value_name = "N")]
    patience: Option<u64>,

    #[command(flatten)]
    devices: TrainingDevices,
    /// Go on with the run in the output directory
    #[arg(long)]
    resume: bool,
    #[command(flatten)]
    follow: FollowArgs,
}

pub(crate) fn run(args: Args) -> Result<()> {
    let task = args.task()?;
    if args.unlabelled.is_some() {
        return args.train_in_rounds(task);
    }
    let first_step = training::first_step(&args.out, args.resume)?;
    let data = args.data(task)?;
    let (summary, interrupted) = args.train(data, &args.out, first_step)?;
    training::conclude(&args.out, &summary, interrupted)
}

/// A few labels, for a message.
fn shown(labels: &Labels) -> String {
    const SHOWN: usize = 12;
    let names = labels.names();
    let mut text = names[..names.len().min(SHOWN)].join(", ");
    if names.len() > SHOWN {
        text.push_str(&format!(" and {} more", names.len() - SHOWN));
    }
    text
}

impl Args {
    /// Trains from the encoder on `data`, into the directory `out`.
    fn train(
        &self,
        data: Data,
        out: &Path,
        first_step: Option<u64>,
    ) -> Result<(Summary, Option<Interrupted>)> {
        let dir = hub::resolve_model(&self.model)?;
        let checkpoint = Checkpoint::open(&dir)?;
        let tokenizer = BertTokenizer::from_dir(&dir)?;
        let glue = self.format.glue()?;
        let settings = self.settings(&checkpoint, &data)?;
        let Data { data, labels, .. } = data;
        let examples = data.train_examples();
        let prepared = data.prepare(settings, &checkpoint, &tokenizer, glue)?;
        let per_epoch = prepared.updates_per_epoch();
        let schedule = self.schedule(&prepared.settings().schedule, per_epoch);
        let steps = schedule.total_steps;
        let (devices, names) = self.devices.open()?;
        create_dir(out)?;

        let (mut observers, stop) = training::begin(out, first_step, self.follow.mode())?;
        note(format_args!(
            "{examples} examples, labels {}; {steps} steps; {}",
            shown(&labels),
            names.join(", ")
        ));
        let context = RunContext {
            devices,
            gradient_checkpointing: self.devices.gradient_checkpointing,
            options: TrainerOptions {
                title: format!("fine-tuning: {}", data.task()),
                precision: self.devices.dtype,
                patience: self.patience,
                ..self.follow.options_every(per_epoch)
            },
            output: out.to_owned(),
            keep: self.follow.keep(),
            resume: self.resume,
            observer: &mut observers,
            stop,
        };
        let prepared = prepared.with_schedule(schedule);
        let summary = prepared.train(&checkpoint, &tokenizer, context)?;
        let interrupted = Interrupted::of(&summary, steps);
        Ok((summary, interrupted))
    }

    fn task(&self) -> Result<&'static TaskEntry> {
        let task = self.task.task();
        match self.multi_label {
            false => Ok(task),
            true if *task == CLASSIFY => Ok(&MULTI_LABEL),
            true => bail!("--multi-label is for --task classify or pair"),
        }
    }

    fn settings(&self, checkpoint: &Checkpoint, data: &Data) -> Result<Settings> {
        let task = data.data.task();
        if !(0.0..=1.0).contains(&self.warmup_share) {
            bail!(
                "--warmup-share {}: it must lie between 0 and 1",
                self.warmup_share
            );
        }
        if !(self.epochs.is_finite() && self.epochs > 0.0) {
            bail!("--epochs {}: it must be above 0", self.epochs);
        }
        let config = checkpoint.config();
        let max_length = match (self.max_length, &data.similarity) {
            (Some(length), _) => length,
            (None, Some((_, layout))) => pairs::usual_length(layout, config, task.usual_length),
            (None, None) => task.usual_length.min(config.max_input_length()),
        };
        let mut optimizer = self.recipe.optimizer();
        if let Some(decay) = self.weight_decay {
            optimizer.weight_decay = decay;
        }
        Ok(Settings {
            model: self.model.clone(),
            from_scratch: self.from_scratch,
            data: data.name.clone(),
            labels: data.labels.names().to_vec(),
            class_weights: self.class_weights.clone(),
            recipe: self.recipe,
            optimizer,
            schedule: self.recipe.schedule(self.lr, 0, 0),
            layers: LayerRules {
                frozen_layers: self.freeze_layers,
                decay: self.layer_decay,
            },
            crf: self.crf.then_some(CrfSettings {
                learning_rate_scale: self.crf_lr_scale,
            }),
            batch_size: self.batch_size,
            accumulate: self.accumulate,
            bucket: self.bucket,
            max_length,
            metric: match &self.metric {
                Some(metric) => metric.clone(),
                None => task.best_metric(&data.labels, self.format.glue()?)?,
            },
            seed: self.seed,
            questions: (task.reads == Reads::Questions).then(|| {
                let options = self.questions.options(Some(max_length));
                QuestionSettings::usual(max_length).with(&options)
            }),
            similarity: data
                .similarity
                .as_ref()
                .map(|(settings, _)| settings.clone()),
        })
    }

    /// The schedule, as long as was asked for.
    fn schedule(&self, schedule: &Schedule, per_epoch: u64) -> Schedule {
        let by_epochs = (self.epochs * per_epoch as f64).ceil() as u64;
        let steps = self.steps.unwrap_or(by_epochs);
        Schedule {
            // As transformers rounds it.
            warmup_steps: (self.warmup_share * steps as f64).ceil() as u64,
            total_steps: steps,
            ..*schedule
        }
    }
}
