//! Sums of products of bf16 on the matrix unit (AMX) that Intel's servers have since Sapphire Rapids: 32 rows by a panel.

use core::arch::asm;
use std::sync::LazyLock;

use super::Sums;
use super::activations::Line;
use super::tile_shape::{FEW_ROWS, MATRIX_ROWS};
use super::weights::{Block, PANEL};
use crate::simd::amx::{self, SHAPES};

/// True if the processor has AMX for bf16 and the system lets this process use it, for which it is asked the first time.
pub(super) fn is_available() -> bool {
    static IS_AVAILABLE: LazyLock<bool> = LazyLock::new(|| amx::is_available(amx::BF16));
    *IS_AVAILABLE
}

/// The sums of a tile of 32 rows with a panel, all over the whole depth.
///
/// # Shapes
///
/// - lines: `[steps, 32]`
/// - panel: `[steps]`
#[expect(
    unsafe_code,
    reason = "the instructions have no other form in stable Rust"
)]
pub(super) fn sums(lines: &[Line], panel: &[Block], sums: &mut Sums) {
    let steps = check(lines, MATRIX_ROWS, panel);
    if steps == 0 {
        sums.0.fill([0.0; PANEL]);
        return;
    }
    // SAFETY: the processor has the instructions, and the system lets this process use them. For each of two halves of the
    // columns, a step reads the 2048 bytes that are 32 lines, and two of the four 1024 bytes that are a block; the stores write
    // 128 bytes in each of the 32 rows of sums, which have 256.
    unsafe {
        asm!(
            "ldtilecfg [{shapes}]",
            "2:",
            "mov {step}, {steps}",
            "mov {line}, {lines}",
            "mov {block}, {panel}",
            "tilezero tmm0",
            "tilezero tmm1",
            "tilezero tmm2",
            "tilezero tmm3",
            "3:",
            "tileloadd tmm6, [{block} + {width}]",
            "tileloadd tmm4, [{line} + {width}]",
            "tdpbf16ps tmm0, tmm4, tmm6",
            "tileloadd tmm7, [{block} + {width} + 1024]",
            "tdpbf16ps tmm1, tmm4, tmm7",
            "tileloadd tmm5, [{line} + {width} + 1024]",
            "tdpbf16ps tmm2, tmm5, tmm6",
            "tdpbf16ps tmm3, tmm5, tmm7",
            "add {line}, 2048",
            "add {block}, 4096",
            "dec {step}",
            "jnz 3b",
            "tilestored [{sums} + {row}], tmm0",
            "tilestored [{sums} + {row} + 64], tmm1",
            "tilestored [{sums} + {row} + 4096], tmm2",
            "tilestored [{sums} + {row} + 4160], tmm3",
            "add {panel}, 2048",
            "add {sums}, 128",
            "dec {halves}",
            "jnz 2b",
            "tilerelease",
            shapes = in(reg) &raw const SHAPES,
            lines = in(reg) lines.as_ptr(),
            width = in(reg) size_of::<Line>(),
            steps = in(reg) steps,
            step = out(reg) _,
            line = out(reg) _,
            block = out(reg) _,
            row = in(reg) size_of::<[f32; PANEL]>(),
            panel = inout(reg) panel.as_ptr() => _,
            sums = inout(reg) sums.0.as_mut_ptr() => _,
            halves = inout(reg) 2_usize => _,
            out("tmm0") _, out("tmm1") _, out("tmm2") _, out("tmm3") _,
            out("tmm4") _, out("tmm5") _, out("tmm6") _, out("tmm7") _,
            options(nostack),
        );
    }
}

/// The sums of a tile of 16 rows with a panel, which is read once from its beginning to its end.
///
/// # Shapes
///
/// - lines: `[steps, 16]`
/// - panel: `[steps]`
#[expect(
    unsafe_code,
    reason = "the instructions have no other form in stable Rust"
)]
pub(super) fn sums_of_few(lines: &[Line], panel: &[Block], sums: &mut Sums) {
    let steps = check(lines, FEW_ROWS, panel);
    if steps == 0 {
        sums.0[..FEW_ROWS].fill([0.0; PANEL]);
        return;
    }
    // SAFETY: the processor has the instructions, and the system lets this process use them. A step reads the 1024 bytes that are
    // 16 lines, and the 4096 bytes that are a block; the prefetches may name any address. The stores write the 256 bytes of each
    // of 16 rows of sums.
    unsafe {
        asm!(
            "ldtilecfg [{shapes}]",
            "tilezero tmm0",
            "tilezero tmm1",
            "tilezero tmm2",
            "tilezero tmm3",
            "2:",
            "tileloadd tmm4, [{line} + {width}]",
            "tileloadd tmm5, [{block} + {width}]",
            "tdpbf16ps tmm0, tmm4, tmm5",
            "tileloadd tmm6, [{block} + {width} + 1024]",
            "tdpbf16ps tmm1, tmm4, tmm6",
            "tileloadd tmm7, [{block} + {width} + 2048]",
            "tdpbf16ps tmm2, tmm4, tmm7",
            "tileloadd tmm5, [{block} + {width} + 3072]",
            "tdpbf16ps tmm3, tmm4, tmm5",
            "add {line}, 1024",
            "add {block}, 4096",
            "dec {step}",
            "jnz 2b",
            "tilestored [{sums} + {row}], tmm0",
            "tilestored [{sums} + {row} + 64], tmm1",
            "tilestored [{sums} + {row} + 128], tmm2",
            "tilestored [{sums} + {row} + 192], tmm3",
            "tilerelease",
            shapes = in(reg) &raw const SHAPES,
            line = inout(reg) lines.as_ptr() => _,
            width = in(reg) size_of::<Line>(),
            step = inout(reg) steps => _,
            row = in(reg) size_of::<[f32; PANEL]>(),
            block = inout(reg) panel.as_ptr() => _,
            sums = in(reg) sums.0.as_mut_ptr(),
            out("tmm0") _, out("tmm1") _, out("tmm2") _, out("tmm3") _,
            out("tmm4") _, out("tmm5") _, out("tmm6") _, out("tmm7") _,
            options(nostack),
        );
    }
}

/// The number of steps of a panel, for which a tile has lines.
fn check(lines: &[Line], rows: usize, panel: &[Block]) -> usize {
    assert!(is_available(), "checked by the caller");
    assert_eq!(lines.len(), rows * panel.len());
    panel.len()
}
