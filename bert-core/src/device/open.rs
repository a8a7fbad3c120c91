//! From a label to a device: every backend constructor of Burn, each behind its feature.

#[cfg(any(feature = "cuda", feature = "rocm", feature = "cpu"))]
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::LazyLock;

#[cfg(any(feature = "cuda", feature = "rocm"))]
use burn::tensor::DeviceType;

#[cfg(any(feature = "cuda", feature = "rocm", feature = "cpu"))]
use crate::device::AdapterKind;
#[cfg(any(feature = "cuda", feature = "rocm"))]
use crate::device::adapter::within;
use crate::device::adapter::{choose, processor};
#[cfg(any(feature = "cuda", feature = "rocm", feature = "cpu"))]
use crate::device::tuning;
#[cfg(feature = "cubecl")]
use crate::device::tuning::Hardware;
use crate::device::{AdapterInfo, BACKENDS, BackendInfo, Device, DeviceSpec};
use crate::error::{Error, Result};

/// The backend features that this binary was built with.
pub fn compiled_backends() -> &'static [&'static str] {
    static COMPILED: LazyLock<Vec<&str>> = LazyLock::new(|| {
        let compiled = BACKENDS.iter().filter(|backend| backend.compiled);
        compiled.map(|backend| backend.feature).collect()
    });
    &COMPILED
}

impl DeviceSpec {
    /// True if this binary was built with the backend.
    pub fn is_compiled(&self) -> bool {
        self.backend().compiled
    }

    /// The device itself, started and ready.
    ///
    /// # Errors
    /// [`Error::BackendNotCompiled`] without the backend's feature.
    /// [`Error::DeviceNotFound`] when the machine lacks the device, when its driver refuses, and
    /// when only a software rasteriser answers that the label does not ask for.
    /// [`Error::Remote`] when the worker of a remote device does not answer or refuses.
    pub fn open(&self) -> Result<Device> {
        if !self.is_compiled() {
            return Err(self.not_compiled());
        }
        match self {
            #[cfg(feature = "flex")]
            Self::Flex => Ok(Device::flex()),
            #[cfg(feature = "ndarray")]
            Self::NdArray => Ok(ndarray()),
            #[cfg(feature = "tch")]
            Self::LibTorch(device) => super::libtorch::open(self, *device),
            #[cfg(feature = "wgpu")]
            Self::Gpu { api, .. } => super::wgpu::open(self, *api),
            #[cfg(feature = "cuda")]
            Self::Cuda(index) => {
                within(self, *index, count(DeviceType::Cuda), "CUDA")?;
                tuning::prepare(AdapterKind::Gpu, &Hardware::of(self));
                started(self, Device::cuda(*index))
            }
            #[cfg(feature = "rocm")]
            Self::Rocm(index) => {
                within(self, *index, count(DeviceType::Rocm), "ROCm")?;
                tuning::prepare(AdapterKind::Gpu, &Hardware::of(self));
                started(self, Device::rocm(*index))
            }
            #[cfg(feature = "cpu")]
            Self::Cpu => {
                tuning::prepare(AdapterKind::Cpu, &Hardware::of(self));
                started(self, Device::cpu())
            }
            #[cfg(feature = "remote")]
            Self::Remote { worker, index } => Ok(super::remote::open(self, worker, *index)?),
            #[allow(
                unreachable_patterns,
                reason = "unreachable only with every feature on"
            )]
            _ => Err(self.not_compiled()),
        }
    }

    /// The hardware behind the label, where the backend is compiled in and finds it.
    ///
    /// Asks the drivers, as [`adapters`] does.
    pub fn adapter(&self) -> Option<AdapterInfo> {
        let found = adapters_of(self);
        match self {
            Self::Gpu { .. } => choose(self, &found).ok().cloned(),
            _ => found.into_iter().find(|info| info.spec == *self),
        }
    }

    /// Forgets which kernels were the fastest on the device, so that its next process measures anew; nothing on devices that
    /// choose none.
    pub fn forget_tuning(&self) {
        #[cfg(feature = "cubecl")]
        if self.is_compiled() && self.wants_proof() {
            Hardware::of(self).forget();
        }
    }

    pub(super) fn not_compiled(&self) -> Error {
        Error::BackendNotCompiled {
            label: self.to_string(),
            feature: self.feature(),
            compiled: match compiled_backends() {
                [] => "no backend".to_owned(),
                features => features.join(", "),
            },
        }
    }

    /// True if a real GPU stands behind the label, found out without starting it.
    pub(super) fn has_gpu(&self) -> bool {
        match self {
            #[cfg(feature = "tch")]
            Self::LibTorch(device) => super::libtorch::has_gpu(*device),
            #[cfg(feature = "wgpu")]
            Self::Gpu { api, .. } if self.is_compiled() => super::wgpu::best(*api).is_ok(),
            #[cfg(feature = "cuda")]
            Self::Cuda(index) => *index < count(DeviceType::Cuda),
            #[cfg(feature = "rocm")]
            Self::Rocm(index) => *index < count(DeviceType::Rocm),
            _ => false,
        }
    }
}

