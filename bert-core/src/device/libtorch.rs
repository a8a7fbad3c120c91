//! LibTorch: what it sees, and its devices.

pub(super) mod kernels;

use std::sync::Once;
use std::thread;

use crate::device::adapter::{processor, within};
use crate::device::{AdapterInfo, AdapterKind, Device, DeviceSpec, LibTorchInfo, TorchDevice};
use crate::error::{Error, Result};

/// The version tch 0.22 builds against and refuses to build without.
const VERSION: &str = "2.9.0";

pub(super) fn info() -> LibTorchInfo {
    LibTorchInfo {
        version: VERSION,
        threads: usize::try_from(tch::get_num_threads()).unwrap_or(0),
        cuda_devices: cuda_devices(),
        cudnn: tch::Cuda::cudnn_is_available(),
        mps: tch::utils::has_mps(),
    }
}

/// CUDA devices; 0 with a CPU build of LibTorch, where asking for one would panic.
fn cuda_devices() -> usize {
    if tch::Cuda::is_available() {
        usize::try_from(tch::Cuda::device_count()).unwrap_or(0)
    } else {
        0
    }
}

/// True for LibTorch on the processor, without autodiff.
#[expect(
    deprecated,
    reason = "Burn 0.22 is the last release line with LibTorch; leaving it is this file"
)]
pub(super) fn is_processor(device: &Device) -> bool {
    *device == Device::libtorch()
}

pub(super) fn has_gpu(device: TorchDevice) -> bool {
    match device {
        TorchDevice::Cpu => false,
        TorchDevice::Cuda(index) => index < cuda_devices(),
        TorchDevice::Mps => tch::utils::has_mps(),
    }
}

#[expect(
    deprecated,
    reason = "Burn 0.22 is the last release line with LibTorch; leaving it is this file"
)]
pub(super) fn open(spec: &DeviceSpec, device: TorchDevice) -> Result<Device> {
    match device {
        TorchDevice::Cpu => {
            kernels::torch_kernels()?;
            keep_openmp_from_spinning();
            Ok(Device::libtorch())
        }
        TorchDevice::Cuda(index) => {
            within(spec, index, cuda_devices(), "LibTorch's CUDA")?;
            Ok(Device::libtorch_cuda(index))
        }
        TorchDevice::Mps if tch::utils::has_mps() => Ok(Device::libtorch_mps()),
        TorchDevice::Mps => Err(Error::DeviceNotFound {
            label: spec.to_string(),
            reason: "LibTorch finds no Metal Performance Shaders, which need an Apple GPU"
                .to_owned(),
        }),
    }
}

/// Makes LibTorch's threads sleep soon after an operation, as ours want the processor then.
///
/// After each operation GNU's OpenMP has them look for the next one for milliseconds, unless it has more threads than there are
/// processors; that is settled when the library is loaded, from the environment (`GOMP_SPINCOUNT`).
/// A thread that has computed something has a team of its own, which makes them more for as long as that thread lives.
/// With another OpenMP this changes nothing but costs an operation.
fn keep_openmp_from_spinning() {
    static TEAM: Once = Once::new();
    /// Elements that are worth more than one thread to LibTorch.
    const SPREAD: i64 = 1 << 17;
    TEAM.call_once(|| {
        // Without a second team all is as it was, only slower.
        let _ = thread::Builder::new()
            .name("openmp-team".to_owned())
            .spawn(|| {
                let zeros = tch::Tensor::zeros([SPREAD], (tch::Kind::Float, tch::Device::Cpu));
                drop(zeros.exp());
                loop {
                    thread::park();
                }
            });
    });
}

pub(super) fn adapters() -> Vec<AdapterInfo> {
    let gpu = |device, name: String| AdapterInfo {
        spec: DeviceSpec::LibTorch(device),
        name,
        driver: format!("LibTorch {VERSION}"),
        api: "LibTorch".to_owned(),
        kind: AdapterKind::Gpu,
    };
    let cuda = (0..cuda_devices()).map(|n| gpu(TorchDevice::Cuda(n), format!("CUDA device {n}")));
    let mps = tch::utils::has_mps().then(|| gpu(TorchDevice::Mps, "Apple GPU".to_owned()));
    let cpu = AdapterInfo {
        driver: format!("LibTorch {VERSION}"),
        ..processor(DeviceSpec::LibTorch(TorchDevice::Cpu), "LibTorch")
    };
    cuda.chain(mps).chain([cpu]).collect()
}
