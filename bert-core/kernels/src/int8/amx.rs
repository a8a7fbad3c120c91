//! Sums of products of 8-bit numbers on the matrix unit (AMX) that Intel's servers have since Sapphire Rapids: 32 rows by a
//! panel, the same whole numbers that every other instruction gives.

use core::arch::asm;
use std::sync::LazyLock;

use super::tile_shape::MATRIX_ROWS;
use super::weights::{Group, PANEL};
use crate::simd::amx::{self, SHAPES};

/// Groups that the unit takes at a time.
const STEP: usize = 16;

/// True if AMX is available and rows of `groups` groups fill its tiles.
pub(super) fn supports_depth(groups: usize) -> bool {
    groups > 0 && groups.is_multiple_of(STEP) && is_available()
}

/// True if the processor has AMX for 8-bit numbers and the system lets this process use it, for which it is asked the first
/// time.
pub(super) fn is_available() -> bool {
    static IS_AVAILABLE: LazyLock<bool> = LazyLock::new(|| amx::is_available(amx::INT8));
    *IS_AVAILABLE
}

/// The sums of rows with a panel, all over the whole depth.
///
/// # Shapes
///
/// - rows: `[32, groups]`, each group four numbers from 0 to 255
/// - panel: `[groups]`
#[expect(
    unsafe_code,
    reason = "the instructions have no other form in stable Rust"
)]
pub(super) fn sums(rows: &[i32], panel: &[Group], sums: &mut [[i32; PANEL]; MATRIX_ROWS]) {
    let groups = panel.len();
    assert!(supports_depth(groups), "checked by the caller");
    assert_eq!(rows.len(), MATRIX_ROWS * groups);
    // SAFETY: the processor has the instructions, and the system lets this process use them. For each of two halves of the
    // columns, a step reads 64 bytes from each of the 32 rows, which have that many for every step, and 128 bytes from each of
    // sixteen groups of 256; the stores write 128 bytes in each of the 32 rows of sums, which have 256.
    unsafe {
        asm!(
            "ldtilecfg [{shapes}]",
            "2:",
            "mov {step}, {steps}",
            "mov {upper}, {rows}",
            "mov {line}, {panel}",
            "tilezero tmm0",
            "tilezero tmm1",
            "tilezero tmm2",
            "tilezero tmm3",
            "3:",
            "tileloadd tmm4, [{upper} + {row}]",
            "tileloadd tmm6, [{line} + {group}]",
            "tdpbusd tmm0, tmm4, tmm6",
            "tileloadd tmm7, [{line} + {group} + 64]",
            "tdpbusd tmm1, tmm4, tmm7",
            "lea {lower}, [{upper} + {row}*8]",
            "lea {lower}, [{lower} + {row}*8]",
            "tileloadd tmm5, [{lower} + {row}]",
            "tdpbusd tmm2, tmm5, tmm6",
            "tdpbusd tmm3, tmm5, tmm7",
            "add {upper}, 64",
            "add {line}, 4096",
            "dec {step}",
            "jnz 3b",
            "tilestored [{sums} + {group}], tmm0",
            "tilestored [{sums} + {group} + 64], tmm1",
            "tilestored [{sums} + {group} + 4096], tmm2",
            "tilestored [{sums} + {group} + 4160], tmm3",
            "add {panel}, 128",
            "add {sums}, 128",
            "dec {halves}",
            "jnz 2b",
            "tilerelease",
            shapes = in(reg) &raw const SHAPES,
            rows = in(reg) rows.as_ptr(),
            row = in(reg) groups * size_of::<i32>(),
            steps = in(reg) groups / STEP,
            step = out(reg) _,
            upper = out(reg) _,
            lower = out(reg) _,
            line = out(reg) _,
            group = in(reg) size_of::<Group>(),
            panel = inout(reg) panel.as_ptr() => _,
            sums = inout(reg) sums.as_mut_ptr() => _,
            halves = inout(reg) 2_usize => _,
            out("tmm0") _, out("tmm1") _, out("tmm2") _, out("tmm3") _,
            out("tmm4") _, out("tmm5") _, out("tmm6") _, out("tmm7") _,
            options(nostack),
        );
    }
}
