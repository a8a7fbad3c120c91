//! Checkpoints with a float64 reference.

use std::collections::BTreeMap;
use std::path::Path;

use burn::tensor::Device;

use super::{Difference, Probe, Trace};
use crate::checkpoint::{Checkpoint, Loading, tensors};
use crate::error::{Error, Result};

/// A fixture: a checkpoint, a probe and what transformers computes for it in float64.
///
/// Gradients are under our names. Values at padding that the family does not define are NaN.
pub struct Golden {
    /// Keeps the files of the built-in fixture alive.
    dir: Option<tempfile::TempDir>,
    checkpoint: Checkpoint,
    probe: Probe,
    reference: Trace,
}

impl Golden {
    /// Opens a fixture directory: a checkpoint with `reference.safetensors` beside it.
    ///
    /// # Errors
    ///
    /// Those of [`Checkpoint::open`], and a reference that lacks a part of the probe.
    pub fn open(dir: impl AsRef<Path>) -> Result<Self> {
        let checkpoint = Checkpoint::open(dir.as_ref())?;
        let path = dir.as_ref().join("reference.safetensors");
        let mut values = BTreeMap::new();
        for tensor in tensors::open_file(&path)? {
            let shape = tensor.info.shape.clone();
            values.insert(tensor.info.name.clone(), (shape, tensor.read_f64()?));
        }
        let take = |name: &str| {
            values.get(name).cloned().ok_or_else(|| {
                Error::malformed(&path, "golden reference", format!("it lacks `{name}`"))
            })
        };
        let integers = |name: &str| -> Result<Vec<i64>> {
            Ok(take(name)?
                .1
                .into_iter()
                .map(|value| value as i64)
                .collect())
        };
        let floats = |name: &str| -> Result<Vec<f32>> {
            Ok(take(name)?
                .1
                .into_iter()
                .map(|value| value as f32)
                .collect())
        };
        let (shape, _) = take("input_ids")?;
        let &[batch, seq] = shape.as_slice() else {
            return Err(Error::malformed(
                &path,
                "golden reference",
                "`input_ids` is not of rank two",
            ));
        };
        let probe = Probe {
            input_ids: integers("input_ids")?,
            token_type_ids: integers("token_type_ids")?,
            attention_mask: integers("attention_mask")?,
            shape: [batch, seq],
            sequence_weights: floats("loss_weights.sequence")?,
            pooled_weights: match values.contains_key("pooled_output") {
                true => floats("loss_weights.pooled")?,
                false => Vec::new(),
            },
        };
        let family = checkpoint.config().family;
        let mut reference = Trace::default();
        for (name, (_, values)) in values {
            let ours = name.strip_prefix("grad.").map(|parameter| {
                let ours = family.our_name(parameter);
                format!("grad.{}", ours.strip_prefix("bert.").unwrap_or(&ours))
            });
            reference.push(ours.unwrap_or(name), values);
        }
        Ok(Self {
            dir: None,
            checkpoint,
            probe,
            reference,
        })
    }

    /// The fixture `proof`, which is part of this crate: self-tests need no file.
    ///
    /// # Errors
    ///
    /// When the temporary directory cannot be written.
    pub fn built_in() -> Result<Self> {
        let dir = tempfile::tempdir()
            .map_err(|error| Error::io("create", std::env::temp_dir(), error))?;
        for (name, bytes) in [
            (
                "config.json",
                &include_bytes!("../../fixtures/proof/config.json")[..],
            ),
            (
                "model.safetensors",
                include_bytes!("../../fixtures/proof/model.safetensors"),
            ),
            (
                "reference.safetensors",
                include_bytes!("../../fixtures/proof/reference.safetensors"),
            ),
        ] {
            let path = dir.path().join(name);
            std::fs::write(&path, bytes).map_err(|error| Error::io("write", path, error))?;
        }
        let mut golden = Self::open(dir.path())?;
        golden.dir = Some(dir);
        Ok(golden)
    }

    /// The checkpoint of the fixture.
    pub fn checkpoint(&self) -> &Checkpoint {
        &self.checkpoint
    }

    /// The input and loss of the fixture.
    pub fn probe(&self) -> &Probe {
        &self.probe
    }

    /// The float64 reference.
    pub fn reference(&self) -> &Trace {
        &self.reference
    }

    /// Runs forward and backward on `device` (without autodiff) and compares.
    ///
    /// # Errors
    ///
    /// When the weights do not load.
    pub fn check(&self, device: &Device) -> Result<Vec<Difference>> {
        let (model, _) = self.checkpoint.load_model(Loading::Strict, device)?;
        let forward = self.probe.forward(&model, device);
        let mut differences = forward.differences_where_defined(&self.reference);
        let autodiff = device.clone().autodiff();
        let (model, _) = self.checkpoint.load_model(Loading::Strict, &autodiff)?;
        let backward = self.probe.backward(model, &autodiff);
        differences.extend(
            backward
                .differences(&self.reference)
                .into_iter()
                .filter(Difference::is_gradient),
        );
        Ok(differences)
    }
}
