//! Setting that chooses the kernels of LibTorch's tensors on the processor.

use std::env::{self, VarError};

use crate::error::{Error, Result};

/// Names the kernels to use instead of those that the processor decides for.
const VARIABLE: &str = "BERT_LIBTORCH_KERNELS";

/// Kernels of LibTorch's tensors on the processor, where there is a choice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TorchKernels {
    /// LibTorch's: MKL and ATen.
    LibTorch,
    /// Those that Flex runs too.
    Own,
}

/// The kernels that `BERT_LIBTORCH_KERNELS` names; `None` leaves the choice to the processor.
///
/// # Errors
///
/// [`Error::InvalidVariable`] if the variable names none.
pub(crate) fn torch_kernels() -> Result<Option<TorchKernels>> {
    match env::var(VARIABLE) {
        Ok(name) => named(&name),
        Err(VarError::NotPresent) => Ok(None),
        Err(VarError::NotUnicode(name)) => named(&name.to_string_lossy()),
    }
}

fn named(name: &str) -> Result<Option<TorchKernels>> {
    match name {
        "" => Ok(None),
        "libtorch" => Ok(Some(TorchKernels::LibTorch)),
        "own" => Ok(Some(TorchKernels::Own)),
        _ => Err(Error::InvalidVariable {
            name: VARIABLE,
            value: name.to_owned(),
            allowed: "libtorch or own",
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kernels_have_names() {
        assert_eq!(named("libtorch").unwrap(), Some(TorchKernels::LibTorch));
        assert_eq!(named("own").unwrap(), Some(TorchKernels::Own));
        assert_eq!(named("").unwrap(), None);
        let error = named("mkl").unwrap_err().to_string();
        for part in [VARIABLE, "mkl", "libtorch or own"] {
            assert!(error.contains(part), "{error}");
        }
    }
}
