//! A Vulkan layer for tests: it stands between the loader and a driver that is right, and makes the driver fail in the
//! ways in which others do.
//!
//! `VK_INSTANCE_LAYERS=VK_LAYER_BERT_test` with `VK_LAYER_PATH` naming the directory of `VkLayer_bert_test.json` and this
//! library switches it on; without one of the following variables it changes nothing.
//!
//! | variable | effect |
//! | --- | --- |
//! | `BERT_LAYER_HIDE=vulkanMemoryModel` | a driver without that feature, which CubeCL serves through WGSL instead of SPIR-V |
//! | `BERT_LAYER_HIDE=cooperativeMatrix` | a driver that has no sizes of cooperative matrices |
//! | `BERT_LAYER_WRONG=exp` | exponential functions of shaders have the base 2 |
//! | `BERT_LAYER_LOST_AFTER=N` | the device is lost from the Nth submission on |
//! | `BERT_LAYER_OOM_AFTER=N` | memory is out from the Nth allocation on |
//! | `BERT_LAYER_HANG_AFTER=N` | the Nth submission never returns |
//! | `BERT_LAYER_CRASH_AFTER=N` | the Nth submission ends the process |
//!
//! The interface is that of the Vulkan loader's `LoaderLayerInterface.md`, version 2, the types those of `vk_layer.h`.
#![expect(
    unsafe_code,
    reason = "a Vulkan layer is C functions that are called with C pointers"
)]

mod abi;
mod fault;
mod shader;

use std::collections::HashMap;
use std::ffi::{CStr, c_char, c_void};
use std::sync::{Mutex, PoisonError};

use abi::{
    DeviceCreateInfo, DeviceLink, GetDeviceProc, GetInstanceProc, Handle, InstanceCreateInfo,
    InstanceLink, LayerCreateInfo, MemoryModelFeatures, NegotiateLayerInterface, SUCCESS,
    ShaderModuleCreateInfo, Structure, VoidFn, Vulkan12Features,
};
use fault::Fault;

/// Layers and drivers below this layer, by the dispatch table that all objects of an instance or of a device share.
static NEXT: Mutex<Option<Next>> = Mutex::new(None);

#[derive(Default)]
struct Next {
    instances: HashMap<usize, Instance>,
    devices: HashMap<usize, (usize, GetDeviceProc)>,
}

/// An instance and what lies below. Functions that this layer has too are asked for once, when the instance is new: later
/// the loader answers with the top of the chain for some of them.
#[derive(Clone, Copy)]
struct Instance {
    handle: usize,
    get: GetInstanceProc,
    create_device: Option<VoidFn>,
    features: Option<VoidFn>,
    features_khr: Option<VoidFn>,
}

fn with_next<R>(work: impl FnOnce(&mut Next) -> R) -> R {
    let mut next = NEXT.lock().unwrap_or_else(PoisonError::into_inner);
    work(next.get_or_insert_default())
}

/// The dispatch table of a dispatchable object, which is the first thing in it.
///
/// # Safety
/// `object` is a dispatchable Vulkan handle that is alive.
unsafe fn table(object: Handle) -> usize {
    // SAFETY: the loader lays out dispatchable objects so.
    unsafe { *object.cast::<usize>() }
}

/// The instance that an object belongs to.
///
/// # Safety
/// `object` belongs to an instance made through this layer.
unsafe fn instance_of(object: Handle) -> Option<Instance> {
    // SAFETY: as promised by the caller.
    let key = unsafe { table(object) };
    with_next(|next| next.instances.get(&key).copied())
}

/// The function `name` of the layer or driver below, for an object of a device.
///
/// # Safety
/// `object` belongs to `device`'s table and was made through this layer.
unsafe fn below_device(object: Handle, name: &CStr) -> Option<VoidFn> {
    // SAFETY: as promised by the caller.
    let key = unsafe { table(object) };
    let (device, get) = with_next(|next| next.devices.get(&key).copied())?;
    // SAFETY: `get` came from the loader for this device, whose table its queues and command buffers share.
    unsafe { get(device as Handle, name.as_ptr()) }
}

