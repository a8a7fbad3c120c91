//! Device labels: what a person types and what it means.

use std::fmt::{self, Display, Formatter};
use std::str::FromStr;

use super::{BACKENDS, BackendId, BackendInfo, WorkerAddress};
use crate::error::{Error, Result};

/// A device, named but not opened: the parsed form of a label.
///
/// [`Display`] gives the label back in full, with the index that was left out.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum DeviceSpec {
    /// `flex`: Burn's pure-Rust CPU backend.
    Flex,
    /// `ndarray`: the older pure-Rust CPU backend.
    NdArray,
    /// `libtorch…` or `tch…`: PyTorch's C++ library.
    LibTorch(TorchDevice),
    /// `wgpu…`, `vulkan…`, `metal…`, `webgpu…`: a graphics adapter.
    Gpu {
        /// The graphics API, which is the part of the label before the first colon.
        api: GpuApi,
        /// Which of the adapters that the API shows.
        adapter: GpuAdapter,
    },
    /// `cuda[:N]`: an NVIDIA GPU through CubeCL.
    Cuda(usize),
    /// `rocm[:N]`: an AMD GPU through CubeCL.
    Rocm(usize),
    /// `cpu`: CubeCL's own CPU runtime.
    Cpu,
    /// `remote:KEY@HOST:PORT[:N]`: device N of another machine, offered there by `bert worker`.
    Remote {
        /// Public key and address of the worker.
        worker: WorkerAddress,
        /// Number of the device among those that the worker offers.
        index: usize,
    },
}

/// Device of LibTorch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TorchDevice {
    /// `libtorch`, `libtorch:cpu`.
    Cpu,
    /// `libtorch:cuda[:N]`.
    Cuda(usize),
    /// `libtorch:mps`.
    Mps,
}

/// A graphics API as a label names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum GpuApi {
    /// `wgpu`: Vulkan, Metal, DirectX 12 or OpenGL, the first of them with a GPU.
    Auto,
    /// `vulkan`, compiled to SPIR-V.
    Vulkan,
    /// `metal`, compiled to Metal's own shading language.
    Metal,
    /// `webgpu`: the API of browsers, which exists nowhere else.
    WebGpu,
}

/// Which adapter of a graphics API; every kind counts from zero on its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum GpuAdapter {
    /// No suffix: the best real GPU, never a software rasteriser.
    Best,
    /// `:discrete[:N]`.
    Discrete(usize),
    /// `:integrated[:N]`.
    Integrated(usize),
    /// `:virtual[:N]`.
    Virtual(usize),
    /// `:other[:N]`: a GPU that its driver does not classify, as OpenGL drivers often don't.
    Other(usize),
    /// `:cpu`: a software rasteriser (llvmpipe, lavapipe, SwiftShader, WARP).
    Software,
}

impl DeviceSpec {
    /// The backend of the device.
    pub fn backend(&self) -> &'static BackendInfo {
        let id = match self {
            Self::Flex => BackendId::Flex,
            Self::NdArray => BackendId::NdArray,
            Self::LibTorch(_) => BackendId::LibTorch,
            Self::Gpu { api, .. } => match api {
                GpuApi::Auto => BackendId::Wgpu,
                GpuApi::Vulkan => BackendId::Vulkan,
                GpuApi::Metal => BackendId::Metal,
                GpuApi::WebGpu => BackendId::WebGpu,
            },
            Self::Cuda(_) => BackendId::Cuda,
            Self::Rocm(_) => BackendId::Rocm,
            Self::Cpu => BackendId::Cpu,
            Self::Remote { .. } => BackendId::Remote,
        };
        id.info()
    }

    /// The Cargo feature that compiles the backend in.
    pub fn feature(&self) -> &'static str {
        self.backend().feature
    }

    /// Device of a label in the table of backends.
    pub(super) fn of_table(label: &'static str) -> Self {
        label
            .parse()
            .expect("the labels in the table of backends are valid")
    }
}

impl FromStr for DeviceSpec {
    type Err = Error;

