//! Operations shared by all task heads: locating the head in a checkpoint, starting from an encoder,
//! and saving.

use std::path::Path;

use bert_core::checkpoint::{Checkpoint, LoadReport, Loading, Reshaped, save};
use bert_core::config::BertConfig;
use bert_core::models::{ClassifierShape, FAMILIES, Family, Reads};
use bert_core::nn::{BertInit, BertModel, BertPooler};
use burn::module::Module;

use crate::error::{Error, Result};
use crate::labels::Labels;
use crate::model_kind::{HIDDEN_LAYER, ModelKind, classifier_kind, stated_classifier};

/// Static description of a task head: its class in transformers, its tensors, its shape.
#[derive(Debug)]
pub(crate) struct TaskHead {
    /// The class of transformers, without its family.
    pub(crate) class: &'static str,
    /// The parameters of its outputs, spelled as those of BERT.
    pub(crate) tensors: [&'static str; 2],
    /// Its shape in a network.
    pub(crate) shape: fn(&BertConfig) -> ClassifierShape,
}

impl TaskHead {
    /// Loads `fresh` strictly from a checkpoint that has the head.
    ///
    /// # Errors
    ///
    /// Those of [`check`](Self::check), and of [`Checkpoint::load_into`].
    pub(crate) fn load<M: Module>(&self, checkpoint: &Checkpoint, fresh: M) -> Result<M> {
        self.check(checkpoint)?;
        let (model, _) = checkpoint.load_into(fresh, Loading::Strict)?;
        Ok(model)
    }

    /// Loads `fresh` strictly from a checkpoint with the head's tensors, whatever class its
    /// configuration states.
    ///
    /// # Errors
    ///
    /// [`Error::NoHead`], and those of [`Checkpoint::load_into`].
    pub(crate) fn load_tensors<M: Module>(&self, checkpoint: &Checkpoint, fresh: M) -> Result<M> {
        self.check_tensors(checkpoint)?;
        let (model, _) = checkpoint.load_into(fresh, Loading::Strict)?;
        Ok(model)
    }

    /// Refuses a checkpoint without the head.
    ///
    /// # Errors
    ///
    /// [`Error::NoHead`] for one without its tensors, [`Error::WrongHead`] for one whose configuration
    /// states a class with the same tensors over other vectors.
    pub(crate) fn check(&self, checkpoint: &Checkpoint) -> Result<()> {
        self.check_tensors(checkpoint)?;
        match stated_classifier(checkpoint.config()) {
            Some((kind, class)) if self.has_classifier() && !self.is_of(kind) => {
                Err(Error::WrongHead {
                    dir: checkpoint.dir().to_owned(),
                    class: checkpoint.config().family.class(self.class),
                    stated: class.to_owned(),
                })
            }
            _ => Ok(()),
        }
    }

    fn check_tensors(&self, checkpoint: &Checkpoint) -> Result<()> {
        let config = checkpoint.config();
        let missing: Vec<_> = self
            .parameters(config)
            .filter(|name| !checkpoint.contains(name))
            .map(|name| self.file_name(config, name))
            .collect();
        match missing.is_empty() {
            true => Ok(()),
            false => Err(Error::NoHead {
                dir: checkpoint.dir().to_owned(),
                class: config.family.class(self.class),
                missing,
            }),
        }
    }

    /// Its parameters in a network of `config`.
    fn parameters(&self, config: &BertConfig) -> impl Iterator<Item = &'static str> + use<> {
        let hidden = (self.shape)(config).hidden;
        let norm_bias = config.block.norm_bias;
        let hidden = hidden.into_iter().flat_map(move |layer| {
            let is_there = [true, layer.bias, layer.norm, layer.norm && norm_bias];
            let parameters = HIDDEN_LAYER.into_iter().zip(is_there);
            parameters.filter_map(|(name, is_there)| is_there.then_some(name))
        });
        self.tensors.into_iter().chain(hidden)
    }

    /// The name of a parameter in the files of its family.
    fn file_name(&self, config: &BertConfig, name: &str) -> String {
        config.family.file_name(name, self.class)
    }

    /// The number of its outputs in a checkpoint: the rows of its weight.
    ///
    /// # Errors
    ///
    /// [`Error::NoHead`], and [`Error::Labels`] for a number that no head can have.
    pub(crate) fn outputs(&self, checkpoint: &Checkpoint) -> Result<usize> {
        self.check_tensors(checkpoint)?;
        let weight = checkpoint.tensor(self.tensors[0]);
        let outputs = match weight.map(|tensor| tensor.shape.as_slice()) {
            Some(&[outputs, _]) => outputs,
            // A single output can be stored as a vector.
            _ => 1,
        };
        Ok(Labels::numbered(outputs)?.count())
    }

