//! Checkpoints in the Hugging Face layout: `config.json` beside the weights.
//!
//! Read: `model.safetensors` or `pytorch_model.bin`, whole or sharded; f32, f16, bf16 or f64; with
//! or without the prefix of the encoder and `module.`; LayerNorm as `weight`/`bias` or `gamma`/`beta`.
//! Written: `model.safetensors` with the names that transformers expects. The names are those of the model's
//! [`Family`](crate::models::Family).

pub(crate) mod load;
mod report;
mod save;
pub(crate) mod tensors;
mod weights;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use burn::module::Module;
use burn::tensor::Device;
use serde_json::Value;

pub use report::{Ignored, LoadReport, Loading, Reshaped};
pub use save::save;
pub use tensors::TensorInfo;
pub use weights::{load_weights, save_weights};

use crate::config::BertConfig;
use crate::error::{Error, Result, abridged};
use crate::models::names::{self, BIAS, DECODER, DECODER_BIAS, POOLER, REPLACED_TOKENS, TABLE};
use crate::nn::{BertInit, BertModel};
use crate::notice::notice;
use tensors::StoredTensor;

/// A model directory whose tensors can be loaded into modules.
///
/// Opening it reads the configuration and the tables of contents, not the weights.
pub struct Checkpoint {
    dir: PathBuf,
    config: BertConfig,
    /// By our name.
    tensors: BTreeMap<String, StoredTensor>,
}

impl Checkpoint {
    /// Opens a model directory.
    ///
    /// # Errors
    ///
    /// When a file is missing, truncated or malformed, naming it.
    pub fn open(dir: impl AsRef<Path>) -> Result<Self> {
        let dir = dir.as_ref();
        if !dir.is_dir() {
            return Err(Error::io(
                "open model directory",
                dir,
                std::io::Error::from(std::io::ErrorKind::NotFound),
            ));
        }
        let config = dir.join("config.json");
        if !config.is_file() {
            return Err(Error::FileMissing {
                dir: dir.to_owned(),
                looked_for: vec!["config.json".to_owned()],
                remedy: "it states the sizes of the model and must lie beside the weights"
                    .to_owned(),
            });
        }
        let config = BertConfig::from_file(config)?;
        let stated = config.extra.get("architectures").and_then(Value::as_array);
        let classes = stated.into_iter().flatten().filter_map(Value::as_str);
        let classes: Vec<&str> = classes.collect();
        let mut tensors = BTreeMap::new();
        for tensor in tensors::open_directory(dir)? {
            let key = config.family.our_name_in(&tensor.info.name, &classes);
            let name = tensor.info.name.clone();
            let file = tensor.info.file.clone();
            if let Some(twin) = tensors.insert(key.clone(), tensor)
                && !twin.is_equal_to(&tensors[&key])?
            {
                return Err(Error::malformed(
                    file,
                    "checkpoint",
                    format!(
                        "tensors `{name}` and `{}` mean the same parameter",
                        twin.info.name
                    ),
                ));
            }
        }
        canonicalize_names(&config, &mut tensors);
        Ok(Self {
            dir: dir.to_owned(),
            config,
            tensors,
        })
    }

    /// The directory that was opened.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The configuration beside the weights.
    pub fn config(&self) -> &BertConfig {
        &self.config
    }

    /// The tensors in the files, sorted by name.
    pub fn tensors(&self) -> impl Iterator<Item = &TensorInfo> {
        self.tensors.values().map(|tensor| &tensor.info)
    }

    /// True if there is a tensor of this name, spelled as in BERT's current files with the encoder under `bert.`
    /// ("bert.pooler.dense.weight", "cls.predictions.bias"), whatever the family of the model calls it.
    pub fn contains(&self, name: &str) -> bool {
        self.tensors.contains_key(name)
    }

    /// The tensor of this name, spelled as for [`contains`](Self::contains).
    pub fn tensor(&self, name: &str) -> Option<&TensorInfo> {
        self.tensors.get(name).map(|tensor| &tensor.info)
    }

    /// True if the encoder was saved with its pooler.
    pub fn has_pooler(&self) -> bool {
        self.contains(POOLER)
    }

    /// The name that a model of this family with the head of this checkpoint has in files for the parameter `name`,
    /// spelled as for [`contains`](Self::contains).
    pub fn file_name(&self, name: &str) -> String {
        let mut names = self.tensors.keys();
        let family = self.config.family;
        let class = match names.any(|name| names::is_hidden_layer(name)) {
            true => family.class_with_hidden_layer(),
            false => "",
        };
        family.file_name(name, class)
    }

    /// The encoder on `device`; its pooler is there if the checkpoint has one.
    ///
    /// # Errors
    ///
    /// Under [`Loading::Strict`] when a tensor is missing or of the wrong shape; always when one cannot be read.
    pub fn load_model(&self, loading: Loading, device: &Device) -> Result<(BertModel, LoadReport)> {
        let init = BertInit::new(&self.config, 0, device);
        let model = BertModel::new(&self.config, self.has_pooler(), &init);
        self.load_into(model, loading)
    }