/// Every device that this binary can open on this machine, software rasterisers included.
///
/// Asks the drivers, and starts the CUDA and ROCm devices to learn their names: a broken driver
/// can take the process down with it, so that a program which only wants to report should call
/// this in a child process.
pub fn adapters() -> Vec<AdapterInfo> {
    BackendInfo::by_preference()
        .into_iter()
        .flat_map(|backend| adapters_of(&DeviceSpec::of_table(backend.name)))
        .collect()
}

/// Every adapter of the backend that `family` belongs to, none when it isn't compiled in.
pub(super) fn adapters_of(family: &DeviceSpec) -> Vec<AdapterInfo> {
    match family {
        _ if !family.is_compiled() => Vec::new(),
        #[cfg(feature = "tch")]
        DeviceSpec::LibTorch(_) => super::libtorch::adapters(),
        #[cfg(feature = "wgpu")]
        DeviceSpec::Gpu { api, .. } => super::wgpu::adapters(*api),
        #[cfg(feature = "cuda")]
        DeviceSpec::Cuda(_) => (0..count(DeviceType::Cuda))
            .map(|index| card(DeviceSpec::Cuda(index), "CUDA", Device::cuda(index)))
            .collect(),
        #[cfg(feature = "rocm")]
        DeviceSpec::Rocm(_) => (0..count(DeviceType::Rocm))
            .map(|index| card(DeviceSpec::Rocm(index), "ROCm", Device::rocm(index)))
            .collect(),
        DeviceSpec::Cpu => vec![processor(DeviceSpec::Cpu, "CubeCL")],
        spec => vec![processor(spec.clone(), "Rust")],
    }
}

#[cfg(feature = "ndarray")]
#[expect(
    deprecated,
    reason = "Burn 0.22 is the last release line with NdArray; leaving it is this function"
)]
pub(super) fn ndarray() -> Device {
    Device::ndarray()
}

/// Devices the driver counts; none where there is no driver.
#[cfg(any(feature = "cuda", feature = "rocm"))]
fn count(backend: DeviceType) -> usize {
    Device::enumerate(backend).len()
}

/// Starts a CubeCL device, whose only way to refuse is a panic.
#[cfg(any(feature = "cuda", feature = "rocm", feature = "cpu"))]
fn started(spec: &DeviceSpec, device: Device) -> Result<Device> {
    // Asking for its identity starts the device without making a tensor, which would settle its
    // element type.
    match catch_unwind(AssertUnwindSafe(|| device.identity())) {
        Ok(_) => Ok(device),
        Err(panic) => Err(Error::DeviceNotFound {
            label: spec.to_string(),
            reason: format!(
                "its driver refuses to start: {}",
                panic
                    .downcast_ref::<String>()
                    .map(String::as_str)
                    .or_else(|| panic.downcast_ref::<&str>().copied())
                    .unwrap_or("no reason given")
            ),
        }),
    }
}

/// A counted card, by name if it starts.
#[cfg(any(feature = "cuda", feature = "rocm"))]
fn card(spec: DeviceSpec, api: &str, device: Device) -> AdapterInfo {
    let identity = catch_unwind(AssertUnwindSafe(|| device.identity()));
    AdapterInfo {
        name: match identity {
            Ok(Some(identity)) => identity.name,
            Ok(None) => format!("{api} device"),
            Err(_) => format!("{api} device that does not start"),
        },
        spec,
        driver: String::new(),
        api: api.to_owned(),
        kind: AdapterKind::Gpu,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_backend_that_is_not_compiled_in_names_its_feature() {
        for backend in BackendInfo::by_preference() {
            if backend.compiled {
                continue;
            }
            let spec = DeviceSpec::of_table(backend.name);
            let error = spec.open().unwrap_err();
            assert!(matches!(error, Error::BackendNotCompiled { .. }), "{error}");
            assert!(
                error
                    .to_string()
                    .contains(&format!("--features {}", spec.feature())),
                "{error}"
            );
            assert!(!spec.has_gpu());
            assert!(adapters_of(&spec).is_empty());
        }
    }

    #[cfg(feature = "flex")]
    #[test]
    fn a_compiled_cpu_backend_opens_and_is_listed() {
        let device = DeviceSpec::Flex.open().unwrap();
        assert!(!device.is_autodiff());
        let listed = adapters_of(&DeviceSpec::Flex);
        assert_eq!(listed.len(), 1);
        assert_eq!(listed[0].spec, DeviceSpec::Flex);
        assert!(!listed[0].name.is_empty());
    }
}
