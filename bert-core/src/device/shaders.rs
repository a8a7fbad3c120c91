//! The shader compiler that serves a graphics adapter, and what it needs of the driver.
//!
//! CubeCL compiles for Vulkan to SPIR-V where it is built with that compiler (the feature `vulkan`) and the driver has the
//! Vulkan memory model and buffer addresses, and to WGSL everywhere else; the label does not decide.

use burn::backend::WgpuDevice;
use burn::backend::wgpu::wgpu;

use crate::device::GpuApi;

/// CubeCL's name for a runtime whose kernels are SPIR-V.
const SPIR_V: &str = "wgpu<spirv>";

/// The reason for which kernels would compute wrongly on a device that has just been started, if there is one.
pub(super) fn unfit(api: GpuApi, device: &WgpuDevice, adapter: &wgpu::Adapter) -> Option<String> {
    let compiler = cubecl::Device::from(device.clone()).client().name();
    reason(api, compiler, lays_out_workgroup_memory(adapter))
}

/// Without `VK_KHR_workgroup_memory_explicit_layout` the SPIR-V that cubecl-spirv 0.11.3 writes for shared memory is
/// invalid (its variables have the type of a pointer): drivers crash on it, or compute something else.
fn reason(api: GpuApi, compiler: &str, lays_out_workgroup_memory: bool) -> Option<String> {
    match (api, compiler == SPIR_V) {
        (GpuApi::Vulkan, false) => Some(
            "its driver lacks what SPIR-V kernels need (the Vulkan memory model, buffer device addresses): use `wgpu`, \
             which compiles to WGSL"
                .to_owned(),
        ),
        (GpuApi::Vulkan, true) if !lays_out_workgroup_memory => Some(
            "its driver lacks VK_KHR_workgroup_memory_explicit_layout, without which SPIR-V kernels compute wrong: update the \
             driver, use another device, or use `wgpu` in a build without the feature `vulkan`"
                .to_owned(),
        ),
        (_, true) if !lays_out_workgroup_memory => Some(
            "its driver lacks VK_KHR_workgroup_memory_explicit_layout, without which the SPIR-V kernels of a build with the \
             feature `vulkan` compute wrong: update the driver, use another device, or build without that feature (`--features \
             wgpu` alone compiles to WGSL)"
                .to_owned(),
        ),
        _ => None,
    }
}

/// Support for an explicit layout of workgroup memory, false where the adapter is not reached through Vulkan.
#[cfg(not(target_vendor = "apple"))]
#[expect(
    unsafe_code,
    reason = "wgpu gives out the driver's own handle only so; nothing is changed or kept"
)]
fn lays_out_workgroup_memory(adapter: &wgpu::Adapter) -> bool {
    // SAFETY: the handle is only read, and does not outlive the adapter.
    unsafe { adapter.as_hal::<wgpu::hal::api::Vulkan>() }.is_some_and(|vulkan| {
        vulkan
            .physical_device_capabilities()
            .supports_extension(c"VK_KHR_workgroup_memory_explicit_layout")
    })
}

/// No adapter of this platform is reached through Vulkan.
#[cfg(target_vendor = "apple")]
fn lays_out_workgroup_memory(_adapter: &wgpu::Adapter) -> bool {
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spir_v_without_a_layout_is_refused_under_every_label() {
        let refused = reason(GpuApi::Vulkan, SPIR_V, false).unwrap();
        assert!(refused.contains("use `wgpu`"), "{refused}");
        let refused = reason(GpuApi::Auto, SPIR_V, false).unwrap();
        assert!(refused.contains("build without that feature"), "{refused}");
        assert!(reason(GpuApi::Vulkan, SPIR_V, true).is_none());
        assert!(reason(GpuApi::Auto, SPIR_V, true).is_none());
    }

    #[test]
    fn wgsl_is_what_wgpu_may_be_and_vulkan_may_not() {
        assert!(reason(GpuApi::Auto, "wgpu<wgsl>", false).is_none());
        let refused = reason(GpuApi::Vulkan, "wgpu<wgsl>", false).unwrap();
        assert!(refused.contains("use `wgpu`"), "{refused}");
    }
}
