//! Workgroup memory in SPIR-V for drivers without `VK_KHR_workgroup_memory_explicit_layout`.
//!
//! cubecl-spirv 0.11.3 declares each of its variables as a pointer to a pointer (`lower_shared_implicit`): the module is
//! invalid (VUID-VkShaderModuleCreateInfo-pCode-08737), and drivers crash or compute anything. Where the extension is not
//! there, the label `vulkan` is refused for that, and `wgpu` in a build with `vulkan`.

use cubecl::ir::settings::{ExecutionMode, KernelSettings};
use cubecl::prelude::*;
use cubecl::{Compiler, VulkanCompilationOptions, WgpuCompilationOptions};
use cubecl_spirv::SpirvCompiler;

const THREADS: u32 = 32;

/// Numbers turned end for end by way of workgroup memory.
#[cube]
fn reversed(output: &mut [f32]) {
    let mut shared = Shared::new_slice(32usize);
    let unit = UNIT_POS as usize;
    shared[unit] = output[unit];
    sync_cube();
    output[unit] = shared[31 - unit];
}

/// The module's words.
fn module(supports_explicit_smem: bool) -> Vec<u32> {
    let dims = CubeDim::new_1d(THREADS);
    let settings = KernelSettings::new(dims.into(), ExecutionMode::Unchecked, AddressType::U32);
    let mut builder = KernelBuilder::new(settings);
    let argument = cubecl::frontend::BufferCompilationArg { inplace: None };
    let mut output = <Box<[f32]> as LaunchArg>::expand(&argument, &mut builder);
    reversed::expand(&builder.scope, &mut output);
    let options = WgpuCompilationOptions {
        supports_vulkan_compiler: true,
        vulkan: VulkanCompilationOptions {
            supports_explicit_smem,
            supports_uniform_standard_layout: true,
            supports_uniform_unsized_array: true,
            max_spirv_version: (1, 6),
            max_vector_size: 4,
            push_constant_size: 128,
            ..Default::default()
        },
        ..Default::default()
    };
    let kernel = SpirvCompiler.compile(builder.build(), &options).unwrap();
    kernel.assembled_module
}

const HEADER: usize = 5;
const OP_TYPE_POINTER: u32 = 32;
const OP_VARIABLE: u32 = 59;
const WORKGROUP: u32 = 4;

/// Operands of every instruction with this number.
fn instructions(module: &[u32], wanted: u32) -> Vec<&[u32]> {
    let (mut found, mut rest) = (Vec::new(), &module[HEADER..]);
    while let Some(&first) = rest.first() {
        let (instruction, after) = rest.split_at((first >> 16) as usize);
        if first & 0xffff == wanted {
            found.push(&instruction[1..]);
        }
        rest = after;
    }
    found
}

/// Variables of workgroup memory, and how many of them hold a pointer in place of numbers.
fn workgroup_variables(module: &[u32]) -> (usize, usize) {
    let pointers = instructions(module, OP_TYPE_POINTER); // [id, storage class, type pointed at]
    let pointed_at = |id: u32| {
        pointers
            .iter()
            .find(|pointer| pointer[0] == id)
            .map(|p| p[2])
    };
    let variables = instructions(module, OP_VARIABLE); // [type, id, storage class]
    let types: Vec<_> = (variables.iter().filter(|variable| variable[2] == WORKGROUP))
        .map(|variable| pointed_at(variable[0]).expect("the type of a variable is a pointer"))
        .collect();
    let wrong = types.iter().filter(|&&id| pointed_at(id).is_some()).count();
    (types.len(), wrong)
}

#[test]
fn workgroup_memory_without_an_explicit_layout_is_still_a_pointer_to_a_pointer() {
    assert_eq!(workgroup_variables(&module(true)), (1, 0));
    assert_eq!(
        workgroup_variables(&module(false)),
        (1, 1),
        "CubeCL's SPIR-V is valid now without VK_KHR_workgroup_memory_explicit_layout: drop the refusal in device/"
    );
}
