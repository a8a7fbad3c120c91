//! `bert finetune`: from a pretrained encoder to a model of a task.

mod rounds;

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use bert_core::checkpoint::Checkpoint;
use bert_core::hub;
use bert_core::tokenizer::BertTokenizer;
use bert_core::training::{Recipe, Schedule, TrainerOptions};
use bert_heads::datasets::{Dataset, Labelled, Part, TextExample, discover_labels};
use bert_heads::finetune::{DataMaker, FineTuning, Summary, TrainingData, stored_labels};
use bert_heads::labels::Labels;
use bert_heads::sentence_embedding::EmbeddingLayout;
use bert_heads::task::{LayerRules, Reads, Settings, Splits, TaskEntry};
use bert_heads::tasks::question_answering::QuestionSettings;
use bert_heads::tasks::sequence_classification::{CLASSIFY, MULTI_LABEL, ProblemType, REGRESS};
use bert_heads::tasks::similarity::SimilaritySettings;
use bert_heads::tasks::token_classification::CrfSettings;

use crate::cli::data::{DataArgs, preset_files};
use crate::cli::note::note;
use crate::cli::output::create_dir;
use crate::cli::pairs::{self, SimilarityArgs};
use crate::cli::questions::QuestionArgs;
use crate::cli::task::TrainedTask;
use crate::cli::training::{self, FollowArgs, Interrupted, TrainingDevices};

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

/// Data of a run and what is known of them.
struct Data {
    data: TrainingData,
    labels: Labels,
    /// Name in the settings.
    name: String,
    /// Settings of vectors of texts that are compared.
    similarity: Option<(SimilaritySettings, EmbeddingLayout)>,
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
        let summary = FineTuning {
            checkpoint,
            tokenizer,
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
        }
        .run(prepared.with_schedule(schedule))?;
        let interrupted = (!summary.finished).then_some(Interrupted {
            step: summary.step,
            steps,
        });
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

    /// Reads the examples and finds their labels.
    fn data(&self, task: &'static TaskEntry) -> Result<Data> {
        let (train_file, validation_file) = self.files()?;
        let validation_file = validation_file.as_deref();
        self.check_options(task)?;
        let format = &self.format;
        let own = || -> Result<Labels> {
            let names = task
                .own_labels
                .context("the task has no labels of its own")?;
            Ok(Labels::new(names.iter().copied())?)
        };
        match DataMaker::of(task)? {
            DataMaker::Texts(make) => {
                let (splits, labels) = self.texts(task, &train_file, validation_file)?;
                Ok(Self::named(splits, labels, make))
            }
            DataMaker::Questions(make) => {
                let read = |file: &Path| format.questions(file, Part::Validation);
                let splits = Splits {
                    train: format.questions(&train_file, Part::Train)?,
                    validation: validation_file.map(read).transpose()?,
                };
                Ok(Self::named(splits, own()?, make))
            }
            DataMaker::Choices(make) => {
                let read = |file: &Path| format.choices(file, Part::Validation);
                let splits = Splits {
                    train: format.choices(&train_file, Part::Train)?,
                    validation: validation_file.map(read).transpose()?,
                };
                Ok(Self::named(splits, own()?, make))
            }
            DataMaker::Words(make) => {
                let given = self.given_labels(task)?;
                let train = format.tokens(&train_file, Part::Train, given.as_ref())?;
                let labels = self.labels_or_found(task, given, &train.examples)?;
                let read = |file: &Path| format.tokens(file, Part::Validation, Some(&labels));
                let validation = validation_file.map(read).transpose()?;
                Ok(Self::named(Splits { train, validation }, labels, make))
            }
            DataMaker::Similar(make) => {
                let train = match self.similarity.ranks() {
                    true => format.similar(&train_file)?,
                    false => format.scored_pairs(&train_file, Part::Train)?,
                };
                let read = |file: &Path| format.texts(file, Part::Validation, &REGRESS, None);
                let validation = validation_file.map(read).transpose()?;
                let layout = EmbeddingLayout::read(hub::resolve_model(&self.model)?)?;
                let settings = self.similarity.settings(&layout, &train.examples)?;
                let data = Self::named(Splits { train, validation }, own()?, make);
                Ok(Data {
                    similarity: Some((settings, layout)),
                    ..data
                })
            }
        }
    }

    /// Texts, and the labels that they have.
    fn texts(
        &self,
        task: &'static TaskEntry,
        train_file: &Path,
        validation_file: Option<&Path>,
    ) -> Result<(Splits<TextExample>, Labels)> {
        self.check_options(task)?;
        let own = task
            .own_labels
            .map(|names| Labels::new(names.iter().copied()));
        let own = own.transpose()?;
        let given = self.given_labels(task)?;
        let stated = match task.named_outputs {
            true => given.or(own),
            false => own.or(given),
        };
        let is_number = task.problem_type == Some(ProblemType::Regression);
        let known = stated.as_ref().filter(|_| !is_number);
        let train = self.format.texts(train_file, Part::Train, task, known)?;
        self.check_pairs(&train)?;
        let labels = self.labels_or_found(task, stated, &train.examples)?;
        let known = Some(&labels).filter(|_| !is_number);
        let read = |file: &Path| self.format.texts(file, Part::Validation, task, known);
        let validation = validation_file.map(read).transpose()?;
        if let Some(validation) = &validation {
            self.check_pairs(validation)?;
        }
        Ok((Splits { train, validation }, labels))
    }

    /// Data under the name that the settings have for them.
    fn named<T, V>(
        splits: Splits<T, V>,
        labels: Labels,
        make: fn(Splits<T, V>) -> TrainingData,
    ) -> Data {
        Data {
            name: Self::name_of(&splits.train),
            data: make(splits),
            labels,
            similarity: None,
        }
    }

    /// Name of a training set in the settings.
    fn name_of<T>(train: &Dataset<T>) -> String {
        let count = train.examples.len();
        format!("{count} examples of {}", train.path.display())
    }

    /// Refuses options that are for other tasks.
    fn check_options(&self, task: &TaskEntry) -> Result<()> {
        let is_of_questions = task.reads == Reads::Questions;
        if let Some(option) = self.questions.given().filter(|_| !is_of_questions) {
            bail!("{option} is for --task qa");
        }
        if !task.named_outputs && !self.labels.is_empty() {
            bail!("--labels: the outputs of --task {task} have no names");
        }
        Ok(())
    }

    /// Labels that options or the data set name.
    fn given_labels(&self, task: &TaskEntry) -> Result<Option<Labels>> {
        Ok(match self.labels.as_slice() {
            [] => self.format.labels()?.or(self.format.flag_labels(task)?),
            names => Some(Labels::new(names)?),
        })
    }

    /// The labels that are stated, else those that the examples have, as the head of the model has them
    /// where it has them all.
    fn labels_or_found<T: Labelled>(
        &self,
        task: &TaskEntry,
        stated: Option<Labels>,
        examples: &[T],
    ) -> Result<Labels> {
        match stated {
            Some(labels) => Ok(labels),
            None => self.as_stored(task, discover_labels(examples)?),
        }
    }

    /// The labels that the data has, as the head of the model has them where it has them all.
    fn as_stored(&self, task: &TaskEntry, labels: Labels) -> Result<Labels> {
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
        if !self.task.needs_pairs() {
            return Ok(());
        }
        let task = self.task.name();
        single.map_or(Ok(()), |example| {
            bail!(
                "{}, line {}: it has one text, but --task {task} needs two: name the columns with \
                 --text-column and --pair-column, or use --task classify",
                data.path.display(),
                example.line
            )
        })
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
