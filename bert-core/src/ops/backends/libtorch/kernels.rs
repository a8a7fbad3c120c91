//! Choice between LibTorch's kernels and those of [`bert_kernels`], on the processor.
//!
//! LibTorch multiplies with MKL, which uses AVX-512 on Intel's processors alone. On AMD's the products of [`bert_kernels`] are
//! twice as fast on Zen 5, and as fast on Zen 4, whose vectors are 256 bits wide inside and where a forward pass gains by what is
//! around them (docs/performance.md).

use std::env::{self, VarError};
use std::sync::LazyLock;

use bert_kernels::simd::cpu_features::is_amd_with_avx512;

use crate::error::{Error, Result};

/// Variable that names the kernels, instead of the choice for this processor.
const VARIABLE: &str = "BERT_LIBTORCH_KERNELS";

/// The kernels that compute operations on LibTorch's tensors on the processor, where there is a choice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kernels {
    /// LibTorch's: MKL and ATen.
    LibTorch,
    /// Those that Flex runs too.
    Own,
}

static CHOSEN: LazyLock<Kernels> =
    LazyLock::new(|| chosen_kernels().unwrap_or_else(|_| for_this_processor()));

/// True if the kernels of [`bert_kernels`] compute the operations that LibTorch has kernels for as well.
pub(crate) fn own_are_chosen() -> bool {
    *CHOSEN == Kernels::Own
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
    match is_amd_with_avx512() {
        true => Kernels::Own,
        false => Kernels::LibTorch,
    }
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
}
