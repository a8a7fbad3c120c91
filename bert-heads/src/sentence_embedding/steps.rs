//! The modules of sentence-transformers that follow the pooling.

use std::path::{Path, PathBuf};

use bert_core::checkpoint::load_weights;
use bert_core::nn::BertInit;
use burn::module::Param;
use burn::nn::{LayerNorm, LayerNormConfig};
use burn::tensor::{FloatDType, Tensor};

use super::dense::{Dense, DenseConfig};
use super::fields::{Fields, as_size};
use super::modules::{Module, unsupported};
use super::normalize;
use crate::error::{Error, Result};

/// PyTorch's own, which the module of sentence-transformers keeps, whatever the encoder's is.
const NORM_EPSILON: f64 = 1e-5;

/// A module after the pooling, as the files describe it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum StepConfig {
    Dense(PathBuf, DenseConfig),
    /// The directory and the width.
    LayerNorm(PathBuf, usize),
    /// To length 1.
    Normalize,
    /// To the first numbers of a vector (Kusupati et al. 2022).
    Truncate(usize),
}

/// A module after the pooling.
#[derive(Debug)]
pub(super) enum Step {
    Dense(Dense),
    LayerNorm(ModuleNorm),
    Normalize,
    Truncate(usize),
}

/// LayerNorm under the name that it has in the file.
#[derive(burn::module::Module, Debug)]
pub(super) struct ModuleNorm {
    norm: LayerNorm,
}

impl StepConfig {
    /// Step of the module number `index` of `modules`; `None` for one that does nothing outside of
    /// training.
    pub(super) fn read(dir: &Path, modules: &[Module], index: usize) -> Result<Option<Self>> {
        let module = &modules[index];
        let config = module.dir().join("config.json");
        Ok(Some(match module.kind() {
            Some("Dense") => Self::Dense(module.dir().to_owned(), DenseConfig::read(module.dir())?),
            Some("LayerNorm") => {
                let fields = Fields::required(config)?;
                let width = fields.get("dimension", "a whole number", as_size)?;
                let Some(width) = width.filter(|width| *width > 0) else {
                    let null = serde_json::Value::Null;
                    return Err(fields.unsupported("dimension", &null, "a size is needed there"));
                };
                Self::LayerNorm(module.dir().to_owned(), width)
            }
            Some("Normalize") => {
                // It can act on token vectors instead, as late-interaction models use it.
                if let Some(fields) = Fields::read(config)? {
                    fields.only_sentence_vectors()?;
                }
                Self::Normalize
            }
            Some("Dropout") => return Ok(None),
            _ => {
                let expected = "Transformer, Pooling and then Dense, LayerNorm or Normalize";
                return Err(unsupported(dir, modules, index, expected));
            }
        }))
    }

    /// The width of the vectors that come out where those that go in have `width` numbers.
    pub(super) fn width(&self, width: usize) -> Result<usize> {
        let (dir, field, found, after) = match self {
            Self::Normalize => return Ok(width),
            Self::Truncate(length) => return Ok(width.min(*length)),
            Self::Dense(dir, dense) => (dir, "in_features", dense.in_features, dense.out_features),
            Self::LayerNorm(dir, dimension) => (dir, "dimension", *dimension, *dimension),
        };
        match found == width {
            true => Ok(after),
            false => Err(Error::Unsupported {
                path: dir.join("config.json"),
                field: field.to_owned(),
                found: found.to_string(),
                supported: format!(
                    "the vectors have {width} numbers there: the files, or the pooling chosen, do \
                     not belong together"
                ),
            }),
        }
    }

    pub(super) fn load(&self, init: &BertInit) -> Result<Step> {
        Ok(match self {
            Self::Dense(dir, config) => Step::Dense(Dense::load(dir, *config, init)?),
            Self::LayerNorm(dir, width) => {
                let norm = LayerNormConfig::new(*width).init(init.device());
                let loaded = load_weights(dir, ModuleNorm { norm });
                Step::LayerNorm(loaded.map_err(|source| Error::ModuleWeights {
                    dir: dir.clone(),
                    source,
                })?)
            }
            Self::Normalize => Step::Normalize,
            Self::Truncate(length) => Step::Truncate(*length),
        })
    }
}

impl Step {
    /// - vectors: `[texts, width]`
    /// - output: `[texts, width of the step]`
    pub(super) fn forward(&self, vectors: Tensor<2>) -> Tensor<2> {
        match self {
            Self::Dense(dense) => dense.forward(vectors),
            Self::LayerNorm(ModuleNorm { norm }) => {
                let mean = vectors.clone().mean_dim(1); // [texts, 1]
                let centred = vectors - mean;
                let variance = centred.clone().square().mean_dim(1);
                let scaled = centred / (variance + NORM_EPSILON).sqrt();
                let row = |values: &Param<Tensor<1>>| {
                    values.val().cast(FloatDType::F32).unsqueeze_dim::<2>(0)
                };
                let scaled = scaled * row(&norm.gamma);
                match &norm.beta {
                    Some(beta) => scaled + row(beta),
                    None => scaled,
                }
            }
            Self::Normalize => normalize(vectors),
            Self::Truncate(length) => {
                let [_, width] = vectors.dims();
                vectors.narrow(1, 0, width.min(*length))
            }
        }
    }
}
