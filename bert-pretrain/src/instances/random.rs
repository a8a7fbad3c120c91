//! Random streams that depend on what is drawn for and not on who draws.

use rand::{RngExt, SeedableRng, rngs::ChaCha8Rng};

/// The ChaCha8 stream for one place in a run: `seed`, then numbers such as epoch and document.
///
/// Streams of different paths are independent of each other, and of the thread that asks; each
/// number is folded into a key drawn from the stream of the numbers before it.
pub fn stream(seed: u64, place: &[u64]) -> ChaCha8Rng {
    place
        .iter()
        .fold(ChaCha8Rng::seed_from_u64(seed), |mut above, number| {
            let mut key: [u8; 32] = above.random();
            for (byte, part) in key.iter_mut().zip(number.to_le_bytes()) {
                *byte ^= part;
            }
            ChaCha8Rng::from_seed(key)
        })
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn every_place_has_its_own_stream() {
        let paths: [(u64, &[u64]); 9] = [
            (0, &[]),
            (0, &[0]),
            (0, &[0, 0]),
            (0, &[1]),
            (0, &[1, 0]),
            (0, &[0, 1]),
            (0, &[1 << 63]),
            (1, &[0]),
            (u64::MAX, &[0]),
        ];
        let first = |(seed, path)| stream(seed, path).random::<u64>();
        let drawn: HashSet<u64> = paths.into_iter().map(first).collect();
        assert_eq!(drawn.len(), paths.len());
        assert_eq!(first((7, &[5, 13])), first((7, &[5, 13])));
    }

    #[test]
    fn bits_are_balanced_across_neighbouring_places() {
        let ones: u32 = (0..1000)
            .map(|document| stream(42, &[0, document]).random::<u64>().count_ones())
            .sum();
        // 64,000 fair bits: 126 is one standard deviation.
        assert!((31_370..=32_630).contains(&ones), "{ones}");
    }
}
