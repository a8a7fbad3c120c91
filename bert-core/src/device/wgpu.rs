//! Graphics adapters, listed by ourselves before Burn is asked for one.
//!
//! CubeCL panics on first use of an adapter that isn't there, and its "default" device takes a
//! software rasteriser without a word and can be turned elsewhere by `CUBECL_WGPU_DEFAULT_DEVICE`.
//! So a label is settled against our own list, and only a concrete adapter goes to CubeCL.

use std::sync::{Mutex, PoisonError};

use burn::backend::wgpu::graphics::AutoGraphicsApi;
use burn::backend::wgpu::{RuntimeOptions, WgpuInitError, try_init_setup, wgpu};
use burn::backend::{WgpuBackend, WgpuDevice, WgpuDeviceKind};
use burn::tensor::read_sync;

use crate::device::adapter::choose;
use crate::device::tuning::Hardware;
use crate::device::{
    AdapterInfo, AdapterKind, Device, DeviceSpec, GpuAdapter, GpuApi, exit, shaders, tuning,
};
use crate::error::{Error, Result};

/// Adapters listed and devices opened so far.
struct State {
    listed: Vec<(wgpu::Backend, Vec<wgpu::AdapterInfo>)>,
    opened: Vec<Opened>,
}

/// A device that was started.
#[derive(Clone)]
struct Opened {
    device: WgpuDevice,
    /// The reason for which it is refused, if it is.
    refused: Option<String>,
    /// The largest buffer it gives out, in bytes.
    largest_buffer: Option<u64>,
}

/// Held while an instance is made and dropped and while a device starts: the Vulkan loader
/// crashes when instances come and go on several threads at once.
static STATE: Mutex<State> = Mutex::new(State {
    listed: Vec::new(),
    opened: Vec::new(),
});

/// The adapters that `api` shows, one for each label that opens one.
pub(super) fn adapters(api: GpuApi) -> Vec<AdapterInfo> {
    list(
        api,
        &mut STATE.lock().unwrap_or_else(PoisonError::into_inner),
    )
}

/// The adapter that the bare label of `api` means.
pub(super) fn best(api: GpuApi) -> Result<AdapterInfo> {
    let adapter = GpuAdapter::Best;
    choose(&DeviceSpec::Gpu { api, adapter }, &adapters(api)).cloned()
}

pub(super) fn open(spec: &DeviceSpec, api: GpuApi) -> Result<Device> {
    let mut state = STATE.lock().unwrap_or_else(PoisonError::into_inner);
    let found = list(api, &mut state);
    let chosen = choose(spec, &found)?;
    let device = WgpuDevice::new(kind_of(&chosen.spec)).on(match api {
        GpuApi::Auto => WgpuBackend::Auto,
        GpuApi::Vulkan => WgpuBackend::Vulkan,
        GpuApi::Metal => WgpuBackend::Metal,
        GpuApi::WebGpu => WgpuBackend::WebGpu,
    });
    let known = state.opened.iter().find(|opened| opened.device == device);
    let refused = match known {
        Some(opened) => opened.refused.clone(),
        None => {
            tuning::prepare(chosen.kind, &Hardware::graphics(&found));
            exit::a_driver_starts();
            let opened = start(spec, api, &device, &chosen.name)?;
            state.opened.push(opened.clone());
            opened.refused
        }
    };
    match refused {
        Some(reason) => Err(Error::DeviceUnfit {
            label: spec.to_string(),
            reason,
        }),
        None => Ok(Device::new(device)),
    }
}

/// Starts the adapter called `name`.
fn start(spec: &DeviceSpec, api: GpuApi, device: &WgpuDevice, name: &str) -> Result<Opened> {
    let not_found = |reason| Error::DeviceNotFound {
        label: spec.to_string(),
        reason,
    };
    let options = RuntimeOptions::try_default().map_err(|error| not_found(error.to_string()))?;
    match try_init_setup::<AutoGraphicsApi>(device, options) {
        Ok(setup) => {
            let started = setup.adapter.get_info().name;
            if started != name {
                return Err(not_found(format!(
                    "asked for {name}, the graphics driver started {started}"
                )));
            }
            let limits = setup.device.limits();
            let largest = limits
                .max_storage_buffer_binding_size
                .min(limits.max_buffer_size);
            Ok(Opened {
                device: device.clone(),
                refused: shaders::unfit(api, device, &setup.adapter),
                largest_buffer: Some(largest),
            })
        }
        // Started outside this module, by a tensor made on it: the same device.
        Err(WgpuInitError::Registration { .. }) => Ok(Opened {
            device: device.clone(),
            refused: None,
            largest_buffer: None,
        }),
        Err(error) => Err(not_found(format!("{name}: {error}"))),
    }
}

/// The largest buffer that a device opened here gives out, in bytes.
pub(super) fn largest_buffer(device: &Device) -> Option<u64> {
    let inner = device.clone().without_autodiff();
    let state = STATE.lock().unwrap_or_else(PoisonError::into_inner);
    let opened = state
        .opened
        .iter()
        .find(|opened| Device::new(opened.device.clone()) == inner);
    opened?.largest_buffer
}