    fn from_str(label: &str) -> Result<Self> {
        let lower = label.trim().to_ascii_lowercase();
        let (name, rest) = match lower.split_once(':') {
            Some((name, rest)) => (name, Some(rest)),
            None => (lower.as_str(), None),
        };
        let backend = BackendInfo::named(name);
        let spec = backend.and_then(|backend| Self::parse(backend.id, rest));
        spec.ok_or_else(|| Error::DeviceLabel {
            label: label.to_owned(),
            reason: format!(
                "not a device label: use one of {}, N from 0",
                BACKENDS
                    .iter()
                    .map(|backend| backend.labels)
                    .collect::<Vec<_>>()
                    .join(", ")
            ),
        })
    }
}

impl DeviceSpec {
    /// Device of a backend, by what follows the first colon of its label.
    fn parse(backend: BackendId, rest: Option<&str>) -> Option<Self> {
        let alone = |spec| rest.is_none().then_some(spec);
        let graphics = |api| {
            let adapter = GpuAdapter::parse(rest)?;
            Some(Self::Gpu { api, adapter })
        };
        match backend {
            BackendId::Flex => alone(Self::Flex),
            BackendId::NdArray => alone(Self::NdArray),
            BackendId::LibTorch => TorchDevice::parse(rest).map(Self::LibTorch),
            BackendId::Wgpu => graphics(GpuApi::Auto),
            BackendId::Vulkan => graphics(GpuApi::Vulkan),
            BackendId::Metal => graphics(GpuApi::Metal),
            BackendId::WebGpu => graphics(GpuApi::WebGpu),
            BackendId::Cuda => index(rest).map(Self::Cuda),
            BackendId::Rocm => index(rest).map(Self::Rocm),
            BackendId::Cpu => alone(Self::Cpu),
            BackendId::Remote => rest.and_then(remote),
        }
    }
}

impl TorchDevice {
    fn parse(rest: Option<&str>) -> Option<Self> {
        match split(rest) {
            (None | Some("cpu"), None) => Some(Self::Cpu),
            (Some("mps"), None) => Some(Self::Mps),
            (Some("cuda"), rest) => index(rest).map(Self::Cuda),
            _ => None,
        }
    }
}

impl GpuAdapter {
    fn parse(rest: Option<&str>) -> Option<Self> {
        match split(rest) {
            (None, None) => Some(Self::Best),
            (Some("cpu"), None) => Some(Self::Software),
            (Some("discrete"), rest) => index(rest).map(Self::Discrete),
            (Some("integrated"), rest) => index(rest).map(Self::Integrated),
            (Some("virtual"), rest) => index(rest).map(Self::Virtual),
            (Some("other"), rest) => index(rest).map(Self::Other),
            _ => None,
        }
    }
}

/// `KEY@HOST:PORT` or `KEY@HOST:PORT:N`.
fn remote(rest: &str) -> Option<DeviceSpec> {
    let (worker, number) = WorkerAddress::parse(rest)?;
    Some(DeviceSpec::Remote {
        worker,
        index: index(number)?,
    })
}

/// `a:b:c` into `a` and `b:c`.
fn split(rest: Option<&str>) -> (Option<&str>, Option<&str>) {
    match rest.map(|rest| rest.split_once(':').ok_or(rest)) {
        None => (None, None),
        Some(Ok((first, rest))) => (Some(first), Some(rest)),
        Some(Err(only)) => (Some(only), None),
    }
}

/// A device number, 0 where none is given.
fn index(rest: Option<&str>) -> Option<usize> {
    match rest {
        None => Some(0),
        // `parse` alone would take "+1".
        Some(digits) if digits.bytes().all(|byte| byte.is_ascii_digit()) => digits.parse().ok(),
        Some(_) => None,
    }
}

impl Display for DeviceSpec {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(self.backend().name)?;
        match self {
            Self::Flex | Self::NdArray | Self::LibTorch(TorchDevice::Cpu) | Self::Cpu => Ok(()),
            Self::LibTorch(TorchDevice::Cuda(n)) => write!(f, ":cuda:{n}"),
            Self::LibTorch(TorchDevice::Mps) => f.write_str(":mps"),
            Self::Gpu { adapter, .. } => write!(f, "{adapter}"),
            Self::Cuda(n) | Self::Rocm(n) => write!(f, ":{n}"),
            Self::Remote { worker, index } => write!(f, ":{worker}:{index}"),
        }
    }
}

