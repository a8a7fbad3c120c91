//! What all task heads have in common: finding theirs in a checkpoint, starting from an encoder,
//! and being saved.

use std::path::Path;

use bert_core::checkpoint::{Checkpoint, LoadReport, Loading, Reshaped, save};
use bert_core::config::BertConfig;
use bert_core::init::BertInit;
use bert_core::model::BertModel;
use bert_core::pooler::BertPooler;
use burn::module::Module;

use crate::error::{Error, Result};
use crate::labels::stated;

/// Classes of transformers whose heads have the same tensors, but read different vectors.
const CLASSIFIERS: [&str; 3] = [
    "BertForSequenceClassification",
    "BertForTokenClassification",
    "BertForMultipleChoice",
];

/// What is known of a class of task models before one is made.
#[derive(Debug)]
pub(crate) struct TaskHead {
    /// The class of transformers.
    pub(crate) class: &'static str,
    /// The parameters outside the encoder, in Hugging Face spelling.
    pub(crate) tensors: [&'static str; 2],
    /// Whether the encoder has a pooler.
    pub(crate) pooler: bool,
}

impl TaskHead {
    /// Loads `fresh` strictly from a checkpoint that has the head.
    ///
    /// # Errors
    ///
    /// [`Error::NoHead`], [`Error::WrongHead`], and those of [`Checkpoint::load_into`].
    pub(crate) fn load<M: Module>(&self, checkpoint: &Checkpoint, fresh: M) -> Result<M> {
        let missing: Vec<_> = self
            .tensors
            .into_iter()
            .filter(|name| !checkpoint.contains(name))
            .collect();
        let dir = checkpoint.dir();
        if !missing.is_empty() {
            return Err(Error::NoHead {
                dir: dir.to_owned(),
                class: self.class,
                missing,
            });
        }
        if let Some(class) = self.other_class(checkpoint.config()) {
            return Err(Error::WrongHead {
                dir: dir.to_owned(),
                class: self.class,
                stated: class.to_owned(),
            });
        }
        let (model, _) = checkpoint.load_into(fresh, Loading::Strict)?;
        Ok(model)
    }

    /// Whether [`load`](Self::load) would find the head in a checkpoint.
    pub(crate) fn is_in(&self, checkpoint: &Checkpoint) -> bool {
        self.tensors.iter().all(|name| checkpoint.contains(name))
            && self.other_class(checkpoint.config()).is_none()
    }

    /// The class that the configuration states, where its head has the same tensors, but is not this
    /// one.
    fn other_class<'a>(&self, config: &'a BertConfig) -> Option<&'a str> {
        let class = classifier_class(config)?;
        (CLASSIFIERS.contains(&self.class) && class != self.class).then_some(class)
    }

    /// The encoder of any checkpoint, loaded strictly but for a pooler that it may lack, which then
    /// starts fresh; the report is that of the whole task model with a fresh head.
    ///
    /// A head in the checkpoint is left out, and listed as ignored.
    ///
    /// # Errors
    ///
    /// Those of [`Checkpoint::load_into`].
    pub(crate) fn load_encoder(
        &self,
        checkpoint: &Checkpoint,
        init: &BertInit,
    ) -> Result<(BertModel, LoadReport)> {
        let config = checkpoint.config();
        let stored_pooler = self.pooler && checkpoint.has_pooler();
        let fresh = BertModel::new(config, stored_pooler, init);
        let (mut bert, mut report) = checkpoint.load_into(fresh, Loading::Strict)?;

        // The encoder was loaded on its own, where its names have no prefix.
        let prefix = |name: &mut String| name.insert_str(0, "bert.");
        report.loaded.iter_mut().for_each(prefix);
        let reshaped = report.reshaped.iter_mut();
        reshaped.for_each(|Reshaped { name, .. }| prefix(name));

        let mut missing = self.tensors.map(str::to_owned).to_vec();
        if self.pooler && !stored_pooler {
            bert.pooler = Some(BertPooler::new(config, init));
            missing.extend(["weight", "bias"].map(|leaf| format!("bert.pooler.dense.{leaf}")));
        }
        missing.sort();
        report.missing = missing;
        Ok((bert, report))
    }

    /// Writes the model with its configuration.
    pub(crate) fn save<M: Module>(
        &self,
        dir: impl AsRef<Path>,
        model: &M,
        config: &BertConfig,
    ) -> Result<()> {
        Ok(save(dir, model, config, self.class)?)
    }
}

/// Which of the classes that share their tensors' names the configuration states.
pub(crate) fn classifier_class(config: &BertConfig) -> Option<&str> {
    stated(config, "architectures")?
        .as_array()?
        .iter()
        .filter_map(|class| class.as_str())
        .find(|class| CLASSIFIERS.contains(class))
}