/// Calls the function below with the signature `$type`; evaluates to `$otherwise` where there is none.
macro_rules! call {
    ($found:expr, $type:ty, ($($argument:expr),*), $otherwise:expr) => {
        match $found {
            // SAFETY: the name that was asked for has this signature in the Vulkan specification.
            Some(function) => unsafe { std::mem::transmute::<VoidFn, $type>(function)($($argument),*) },
            None => $otherwise,
        }
    };
}

/// The loader's first call: which functions this layer has.
///
/// # Safety
/// `interface` is null or what the loader hands a layer.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vkNegotiateLoaderLayerInterfaceVersion(
    interface: *mut NegotiateLayerInterface,
) -> i32 {
    // SAFETY: as promised by the loader.
    let Some(interface) = (unsafe { interface.as_mut() }) else {
        return abi::INITIALIZATION_FAILED;
    };
    interface.version = interface.version.min(2);
    interface.get_instance_proc = Some(get_instance_proc);
    interface.get_device_proc = Some(get_device_proc);
    interface.get_physical_device_proc = None;
    SUCCESS
}

/// A function of this layer as the loader keeps it.
macro_rules! own {
    ($function:expr, $type:ty) => {
        // SAFETY: function pointers of any signature have one size; the loader casts back by the name.
        Some(unsafe { std::mem::transmute::<$type, VoidFn>($function) })
    };
}

type CreateInstance =
    unsafe extern "C" fn(*mut InstanceCreateInfo, *const c_void, *mut Handle) -> i32;
type CreateDevice =
    unsafe extern "C" fn(Handle, *mut DeviceCreateInfo, *const c_void, *mut Handle) -> i32;
type GetFeatures2 = unsafe extern "C" fn(Handle, *mut Structure);
type GetMatrices = unsafe extern "C" fn(Handle, *mut u32, *mut c_void) -> i32;
type AllocateMemory = unsafe extern "C" fn(Handle, *const c_void, *const c_void, *mut u64) -> i32;
type CreateShaderModule =
    unsafe extern "C" fn(Handle, *const ShaderModuleCreateInfo, *const c_void, *mut u64) -> i32;
type QueueSubmit = unsafe extern "C" fn(Handle, u32, *const c_void, u64) -> i32;

unsafe extern "C" fn get_instance_proc(instance: Handle, name: *const c_char) -> Option<VoidFn> {
    // SAFETY: the loader hands a C string.
    let wanted = unsafe { CStr::from_ptr(name) };
    match wanted.to_bytes() {
        b"vkGetInstanceProcAddr" => own!(get_instance_proc, GetInstanceProc),
        b"vkCreateInstance" => own!(create_instance, CreateInstance),
        b"vkCreateDevice" => own!(create_device, CreateDevice),
        b"vkGetPhysicalDeviceFeatures2" => own!(get_features, GetFeatures2),
        b"vkGetPhysicalDeviceFeatures2KHR" => own!(get_features_khr, GetFeatures2),
        b"vkGetPhysicalDeviceCooperativeMatrixPropertiesKHR" if hides("cooperativeMatrix") => {
            own!(no_matrices, GetMatrices)
        }
        _ if instance.is_null() => None,
        // SAFETY: the loader asks with an instance that it made through this layer.
        _ => device_function(wanted.to_bytes()).or_else(|| unsafe {
            let found = instance_of(instance)?;
            (found.get)(found.handle as Handle, name)
        }),
    }
}

unsafe extern "C" fn get_device_proc(device: Handle, name: *const c_char) -> Option<VoidFn> {
    // SAFETY: the loader hands a C string.
    let wanted = unsafe { CStr::from_ptr(name) };
    // SAFETY: the loader asks with a device that it made through this layer.
    device_function(wanted.to_bytes()).or_else(|| unsafe { below_device(device, wanted) })
}

fn device_function(name: &[u8]) -> Option<VoidFn> {
    match name {
        b"vkGetDeviceProcAddr" => own!(get_device_proc, GetDeviceProc),
        b"vkAllocateMemory" => own!(allocate_memory, AllocateMemory),
        b"vkQueueSubmit" => own!(queue_submit, QueueSubmit),
        b"vkCreateShaderModule" => own!(create_shader_module, CreateShaderModule),
        _ => None,
    }
}