impl Display for GpuAdapter {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Best => Ok(()),
            Self::Discrete(n) => write!(f, ":discrete:{n}"),
            Self::Integrated(n) => write!(f, ":integrated:{n}"),
            Self::Virtual(n) => write!(f, ":virtual:{n}"),
            Self::Other(n) => write!(f, ":other:{n}"),
            Self::Software => f.write_str(":cpu"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn canonical(label: &str) -> String {
        label.parse::<DeviceSpec>().unwrap().to_string()
    }

    #[test]
    fn full_labels_come_back_as_they_went_in() {
        for label in [
            "flex",
            "ndarray",
            "libtorch",
            "libtorch:cuda:3",
            "libtorch:mps",
            "wgpu",
            "wgpu:discrete:1",
            "wgpu:integrated:0",
            "wgpu:virtual:2",
            "wgpu:other:0",
            "wgpu:cpu",
            "vulkan:cpu",
            "metal",
            "webgpu:discrete:0",
            "cuda:1",
            "rocm:7",
            "cpu",
            "remote:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef@gpu-box:3000:1",
            "remote:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef@[::1]:3000:0",
        ] {
            assert_eq!(canonical(label), label);
        }
    }

    #[test]
    fn the_index_defaults_to_zero_and_aliases_are_understood() {
        assert_eq!(canonical("cuda"), "cuda:0");
        assert_eq!(canonical("rocm"), "rocm:0");
        assert_eq!(canonical("tch"), "libtorch");
        assert_eq!(canonical("libtorch:cpu"), "libtorch");
        assert_eq!(canonical("tch:cuda"), "libtorch:cuda:0");
        assert_eq!(canonical("vulkan:discrete"), "vulkan:discrete:0");
        assert_eq!(canonical(" WGPU:Integrated:1 "), "wgpu:integrated:1");
        // A key survives capitals, as names of hosts do.
        let key = "0123456789ABCDEF".repeat(4);
        assert_eq!(
            canonical(&format!("remote:{key}@GPU-box:3000")),
            format!("remote:{}@gpu-box:3000:0", key.to_lowercase())
        );
    }

    #[test]
    fn anything_else_lists_the_labels() {
        for label in [
            "",
            "gpu",
            "flex:0",
            "cpu:0",
            "ndarray:cpu",
            "cuda:",
            "cuda:x",
            "cuda:-1",
            "cuda:+1",
            "cuda:0:1",
            "cuda:99999999999999999999",
            "libtorch:cuda:x",
            "libtorch:cpu:0",
            "libtorch:mps:0",
            "libtorch:vulkan",
            "wgpu:",
            "wgpu:0",
            "wgpu:cpu:0",
            "wgpu:best",
            "wgpu:discrete:0:0",
            "metal:mps",
            "remote",
            "remote:",
            "remote:gpu-box:3000",
            "remote:gpu-box:3000:1",
            "remote:0123456789abcdef@gpu-box:3000",
            "remote:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef@gpu-box:3000:x",
            "remote:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef@gpu-box:3000:0:0",
        ] {
            let error = label.parse::<DeviceSpec>().unwrap_err();
            assert!(matches!(&error, Error::DeviceLabel { label: given, .. } if given == label));
            assert!(
                error.to_string().contains("libtorch[:cpu|:cuda:N|:mps]"),
                "{error}"
            );
        }
    }

    #[test]
    fn every_label_names_its_feature() {
        for (label, feature) in [
            ("tch:mps", "tch"),
            ("wgpu:cpu", "wgpu"),
            ("vulkan", "vulkan"),
            ("metal", "metal"),
            ("webgpu", "webgpu"),
            ("cuda:2", "cuda"),
            ("rocm", "rocm"),
            ("cpu", "cpu"),
            (
                "remote:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef@[::1]:3000",
                "remote",
            ),
        ] {
            assert_eq!(label.parse::<DeviceSpec>().unwrap().feature(), feature);
        }
    }
}
