//! Parts of kernels, and how tensors are handed to them.

use burn::backend::TensorMetadata;
use burn::tensor::{DType, Shape};
use burn_cubecl::kernel::into_contiguous;
use burn_cubecl::ops::numeric::empty_device_contiguous_dtype;
use burn_cubecl::tensor::CubeTensor;
use cubecl::prelude::*;

/// Finite and lower than every score, where an infinity would make NaN of a difference.
pub(super) const LOWEST: f32 = -3.0e38;

/// Cubes along one dimension of a launch, which every driver allows.
const CUBES_X: usize = 32_768;

/// Units of a cube that takes rows of `width` elements: a power of two, which the sums over a cube need.
pub(super) fn units(tensor: &CubeTensor, width: usize) -> usize {
    let most = tensor.client.properties().hardware.max_units_per_cube as usize;
    let most = (most.max(1) + 1).next_power_of_two() / 2;
    width.next_power_of_two().clamp(32, 256).min(most)
}

/// A cube for each of `rows`; those beyond the last end at once.
pub(super) fn cube_for_each(rows: usize) -> CubeCount {
    let x = rows.clamp(1, CUBES_X);
    CubeCount::Static(x as u32, rows.div_ceil(x).max(1) as u32, 1)
}

/// Rows and their width, the last dimension.
pub(super) fn rows_and_width(tensor: &CubeTensor) -> (usize, usize) {
    let shape = tensor.shape();
    let width = shape[shape.num_dims() - 1];
    (shape.num_elements() / width.max(1), width)
}

/// A tensor of `shape` on the device of `like`, for a kernel to fill.
pub(super) fn empty(like: &CubeTensor, shape: Shape, dtype: DType) -> CubeTensor {
    let (client, device) = (like.client.clone(), like.device.clone());
    empty_device_contiguous_dtype(client, device, shape, dtype)
}

/// `tensor` in one piece, in the order of its elements.
pub(super) fn in_rows(tensor: CubeTensor) -> CubeTensor {
    into_contiguous(tensor)
}

/// `tensor` in one piece that nobody else reads, for a kernel to write over.
pub(super) fn to_write_over(tensor: CubeTensor) -> CubeTensor {
    let tensor = in_rows(tensor);
    match tensor.can_mut() {
        true => tensor,
        false => tensor.copy(),
    }
}

/// Numbers of dropout as kernels take them: the hash below which an element is dropped, and the factor of the others.
pub(super) fn dropout_numbers(probability: f64) -> (u32, f32) {
    let threshold = (probability * 2.0_f64.powi(32)) as u32;
    (threshold, (1.0 / (1.0 - probability)) as f32)
}

/// The sum of `value` over the units of a cube, for all of them.
#[cube]
pub(super) fn sum_of_cube(value: f32, #[comptime] units: usize) -> f32 {
    joined(value, false, units)
}

/// The largest `value` of the units of a cube, for all of them.
#[cube]
pub(super) fn highest_of_cube(value: f32, #[comptime] units: usize) -> f32 {
    joined(value, true, units)
}

/// The highest or the sum of `value` over the units of a cube, for all of them.
#[cube]
fn joined(value: f32, #[comptime] highest: bool, #[comptime] units: usize) -> f32 {
    let mut parts = Shared::<[f32]>::new_slice(units);
    parts[UNIT_POS as usize] = value;
    sync_cube();
    let mut active = CUBE_DIM / 2;
    while active > 0 {
        if UNIT_POS < active {
            let own = parts[UNIT_POS as usize];
            let other = parts[(UNIT_POS + active) as usize];
            if comptime![highest] {
                parts[UNIT_POS as usize] = max(own, other);
            } else {
                parts[UNIT_POS as usize] = own + other;
            }
        }
        sync_cube();
        active /= 2;
    }
    let of_all = parts[0];
    // Before anyone writes there again.
    sync_cube();
    of_all
}

/// Number of a generator's draw from `0..1`.
#[cube]
fn seed_of(draw: f32) -> u32 {
    u32::cast_from(draw * 16_777_216.0)
}

/// Factor of dropout at a place: 0 or `factor`, by a hash of the place and of the two draws in `seed` (rounds of Murmur3 and of
/// Wang's hash).
#[cube]
pub(super) fn keep_factor(place: usize, seed: &Tensor<f32>, threshold: u32, factor: f32) -> f32 {
    let (first, second) = (seed_of(seed[0]), seed_of(seed[1]));
    let mut hash = (place as u32) * 0x9E37_79B1u32 + first;
    hash = (hash ^ (hash >> 16u32)) * 0x85EB_CA6Bu32;
    hash = (hash ^ (hash >> 13u32)) * 0xC2B2_AE35u32;
    hash = (hash ^ (hash >> 16u32)) + second * 0x27D4_EB2Fu32;
    hash = (hash ^ (hash >> 15u32)) * 0x2C1B_3C6Du32;
    hash = (hash ^ (hash >> 12u32)) * 0x297A_2D39u32;
    hash ^= hash >> 15u32;
    select(hash >= threshold, factor, f32::new(0.0))
}