/// The next layer's entry in a chain of creation structures, taken off so that the next layer finds its own.
///
/// # Safety
/// `first` is the chain that the loader hands to a creation function, whose links are of type `Link`.
unsafe fn take_link<Link>(
    mut first: *mut Structure,
    kind: i32,
    next: fn(&Link) -> *mut Link,
) -> Option<*mut Link> {
    const LINK_INFO: i32 = 0;
    // SAFETY: every element of a chain begins as `Structure`; elements of `kind` are `LayerCreateInfo`.
    unsafe {
        while let Some(structure) = first.as_mut() {
            if structure.kind == kind {
                let info = &mut *std::ptr::from_mut(structure).cast::<LayerCreateInfo<Link>>();
                if info.function == LINK_INFO {
                    let link = info.link;
                    info.link = next(link.as_ref()?);
                    return Some(link);
                }
            }
            first = structure.next;
        }
    }
    None
}

unsafe extern "C" fn create_instance(
    info: *mut InstanceCreateInfo,
    allocator: *const c_void,
    instance: *mut Handle,
) -> i32 {
    const LOADER_INSTANCE_CREATE_INFO: i32 = 47;
    // SAFETY: the loader's chain; the link lives as long as this call.
    let link = unsafe {
        take_link::<InstanceLink>((*info).base.next, LOADER_INSTANCE_CREATE_INFO, |link| {
            link.next
        })
    };
    let Some(link) = link else {
        return abi::INITIALIZATION_FAILED;
    };
    // SAFETY: the loader's link holds the next layer's function.
    let get = unsafe { (*link).get_instance_proc };
    // SAFETY: creation functions are asked for without an instance.
    let create = unsafe { get(std::ptr::null_mut(), c"vkCreateInstance".as_ptr()) };
    let result = call!(
        create,
        CreateInstance,
        (info, allocator, instance),
        abi::INITIALIZATION_FAILED
    );
    if result == SUCCESS {
        // SAFETY: on success the instance is alive.
        let (made, key) = unsafe { (*instance as usize, table(*instance)) };
        let below = |name: &CStr| {
            // SAFETY: the next layer's function, with the instance that it made.
            unsafe { get(made as Handle, name.as_ptr()) }
        };
        let instance = Instance {
            handle: made,
            get,
            create_device: below(c"vkCreateDevice"),
            features: below(c"vkGetPhysicalDeviceFeatures2"),
            features_khr: below(c"vkGetPhysicalDeviceFeatures2KHR"),
        };
        with_next(|next| next.instances.insert(key, instance));
    }
    result
}

unsafe extern "C" fn create_device(
    physical: Handle,
    info: *mut DeviceCreateInfo,
    allocator: *const c_void,
    device: *mut Handle,
) -> i32 {
    const LOADER_DEVICE_CREATE_INFO: i32 = 48;
    // SAFETY: the loader's chain; the link lives as long as this call.
    let link = unsafe {
        take_link::<DeviceLink>((*info).base.next, LOADER_DEVICE_CREATE_INFO, |link| {
            link.next
        })
    };
    let Some(link) = link else {
        return abi::INITIALIZATION_FAILED;
    };
    // SAFETY: a physical device shares its instance's table.
    let create = unsafe { instance_of(physical) }.and_then(|instance| instance.create_device);
    let result = call!(
        create,
        CreateDevice,
        (physical, info, allocator, device),
        abi::INITIALIZATION_FAILED
    );
    if result == SUCCESS {
        // SAFETY: on success the device is alive, and the link holds the next layer's function.
        let (made, key, get) =
            unsafe { (*device as usize, table(*device), (*link).get_device_proc) };
        with_next(|next| next.devices.insert(key, (made, get)));
    }
    result
}

unsafe extern "C" fn get_features(physical: Handle, features: *mut Structure) {
    // SAFETY: a physical device shares its instance's table.
    let below = unsafe { instance_of(physical) }.and_then(|instance| instance.features);
    call!(below, GetFeatures2, (physical, features), ());
    // SAFETY: the caller's chain, filled in.
    unsafe { hide(features) };
}

