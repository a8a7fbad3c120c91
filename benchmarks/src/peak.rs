//! Peak rate of a device: that of a large matrix product.

/// Time of one product from which on a larger one says no more, in seconds.
const LONG_ENOUGH: f64 = 0.03;

/// Sizes that are tried, each as a square matrix.
const SIZES: [usize; 6] = [256, 512, 1024, 2048, 4096, 8192];

/// Products of each size.
const REPEATS: usize = 4;

/// The highest rate of `seconds(n)`, the time of a product of two `n` by `n` matrices, in floating-point operations per
/// second; a product counts `2 n³`.
///
/// # Errors
/// That of a product.
pub fn peak_flops<E>(mut seconds: impl FnMut(usize) -> Result<f64, E>) -> Result<f64, E> {
    let mut peak = 0.0_f64;
    for size in SIZES {
        let mut fastest = f64::INFINITY;
        for _ in 0..REPEATS {
            fastest = fastest.min(seconds(size)?);
        }
        let operations = 2.0 * (size as f64).powi(3);
        peak = peak.max(operations / fastest.max(1e-9));
        if fastest >= LONG_ENOUGH {
            break;
        }
    }
    Ok(peak)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_best_rate_of_any_size_counts() {
        let mut sizes = Vec::new();
        let peak = peak_flops(|size| {
            sizes.push(size);
            // 10 GFLOP/s, with 1 ms of overhead for each product.
            Ok::<_, ()>(2.0 * (size as f64).powi(3) / 1e10 + 0.001)
        });
        let peak = peak.unwrap();
        assert!(peak > 9.9e9 && peak < 1e10, "{peak}");
        assert_eq!(sizes.last(), Some(&1024), "{sizes:?}");
    }
}
