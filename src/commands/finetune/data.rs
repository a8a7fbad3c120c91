//! Examples of a run, and the labels that they have.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use bert_core::checkpoint::Checkpoint;
use bert_core::hub;
use bert_heads::datasets::{Dataset, Labelled, Part, TextExample, discover_labels};
use bert_heads::finetune::{DataConstructor, TrainingData, stored_labels};
use bert_heads::labels::Labels;
use bert_heads::sentence_embedding::EmbeddingLayout;
use bert_heads::task::{Reads, Splits, TaskEntry};
use bert_heads::tasks::sequence_classification::{ProblemType, REGRESS};
use bert_heads::tasks::similarity::SimilaritySettings;

use super::Args;
use crate::cli::data::preset_files;
use crate::cli::note::note;

/// Data of a run and what is known of them.
pub(super) struct Data {
    pub(super) data: TrainingData,
    pub(super) labels: Labels,
    /// Name in the settings.
    pub(super) name: String,
    /// Settings of vectors of texts that are compared.
    pub(super) similarity: Option<(SimilaritySettings, EmbeddingLayout)>,
}

impl Args {
    /// The files to train and to evaluate on.
    pub(super) fn files(&self) -> Result<(PathBuf, Option<PathBuf>)> {
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
    pub(super) fn data(&self, task: &'static TaskEntry) -> Result<Data> {
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
        match DataConstructor::of(task)? {
            DataConstructor::Texts(new) => {
                let (splits, labels) = self.texts(task, &train_file, validation_file)?;
                Ok(Self::named(splits, labels, new))
            }
            DataConstructor::Questions(new) => {
                let read = |file: &Path| format.questions(file, Part::Validation);
                let splits = Splits {
                    train: format.questions(&train_file, Part::Train)?,
                    validation: validation_file.map(read).transpose()?,
                };
                Ok(Self::named(splits, own()?, new))
            }
            DataConstructor::Choices(new) => {
                let read = |file: &Path| format.choices(file, Part::Validation);
                let splits = Splits {
                    train: format.choices(&train_file, Part::Train)?,
                    validation: validation_file.map(read).transpose()?,
                };
                Ok(Self::named(splits, own()?, new))
            }
            DataConstructor::Words(new) => {
                let given = self.given_labels(task)?;
                let train = format.tokens(&train_file, Part::Train, given.as_ref())?;
                let labels = self.labels_or_found(task, given, &train.examples)?;
                let read = |file: &Path| format.tokens(file, Part::Validation, Some(&labels));
                let validation = validation_file.map(read).transpose()?;
                Ok(Self::named(Splits { train, validation }, labels, new))
            }
            DataConstructor::Similar(new) => {
                let train = match self.similarity.ranks() {
                    true => format.similar(&train_file)?,
                    false => format.scored_pairs(&train_file, Part::Train)?,
                };
                let read = |file: &Path| format.texts(file, Part::Validation, &REGRESS, None);
                let validation = validation_file.map(read).transpose()?;
                let layout = EmbeddingLayout::read(hub::resolve_model(&self.model)?)?;
                let settings = self.similarity.settings(&layout, &train.examples)?;
                let data = Self::named(Splits { train, validation }, own()?, new);
                Ok(Data {
                    similarity: Some((settings, layout)),
                    ..data
                })
            }
        }
    }

    /// Texts, and the labels that they have.
    pub(super) fn texts(
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
        new: fn(Splits<T, V>) -> TrainingData,
    ) -> Data {
        Data {
            name: Self::name_of(&splits.train),
            data: new(splits),
            labels,
            similarity: None,
        }
    }

    /// Name of a training set in the settings.
    pub(super) fn name_of<T>(train: &Dataset<T>) -> String {
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

    pub(super) fn check_pairs(&self, data: &Dataset<TextExample>) -> Result<()> {
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
}
