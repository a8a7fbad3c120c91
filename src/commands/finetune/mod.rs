//! `bert finetune`: from a pretrained encoder to a model of a task.

mod rounds;

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use bert_core::checkpoint::Checkpoint;
use bert_core::hub;
use bert_core::tokenizer::BertTokenizer;
use bert_core::training::{Recipe, Schedule, TrainerOptions};
use bert_heads::datasets::{Part, TextExample, discover_labels};
use bert_heads::finetune::{
    CrfSettings, Dataset, FineTuning, LayerRules, Settings, Splits, Summary, Task, TrainingData,
    best_metric, stored_labels,
};
use bert_heads::labels::Labels;
use bert_heads::predict::QuestionSettings;
use bert_heads::sentence_embedding::EmbeddingLayout;

use crate::cli::data::{DataArgs, preset_files};
use crate::cli::note::note;
use crate::cli::output::create_dir;
use crate::cli::pairs::{self, SimilarityArgs};
use crate::cli::questions::QuestionArgs;
use crate::cli::training::{self, FollowArgs, Interrupted, TrainingDevices};

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Task to learn: a class per text, a class per pair of texts, whether one text follows the other
    /// (labels next and random), a number per text or pair, a label per word, the answer to a question
    /// in a context, the right one of several choices, or vectors of texts by which they are compared
    #[arg(long, value_enum)]
    task: TaskName,
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
    /// From which probability on a label of --unlabelled is taken
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

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum TaskName {
    Classify,
    Pair,
    NextSentence,
    Regress,
    Tokens,
    Qa,
    Choice,
    Similarity,
}

/// Tokens that are usual where nothing is said.
const USUAL_LENGTH: usize = 128;
/// Usual length of a question with a window of its context.
const USUAL_WINDOW: usize = 384;

