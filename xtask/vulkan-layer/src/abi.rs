//! The structures of `vulkan_core.h` and `vk_layer.h` that the layer reads or writes.

use std::ffi::{c_char, c_void};

pub(crate) const SUCCESS: i32 = 0;
pub(crate) const OUT_OF_DEVICE_MEMORY: i32 = -2;
pub(crate) const INITIALIZATION_FAILED: i32 = -3;
pub(crate) const DEVICE_LOST: i32 = -4;

/// A dispatchable handle.
pub(crate) type Handle = *mut c_void;
/// A function whose signature its name says.
pub(crate) type VoidFn = unsafe extern "C" fn();
/// `PFN_vkGetInstanceProcAddr`.
pub(crate) type GetInstanceProc =
    unsafe extern "C" fn(*mut c_void, *const c_char) -> Option<VoidFn>;
/// `PFN_vkGetDeviceProcAddr`.
pub(crate) type GetDeviceProc = unsafe extern "C" fn(*mut c_void, *const c_char) -> Option<VoidFn>;

/// The beginning of every structure of a chain.
#[repr(C)]
pub(crate) struct Structure {
    pub(crate) kind: i32,
    pub(crate) next: *mut Structure,
}

/// `VkInstanceCreateInfo`, of which only the chain matters.
#[repr(C)]
pub(crate) struct InstanceCreateInfo {
    pub(crate) base: Structure,
}

/// `VkDeviceCreateInfo`, of which only the chain matters.
#[repr(C)]
pub(crate) struct DeviceCreateInfo {
    pub(crate) base: Structure,
}

/// `VkLayerInstanceCreateInfo` or `VkLayerDeviceCreateInfo` with the function `VK_LAYER_LINK_INFO`.
#[repr(C)]
pub(crate) struct LayerCreateInfo<Link> {
    base: Structure,
    pub(crate) function: i32,
    pub(crate) link: *mut Link,
}

/// `VkLayerInstanceLink`.
#[repr(C)]
pub(crate) struct InstanceLink {
    pub(crate) next: *mut InstanceLink,
    pub(crate) get_instance_proc: GetInstanceProc,
    get_physical_device_proc: *const c_void,
}

/// `VkLayerDeviceLink`.
#[repr(C)]
pub(crate) struct DeviceLink {
    pub(crate) next: *mut DeviceLink,
    get_instance_proc: GetInstanceProc,
    pub(crate) get_device_proc: GetDeviceProc,
}

/// `VkPhysicalDeviceVulkanMemoryModelFeatures`.
#[repr(C)]
pub(crate) struct MemoryModelFeatures {
    base: Structure,
    pub(crate) features: [u32; 3],
}

/// `VkPhysicalDeviceVulkan12Features`, which has the memory model's three among the others.
#[repr(C)]
pub(crate) struct Vulkan12Features {
    base: Structure,
    before: [u32; 41],
    pub(crate) memory_model: [u32; 3],
    after: [u32; 3],
}

/// `VkShaderModuleCreateInfo`.
#[derive(Clone, Copy)]
#[repr(C)]
pub(crate) struct ShaderModuleCreateInfo {
    kind: i32,
    next: *const c_void,
    flags: u32,
    /// Bytes of the code.
    pub(crate) size: usize,
    pub(crate) code: *const u32,
}

/// `VkNegotiateLayerInterface`.
#[repr(C)]
pub struct NegotiateLayerInterface {
    kind: i32,
    next: *mut c_void,
    pub(crate) version: u32,
    pub(crate) get_instance_proc: Option<GetInstanceProc>,
    pub(crate) get_device_proc: Option<GetDeviceProc>,
    pub(crate) get_physical_device_proc: Option<GetInstanceProc>,
}
