//! Conversion of floats to bf16 and back.

/// The upper half of the float nearest to `value`, ties to even; NaN stays NaN.
#[inline(always)]
pub(super) fn rounded(value: f32) -> u16 {
    let bits = value.to_bits();
    let nearest = bits.wrapping_add(0x7FFF + (bits >> 16 & 1)) >> 16;
    // Only the lower half of a NaN may say that it is one.
    let quiet = bits >> 16 | 0x40;
    (if value.is_nan() { quiet } else { nearest }) as u16
}

/// Two numbers as they lie in memory, the first before the second.
#[inline(always)]
pub(super) fn pair_of(first: f32, second: f32) -> u32 {
    let [first, second] = [first, second].map(|value| u32::from(rounded(value)));
    if cfg!(target_endian = "little") {
        first | second << 16
    } else {
        first << 16 | second
    }
}

/// The float that a number stands for.
#[inline(always)]
pub(super) fn widened(number: u16) -> f32 {
    f32::from_bits(u32::from(number) << 16)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn floats_are_rounded_to_the_nearest_number_and_ties_to_even() {
        let step = 1.0 / 128.0; // between 1 and 2
        for (value, expected) in [
            (1.0, 1.0),
            (-1.5, -1.5),
            (1.0 + 0.49 * step, 1.0),
            (1.0 + 0.51 * step, 1.0 + step),
            (1.0 + 0.5 * step, 1.0),
            (1.0 + 1.5 * step, 1.0 + 2.0 * step),
            (-2.0 + 0.25 * step, -2.0),
            (0.0, 0.0),
            (f32::MAX, f32::INFINITY),
            (f32::NEG_INFINITY, f32::NEG_INFINITY),
        ] {
            assert_eq!(widened(rounded(value)), expected, "{value}");
        }
        for bits in [0x7F80_0001, 0xFFFF_FFFF, 0x7FC0_0000] {
            assert!(widened(rounded(f32::from_bits(bits))).is_nan(), "{bits:x}");
        }
        assert_eq!(rounded(-0.0), 0x8000);
    }
}
