//! A fine-tuning run from examples to a finished model.

use std::cell::Cell;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bert_core::batch::{BertBatcher, Workload};
use bert_core::checkpoint::Checkpoint;
use bert_core::device::Device;
use bert_core::files::write_atomically;
use bert_core::nn::BertInit;
use bert_core::stop::{ShouldStop, StopFlag};
use bert_core::tokenizer::{BertTokenizer, EncodeOptions};
use bert_core::training::{
    Best, CheckpointStore, Ending, Observer, Optimizer, Trainer, TrainerOptions, TrainerState,
    read_optimizer, training_devices,
};
use serde::Serialize;
use serde_json::{Map, Value};

use super::settings::{Settings, metric_names, smaller_is_better};
use super::stored::goes_on;
use super::training_data::{Splits, TrainingData};
use super::updates::{Cursor, Updates};
use crate::error::{Error, Result};
use crate::labels::Labels;
use crate::metrics::{GlueTask, Scores};
use crate::runner::{Row, RowMaker, text_logits};
use crate::sentence_embedding::{DenseConfig, EmbeddingLayout, SentenceEncoder};
use crate::task::{LabelledRow, Targets, Task, TaskModel};
use crate::tasks::multiple_choice::{
    BertForMultipleChoice, ChoiceRows, choice_logits, choice_rows, score_choices,
};
use crate::tasks::next_sentence::BertForNextSentencePrediction;
use crate::tasks::question_answering::{
    BertForQuestionAnswering, QuestionEvaluation, QuestionMaker, QuestionSettings,
    best_null_threshold, question_rows, score_questions,
};
use crate::tasks::sequence_classification::{
    BertForSequenceClassification, TextTargets, score_texts, text_rows,
};
use crate::tasks::similarity::{row_similarities, score_similarity, similarity_rows};
use crate::tasks::token_classification::{
    BertForTokenClassification, Crf, gold_tags, score_tokens, token_rows, word_logits,
};

/// A run's surroundings.
pub struct FineTuning<'a> {
    /// Settings that determine the outcome.
    pub settings: Settings,
    /// The encoder to begin with, or whose sizes a model from scratch has.
    pub checkpoint: Checkpoint,
    /// Its tokenizer, saved with the model.
    pub tokenizer: BertTokenizer,
    /// Training and evaluation data.
    pub data: TrainingData,
    /// Whose metrics to report; those of the task without one.
    pub glue: Option<GlueTask>,
    /// Devices to share the micro-batches, without autodiff.
    pub devices: Vec<Device>,
    /// Recompute what is cheap in the backward pass instead of keeping it.
    pub gradient_checkpointing: bool,
    /// Intervals, patience and precision; the best metric is that of the settings.
    pub options: TrainerOptions,
    /// Where everything is written.
    pub output: PathBuf,
    /// Checkpoints to keep.
    pub keep: usize,
    /// Go on with the run in `output`.
    pub resume: bool,
    /// Observer of the run.
    pub observer: &'a mut dyn Observer,
    /// Stops the run between two steps.
    pub stop: StopFlag,
}

/// How a run ended.
#[derive(Clone, Debug, Serialize)]
pub struct Summary {
    /// Optimizer steps taken.
    pub step: u64,
    /// True if the run came to its end, early or not; otherwise a checkpoint holds the state.
    pub finished: bool,
    /// Seconds of training, all sessions together.
    pub elapsed_s: f64,
    /// Tokens trained on.
    pub tokens: u64,
    /// The evaluation whose model is saved, if there was any.
    pub best: Option<Best>,
    /// All numbers of that evaluation, or of the last one of this session.
    pub evaluation: Map<String, Value>,
}

/// Training rows of a model.
struct TrainingRows<'a, T> {
    rows: Vec<LabelledRow<T>>,
    /// How many examples were cut.
    cut: usize,
    /// Writes what belongs to the model besides weights, configuration and tokenizer.
    beside: &'a dyn Fn(&Path) -> Result<()>,
}

impl<T> TrainingRows<'_, T> {
    fn new(rows: Vec<LabelledRow<T>>, cut: usize) -> Self {
        Self {
            rows,
            cut,
            beside: &|_| Ok(()),
        }
    }
}