/// The adapters of the graphics API that `api` settles on, in the order CubeCL counts them.
fn list(api: GpuApi, state: &mut State) -> Vec<AdapterInfo> {
    let candidates = match api {
        GpuApi::Auto => AutoGraphicsApi::chain(),
        GpuApi::Vulkan => vec![wgpu::Backend::Vulkan],
        GpuApi::Metal => vec![wgpu::Backend::Metal],
        GpuApi::WebGpu => vec![wgpu::Backend::BrowserWebGpu],
    };
    // The first with a GPU, or failing that the first with anything: CubeCL settles the same way.
    let mut software = Vec::new();
    for backend in candidates {
        let found = number(api, probe(backend, state));
        if found.iter().any(|info| info.kind.is_gpu()) {
            return found;
        }
        if software.is_empty() {
            software = found;
        }
    }
    software
}

/// The adapters behind one graphics API, asked for once a process.
fn probe(backend: wgpu::Backend, state: &mut State) -> Vec<wgpu::AdapterInfo> {
    if let Some((_, infos)) = state.listed.iter().find(|(listed, _)| *listed == backend) {
        return infos.clone();
    }
    let infos: Vec<_> = if wgpu::Instance::enabled_backend_features().contains(backend.into()) {
        let instance = wgpu::Instance::new(wgpu::InstanceDescriptor {
            backends: backend.into(),
            ..wgpu::InstanceDescriptor::new_without_display_handle()
        });
        read_sync(instance.enumerate_adapters(backend.into()))
            .iter()
            .map(wgpu::Adapter::get_info)
            .collect()
    } else {
        Vec::new()
    };
    state.listed.push((backend, infos.clone()));
    infos
}

/// Gives every adapter its label: each kind counts from zero, and of several software
/// rasterisers only the first can be reached.
fn number(api: GpuApi, infos: Vec<wgpu::AdapterInfo>) -> Vec<AdapterInfo> {
    let mut found: Vec<AdapterInfo> = Vec::new();
    for info in infos {
        let (kind, label): (_, fn(usize) -> GpuAdapter) = match info.device_type {
            wgpu::DeviceType::DiscreteGpu => (AdapterKind::DiscreteGpu, GpuAdapter::Discrete),
            wgpu::DeviceType::IntegratedGpu => (AdapterKind::IntegratedGpu, GpuAdapter::Integrated),
            wgpu::DeviceType::VirtualGpu => (AdapterKind::VirtualGpu, GpuAdapter::Virtual),
            wgpu::DeviceType::Other => (AdapterKind::Gpu, GpuAdapter::Other),
            wgpu::DeviceType::Cpu => (AdapterKind::SoftwareRasteriser, |_| GpuAdapter::Software),
        };
        let index = found.iter().filter(|earlier| earlier.kind == kind).count();
        if kind == AdapterKind::SoftwareRasteriser && index > 0 {
            continue;
        }
        found.push(AdapterInfo {
            spec: DeviceSpec::Gpu {
                api,
                adapter: label(index),
            },
            name: info.name,
            driver: format!("{} {}", info.driver, info.driver_info)
                .trim()
                .to_owned(),
            api: format!("{:?}", info.backend),
            kind,
        });
    }
    found
}

/// CubeCL's word for a concrete adapter.
fn kind_of(spec: &DeviceSpec) -> WgpuDeviceKind {
    let DeviceSpec::Gpu { adapter, .. } = *spec else {
        unreachable!("{spec} is not a graphics adapter");
    };
    match adapter {
        GpuAdapter::Best => unreachable!("a listed adapter is concrete"),
        GpuAdapter::Discrete(n) => WgpuDeviceKind::DiscreteGpu(n),
        GpuAdapter::Integrated(n) => WgpuDeviceKind::IntegratedGpu(n),
        GpuAdapter::Virtual(n) => WgpuDeviceKind::VirtualGpu(n),
        GpuAdapter::Other(n) => WgpuDeviceKind::Other(n),
        GpuAdapter::Software => WgpuDeviceKind::Cpu,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_counts_from_zero() {
        use wgpu::DeviceType::{Cpu, DiscreteGpu, IntegratedGpu};
        let infos = [Cpu, DiscreteGpu, IntegratedGpu, Cpu, DiscreteGpu]
            .map(|kind| wgpu::AdapterInfo::new(kind, wgpu::Backend::Vulkan));
        let labels = number(GpuApi::Vulkan, infos.to_vec())
            .iter()
            .map(|info| info.spec.to_string())
            .collect::<Vec<_>>();
        assert_eq!(
            labels,
            [
                "vulkan:cpu",
                "vulkan:discrete:0",
                "vulkan:integrated:0",
                "vulkan:discrete:1"
            ]
        );
    }
}