unsafe extern "C" fn get_features_khr(physical: Handle, features: *mut Structure) {
    // SAFETY: a physical device shares its instance's table.
    let below = unsafe { instance_of(physical) }.and_then(|instance| instance.features_khr);
    call!(below, GetFeatures2, (physical, features), ());
    // SAFETY: the caller's chain, filled in.
    unsafe { hide(features) };
}

/// True if `BERT_LAYER_HIDE` names `feature`.
fn hides(feature: &str) -> bool {
    std::env::var("BERT_LAYER_HIDE").is_ok_and(|name| name == feature)
}

/// Tells of no cooperative matrices.
unsafe extern "C" fn no_matrices(_: Handle, count: *mut u32, _: *mut c_void) -> i32 {
    // SAFETY: the specification has a valid pointer there.
    unsafe { *count = 0 };
    SUCCESS
}

/// Clears the features that `BERT_LAYER_HIDE` names.
///
/// # Safety
/// `chain` is a chain of feature structures.
unsafe fn hide(mut chain: *mut Structure) {
    const MEMORY_MODEL_FEATURES: i32 = 1_000_211_000;
    const VULKAN_1_2_FEATURES: i32 = 51;
    if hides("vulkanMemoryModel") {
        // SAFETY: every element of a chain begins as `Structure`, and its kind says what it is.
        unsafe {
            while let Some(structure) = chain.as_mut() {
                if structure.kind == MEMORY_MODEL_FEATURES {
                    (*std::ptr::from_mut(structure).cast::<MemoryModelFeatures>()).features =
                        [0; 3];
                }
                if structure.kind == VULKAN_1_2_FEATURES {
                    (*std::ptr::from_mut(structure).cast::<Vulkan12Features>()).memory_model =
                        [0; 3];
                }
                chain = structure.next;
            }
        }
    }
}

unsafe extern "C" fn allocate_memory(
    device: Handle,
    info: *const c_void,
    allocator: *const c_void,
    memory: *mut u64,
) -> i32 {
    if Fault::Oom.strikes() {
        return abi::OUT_OF_DEVICE_MEMORY;
    }
    // SAFETY: a device made through this layer.
    let below = unsafe { below_device(device, c"vkAllocateMemory") };
    call!(
        below,
        AllocateMemory,
        (device, info, allocator, memory),
        abi::INITIALIZATION_FAILED
    )
}

unsafe extern "C" fn create_shader_module(
    device: Handle,
    info: *const ShaderModuleCreateInfo,
    allocator: *const c_void,
    module: *mut u64,
) -> i32 {
    // SAFETY: a device made through this layer.
    let below = unsafe { below_device(device, c"vkCreateShaderModule") };
    let wrong = std::env::var("BERT_LAYER_WRONG").is_ok_and(|function| function == "exp");
    // SAFETY: the caller's structure, whose code has the size that it tells of, in bytes.
    let (words, altered) = unsafe {
        let code = std::slice::from_raw_parts((*info).code, (*info).size / 4);
        let mut words = code.to_vec();
        if wrong {
            shader::exponentials_of_base_two(&mut words);
        }
        let mut altered = *info;
        altered.code = words.as_ptr();
        (words, altered)
    };
    let result = call!(
        below,
        CreateShaderModule,
        (device, &raw const altered, allocator, module),
        abi::INITIALIZATION_FAILED
    );
    drop(words);
    result
}

unsafe extern "C" fn queue_submit(
    queue: Handle,
    count: u32,
    submits: *const c_void,
    fence: u64,
) -> i32 {
    if Fault::Crash.strikes() {
        std::process::abort();
    }
    while Fault::Hang.strikes() {
        std::thread::sleep(std::time::Duration::from_secs(1));
    }
    if Fault::Lost.strikes() {
        return abi::DEVICE_LOST;
    }
    // SAFETY: a queue shares its device's table.
    let below = unsafe { below_device(queue, c"vkQueueSubmit") };
    call!(
        below,
        QueueSubmit,
        (queue, count, submits, fence),
        abi::INITIALIZATION_FAILED
    )
}
