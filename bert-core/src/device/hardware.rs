//! The hardware that kernels are chosen for, by device.

use super::DeviceSpec;
use super::adapter::processor;
use super::tuning::Hardware;

impl Hardware {
    /// The hardware behind `spec` and its neighbours, asked for without starting a device.
    pub(super) fn of(spec: &DeviceSpec) -> Self {
        match spec {
            #[cfg(feature = "wgpu")]
            DeviceSpec::Gpu { api, .. } => Self::graphics(&super::wgpu::adapters(*api)),
            DeviceSpec::Cuda(_) => Self::cards(
                "cuda",
                "CUDA_VISIBLE_DEVICES",
                "/proc/driver/nvidia/version",
            ),
            DeviceSpec::Rocm(_) => {
                Self::cards("rocm", "ROCR_VISIBLE_DEVICES", "/sys/module/amdgpu/version")
            }
            // The processor, or none that kernels are chosen for.
            _ => Self::named("processor", processor(spec.clone(), "CubeCL").name),
        }
    }
}
