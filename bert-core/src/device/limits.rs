//! Buffers that a graphics adapter can hold.

use crate::device::Device;

/// The largest buffer that a graphics adapter gives out, in bytes; `None` for other devices, whose memory is the limit.
pub fn largest_buffer(device: &Device) -> Option<u64> {
    #[cfg(feature = "wgpu")]
    return super::wgpu::largest_buffer(device);
    #[cfg(not(feature = "wgpu"))]
    {
        let _ = device;
        None
    }
}
