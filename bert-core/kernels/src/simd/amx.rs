//! The matrix unit (AMX) that Intel's servers have since Sapphire Rapids: its features, and the shapes of its tiles.

use std::arch::x86_64::{__cpuid, __cpuid_count};

/// Feature of products of bf16: a bit of leaf 7 of CPUID, in EDX.
pub(crate) const BF16: u32 = 1 << 22;
/// Feature of products of 8-bit numbers.
pub(crate) const INT8: u32 = 1 << 25;
/// Feature of the registers.
const TILE: u32 = 1 << 24;

/// Tile configuration that `ldtilecfg` reads: the first palette, and for each of eight tiles 64 bytes a row and 16 rows.
#[repr(C, align(64))]
pub(crate) struct Shapes {
    palette: u8,
    start_row: u8,
    reserved: [u8; 14],
    bytes: [u16; 16],
    rows: [u8; 16],
}

/// Eight tiles of 16 rows of 64 bytes, the most that there are.
pub(crate) static SHAPES: Shapes = Shapes {
    palette: 1,
    start_row: 0,
    reserved: [0; 14],
    bytes: [64, 64, 64, 64, 64, 64, 64, 64, 0, 0, 0, 0, 0, 0, 0, 0],
    rows: [16, 16, 16, 16, 16, 16, 16, 16, 0, 0, 0, 0, 0, 0, 0, 0],
};

/// True if the processor has the unit with a feature, and the system lets this process use it, for which it is asked.
pub(crate) fn is_available(feature: u32) -> bool {
    let wanted = TILE | feature;
    // Miri has neither CPUID nor the instructions.
    !cfg!(miri)
        && __cpuid(0).eax >= 7
        && __cpuid_count(7, 0).edx & wanted == wanted
        && is_permitted()
}

/// Linux gives the registers, 8 KiB a thread, to processes that ask for them.
#[expect(
    unsafe_code,
    reason = "a system call that the standard library does not have"
)]
fn is_permitted() -> bool {
    const ARCH_REQ_XCOMP_PERM: libc::c_long = 0x1023;
    const XFEATURE_XTILEDATA: libc::c_long = 18;
    // SAFETY: it takes two numbers, and changes nothing but what the processor may do for this process.
    unsafe {
        libc::syscall(
            libc::SYS_arch_prctl,
            ARCH_REQ_XCOMP_PERM,
            XFEATURE_XTILEDATA,
        ) == 0
    }
}