    /// Loads the weights into `module`: the encoder itself, or a task model that holds it in a
    /// field `bert`.
    ///
    /// # Errors
    ///
    /// Those of [`load_model`](Self::load_model).
    pub fn load_into<M: Module>(&self, module: M, loading: Loading) -> Result<(M, LoadReport)> {
        let (module, report) = load::load(&self.tensors, self.config.family, "", module, loading)?;
        if loading == Loading::Strict && !report.unexpected.is_empty() {
            notice(format!(
                "{}: {} tensor(s) of the checkpoint are left out, because no parameter takes them ({})",
                self.dir.display(),
                report.unexpected.len(),
                abridged(&report.unexpected)
            ));
        }
        Ok((module, report))
    }

    /// Notes on standard error that the checkpoint was trained to tell replaced tokens from others, so that what a masked-LM head
    /// of it predicts means nothing.
    pub fn note_replaced_tokens(&self) {
        let mut names = self.tensors.iter();
        if let Some((_, tensor)) = names.find(|(name, _)| name.starts_with(REPLACED_TOKENS)) {
            notice(format!(
                "{}: {} is of a head of replaced tokens, with which the model was trained in place of its masked-LM head: what \
                 that predicts means nothing, use the model for vectors or fine-tune it",
                self.dir.display(),
                tensor.info.name
            ));
        }
    }

    /// Loads into `module` the hidden layer of its classifier, where a tensor of the files has the name that it has in a model
    /// of this class of transformers; all else is left as it is. Gives the names of what was loaded.
    ///
    /// A head of another task may bring it: that of ModernBERT's masked LM is the one before its classifiers.
    ///
    /// # Errors
    ///
    /// When a tensor cannot be read.
    pub fn load_hidden_layer<M: Module>(&self, module: M, class: &str) -> Result<(M, Vec<String>)> {
        let family = self.config.family;
        let of_class = |tensor: &StoredTensor| {
            let ours = family.our_name_in(&tensor.info.name, &[class]);
            let is_named = family.file_name(&ours, class) == names::of_today(&tensor.info.name);
            (is_named && names::is_hidden_layer(&ours)).then_some(ours)
        };
        let found = self.tensors.values();
        let found: BTreeMap<String, &StoredTensor> = found
            .filter_map(|tensor| Some((of_class(tensor)?, tensor)))
            .collect();
        let found = found.iter().map(|(name, tensor)| (name, *tensor));
        let (module, report) = load::load(found, family, class, module, Loading::Partial)?;
        Ok((module, report.loaded))
    }

    /// Notes on standard error that the masked-LM decoder in the files is not the table it is tied to, and so plays no part.
    ///
    /// For heads that predict tokens: nothing else has a decoder. `tie_word_embeddings` of the configuration decides, not
    /// the files.
    ///
    /// # Errors
    ///
    /// When either cannot be read.
    pub fn note_stale_decoder(&self) -> Result<()> {
        let (Some(decoder), Some(table)) = (self.tensors.get(DECODER), self.tensors.get(TABLE))
        else {
            return Ok(());
        };
        if !self.config.ties_word_embeddings() || decoder.is_equal_to(table)? {
            return Ok(());
        }
        notice(format!(
            "{}: {} differs from the word embeddings and is left out, because `tie_word_embeddings` of config.json \
             is true, or absent, which means the same: state false if it belongs to the model",
            self.dir.display(),
            self.file_name(DECODER)
        ));
        Ok(())
    }
}

/// Gives parameters that transformers saves under either of two names the one that modules have.
fn canonicalize_names(config: &BertConfig, tensors: &mut BTreeMap<String, StoredTensor>) {
    let tied = config.ties_word_embeddings();
    // An untied decoder is a linear layer with a bias of its own, beside which the other plays no part.
    if (!tied || !tensors.contains_key(BIAS))
        && let Some(bias) = tensors.remove(DECODER_BIAS)
        && let Some(idle) = tensors.insert(BIAS.to_owned(), bias)
    {
        tensors.insert(DECODER_BIAS.to_owned(), idle);
    }
    if tied
        && !tensors.contains_key(TABLE)
        && let Some(table) = tensors.remove(DECODER)
    {
        tensors.insert(TABLE.to_owned(), table);
    }
}

impl std::fmt::Debug for Checkpoint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Checkpoint")
            .field("dir", &self.dir)
            .field("config", &self.config)
            .field("tensors", &self.tensors.len())
            .finish()
    }
}

impl BertModel {
    /// Loads the encoder from a model directory on `device`, strictly.
    ///
    /// # Errors
    ///
    /// Those of [`Checkpoint::open`] and [`Checkpoint::load_model`].
    pub fn from_dir(dir: impl AsRef<Path>, device: &Device) -> Result<Self> {
        let (model, _) = Checkpoint::open(dir)?.load_model(Loading::Strict, device)?;
        Ok(model)
    }
}
