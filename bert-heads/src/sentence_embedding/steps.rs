//! The modules of sentence-transformers that follow the pooling.

use std::path::{Path, PathBuf};

use bert_core::checkpoint::load_weights;
use bert_core::nn::BertInit;
use burn::module::Param;
use burn::nn::{LayerNorm, LayerNormConfig};
use burn::tensor::{DType, Device, FloatDType, Tensor, TensorData};

use super::dense::{Dense, DenseConfig};
use super::fields::{Fields, as_size};
use super::modules::{Module, unsupported};
use crate::error::{Error, Result};
use crate::runner::host_values;

/// PyTorch's own, which the module of sentence-transformers keeps, whatever the encoder's is.
const NORM_EPSILON: f64 = 1e-5;

/// A module after the pooling, as the files describe it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum StepConfig {
    Dense(PathBuf, DenseConfig),
    /// The directory and the width.
    LayerNorm(PathBuf, usize),
    /// Scales vectors to length 1.
    Normalize,
    /// Truncates vectors to their first numbers (Kusupati et al. 2022).
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

/// Vectors of texts, on the host until a module with weights needs them on its device.
pub(super) enum Vectors {
    /// One after the other, and how many there are.
    Host(Vec<f32>, usize),
    /// `[texts, width]`
    Device(Box<Tensor<2>>),
}

impl Vectors {
    /// `texts` vectors of equal width, one after the other.
    pub(super) fn new(values: Vec<f32>, texts: usize) -> Self {
        Self::Host(values, texts)
    }

    fn on(self, device: &Device) -> Tensor<2> {
        match self {
            Self::Host(values, texts) => {
                let shape = [texts, values.len() / texts];
                Tensor::from_data(TensorData::new(values, shape), (device, DType::F32))
            }
            Self::Device(vectors) => *vectors,
        }
    }

    /// The values, and the width of a vector.
    fn on_host(self) -> Result<(Vec<f32>, usize)> {
        match self {
            Self::Host(values, texts) => {
                let width = values.len() / texts;
                Ok((values, width))
            }
            Self::Device(vectors) => {
                let [_, width] = vectors.dims();
                Ok((host_values(*vectors)?, width))
            }
        }
    }

    /// The vectors one after the other.
    ///
    /// # Errors
    ///
    /// [`Error::Core`] for a device that failed.
    pub(super) fn into_values(self) -> Result<Vec<f32>> {
        Ok(self.on_host()?.0)
    }
}

impl Step {
    /// Vectors after this step; only modules with weights compute on `device`.
    ///
    /// # Errors
    ///
    /// [`Error::Core`] for a device that failed.
    pub(super) fn forward(&self, vectors: Vectors, device: &Device) -> Result<Vectors> {
        Ok(match self {
            Self::Dense(dense) => Vectors::Device(Box::new(dense.forward(vectors.on(device)))),
            Self::LayerNorm(module) => {
                Vectors::Device(Box::new(module.forward(vectors.on(device))))
            }
            Self::Normalize => {
                let (mut values, width) = vectors.on_host()?;
                values.chunks_mut(width).for_each(scale_to_unit_length);
                let texts = values.len() / width;
                Vectors::Host(values, texts)
            }
            Self::Truncate(length) => {
                let (values, width) = vectors.on_host()?;
                let rows = values.chunks(width);
                let texts = rows.len();
                let kept = rows.flat_map(|row| &row[..width.min(*length)]);
                Vectors::Host(kept.copied().collect(), texts)
            }
        })
    }
}

impl ModuleNorm {
    /// # Shapes
    ///
    /// - vectors, output: `[texts, width]`
    fn forward(&self, vectors: Tensor<2>) -> Tensor<2> {
        let mean = vectors.clone().mean_dim(1); // [texts, 1]
        let centred = vectors - mean;
        let variance = centred.clone().square().mean_dim(1);
        let scaled = centred / (variance + NORM_EPSILON).sqrt();
        let row =
            |values: &Param<Tensor<1>>| values.val().cast(FloatDType::F32).unsqueeze_dim::<2>(0);
        let scaled = scaled * row(&self.norm.gamma);
        match &self.norm.beta {
            Some(beta) => scaled + row(beta),
            None => scaled,
        }
    }
}

/// Divides a vector by its length, as [`normalize`](super::normalize) does on a device.
fn scale_to_unit_length(vector: &mut [f32]) {
    let squares = vector.iter().map(|&value| f64::from(value).powi(2));
    let length = (squares.sum::<f64>().sqrt() as f32).max(1e-12);
    vector.iter_mut().for_each(|value| *value /= length);
}

#[cfg(test)]
mod tests {
    use bert_core::device::test_devices;

    use super::*;

    #[test]
    fn vectors_on_the_host_get_length_one() {
        let mut vector = [3.0, 0.0, -4.0];
        scale_to_unit_length(&mut vector);
        assert_eq!(vector, [0.6, 0.0, -0.8]);
        let mut zero = [0.0; 3];
        scale_to_unit_length(&mut zero);
        assert_eq!(zero, [0.0; 3]);
    }

    #[test]
    fn steps_without_weights_need_no_device() {
        for (label, device) in test_devices() {
            let vectors = Vectors::new(vec![3.0, 4.0, 12.0, 0.0, 2.0, 9.0], 2);
            let vectors = Step::Truncate(2).forward(vectors, &device).unwrap();
            let vectors = Step::Normalize.forward(vectors, &device).unwrap();
            assert!(matches!(vectors, Vectors::Host(_, 2)), "{label}");
            assert_eq!(vectors.into_values().unwrap(), [0.6, 0.8, 0.0, 1.0]);
        }
    }
}
