//! Sums over rows: of groups of rows first, by the kernels that compute what is summed, and then of the groups.

use burn::backend::TensorMetadata;
use burn::backend::cubecl::dtype_to_storage_type;
use burn::tensor::Shape;
use burn_cubecl::tensor::CubeTensor;
use cubecl::prelude::*;

use super::parts::{cube_for_each, empty, units};

/// Groups of rows at most.
const GROUPS: usize = 128;

/// Number of groups that `rows` fall into.
pub(super) fn groups(rows: usize) -> usize {
    rows.clamp(1, GROUPS)
}

/// The sums of up to three parts of `[groups, parts, width]` over the groups, `[width]` each, of the type of `like`; those that
/// are not there are not filled.
pub(super) fn sums_of_groups(
    partial: CubeTensor,
    like: &CubeTensor,
    parts: usize,
) -> [CubeTensor; 3] {
    let [groups, _, width] = partial.shape().dims::<3>();
    let units = units(&partial, width);
    let sums = [(); 3].map(|()| empty(like, Shape::new([width]), like.dtype));
    let [first, second, third] = sums.clone();
    sums_of_groups_kernel::launch(
        &like.client,
        cube_for_each(width.div_ceil(units)),
        CubeDim::new_1d(units as u32),
        partial.into_tensor_arg(),
        first.into_tensor_arg(),
        second.into_tensor_arg(),
        third.into_tensor_arg(),
        groups,
        width,
        parts,
        dtype_to_storage_type(like.dtype),
    );
    sums
}

#[cube(launch)]
fn sums_of_groups_kernel<F: Float>(
    partial: &Tensor<f32>,
    first: &mut Tensor<F>,
    second: &mut Tensor<F>,
    third: &mut Tensor<F>,
    groups: usize,
    width: usize,
    #[comptime] parts: usize,
    #[define(F)] _dtype: ElemType,
) {
    let column = ABSOLUTE_POS;
    if column >= width {
        terminate!();
    }
    #[unroll]
    for part in 0..parts {
        let mut sum = f32::new(0.0);
        for group in 0..groups {
            sum += partial[(group * parts + part) * width + column];
        }
        if comptime![part == 0] {
            first[column] = F::cast_from(sum);
        }
        if comptime![part == 1] {
            second[column] = F::cast_from(sum);
        }
        if comptime![part == 2] {
            third[column] = F::cast_from(sum);
        }
    }
}
