//! Devices of this machine, and the choice of one by its label.

use crate::device::{DeviceSpec, GpuAdapter, GpuApi};
use crate::error::{Error, Result};

/// One device of this machine as one backend reaches it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct AdapterInfo {
    /// The label that opens it, by [`Display`](std::fmt::Display).
    pub spec: DeviceSpec,
    /// The hardware's name, "NVIDIA H100" or "llvmpipe (LLVM 15.0.6, 256 bits)".
    pub name: String,
    /// The driver's name and version, empty where none is reported.
    pub driver: String,
    /// The interface it is driven through: "Vulkan", "CUDA", "LibTorch", "Rust", …
    pub api: String,
    /// Kind of hardware.
    pub kind: AdapterKind,
}

/// Kind of hardware behind a label.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, strum::Display)]
#[non_exhaustive]
pub enum AdapterKind {
    /// A GPU with memory of its own.
    #[strum(to_string = "discrete GPU")]
    DiscreteGpu,
    /// A GPU that shares the processor's memory.
    #[strum(to_string = "integrated GPU")]
    IntegratedGpu,
    /// A GPU handed to a virtual machine.
    #[strum(to_string = "virtual GPU")]
    VirtualGpu,
    /// A GPU of which no more is known.
    #[strum(to_string = "GPU")]
    Gpu,
    /// A graphics driver that computes on the processor (llvmpipe, lavapipe, SwiftShader, WARP).
    #[strum(to_string = "software rasteriser")]
    SoftwareRasteriser,
    /// The processor.
    #[strum(to_string = "CPU")]
    Cpu,
}

impl AdapterKind {
    /// Hardware made for this, as against the processor in any disguise.
    pub fn is_gpu(self) -> bool {
        !matches!(self, Self::SoftwareRasteriser | Self::Cpu)
    }
}

/// The processor under one of its labels.
pub(super) fn processor(spec: DeviceSpec, api: &str) -> AdapterInfo {
    let model = std::fs::read_to_string("/proc/cpuinfo")
        .ok()
        .and_then(|text| {
            let line = text.lines().find(|line| line.starts_with("model name"))?;
            Some(line.split_once(':')?.1.trim().to_owned())
        });
    AdapterInfo {
        spec,
        name: model.unwrap_or_else(|| format!("{} processor", std::env::consts::ARCH)),
        driver: String::new(),
        api: api.to_owned(),
        kind: AdapterKind::Cpu,
    }
}

/// An index past the last device is refused here, because the backend would panic.
#[cfg(any(feature = "cuda", feature = "rocm", feature = "tch"))]
pub(super) fn within(spec: &DeviceSpec, index: usize, count: usize, api: &str) -> Result<()> {
    if index < count {
        return Ok(());
    }
    Err(Error::DeviceNotFound {
        label: spec.to_string(),
        reason: match count {
            0 => format!("{api} finds no device: check the GPU's driver, or choose another device"),
            1 => format!("{api} finds one device, number 0"),
            _ => format!("{api} finds {count} devices, numbers 0 to {}", count - 1),
        },
    })
}

/// The adapter that `spec`, a label of one graphics API, means among those the API shows.
pub(super) fn choose<'a>(spec: &DeviceSpec, found: &'a [AdapterInfo]) -> Result<&'a AdapterInfo> {
    let DeviceSpec::Gpu { api, adapter } = spec else {
        unreachable!("{spec} is not a graphics adapter");
    };
    let chosen = match adapter {
        GpuAdapter::Best => found
            .iter()
            .filter(|info| info.kind.is_gpu())
            // `min_by_key` keeps the first of equals, which is the driver's own order.
            .min_by_key(|info| match info.kind {
                AdapterKind::DiscreteGpu => 0,
                AdapterKind::IntegratedGpu => 1,
                AdapterKind::VirtualGpu => 2,
                _ => 3,
            }),
        _ => found.iter().find(|info| info.spec == *spec),
    };
    chosen.ok_or_else(|| Error::DeviceNotFound {
        label: spec.to_string(),
        reason: match (api, found) {
            (GpuApi::WebGpu, []) => {
                "WebGPU is the API of browsers: outside one, use `wgpu`".to_owned()
            }
            (_, []) => format!(
                "no adapter answers through {}: install the GPU's driver, or choose another device",
                spec.backend().name
            ),
            _ if *adapter == GpuAdapter::Best => format!(
                "only a software rasteriser answers ({}), and one is used only when asked for by that label",
                listing(found)
            ),
            _ => format!("the adapters found are {}", listing(found)),
        },
    })
}

/// "wgpu:cpu = llvmpipe (software rasteriser), …"
fn listing(found: &[AdapterInfo]) -> String {
    found
        .iter()
        .map(|info| format!("`{}` = {} ({})", info.spec, info.name, info.kind))
        .collect::<Vec<_>>()
        .join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(label: &str, kind: AdapterKind) -> AdapterInfo {
        AdapterInfo {
            spec: label.parse().unwrap(),
            name: format!("name of {label}"),
            driver: String::new(),
            api: "Vulkan".to_owned(),
            kind,
        }
    }

    fn pick(label: &str, found: &[AdapterInfo]) -> Result<String, String> {
        choose(&label.parse().unwrap(), found)
            .map(|info| info.spec.to_string())
            .map_err(|error| error.to_string())
    }

    #[test]
    fn the_best_adapter_is_a_discrete_gpu_wherever_it_is_listed() {
        let machine = [
            found("wgpu:cpu", AdapterKind::SoftwareRasteriser),
            found("wgpu:integrated:0", AdapterKind::IntegratedGpu),
            found("wgpu:discrete:0", AdapterKind::DiscreteGpu),
            found("wgpu:discrete:1", AdapterKind::DiscreteGpu),
        ];
        assert_eq!(pick("wgpu", &machine).unwrap(), "wgpu:discrete:0");
        assert_eq!(pick("wgpu", &machine[..2]).unwrap(), "wgpu:integrated:0");
        assert_eq!(
            pick("wgpu:discrete:1", &machine).unwrap(),
            "wgpu:discrete:1"
        );
        assert_eq!(pick("wgpu:cpu", &machine).unwrap(), "wgpu:cpu");
    }

    #[test]
    fn a_software_rasteriser_is_never_a_fallback() {
        let machine = [found("wgpu:cpu", AdapterKind::SoftwareRasteriser)];
        let message = pick("wgpu", &machine).unwrap_err();
        assert!(message.contains("only a software rasteriser"), "{message}");
        assert!(
            message.contains("`wgpu:cpu` = name of wgpu:cpu"),
            "{message}"
        );
        assert_eq!(pick("wgpu:cpu", &machine).unwrap(), "wgpu:cpu");
    }

    #[test]
    fn a_missing_adapter_lists_those_found() {
        let machine = [found("vulkan:integrated:0", AdapterKind::IntegratedGpu)];
        let message = pick("vulkan:discrete:0", &machine).unwrap_err();
        assert!(message.contains("`vulkan:integrated:0`"), "{message}");
        assert!(pick("vulkan:cpu", &machine).is_err());
        assert!(
            pick("vulkan", &[])
                .unwrap_err()
                .contains("install the GPU's driver")
        );
        assert!(pick("webgpu", &[]).unwrap_err().contains("use `wgpu`"));
    }
}
