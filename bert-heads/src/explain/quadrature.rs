//! Points and weights for integrals over a path.

use std::f64::consts::PI;

/// `count` points between 0 and 1 and their weights (Gauss & Legendre), exact for polynomials up to
/// degree `2 * count - 1`; the weights sum to 1.
///
/// For outputs as smooth as those of a network it takes far fewer points than Riemann sums.
pub(super) fn gauss_legendre(count: usize) -> Vec<(f64, f64)> {
    (0..count)
        .map(|index| {
            // Newton's method on the Legendre polynomial, from Tricomi's estimate of its roots.
            let mut x = (PI * (index as f64 + 0.75) / (count as f64 + 0.5)).cos();
            let mut slope = 1.0;
            for _ in 0..20 {
                let value;
                (value, slope) = legendre(count, x);
                x -= value / slope;
            }
            // From [-1, 1] to [0, 1].
            ((1.0 - x) / 2.0, 1.0 / ((1.0 - x * x) * slope * slope))
        })
        .collect()
}

/// The Legendre polynomial of a degree above 0, and its derivative, inside of (-1, 1).
fn legendre(degree: usize, x: f64) -> (f64, f64) {
    let (mut value, mut before) = (1.0, 0.0);
    for k in 0..degree {
        let k = k as f64;
        (value, before) = (
            ((2.0 * k + 1.0) * x * value - k * before) / (k + 1.0),
            value,
        );
    }
    (value, degree as f64 * (x * value - before) / (x * x - 1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn polynomials_are_integrated_exactly() {
        for count in [1, 2, 5, 50] {
            let points = gauss_legendre(count);
            assert!(
                points.windows(2).all(|pair| pair[0].0 < pair[1].0),
                "{points:?}"
            );
            for power in 0..2 * count as i32 {
                let found: f64 = points.iter().map(|(x, w)| w * x.powi(power)).sum();
                let expected = 1.0 / f64::from(power + 1);
                assert!(
                    (found - expected).abs() < 1e-13,
                    "{count} points, x^{power}: {found}"
                );
            }
        }
    }
}
