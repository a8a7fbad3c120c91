//! Whose kernels compute what both LibTorch and [`host`] have one for, on the processor.
//!
//! LibTorch multiplies with MKL, which uses AVX-512 on Intel's processors alone. On AMD's the products of [`host`] are twice as
//! fast on Zen 5, and as fast on Zen 4, whose vectors are 256 bits wide inside and where a forward pass gains by what is around
//! them (docs/performance.md).

use std::env::{self, VarError};
use std::sync::LazyLock;

use burn::backend::libtorch::TchTensor;

use crate::error::{Error, Result};
use crate::ops::host;

/// Names the kernels that are to be used instead of those that the processor decides for.
const VARIABLE: &str = "BERT_LIBTORCH_KERNELS";

/// Whose kernels LibTorch's tensors on the processor are computed with, where there is a choice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kernels {
    /// LibTorch's: MKL and ATen.
    LibTorch,
    /// Those that Flex runs too.
    Own,
}

static CHOSEN: LazyLock<Kernels> =
    LazyLock::new(|| chosen_kernels().unwrap_or_else(|_| for_this_processor()));

/// Whether these are computed by the kernels of [`host`].
pub(super) fn are_own<const N: usize>(tensors: [&TchTensor; N]) -> bool {
    *CHOSEN == Kernels::Own && host::are_here(tensors)
}

/// Those that `BERT_LIBTORCH_KERNELS` names, else those of this processor.
///
/// # Errors
///
/// [`Error::InvalidVariable`] if the variable names none.
pub(crate) fn chosen_kernels() -> Result<Kernels> {
    match env::var(VARIABLE) {
        Ok(name) => named(&name),
        Err(VarError::NotPresent) => Ok(for_this_processor()),
        Err(VarError::NotUnicode(name)) => named(&name.to_string_lossy()),
    }
}

fn named(name: &str) -> Result<Kernels> {
    match name {
        "" => Ok(for_this_processor()),
        "libtorch" => Ok(Kernels::LibTorch),
        "own" => Ok(Kernels::Own),
        _ => Err(Error::InvalidVariable {
            name: VARIABLE,
            value: name.to_owned(),
            allowed: "libtorch or own",
        }),
    }
}

fn for_this_processor() -> Kernels {
    #[cfg(target_arch = "x86_64")]
    if std::arch::is_x86_feature_detected!("avx512f") {
        return suited(maker());
    }
    Kernels::LibTorch
}

/// The kernels for a processor with AVX-512, by what CPUID calls its maker.
#[cfg(target_arch = "x86_64")]
fn suited(maker: [u8; 12]) -> Kernels {
    match &maker {
        b"AuthenticAMD" => Kernels::Own,
        _ => Kernels::LibTorch,
    }
}

#[cfg(target_arch = "x86_64")]
fn maker() -> [u8; 12] {
    let leaf = std::arch::x86_64::__cpuid(0);
    let mut maker = [0; 12];
    for (to, from) in maker
        .chunks_exact_mut(4)
        .zip([leaf.ebx, leaf.edx, leaf.ecx])
    {
        to.copy_from_slice(&from.to_le_bytes());
    }
    maker
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kernels_have_names() {
        assert_eq!(named("libtorch").unwrap(), Kernels::LibTorch);
        assert_eq!(named("own").unwrap(), Kernels::Own);
        assert_eq!(named("").unwrap(), for_this_processor());
        let error = named("mkl").unwrap_err().to_string();
        for part in [VARIABLE, "mkl", "libtorch or own"] {
            assert!(error.contains(part), "{error}");
        }
    }

    #[cfg(target_arch = "x86_64")]
    #[test]
    fn intel_s_processors_are_left_to_mkl() {
        assert_eq!(suited(*b"GenuineIntel"), Kernels::LibTorch);
        assert_eq!(suited(*b"AuthenticAMD"), Kernels::Own);
    }

    #[cfg(all(target_arch = "x86_64", target_os = "linux"))]
    #[test]
    fn the_maker_is_the_one_that_the_system_names() {
        let processors = std::fs::read_to_string("/proc/cpuinfo").unwrap();
        let line = processors
            .lines()
            .find(|line| line.starts_with("vendor_id"));
        let name = line.and_then(|line| line.split(':').nth(1)).unwrap().trim();
        assert_eq!(String::from_utf8_lossy(&maker()), name);
    }
}
