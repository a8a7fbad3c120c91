//! Sums of products of bf16 on the matrix unit (AMX) that Intel's servers have since Sapphire Rapids.

use core::arch::asm;
use std::sync::LazyLock;

use super::Sums;
use super::activations::Line;
use super::tile_shape::{FEW_ROWS, MATRIX_ROWS};
use super::weights::{Block, PANEL};
use crate::simd::amx::{self, SHAPES};

/// Steps of a K-block: those of half a tile and of half a panel, 16 KiB each, stay in the L1 cache.
const K_BLOCK: usize = 8;

/// True if the processor has AMX for bf16 and the system lets this process use it, for which it is asked the first time.
pub(super) fn is_available() -> bool {
    static IS_AVAILABLE: LazyLock<bool> = LazyLock::new(|| amx::is_available(amx::BF16));
    *IS_AVAILABLE
}

/// Instructions that add a K-block of 32 rows by 32 columns to their sums, which begin at zero in the first: from offsets of bytes
/// in a step of the rows, in one of the panel, and in the sums.
macro_rules! quarter {
    ($rows:literal, $columns:literal, $sums:literal) => {
        concat!(
            "lea {line}, [{lines} + ",
            $rows,
            "]\n",
            "lea {block}, [{panel} + ",
            $columns,
            "]\n",
            "mov {step}, {steps}\n",
            "test {done}, {done}\n",
            "jnz 3f\n",
            "tilezero tmm0\n",
            "tilezero tmm1\n",
            "tilezero tmm2\n",
            "tilezero tmm3\n",
            "jmp 4f\n",
            "3:\n",
            "tileloadd tmm0, [{sums} + {row} + ",
            $sums,
            "]\n",
            "tileloadd tmm1, [{sums} + {row} + ",
            $sums,
            " + 64]\n",
            "tileloadd tmm2, [{sums} + {row} + ",
            $sums,
            " + 4096]\n",
            "tileloadd tmm3, [{sums} + {row} + ",
            $sums,
            " + 4160]\n",
            "4:\n",
            "tileloadd tmm6, [{block} + {width}]\n",
            "tileloadd tmm4, [{line} + {width}]\n",
            "tdpbf16ps tmm0, tmm4, tmm6\n",
            "tileloadd tmm7, [{block} + {width} + 1024]\n",
            "tdpbf16ps tmm1, tmm4, tmm7\n",
            "tileloadd tmm5, [{line} + {width} + 1024]\n",
            "tdpbf16ps tmm2, tmm5, tmm6\n",
            "tdpbf16ps tmm3, tmm5, tmm7\n",
            "add {line}, 4096\n",
            "add {block}, 4096\n",
            "dec {step}\n",
            "jnz 4b\n",
            "tilestored [{sums} + {row} + ",
            $sums,
            "], tmm0\n",
            "tilestored [{sums} + {row} + ",
            $sums,
            " + 64], tmm1\n",
            "tilestored [{sums} + {row} + ",
            $sums,
            " + 4096], tmm2\n",
            "tilestored [{sums} + {row} + ",
            $sums,
            " + 4160], tmm3",
        )
    };
}

/// The sums of the first `count` rows of a tile of 64 with a panel, all over the whole depth; others may be written too.
///
/// Each half of the rows and of the columns of a K-block is read twice, the second time from the L1 cache.
///
/// # Shapes
///
/// - lines: `[steps, 64]`
/// - panel: `[steps]`
#[expect(
    unsafe_code,
    reason = "the instructions have no other form in stable Rust"
)]
pub(super) fn sums(lines: &[Line], count: usize, panel: &[Block], sums: &mut Sums) {
    let steps = check(lines, MATRIX_ROWS, panel);
    if steps == 0 {
        sums.0.fill([0.0; PANEL]);
        return;
    }
    // SAFETY: the processor has the instructions, and the system lets this process use them. A step reads the 4096 bytes that are
    // 64 lines, or the first half of them, and the 4096 bytes that are a block; loads and stores of sums stay within their 64 rows
    // of 256 bytes.
    unsafe {
        asm!(
            "ldtilecfg [{done}]",
            "xor {done:e}, {done:e}",
            "2:",
            "mov {steps:e}, {k_block}",
            "cmp {rest}, {k_block}",
            "cmovb {steps}, {rest}",
            quarter!("0", "0", "0"),
            quarter!("0", "2048", "128"),
            "test {lower:e}, {lower:e}",
            "jz 5f",
            quarter!("2048", "2048", "8320"),
            quarter!("2048", "0", "8192"),
            "5:",
            "mov {done:e}, 1",
            "sub {rest}, {steps}",
            "shl {steps}, 12",
            "add {lines}, {steps}",
            "add {panel}, {steps}",
            "test {rest}, {rest}",
            "jnz 2b",
            "tilerelease",
            k_block = const K_BLOCK,
            done = inout(reg) &raw const SHAPES => _,
            rest = inout(reg) steps => _,
            steps = out(reg) _,
            lines = inout(reg) lines.as_ptr() => _,
            panel = inout(reg) panel.as_ptr() => _,
            sums = in(reg) sums.0.as_mut_ptr(),
            lower = in(reg) u32::from(count > MATRIX_ROWS / 2),
            step = out(reg) _,
            line = out(reg) _,
            block = out(reg) _,
            width = in(reg) size_of::<Line>(),
            row = in(reg) size_of::<[f32; PANEL]>(),
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
