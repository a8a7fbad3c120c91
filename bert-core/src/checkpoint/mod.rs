//! Checkpoints in the Hugging Face layout: `config.json` beside the weights.
//!
//! Read: `model.safetensors` or `pytorch_model.bin`, whole or sharded; f32, f16, bf16 or f64; with
//! or without the prefixes `bert.` and `module.`; LayerNorm as `weight`/`bias` or `gamma`/`beta`.
//! Written: `model.safetensors` with the names that transformers expects.

pub(crate) mod load;
mod names;
mod report;
mod save;
pub(crate) mod tensors;
mod weights;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use burn::module::Module;
use burn::tensor::Device;

pub use report::{Ignored, LoadReport, Loading, Reshaped};
pub use save::save;
pub use tensors::TensorInfo;
pub use weights::{load_weights, save_weights};

use crate::config::BertConfig;
use crate::error::{Error, Result};
use crate::init::BertInit;
use crate::model::BertModel;
use tensors::StoredTensor;

/// A model directory whose tensors can be loaded into modules.
///
/// Opening it reads the configuration and the tables of contents, not the weights.
pub struct Checkpoint {
    dir: PathBuf,
    config: BertConfig,
    /// By canonical name.
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
        let mut tensors = BTreeMap::new();
        for tensor in tensors::open_directory(dir)? {
            let canonical = names::canonical(&tensor.info.name);
            let name = tensor.info.name.clone();
            let file = tensor.info.file.clone();
            if let Some(twin) = tensors.insert(canonical, tensor) {
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
        // transformers saves the bias of the masked-LM head under either of its two names.
        if !tensors.contains_key("cls.predictions.bias")
            && let Some(bias) = tensors.remove("cls.predictions.decoder.bias")
        {
            tensors.insert("cls.predictions.bias".to_owned(), bias);
        }
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

    /// Whether there is a tensor of this name, in current Hugging Face spelling with the encoder
    /// under `bert.` ("bert.pooler.dense.weight", "cls.predictions.bias").
    pub fn contains(&self, name: &str) -> bool {
        self.tensors.contains_key(name)
    }

    /// The tensor of this name, spelled as for [`contains`](Self::contains).
    pub fn tensor(&self, name: &str) -> Option<&TensorInfo> {
        self.tensors.get(name).map(|tensor| &tensor.info)
    }

    /// Whether the encoder was saved with its pooler.
    pub fn has_pooler(&self) -> bool {
        self.contains("bert.pooler.dense.weight")
    }

    /// The encoder on `device`; its pooler is there if the checkpoint has one.
    ///
    /// # Errors
    ///
    /// Under [`Loading::Strict`] when a tensor is missing, unexpected or of the wrong shape; always
    /// when one cannot be read.
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
    /// As [`load_model`](Self::load_model).
    pub fn load_into<M: Module>(&self, module: M, loading: Loading) -> Result<(M, LoadReport)> {
        self.check_tied_decoder()?;
        load::load(&self.tensors, module, loading)
    }

    /// The masked-LM decoder *is* the word-embedding table here; a checkpoint in which the two
    /// differ would compute something else.
    fn check_tied_decoder(&self) -> Result<()> {
        let (Some(decoder), Some(table)) = (
            self.tensors.get("cls.predictions.decoder.weight"),
            self.tensors.get("bert.embeddings.word_embeddings.weight"),
        ) else {
            return Ok(());
        };
        if decoder.info.shape == table.info.shape
            && decoder.info.dtype == table.info.dtype
            && decoder.read_bytes()? == table.read_bytes()?
        {
            return Ok(());
        }
        Err(Error::malformed(
            &decoder.info.file,
            "BERT checkpoint",
            "`cls.predictions.decoder.weight` differs from the word embeddings it is tied to; untied decoders are not supported",
        ))
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
    /// As [`Checkpoint::open`] and [`Checkpoint::load_model`].
    pub fn from_dir(dir: impl AsRef<Path>, device: &Device) -> Result<Self> {
        let (model, _) = Checkpoint::open(dir)?.load_model(Loading::Strict, device)?;
        Ok(model)
    }
}
