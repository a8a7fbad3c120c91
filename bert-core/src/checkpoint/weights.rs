//! Weights of a module that stands beside an encoder, in a directory without a model's configuration.

use std::collections::BTreeMap;
use std::path::Path;

use burn::module::Module;

use super::report::Loading;
use super::{load, save, tensors};
use crate::error::{Error, Result};
use crate::models::BERT;

/// Loads the weights in `dir`, `model.safetensors` or `pytorch_model.bin`, into `module`, strictly:
/// every parameter has its tensor and every tensor its parameter.
///
/// # Errors
///
/// When a file is missing or malformed, or a tensor is missing, unexpected or of the wrong shape.
pub fn load_weights<M: Module>(dir: impl AsRef<Path>, module: M) -> Result<M> {
    let dir = dir.as_ref();
    let stored = tensors::open_directory(dir)?;
    let stored = stored
        .into_iter()
        .map(|tensor| (BERT.our_name(&tensor.info.name), tensor));
    let stored: BTreeMap<_, _> = stored.collect();
    let (module, report) = load::load(&stored, &BERT, "", module, Loading::Strict)?;
    match report.unexpected.is_empty() {
        true => Ok(module),
        false => {
            let left_over = report.unexpected.join(", ");
            let reason = format!("no parameter of the module takes {left_over}");
            Err(Error::malformed(dir, "weights", reason))
        }
    }
}

/// Writes the weights of `module` as `model.safetensors` into `dir`, with PyTorch's names and layout.
///
/// # Errors
///
/// [`Error::Io`](crate::Error::Io) when the directory cannot be written.
pub fn save_weights<M: Module>(dir: impl AsRef<Path>, module: &M) -> Result<()> {
    save::write_weights(dir.as_ref(), &BERT, module, "")
}
