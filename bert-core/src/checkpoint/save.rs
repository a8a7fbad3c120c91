//! Parameters into a file that transformers loads.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::path::Path;

use burn::module::{Module, ModuleVisitor, Param};
use burn::tensor::{DType, Tensor, TensorData};
use safetensors::{Dtype, View};
use serde_json::{Value, json};

use super::load::{Position, transpose};
use crate::config::BertConfig;
use crate::device::fault;
use crate::error::{Error, Result};
use crate::files::write_atomically;
use crate::models::Family;
use crate::models::names::{BIAS, DECODER, DECODER_BIAS};

/// Writes `config.json` and `model.safetensors` of `module` into `dir`.
///
/// `architecture` is the transformers class that the weights belong to ("BertModel",
/// "BertForMaskedLM", …). Each file is written beside its place and then renamed, so a reader never
/// sees half of one.
///
/// # Errors
///
/// [`Error::Io`] when the directory cannot be written, [`Error::DeviceFailed`] when a device has failed.
pub fn save<M: Module>(
    dir: impl AsRef<Path>,
    module: &M,
    config: &BertConfig,
    architecture: &str,
) -> Result<()> {
    let dir = dir.as_ref();
    write_weights(dir, config.family, module, architecture)?;
    let mut fields = config.to_json();
    fields.insert("architectures".to_owned(), json!([architecture]));
    let text =
        serde_json::to_string_pretty(&Value::Object(fields)).expect("JSON values always serialise");
    write_atomically(dir.join("config.json"), format!("{text}\n").as_bytes())
}

/// Writes the parameters of `module` as `model.safetensors` into `dir`, under the names of a `class` of `family`; makes `dir` if need be.
pub(super) fn write_weights<M: Module>(
    dir: &Path,
    family: &Family,
    module: &M,
    class: &str,
) -> Result<()> {
    std::fs::create_dir_all(dir).map_err(|error| Error::io("create", dir, error))?;
    let mut collector = Collector::default();
    module.visit(&mut collector);
    // What a failed device hands over is no weight.
    fault::check()?;
    collector.name_decoder_bias_twice();
    collector.rename(family, class);
    let metadata = HashMap::from([("format".to_owned(), "pt".to_owned())]);
    let path = dir.join("model.safetensors");
    let bytes = safetensors::serialize(collector.tensors, Some(metadata))
        .map_err(|error| Error::malformed(&path, "safetensors", error))?;
    write_atomically(&path, &bytes)
}

#[derive(Default)]
struct Collector {
    position: Position,
    tensors: Vec<(String, SavedTensor)>,
}

impl Collector {
    /// transformers' decoder, once it is untied, has a bias by another name than that of a tied one, and keeps both.
    fn name_decoder_bias_twice(&mut self) {
        let find = |name: &str| self.tensors.iter().position(|(other, _)| other == name);
        if find(DECODER).is_some()
            && let Some(bias) = find(BIAS)
        {
            let copy = self.tensors[bias].1.clone();
            self.tensors.push((DECODER_BIAS.to_owned(), copy));
        }
    }

    /// Gives our parameters the names of a `class` of `family`.
    fn rename(&mut self, family: &Family, class: &str) {
        for (name, _) in &mut self.tensors {
            *name = family.file_name(name, class);
        }
        // Both biases of a decoder have one name in some families.
        let mut names = HashSet::new();
        self.tensors.retain(|(name, _)| names.insert(name.clone()));
    }
}

impl ModuleVisitor for Collector {
    fn enter_module(&mut self, name: &str, container: &str) {
        self.position.enter(name, container);
    }

    fn exit_module(&mut self, _name: &str, _container: &str) {
        self.position.exit();
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let data = param.transform_for_save().val().into_data();
        let saved = SavedTensor::new(data, self.position.is_transposed());
        self.tensors.push((self.position.name(), saved));
    }
}

/// A tensor in the layout of the file.
#[derive(Clone)]
struct SavedTensor {
    dtype: Dtype,
    shape: Vec<usize>,
    bytes: Vec<u8>,
}

impl SavedTensor {
    fn new(data: TensorData, transposed: bool) -> Self {
        let mut shape = data.shape().as_slice().to_vec();
        let (dtype, size) = match data.dtype() {
            DType::F16 => (Dtype::F16, 2),
            DType::BF16 => (Dtype::BF16, 2),
            DType::F64 => (Dtype::F64, 8),
            _ => (Dtype::F32, 4),
        };
        let bytes = data.as_bytes();
        let bytes = match (transposed, shape.as_slice()) {
            (true, &[rows, columns]) => {
                shape.swap(0, 1);
                match size {
                    2 => transpose(bytes.as_chunks::<2>().0, rows, columns).concat(),
                    8 => transpose(bytes.as_chunks::<8>().0, rows, columns).concat(),
                    _ => transpose(bytes.as_chunks::<4>().0, rows, columns).concat(),
                }
            }
            _ => bytes.to_vec(),
        };
        Self {
            dtype,
            shape,
            bytes,
        }
    }
}

impl View for SavedTensor {
    fn dtype(&self) -> Dtype {
        self.dtype
    }

    fn shape(&self) -> &[usize] {
        &self.shape
    }

    fn data(&self) -> Cow<'_, [u8]> {
        Cow::Borrowed(&self.bytes)
    }

    fn data_len(&self) -> usize {
        self.bytes.len()
    }
}