    /// True if [`load`](Self::load) would find the head in a checkpoint, and nothing says that it is
    /// another one with the same tensors.
    pub(crate) fn is_in(&self, checkpoint: &Checkpoint) -> bool {
        self.check_tensors(checkpoint).is_ok()
            && (!self.has_classifier()
                || classifier_kind(checkpoint).is_none_or(|found| self.is_of(found.kind)))
    }

    /// True if its encoder has a pooler in a network of `config`.
    pub(crate) fn has_pooler(&self, config: &BertConfig) -> bool {
        (self.shape)(config).reads == Reads::Pooled
    }

    fn has_classifier(&self) -> bool {
        ModelKind::of_class(self.class).is_some_and(ModelKind::shares_tensors)
    }

    fn is_of(&self, kind: ModelKind) -> bool {
        ModelKind::of_class(self.class) == Some(kind)
    }

    /// Refuses a family of which transformers has no class with the head.
    ///
    /// # Errors
    ///
    /// [`Error::NoClass`] naming those that have one.
    pub(crate) fn check_family(&self, family: &Family) -> Result<()> {
        if self.is_of_family(family) {
            return Ok(());
        }
        let others = FAMILIES
            .into_iter()
            .filter(|other| self.is_of_family(other));
        let others: Vec<_> = others.map(|other| other.name).collect();
        Err(Error::NoClass {
            class: family.class(self.class),
            family: family.name,
            others: others.join(", "),
        })
    }

    fn is_of_family(&self, family: &Family) -> bool {
        let is_next_sentence = ModelKind::of_class(self.class) == Some(ModelKind::NextSentence);
        family.has_class(self.class) && (family.heads.next_sentence || !is_next_sentence)
    }

    /// A model for fine-tuning from any checkpoint: its encoder, around which `build` makes the task
    /// model, and the hidden layer of the classifier where transformers takes it from there.
    ///
    /// The encoder is loaded strictly but for a pooler that it may lack, which then starts fresh as
    /// the rest of the head does; the report is that of the whole task model. Another head in the
    /// checkpoint is left out, and listed as ignored.
    ///
    /// # Errors
    ///
    /// Those of [`check_family`](Self::check_family) and of [`Checkpoint::load_into`].
    pub(crate) fn begin<M: Module>(
        &self,
        checkpoint: &Checkpoint,
        init: &BertInit,
        build: impl FnOnce(BertModel) -> M,
    ) -> Result<(M, LoadReport)> {
        self.check_family(checkpoint.config().family)?;
        let (bert, mut report) = self.load_encoder(checkpoint, init)?;
        let (model, loaded) = checkpoint.load_hidden_layer(build(bert), self.class)?;
        report.missing.retain(|name| !loaded.contains(name));
        report
            .ignored
            .retain(|tensor| !loaded.contains(&tensor.name));
        report.loaded.extend(loaded);
        Ok((model, report))
    }

    /// The encoder of any checkpoint, and the report of the whole task model with a fresh head.
    fn load_encoder(
        &self,
        checkpoint: &Checkpoint,
        init: &BertInit,
    ) -> Result<(BertModel, LoadReport)> {
        let config = checkpoint.config();
        let has_pooler = self.has_pooler(config);
        let stored_pooler = has_pooler && checkpoint.has_pooler();
        let fresh = BertModel::new(config, stored_pooler, init);
        let (mut bert, mut report) = checkpoint.load_into(fresh, Loading::Strict)?;

        // The encoder was loaded on its own, where its names have no prefix.
        let prefix = |name: &mut String| {
            *name = self.file_name(config, &format!("bert.{name}"));
        };
        report.loaded.iter_mut().for_each(prefix);
        let reshaped = report.reshaped.iter_mut();
        reshaped.for_each(|Reshaped { name, .. }| prefix(name));

        let mut missing: Vec<_> = self.parameters(config).collect();
        if has_pooler && !stored_pooler {
            bert.pooler = Some(BertPooler::new(config, init));
            missing.extend(["bert.pooler.dense.weight", "bert.pooler.dense.bias"]);
        }
        let missing = missing.into_iter();
        let mut missing: Vec<_> = missing.map(|name| self.file_name(config, name)).collect();
        missing.sort();
        report.missing = missing;
        Ok((bert, report))
    }

    /// Writes the model with its configuration.
    ///
    /// # Errors
    ///
    /// Those of [`check_family`](Self::check_family), and of the disk.
    pub(crate) fn save<M: Module>(
        &self,
        dir: impl AsRef<Path>,
        model: &M,
        config: &BertConfig,
    ) -> Result<()> {
        self.check_family(config.family)?;
        Ok(save(dir, model, config, &config.family.class(self.class))?)
    }
}
