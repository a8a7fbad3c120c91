//! Defects of Burn and CubeCL, on every device.
//!
//! - `worked_around`: defects of Burn 0.22.1 that `ops` works around. Each test fails when its defect is mended upstream, so
//!   that the workaround can go.
//! - `columns`, `lengths`, `odd_sizes`: reports on Burn's tracker that do not show here with 0.22.1. They guard results.
//! - `faults`, `spirv`: behaviour of upstream that our own refusals build on, as it is today.
//!
//! `device_memory`, a test of its own because it measures its process, guards against memory that grows.

mod columns;
#[cfg(feature = "wgpu")]
mod faults;
mod lengths;
mod odd_sizes;
#[cfg(feature = "vulkan")]
mod spirv;
mod worked_around;

use burn::tensor::{Device, Tensor, TensorData};

/// Numbers in [-1, 1) without any pattern, of equal seeds equal.
fn numbers(count: usize, seed: usize) -> Vec<f32> {
    let mut state = (seed as u32).wrapping_mul(2_654_435_761).wrapping_add(1);
    (0..count)
        .map(|_| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 8) as f32 / (1 << 23) as f32 - 1.0
        })
        .collect()
}

fn tensor<const D: usize>(values: &[f32], shape: [usize; D], device: &Device) -> Tensor<D> {
    Tensor::from_data(TensorData::new(values.to_vec(), shape), device)
}

fn values<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    tensor.into_data().iter::<f32>().collect()
}

/// `[m, k] · [k, n]` in float64.
fn product(left: &[f32], right: &[f32], [m, k, n]: [usize; 3]) -> Vec<f64> {
    assert_eq!([left.len(), right.len()], [m * k, k * n]);
    let mut output = vec![0.0; m * n];
    for row in 0..m {
        for at in 0..k {
            let factor = f64::from(left[row * k + at]);
            for column in 0..n {
                output[row * n + column] += factor * f64::from(right[at * n + column]);
            }
        }
    }
    output
}

/// Largest difference that rounding explains, relative to numbers above one.
///
/// CUDA's and ROCm's matrix units take f32 with 10 bits of fraction.
fn bar(label: &str) -> f64 {
    if label.starts_with("cuda") || label.starts_with("rocm") {
        3e-2
    } else {
        1e-4
    }
}

fn assert_near(label: &str, case: impl std::fmt::Debug, found: &[f32], expected: &[f64]) {
    assert_eq!(found.len(), expected.len(), "{label}, {case:?}");
    for (at, (&found, &expected)) in found.iter().zip(expected).enumerate() {
        let distance = (f64::from(found) - expected).abs();
        assert!(
            distance <= bar(label) * expected.abs().max(1.0),
            "{label}, {case:?}: {found} in place of {expected} at {at}"
        );
    }
}
