//! Table of the backends: their Cargo features, their labels, and the order in which devices are looked for.
//!
//! Plain data: `xtask` includes this file, so as to know the backends without compiling Burn.

/// Backend as Cargo and labels name it: one of Burn's, or one graphics API of its wgpu backend.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum BackendId {
    /// Burn's pure-Rust CPU backend.
    Flex,
    /// The older pure-Rust CPU backend.
    NdArray,
    /// PyTorch's C++ library.
    LibTorch,
    /// Vulkan, Metal, DirectX 12 or OpenGL, the first of them with a GPU.
    Wgpu,
    /// Vulkan, with SPIR-V kernels.
    Vulkan,
    /// Metal, with kernels in its own shading language.
    Metal,
    /// The graphics API of browsers.
    WebGpu,
    /// NVIDIA GPUs through CubeCL.
    Cuda,
    /// AMD GPUs through CubeCL.
    Rocm,
    /// CubeCL's CPU runtime.
    Cpu,
    /// Devices of another machine.
    Remote,
}

/// Row of the table of backends.
#[derive(Debug)]
pub struct BackendInfo {
    /// Identity, for the code that opens devices.
    pub id: BackendId,
    /// Cargo feature that compiles the backend in.
    pub feature: &'static str,
    /// Part of a label before the first colon.
    pub name: &'static str,
    /// Second name that labels may begin with.
    pub alias: Option<&'static str>,
    /// Grammar of the labels, for messages and tables.
    pub labels: &'static str,
    /// Hardware and the interface to it, for tables.
    pub runs_on: &'static str,
    /// Place in the listing of devices and in the search for the default one; `None` keeps the backend out of both.
    pub preference: Option<u8>,
    /// Labels of real GPUs that the search for the default device tries in turn.
    pub gpus: &'static [&'static str],
    /// Label of the processor, for a search that has found no GPU.
    pub processor: Option<&'static str>,
    /// True if this build has the backend.
    pub compiled: bool,
}

/// Every backend.
pub const BACKENDS: &[BackendInfo] = &[
    BackendInfo {
        id: BackendId::Flex,
        feature: "flex",
        name: "flex",
        alias: None,
        labels: "flex",
        runs_on: "the processor, in pure Rust",
        preference: Some(7),
        gpus: &[],
        processor: Some("flex"),
        compiled: cfg!(feature = "flex"),
    },
    BackendInfo {
        id: BackendId::NdArray,
        feature: "ndarray",
        name: "ndarray",
        alias: None,
        labels: "ndarray",
        runs_on: "the processor, in pure Rust, on the crate `ndarray`",
        preference: Some(8),
        gpus: &[],
        processor: Some("ndarray"),
        compiled: cfg!(feature = "ndarray"),
    },
    BackendInfo {
        id: BackendId::LibTorch,
        feature: "tch",
        name: "libtorch",
        alias: Some("tch"),
        labels: "libtorch[:cpu|:cuda:N|:mps]",
        runs_on: "the processor, NVIDIA's GPUs (CUDA) or Apple's (MPS), through PyTorch's C++ library",
        preference: Some(6),
        gpus: &["libtorch:cuda", "libtorch:mps"],
        processor: Some("libtorch"),
        compiled: cfg!(feature = "tch"),
    },
    BackendInfo {
        id: BackendId::Wgpu,
        feature: "wgpu",
        name: "wgpu",
        alias: None,
        labels: "wgpu[:discrete:N|:integrated:N|:virtual:N|:other:N|:cpu]",
        runs_on: "GPUs and, with `:cpu`, software rasterisers through Vulkan, Metal, DirectX 12 or OpenGL",
        preference: Some(4),
        gpus: &["wgpu"],
        processor: None,
        compiled: cfg!(feature = "wgpu"),
    },
    BackendInfo {
        id: BackendId::Vulkan,
        feature: "vulkan",
        name: "vulkan",
        alias: None,
        labels: "vulkan…",
        runs_on: "those that Vulkan reaches, with SPIR-V kernels",
        preference: Some(3),
        gpus: &["vulkan"],
        processor: None,
        compiled: cfg!(feature = "vulkan"),
    },
    BackendInfo {
        id: BackendId::Metal,
        feature: "metal",
        name: "metal",
        alias: None,
        labels: "metal…",
        runs_on: "those that Metal reaches, with kernels in its own shading language",
        preference: Some(2),
        gpus: &["metal"],
        processor: None,
        compiled: cfg!(feature = "metal"),
    },
    BackendInfo {
        id: BackendId::WebGpu,
        feature: "webgpu",
        name: "webgpu",
        alias: None,
        labels: "webgpu… (as wgpu)",
        runs_on: "those that a browser offers",
        preference: Some(5),
        gpus: &[],
        processor: None,
        compiled: cfg!(feature = "webgpu"),
    },
    BackendInfo {
        id: BackendId::Cuda,
        feature: "cuda",
        name: "cuda",
        alias: None,
        labels: "cuda[:N]",
        runs_on: "NVIDIA's GPUs through CUDA",
        preference: Some(0),
        gpus: &["cuda"],
        processor: None,
        compiled: cfg!(feature = "cuda"),
    },
    BackendInfo {
        id: BackendId::Rocm,
        feature: "rocm",
        name: "rocm",
        alias: None,
        labels: "rocm[:N]",
        runs_on: "AMD's GPUs through ROCm",
        preference: Some(1),
        gpus: &["rocm"],
        processor: None,
        compiled: cfg!(feature = "rocm"),
    },
    BackendInfo {
        id: BackendId::Cpu,
        feature: "cpu",
        name: "cpu",
        alias: None,
        labels: "cpu",
        runs_on: "the processor, with kernels that CubeCL compiles at run time",
        preference: Some(9),
        gpus: &[],
        processor: Some("cpu"),
        compiled: cfg!(feature = "cpu"),
    },
    BackendInfo {
        id: BackendId::Remote,
        feature: "remote",
        name: "remote",
        alias: None,
        labels: "remote:KEY@HOST:PORT[:N]",
        runs_on: "devices that `bert worker` offers on another machine",
        preference: None,
        gpus: &[],
        processor: None,
        compiled: cfg!(feature = "remote"),
    },
];

impl BackendId {
    /// Row of the table.
    ///
    /// # Panics
    /// Never: a test checks that every backend has its row.
    pub fn info(self) -> &'static BackendInfo {
        let mut rows = BACKENDS.iter();
        rows.find(|row| row.id == self)
            .expect("every backend has a row")
    }
}

impl BackendInfo {
    /// Backend of the labels that begin with `name`, without what follows the first colon.
    pub fn named(name: &str) -> Option<&'static Self> {
        BACKENDS
            .iter()
            .find(|row| row.name == name || row.alias == Some(name))
    }

    /// Backends whose devices are listed and looked for, the preferred ones first.
    pub fn by_preference() -> Vec<&'static Self> {
        let mut rows: Vec<&Self> = BACKENDS
            .iter()
            .filter(|row| row.preference.is_some())
            .collect();
        rows.sort_by_key(|row| row.preference);
        rows
    }
}
