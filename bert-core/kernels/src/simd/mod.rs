//! Loops compiled for the vectors of the processor at hand.

use macerator::{AutoArch, Simd, WithSimd};

#[cfg(all(target_arch = "x86_64", target_os = "linux"))]
pub(crate) mod amx;
pub mod cpu_features;
pub(crate) mod math;

/// Runs `kernel` compiled for the widest vectors of this processor (AVX-512, AVX2, NEON).
///
/// Functions called by the kernel are compiled so only where they are inlined.
#[inline(always)]
pub(crate) fn vectorized<R>(kernel: impl FnOnce() -> R) -> R {
    struct Kernel<F>(F);

    impl<R, F: FnOnce() -> R> WithSimd for Kernel<F> {
        type Output = R;

        #[inline(always)]
        fn with_simd<S: Simd>(self) -> R {
            (self.0)()
        }
    }

    AutoArch::new().dispatch(Kernel(kernel))
}

/// Floats in a vector of this processor.
pub(crate) fn lanes() -> usize {
    struct Lanes;

    impl WithSimd for Lanes {
        type Output = usize;

        #[inline(always)]
        fn with_simd<S: Simd>(self) -> usize {
            S::lanes32()
        }
    }

    AutoArch::new().dispatch(Lanes)
}
