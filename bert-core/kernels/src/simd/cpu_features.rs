//! Properties of the processor that decide which kernels are faster.

use std::sync::LazyLock;

static AMD_WITH_AVX512: LazyLock<bool> = LazyLock::new(|| {
    #[cfg(target_arch = "x86_64")]
    if std::arch::is_x86_feature_detected!("avx512f") {
        return is_amd(vendor());
    }
    false
});

/// True for AMD's processors with AVX-512: what MKL and `gemm` gain on Intel's, they do not gain there
/// (docs/performance.md).
pub fn is_amd_with_avx512() -> bool {
    *AMD_WITH_AVX512
}

/// True if `vendor` is AMD's vendor string.
#[cfg(target_arch = "x86_64")]
fn is_amd(vendor: [u8; 12]) -> bool {
    vendor == *b"AuthenticAMD"
}

/// Vendor string of CPUID.
#[cfg(target_arch = "x86_64")]
fn vendor() -> [u8; 12] {
    let leaf = std::arch::x86_64::__cpuid(0);
    let mut vendor = [0; 12];
    for (to, from) in vendor
        .chunks_exact_mut(4)
        .zip([leaf.ebx, leaf.edx, leaf.ecx])
    {
        to.copy_from_slice(&from.to_le_bytes());
    }
    vendor
}

#[cfg(all(test, target_arch = "x86_64"))]
mod tests {
    use super::*;

    #[test]
    fn intel_s_processors_are_left_to_mkl_and_gemm() {
        assert!(!is_amd(*b"GenuineIntel"));
        assert!(is_amd(*b"AuthenticAMD"));
    }

    #[cfg(target_os = "linux")]
    #[test]
    #[cfg_attr(miri, ignore = "CPUID")]
    fn the_vendor_is_the_one_that_the_system_names() {
        let processors = std::fs::read_to_string("/proc/cpuinfo").unwrap();
        let of = |key: &str| {
            let line = processors.lines().find(|line| line.starts_with(key));
            line.and_then(|line| line.split(':').nth(1)).unwrap().trim()
        };
        assert_eq!(String::from_utf8_lossy(&vendor()), of("vendor_id"));
        let expected = of("vendor_id") == "AuthenticAMD" && of("flags").contains("avx512f");
        assert_eq!(is_amd_with_avx512(), expected);
    }
}
