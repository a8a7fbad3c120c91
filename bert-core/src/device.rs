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
#[cfg(feature = "kernels")]
mod awake;
mod choice;
mod exit;
pub mod fault;
mod label;
#[cfg(feature = "tch")]
mod libtorch;
mod limits;
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
pub use burn::tensor::Device;
pub use exit::{exit, exit_unflushed};
pub use label::{DeviceSpec, GpuAdapter, GpuApi, TorchDevice};
pub use limits::{Workload, largest_buffer};
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
    /// True if matrix products on the processor, and the operations around them, run in the kernels of Flex, which are
    /// faster than LibTorch's own there: on AMD's processors with AVX-512, or as the environment variable
    /// `BERT_LIBTORCH_KERNELS` (`own`, `libtorch`) has it.
    pub own_kernels: bool,
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

/// Tokens up to which the threads of our kernels are kept awake: with more, kernels last long enough for waking not to matter,
/// and looking for work in vain costs more than it gains.
#[cfg(feature = "kernels")]
const FEW_TOKENS: usize = 128;

/// Runs `work` on `tokens` tokens with the threads awake that our kernels are spread over, if they compute without gradients
/// on `device`, and the tokens are few.
pub(crate) fn with_threads_awake<R: Send>(
    device: &Device,
    tokens: usize,
    work: impl FnOnce() -> R + Send,
) -> R {
    #[cfg(feature = "kernels")]
    if tokens <= FEW_TOKENS && computes_by_our_kernels(device) {
        return awake::with_threads_awake(work);
    }
    #[cfg(not(feature = "kernels"))]
    let _ = (device, tokens);
    work()
}

/// True for devices without autodiff on which matrix products with packed weights are faster.
pub(crate) fn multiplies_panels(device: &Device) -> bool {
    #[cfg(feature = "kernels")]
    return crate::ops::packed_weights_pay() && computes_by_our_kernels(device);
    #[cfg(not(feature = "kernels"))]
    {
        let _ = device;
        false
    }
}

/// True for Flex and NdArray, and for LibTorch with the kernels that those run; false for any device with autodiff.
#[cfg(feature = "kernels")]
fn computes_by_our_kernels(device: &Device) -> bool {
    #[cfg(feature = "tch")]
    if crate::ops::libtorch_kernels_are_own() && libtorch::is_processor(device) {
        return true;
    }
    #[cfg(feature = "ndarray")]
    if *device == open::ndarray() {
        return true;
    }
    is_flex(device)
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
