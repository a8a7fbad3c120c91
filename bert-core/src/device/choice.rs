//! Which device, when none or only a wish is given.

use std::env::VarError;

use crate::device::{BackendInfo, DeviceSpec, compiled_backends};
use crate::error::{Error, Result};

/// The environment variable that stands in for `--device`.
const VARIABLE: &str = "BERT_DEVICE";

impl DeviceSpec {
    /// Default device: a real GPU if a compiled-in backend finds one,
    /// else the processor; never a software rasteriser.
    ///
    /// # Errors
    /// [`Error::BackendNotCompiled`] in a binary without backends.
    /// [`Error::DeviceNotFound`] when it has only GPU backends and no GPU is there.
    pub fn default_for_build() -> Result<Self> {
        preferred(compiled_backends(), Self::has_gpu)
    }

    /// The device that the environment variable `BERT_DEVICE` names, else
    /// [`default_for_build`](Self::default_for_build).
    ///
    /// # Errors
    /// [`Error::DeviceLabel`] for a label that does not parse, and those of the default.
    pub fn default_device() -> Result<Self> {
        match named(std::env::var(VARIABLE))? {
            Some(spec) => Ok(spec),
            None => Self::default_for_build(),
        }
    }
}

/// Device named by the environment variable.
fn named(variable: Result<String, VarError>) -> Result<Option<DeviceSpec>> {
    let blame = |error| match error {
        Error::DeviceLabel { label, reason } => Error::DeviceLabel {
            label,
            reason: format!("from the environment variable {VARIABLE}: {reason}"),
        },
        other => other,
    };
    match variable {
        Ok(label) if label.trim().is_empty() => Ok(None),
        Ok(label) => label.parse().map(Some).map_err(blame),
        Err(VarError::NotPresent) => Ok(None),
        Err(VarError::NotUnicode(label)) => {
            label.to_string_lossy().parse().map(Some).map_err(blame)
        }
    }
}

/// The first GPU that is there, else the first CPU backend that is compiled in.
fn preferred(compiled: &[&str], has_gpu: impl Fn(&DeviceSpec) -> bool) -> Result<DeviceSpec> {
    let mut backends = BackendInfo::by_preference();
    backends.retain(|backend| compiled.contains(&backend.feature));
    let mut gpus: Vec<DeviceSpec> = backends
        .iter()
        .flat_map(|backend| backend.gpus)
        .map(|label| DeviceSpec::of_table(label))
        .collect();
    if let Some(found) = gpus.iter().position(has_gpu) {
        return Ok(gpus.swap_remove(found));
    }
    if let Some(label) = backends.iter().find_map(|backend| backend.processor) {
        return Ok(DeviceSpec::of_table(label));
    }
    match gpus.pop() {
        // Opening says it best: it lists the adapters and how to ask for a rasteriser.
        Some(gpu) => gpu.open().map(|_| gpu),
        None => Err(DeviceSpec::Flex.not_compiled()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn preferred_label(compiled: &[&str], present: &[&str]) -> String {
        preferred(compiled, |spec| {
            present.contains(&spec.to_string().as_str())
        })
        .unwrap()
        .to_string()
    }

    #[test]
    fn a_real_gpu_is_preferred_and_the_processor_is_next() {
        let all = [
            "flex", "ndarray", "tch", "wgpu", "vulkan", "metal", "cuda", "rocm", "cpu",
        ];
        assert_eq!(preferred_label(&all, &["wgpu", "cuda:0"]), "cuda:0");
        assert_eq!(preferred_label(&all, &["wgpu", "vulkan"]), "vulkan");
        assert_eq!(preferred_label(&all, &["libtorch:cuda:0", "wgpu"]), "wgpu");
        assert_eq!(preferred_label(&all, &["libtorch:mps"]), "libtorch:mps");
        assert_eq!(preferred_label(&all, &[]), "libtorch");
        assert_eq!(preferred_label(&["ndarray", "flex", "wgpu"], &[]), "flex");
        assert_eq!(preferred_label(&["ndarray", "cpu"], &[]), "ndarray");
        assert_eq!(preferred_label(&["cpu"], &["cuda:0"]), "cpu");
    }

    #[test]
    fn a_binary_without_backends_says_so() {
        let error = preferred(&[], |_| true).unwrap_err();
        assert!(
            matches!(
                error,
                Error::BackendNotCompiled {
                    feature: "flex",
                    ..
                }
            ),
            "{error}"
        );
    }

    #[test]
    fn the_variable_names_a_device_unless_it_is_empty() {
        let variable = Ok("ndarray".to_owned());
        assert_eq!(named(variable).unwrap(), Some(DeviceSpec::NdArray));
        assert_eq!(named(Ok(String::new())).unwrap(), None);
        assert_eq!(named(Err(VarError::NotPresent)).unwrap(), None);
    }

    #[test]
    fn a_bad_variable_is_named() {
        let error = named(Ok("gpu".to_owned())).unwrap_err().to_string();
        assert!(
            error.contains("BERT_DEVICE") && error.contains("`gpu`"),
            "{error}"
        );
    }
}
