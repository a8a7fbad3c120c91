//! Devices by label: which backend, which adapter, which element type.
//!
//! A label such as `flex`, `libtorch:cuda:0` or `wgpu:integrated:0` parses into a [`DeviceSpec`],
//! and [`DeviceSpec::open`] makes the [`Device`] of it or says why not.
//! Nothing falls back: a backend that is not compiled in, an adapter that is not there and a
//! software rasteriser nobody asked for are errors, each naming what to do.
//!
//! Together with `ops`, this module is the only place that names backend features.
//!
//! ```
//! use bert_core::device::DeviceSpec;
//!
//! let spec: DeviceSpec = "wgpu:discrete:1".parse()?;
//! assert_eq!(spec.feature(), "wgpu");
//! # Ok::<(), bert_core::Error>(())
//! ```

mod adapter;
mod backends;
mod choice;
#[cfg(test)]
mod documented;
mod exit;
pub mod fault;
#[cfg(feature = "cubecl")]
mod hardware;
mod label;
#[cfg(feature = "tch")]
mod libtorch;
mod limits;
mod measurement;
mod open;
mod precision;
mod proof;
mod remote;
#[cfg(feature = "wgpu")]
mod shaders;
mod testing;
pub(crate) mod tuning;
#[cfg(feature = "wgpu")]
mod wgpu;

pub use adapter::{AdapterInfo, AdapterKind};
pub use backends::{BACKENDS, BackendId, BackendInfo};
pub use burn::tensor::Device;
pub use exit::{exit, exit_unflushed};
pub use label::{DeviceSpec, GpuAdapter, GpuApi, TorchDevice};
#[cfg(feature = "tch")]
pub(crate) use libtorch::kernels::{TorchKernels, torch_kernels};
pub use limits::largest_buffer;
pub use measurement::Measurement;
pub use open::{adapters, compiled_backends};
pub use precision::{Precision, set_dtype};
pub use proof::{Proof, ProofSubject};
pub use remote::{
    RemoteError, RemoteToken, WorkerAddress, lost_session, remote_token_environment,
    set_remote_token_file,
};
#[cfg(feature = "remote")]
pub use remote::{Worker, WorkerEvent, WorkerOptions, close_remote_devices, default_key_file};
#[doc(hidden)]
pub use testing::test_devices;

/// Version and capabilities of the LibTorch that this binary was built against.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct LibTorchInfo {
    /// The version that the binding accepts when it is built.
    pub version: &'static str,
    /// Threads that LibTorch computes with inside one operation.
    pub threads: usize,
    /// CUDA devices that LibTorch sees; 0 with a CPU build of LibTorch or without a driver.
    pub cuda_devices: usize,
    /// cuDNN is there and usable.
    pub cudnn: bool,
    /// Apple's Metal Performance Shaders are there and usable.
    pub mps: bool,
}

/// LibTorch as this binary sees it, `None` when built without the feature `tch`.
pub fn libtorch_info() -> Option<LibTorchInfo> {
    #[cfg(feature = "tch")]
    return Some(libtorch::info());
    #[cfg(not(feature = "tch"))]
    None
}

/// Threads that the pure-Rust CPU backends compute with: `RAYON_NUM_THREADS`, or else what the
/// operating system grants.
pub fn threads() -> usize {
    std::env::var("RAYON_NUM_THREADS")
        .ok()
        .and_then(|value| value.parse().ok())
        .filter(|&threads| threads > 0)
        .unwrap_or_else(|| std::thread::available_parallelism().map_or(1, |threads| threads.get()))
}

/// True for Flex without autodiff.
pub(crate) fn is_flex(device: &Device) -> bool {
    #[cfg(feature = "flex")]
    return *device == Device::flex();
    #[cfg(not(feature = "flex"))]
    {
        let _ = device;
        false
    }
}

/// True for NdArray without autodiff.
pub(crate) fn is_ndarray(device: &Device) -> bool {
    #[cfg(feature = "ndarray")]
    return *device == open::ndarray();
    #[cfg(not(feature = "ndarray"))]
    {
        let _ = device;
        false
    }
}

/// True for LibTorch on the processor, without autodiff.
pub(crate) fn is_libtorch_processor(device: &Device) -> bool {
    #[cfg(feature = "tch")]
    return libtorch::is_processor(device);
    #[cfg(not(feature = "tch"))]
    {
        let _ = device;
        false
    }
}