/// Target of an example that a model learns from.
type Target<M> = <<M as TaskModel>::Targets as Targets>::Target;

/// Evaluates a model without autodiff; [`Error::Interrupted`] if asked to stop meanwhile.
type Evaluate<'a, M> = &'a mut dyn FnMut(&M, ShouldStop<'_>) -> Result<Scores>;

impl FineTuning<'_> {
    /// Trains to the end, or until asked to stop.
    ///
    /// The model is then in the output directory: that of the best evaluation, or of the last step
    /// where there is no validation set.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidOption`] for settings that make no run, [`bert_core::Error::Run`] if the
    /// output directory holds another one, [`Error::BadRow`] for examples that do not fit the task; those of model,
    /// device and disk.
    pub fn run(self) -> Result<Summary> {
        let config = self.checkpoint.config();
        let labels = self.settings.check(config.num_hidden_layers)?;
        let (task, glue) = (self.settings.task, self.glue);
        let known = metric_names(task, &labels, glue)?;
        if !known.contains(&self.settings.metric.as_str()) {
            return Err(Error::UnknownChoice {
                what: "metric",
                name: self.settings.metric.clone(),
                known: known.join(", "),
            });
        }
        let maker = self.settings.row_maker(&self.tokenizer, config)?;
        let (tokenizer, length) = (&self.tokenizer, self.settings.max_length);
        match (&self.data, task) {
            (TrainingData::Tokens(Splits { train, validation }), Task::Tokens) => {
                let (rows, cut) = token_rows(train, &labels, tokenizer, length)?;
                let rows = TrainingRows::new(rows, cut);
                let Some(validation) = validation else {
                    return self.train::<BertForTokenClassification>(&labels, rows, None);
                };
                let words = validation
                    .examples
                    .iter()
                    .map(|example| example.words.as_slice());
                let made = maker.words(words)?;
                let gold = gold_tags(validation, &labels)?;
                // Owned, so that the run can be taken apart meanwhile.
                let gold: Vec<Vec<String>> = gold.into_iter().map(<[String]>::to_vec).collect();
                let names = labels.clone();
                let mut evaluate = move |model: &BertForTokenClassification,
                                         asked: ShouldStop<'_>| {
                    let logits = word_logits(model, &maker, &made, asked)?;
                    let gold: Vec<&[String]> = gold.iter().map(Vec::as_slice).collect();
                    let chain = model.crf.as_ref().map(Crf::chain).transpose()?;
                    score_tokens(&names, chain.as_ref(), &gold, &logits)
                };
                self.train(&labels, rows, Some(&mut evaluate))
            }
            (TrainingData::Questions(_), Task::Qa) => self.questions(&labels, maker),
            (TrainingData::Choices(Splits { train, validation }), Task::Choice) => {
                let (rows, cut) = choice_rows(train, tokenizer, length)?;
                let rows = TrainingRows::new(rows, cut);
                let Some(validation) = validation else {
                    return self.train::<BertForMultipleChoice>(&labels, rows, None);
                };
                let made = ChoiceRows::new(&maker, &validation.examples)?;
                let right = validation.right_choices()?;
                let mut evaluate = move |model: &BertForMultipleChoice, asked: ShouldStop<'_>| {
                    let logits = choice_logits(model, &maker, &made, asked)?;
                    Ok(score_choices(&right, &logits))
                };
                self.train(&labels, rows, Some(&mut evaluate))
            }
            (TrainingData::Similar(_), Task::Similarity) => self.similarity(&labels, maker),
            (TrainingData::Texts(_), Task::NextSentence) => {
                self.texts::<BertForNextSentencePrediction>(&labels, maker)
            }
            (TrainingData::Texts(_), Task::Classify | Task::MultiLabel | Task::Regress) => {
                self.texts::<BertForSequenceClassification>(&labels, maker)
            }
            (_, task) => Err(misfit(task)),
        }
    }

    fn texts<M: TaskModel<Targets = TextTargets>>(
        self,
        labels: &Labels,
        maker: RowMaker,
    ) -> Result<Summary> {
        let (task, glue, length) = (self.settings.task, self.glue, self.settings.max_length);
        let TrainingData::Texts(Splits { train, validation }) = &self.data else {
            return Err(misfit(task));
        };
        let (rows, cut) = text_rows(train, task, labels, &self.tokenizer, length)?;
        let rows = TrainingRows::new(rows, cut);
        let Some(validation) = validation else {
            return self.train::<M>(labels, rows, None);
        };
        let made = maker.texts(validation.inputs())?;
        let gold = validation.targets(task, labels)?;
        let mut evaluate = move |model: &M, asked: ShouldStop<'_>| {
            let logits = text_logits(model, &maker, &made, asked)?;
            score_texts(task, labels, glue, &gold, &logits)
        };
        self.train(labels, rows, Some(&mut evaluate))
    }

    /// The threshold for "no answer" is searched in every evaluation and kept with the weights.
    fn questions(mut self, labels: &Labels, maker: RowMaker) -> Result<Summary> {
        let maker = question_maker(&self.settings, maker)?;
        let TrainingData::Questions(Splits { train, validation }) = &mut self.data else {
            return Err(misfit(self.settings.task));
        };
        let silence = train.examples.iter().any(|example| example.is_impossible);
        let stated = maker.settings().null_threshold;
        let null_threshold = stated.or(silence.then_some(0.0));
        let rows = question_rows(train, &maker)?;
        let evaluation = match validation.take() {
            Some(data) => Some(QuestionEvaluation::new(&maker, data.examples)?),
            None => None,
        };
        let threshold = Cell::new(null_threshold);
        let save = |dir: &Path| {
            let settings = QuestionSettings {
                null_threshold: threshold.get(),
                ..*maker.settings()
            };
            settings.save(dir)
        };
        let rows = TrainingRows {
            beside: &save,
            ..TrainingRows::new(rows, 0)
        };
        let Some(evaluation) = evaluation else {
            return self.train::<BertForQuestionAnswering>(labels, rows, None);
        };
        let mut evaluate = |model: &BertForQuestionAnswering, asked: ShouldStop<'_>| {
            let (answers, loss) = evaluation.ask(model, &maker, asked)?;
            let questions = evaluation.questions();
            if silence {
                let best = best_null_threshold(questions, &answers, maker.settings())?;
                threshold.set(Some(best));
            }
            let settings = QuestionSettings {
                null_threshold: threshold.get(),
                ..*maker.settings()
            };
            let scores = score_questions(questions, &answers, &settings)?;
            // As version 1 calls it, so that one name chooses the best model for both versions.
            let exact = scores.get("exact_match").or(scores.get("exact"));
            Ok(scores
                .with_value("exact_match", exact)
                .with_value("loss", loss))
        };
        self.train(labels, rows, Some(&mut evaluate))
    }

    /// Fine-tunes sentence embeddings and saves them as a sentence-transformers directory.
    fn similarity(mut self, labels: &Labels, maker: RowMaker) -> Result<Summary> {
        let length = self.settings.max_length;
        let settings = self.settings.similarity.get_or_insert_default().clone();
        let TrainingData::Similar(Splits { train, validation }) = &self.data else {
            return Err(misfit(self.settings.task));
        };
        let (rows, cut) = similarity_rows(train, &settings, &self.tokenizer, length)?;
        let hidden_size = self.checkpoint.config().hidden_size;
        let layout = EmbeddingLayout {
            dense: self.dense(settings.pooling.each().len() * hidden_size)?,
            pooling: settings.pooling,
            normalize: settings.normalize,
            max_length: Some(length),
        };
        let save = move |dir: &Path| layout.save(dir, hidden_size);
        let rows = TrainingRows {
            beside: &save,
            ..TrainingRows::new(rows, cut)
        };
        let Some(validation) = validation else {
            return self.train::<SentenceEncoder>(labels, rows, None);
        };
        let gold = validation.pair_scores()?;
        let texts = validation.examples.iter();
        let texts = texts.flat_map(|example| [Some(&example.text), example.pair.as_ref()]);
        let options = EncodeOptions::truncated(length);
        let encodings = self.tokenizer.encode_batch(texts.flatten(), &options)?;
        let made: Vec<Row> = encodings.iter().map(Row::of).collect();
        let mut evaluate = move |model: &SentenceEncoder, asked: ShouldStop<'_>| {
            let cosines = row_similarities(model, &maker, &made, asked)?;
            Ok(score_similarity(&gold, &cosines))
        };
        self.train(labels, rows, Some(&mut evaluate))
    }

    /// The Dense modules that follow the pooling and are trained with the encoder.
    fn dense(&self, pooled: usize) -> Result<Vec<DenseConfig>> {
        let dense = EmbeddingLayout::read(self.checkpoint.dir())?.dense;
        let refuse = |option, value: String, expected| {
            Err(Error::InvalidOption {
                option,
                value,
                expected,
            })
        };
        match dense.first() {
            Some(_) if self.settings.from_scratch => refuse(
                "from scratch:",
                self.checkpoint.dir().display().to_string(),
                "an encoder without Dense modules, whose weights would not be random",
            ),
            Some(first) if first.in_features != pooled => refuse(
                "pooling",
                format!("to {pooled} numbers"),
                "the numbers that the Dense module after it takes",
            ),
            _ => Ok(dense),
        }
    }

    fn train<M: TaskModel>(
        self,
        labels: &Labels,
        rows: TrainingRows<'_, Target<M>>,
        evaluate: Option<Evaluate<'_, M>>,
    ) -> Result<Summary> {
        let TrainingRows { rows, cut, beside } = rows;
        if rows.is_empty() {
            return Err(Error::InvalidOption {
                option: "training data:",
                value: "no example".to_owned(),
                expected: "at least one",
            });
        }
        if cut > 0 {
            self.observer.message(&format!(
                "{cut} of {} training texts are longer than {} tokens and are cut for training",
                rows.len(),
                self.settings.max_length
            ));
        }
        let settings = self.settings;
        let config = self.checkpoint.config().clone();
        let batcher = BertBatcher::new(&self.tokenizer).for_model(&config);
        for row in rows.iter().flat_map(|example| &example.rows) {
            batcher.check_row(&row.ids, &row.type_ids)?;
        }
        let workload = Workload {
            rows: settings.batch_size,
            tokens: settings.max_length,
            scored: 0,
            remedy: "use a smaller --batch-size (--accumulate makes up for it), or a smaller --max-length",
        };
        for device in &self.devices {
            workload.check(&config, device)?;
        }
        let found = CheckpointStore::find(&self.output, self.resume)?;
        let store = CheckpointStore::open(&self.output, self.keep)?;
        let devices = training_devices(&self.devices, self.gradient_checkpointing);
        let device = devices.first().ok_or(Error::InvalidOption {
            option: "devices:",
            value: "none".to_owned(),
            expected: "at least one",
        })?;

        let (mut model, optimizer, state) = match found {
            Some((path, state)) => {
                state.check_settings(&self.output, &serde_json::json!(settings))?;
                let model = M::from_checkpoint(&Checkpoint::open(&path)?, device)?;
                let optimizer = read_optimizer(&path, &state, device)?;
                self.observer
                    .message(&format!("resuming from {}", path.display()));
                (model, optimizer, state)
            }
            None => {
                let init = BertInit::new(&config, settings.seed, device);
                let model = if settings.from_scratch {
                    M::fresh(&config, labels.count(), &init)
                } else if goes_on(&self.checkpoint, &settings, labels)? {
                    let dir = self.checkpoint.dir().display();
                    self.observer.message(&format!(
                        "going on with the head of {dir}: its outputs are these"
                    ));
                    M::from_checkpoint(&self.checkpoint, device)?
                } else {
                    let (model, report) = M::from_encoder(&self.checkpoint, labels.count(), &init)?;
                    if !report.missing.is_empty() {
                        self.observer.message(&format!(
                            "not in {} for this task and these labels, so that they start from random \
                             values: {}",
                            self.checkpoint.dir().display(),
                            report.missing.join(", ")
                        ));
                    }
                    model
                };
                let model = match settings.crf {
                    Some(_) => model.with_crf(&init),
                    None => model,
                };
                let optimizer = Optimizer::new(settings.optimizer);
                let kept = serde_json::json!(settings);
                let state =
                    TrainerState::new(settings.seed, settings.optimizer, settings.schedule, kept);
                (model, optimizer, state)
            }
        };
        let (layers, rules, crf) = (config.num_hidden_layers, settings.layers, settings.crf);
        model.configure(&settings);
        rules.freeze(model.bert_mut());
        let optimizer = optimizer.with_rules(move |name| match crf {
            Some(crf) if name.starts_with("crf.") => crf.rule(),
            _ => rules.rule(name, layers),
        });

        let cursor: Cursor = state.cursor_as(&self.output)?;
        let class_weights = settings.class_weights.as_deref().map(Arc::from);
        let options = settings.updates(self.tokenizer.pad_id());
        let updates = Updates::new(rows.into(), class_weights, options, cursor);

        let problem_type = settings.task.problem_type();
        let tokenizer = &self.tokenizer;
        let write_model = |model: &M, dir: &Path| -> Result<()> {
            model.save(dir, &config, labels, problem_type)?;
            beside(dir)?;
            Ok(tokenizer.save(dir)?)
        };
        let mut evaluations: Vec<Map<String, Value>> = Vec::new();
        let mut evaluate = evaluate.map(|evaluate| {
            |model: &M, asked: ShouldStop<'_>| -> Result<Option<Vec<(String, f64)>>> {
                let scores = match evaluate(model, asked) {
                    Err(Error::Interrupted) => return Ok(None),
                    scores => scores?,
                };
                evaluations.push(scores.to_map());
                let values = scores.values();
                let numbers =
                    values.filter_map(|(name, score)| Some((name.to_owned(), score.as_f64()?)));
                Ok(Some(numbers.collect()))
            }
        });
        let trainer = Trainer {
            model,
            optimizer,
            schedule: settings.schedule,
            devices: devices.clone(),
            options: TrainerOptions {
                best_metric: (settings.metric.clone(), smaller_is_better(&settings.metric)),
                ..self.options
            },
            state,
            store: Some(&store),
            write_model: &write_model,
            evaluate: match &mut evaluate {
                Some(evaluate) => Some(evaluate),
                None => None,
            },
            observer: self.observer,
            stop: self.stop,
        };
        let (model, state, ending) = trainer.run(updates.map(Ok::<_, Error>))?;

        let finished = ending != Ending::Interrupted;
        if finished {
            match state.best {
                Some(_) => copy_files(&store.best_dir(), &self.output)?,
                None => write_model(&model, &self.output)?,
            }
        }
        let best_value = state.best.as_ref().map(|best| best.value);
        let is_best = |numbers: &&Map<String, Value>| {
            numbers.get(&settings.metric).and_then(Value::as_f64) == best_value
        };
        let evaluation = evaluations
            .iter()
            .find(is_best)
            .or(evaluations.last())
            .cloned();
        Ok(Summary {
            step: state.step,
            finished,
            elapsed_s: state.elapsed_s,
            tokens: state.tokens,
            best: state.best,
            evaluation: evaluation.unwrap_or_default(),
        })
    }
}

pub(super) fn question_maker(settings: &Settings, rows: RowMaker) -> Result<QuestionMaker> {
    let usual = QuestionSettings::usual(settings.max_length);
    QuestionMaker::new(rows, settings.questions.unwrap_or(usual))
}

fn misfit(task: Task) -> Error {
    Error::InvalidOption {
        option: "task",
        value: task.to_string(),
        expected: "the one that the data are for",
    }
}

/// Copies the files of a model directory and of the directories in it, each as a whole.
pub(super) fn copy_files(from: &Path, to: &Path) -> Result<()> {
    let failed = |error| bert_core::Error::io("read", from, error);
    std::fs::create_dir_all(to).map_err(|error| bert_core::Error::io("create", to, error))?;
    for entry in std::fs::read_dir(from).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        let Some(name) = path.file_name() else {
            continue;
        };
        if path.is_dir() {
            copy_files(&path, &to.join(name))?;
        } else {
            let bytes = std::fs::read(&path)
                .map_err(|error| bert_core::Error::io("read", path.clone(), error))?;
            write_atomically(to.join(name), &bytes)?;
        }
    }
    Ok(())
}