pub(crate) fn run(args: Args) -> Result<()> {
    let task = args.task()?;
    if args.unlabelled.is_some() {
        return args.train_in_rounds(task);
    }
    let first_step = training::first_step(&args.out, args.resume)?;
    let (data, labels, data_name) = args.data(task)?;
    let (summary, interrupted) =
        args.train(task, &labels, data, data_name, &args.out, first_step)?;
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
        task: Task,
        labels: &Labels,
        data: TrainingData,
        data_name: String,
        out: &Path,
        first_step: Option<u64>,
    ) -> Result<(Summary, Option<Interrupted>)> {
        let dir = hub::resolve_model(&self.model)?;
        let checkpoint = Checkpoint::open(&dir)?;
        let tokenizer = BertTokenizer::from_dir(&dir)?;
        let glue = self.format.glue()?;
        let mut settings = self.settings(task, &checkpoint, labels, data_name)?;
        if let TrainingData::Similar(Splits { train, .. }) = &data {
            let layout = EmbeddingLayout::read(&dir)?;
            settings.similarity = Some(self.similarity.settings(&layout, &train.examples)?);
            if self.max_length.is_none() {
                settings.max_length =
                    pairs::usual_length(&layout, checkpoint.config(), USUAL_LENGTH);
            }
        }
        let rows = data.train_rows(&settings, &tokenizer, checkpoint.config())?;
        let per_epoch = settings.updates_per_epoch(rows);
        let settings = self.scheduled(settings, per_epoch);
        let (devices, names) = self.devices.open()?;
        create_dir(out)?;

        let (mut observers, stop) = training::begin(out, first_step, self.follow.mode())?;
        let steps = settings.schedule.total_steps;
        note(format_args!(
            "{} examples, labels {}; {steps} steps; {}",
            data.train_examples(),
            shown(labels),
            names.join(", ")
        ));
        let summary = FineTuning {
            settings,
            checkpoint,
            tokenizer,
            data,
            glue,
            devices,
            gradient_checkpointing: self.devices.gradient_checkpointing,
            options: TrainerOptions {
                title: format!("fine-tuning: {task}"),
                precision: self.devices.dtype,
                patience: self.patience,
                ..self.follow.options_every(per_epoch)
            },
            output: out.to_owned(),
            keep: self.follow.keep(),
            resume: self.resume,
            observer: &mut observers,
            stop,
        }
        .run()?;
        let interrupted = (!summary.finished).then_some(Interrupted {
            step: summary.step,
            steps,
        });
        Ok((summary, interrupted))
    }

    fn task(&self) -> Result<Task> {
        Ok(match (self.task, self.multi_label) {
            (TaskName::Classify | TaskName::Pair, false) => Task::Classify,
            (TaskName::Classify | TaskName::Pair, true) => Task::MultiLabel,
            (TaskName::NextSentence, false) => Task::NextSentence,
            (TaskName::Regress, false) => Task::Regress,
            (TaskName::Tokens, false) => Task::Tokens,
            (TaskName::Qa, false) => Task::Qa,
            (TaskName::Choice, false) => Task::Choice,
            (TaskName::Similarity, false) => Task::Similarity,
            (_, true) => bail!("--multi-label is for --task classify or pair"),
        })
    }

    /// The files to train and to evaluate on.
    fn files(&self) -> Result<(PathBuf, Option<PathBuf>)> {
        let (preset, dir) = match (self.format.preset()?, &self.data, &self.train) {
            (Some(preset), Some(dir), _) => (preset, dir),
            (_, _, Some(train)) => return Ok((train.clone(), self.validation.clone())),
            _ => bail!("--train FILE is needed, or --preset NAME with --data DIR"),
        };
        let train = preset_files(preset, dir, Part::Train)?.into_iter().next();
        let train = train.with_context(|| {
            format!(
                "{} has no file to train on for {}",
                dir.display(),
                preset.name()
            )
        })?;
        let mut found = preset_files(preset, dir, Part::Validation)?.into_iter();
        let validation = self.validation.clone().or_else(|| found.next());
        if let Some(other) = found.next() {
            note(format_args!(
                "{} is left for `bert evaluate`",
                other.display()
            ));
        }
        Ok((train, validation))
    }

    /// The examples, their labels, and how the settings call them.
    fn data(&self, task: Task) -> Result<(TrainingData, Labels, String)> {
        let (train_file, validation_file) = self.files()?;
        let given = match self.labels.as_slice() {
            [] => self.format.labels()?.or(self.format.flag_labels(task)?),
            names => Some(Labels::new(names)?),
        };
        let named = |count: usize| format!("{count} examples of {}", train_file.display());
        let own = task.own_labels();
        let own = own
            .map(|names| Labels::new(names.iter().copied()))
            .transpose()?;
        let renames = task == Task::NextSentence;
        if let Some(option) = self.questions.given().filter(|_| task != Task::Qa) {
            bail!("{option} is for --task qa");
        }
        if own.is_some() && !self.labels.is_empty() && !renames {
            bail!("--labels: the outputs of --task {task} have no names");
        }
        if let (Task::Qa, Some(labels)) = (task, &own) {
            let train = self.format.questions(&train_file, Part::Train)?;
            let read = |file: &Path| self.format.questions(file, Part::Validation);
            let validation = validation_file.as_deref().map(read).transpose()?;
            let name = named(train.examples.len());
            let data = TrainingData::Questions(Splits { train, validation });
            return Ok((data, labels.clone(), name));
        }
        if let (Task::Similarity, Some(labels)) = (task, &own) {
            let train = match self.similarity.ranks() {
                true => self.format.similar(&train_file)?,
                false => self.format.scored_pairs(&train_file, Part::Train)?,
            };
            let read = |file: &Path| {
                self.format
                    .texts(file, Part::Validation, Task::Regress, None)
            };
            let validation = validation_file.as_deref().map(read).transpose()?;
            let name = named(train.examples.len());
            let data = TrainingData::Similar(Splits { train, validation });
            return Ok((data, labels.clone(), name));
        }
        if let (Task::Choice, Some(labels)) = (task, &own) {
            let train = self.format.choices(&train_file, Part::Train)?;
            let read = |file: &Path| self.format.choices(file, Part::Validation);
            let validation = validation_file.as_deref().map(read).transpose()?;
            let name = named(train.examples.len());
            let data = TrainingData::Choices(Splits { train, validation });
            return Ok((data, labels.clone(), name));
        }
        if task == Task::Tokens {
            let train = self
                .format
                .tokens(&train_file, Part::Train, given.as_ref())?;
            let labels = match given {
                Some(labels) => labels,
                None => self.as_stored(task, discover_labels(&train.examples)?)?,
            };
            let read = |file: &Path| self.format.tokens(file, Part::Validation, Some(&labels));
            let validation = validation_file.as_deref().map(read).transpose()?;
            let name = named(train.examples.len());
            return Ok((
                TrainingData::Tokens(Splits { train, validation }),
                labels,
                name,
            ));
        }
        let stated = match renames {
            true => given.or(own),
            false => own.or(given),
        };
        let known = stated.as_ref().filter(|_| task != Task::Regress);
        let train = self.format.texts(&train_file, Part::Train, task, known)?;
        self.check_pairs(&train)?;
        let labels = match stated {
            Some(labels) => labels,
            None => self.as_stored(task, discover_labels(&train.examples)?)?,
        };
        let known = Some(&labels).filter(|_| task != Task::Regress);
        let read = |file: &Path| self.format.texts(file, Part::Validation, task, known);
        let validation = validation_file.as_deref().map(read).transpose()?;
        if let Some(validation) = &validation {
            self.check_pairs(validation)?;
        }
        let name = named(train.examples.len());
        Ok((
            TrainingData::Texts(Splits { train, validation }),
            labels,
            name,
        ))
    }

    /// The labels that the data has, as the head of the model has them where it has them all.
    fn as_stored(&self, task: Task, labels: Labels) -> Result<Labels> {
        if self.from_scratch {
            return Ok(labels);
        }
        let checkpoint = Checkpoint::open(hub::resolve_model(&self.model)?)?;
        let stored = stored_labels(&checkpoint, task)?;
        let all = |stored: &Labels| labels.names().iter().all(|name| stored.id(name).is_some());
        Ok(stored.filter(all).unwrap_or(labels))
    }

    fn check_pairs(&self, data: &Dataset<TextExample>) -> Result<()> {
        let single = data.examples.iter().find(|example| example.pair.is_none());
        let task = match self.task {
            TaskName::Pair => "pair",
            TaskName::NextSentence => "next-sentence",
            _ => return Ok(()),
        };
        single.map_or(Ok(()), |example| {
            bail!(
                "{}, line {}: it has one text, but --task {task} needs two: name the columns with \
                 --text-column and --pair-column, or use --task classify",
                data.path.display(),
                example.line
            )
        })
    }

    fn settings(
        &self,
        task: Task,
        checkpoint: &Checkpoint,
        labels: &Labels,
        data: String,
    ) -> Result<Settings> {
        if !(0.0..=1.0).contains(&self.warmup_share) {
            bail!(
                "--warmup-share {}: it must lie between 0 and 1",
                self.warmup_share
            );
        }
        if !(self.epochs.is_finite() && self.epochs > 0.0) {
            bail!("--epochs {}: it must be above 0", self.epochs);
        }
        let positions = checkpoint.config().max_input_length();
        let usual_length = match task {
            Task::Qa => USUAL_WINDOW,
            _ => USUAL_LENGTH,
        };
        let max_length = self.max_length.unwrap_or(usual_length.min(positions));
        let mut optimizer = self.recipe.optimizer();
        if let Some(decay) = self.weight_decay {
            optimizer.weight_decay = decay;
        }
        Ok(Settings {
            task,
            model: self.model.clone(),
            from_scratch: self.from_scratch,
            data,
            labels: labels.names().to_vec(),
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
                None => best_metric(task, labels, self.format.glue()?)?,
            },
            seed: self.seed,
            questions: (task == Task::Qa).then(|| {
                let options = self.questions.options(Some(max_length));
                QuestionSettings::usual(max_length).with(&options)
            }),
            similarity: None,
        })
    }

    /// The settings with a schedule as long as was asked for.
    fn scheduled(&self, settings: Settings, per_epoch: u64) -> Settings {
        let by_epochs = (self.epochs * per_epoch as f64).ceil() as u64;
        let steps = self.steps.unwrap_or(by_epochs);
        let schedule = Schedule {
            // As transformers rounds it.
            warmup_steps: (self.warmup_share * steps as f64).ceil() as u64,
            total_steps: steps,
            ..settings.schedule
        };
        Settings {
            schedule,
            ..settings
        }
    }
}
