//! Whose kernels compute what both LibTorch and [`host`] have one for, on the processor.
//!
//! LibTorch multiplies with MKL, which uses AVX-512 on Intel's processors alone. On AMD's the products of [`host`] are twice as
//! fast on Zen 5, and as fast on Zen 4, whose vectors are 256 bits wide inside and where a forward pass gains by what is around
//! them (docs/performance.md).

use std::sync::LazyLock;

use burn::backend::libtorch::TchTensor;

use crate::device::{TorchKernels, torch_kernels};
use crate::ops::host;

/// Those that `BERT_LIBTORCH_KERNELS` names, else those of this processor.
static CHOSEN: LazyLock<TorchKernels> = LazyLock::new(|| {
    let named = torch_kernels().unwrap_or_default();
    named.unwrap_or_else(for_this_processor)
});

/// True if the kernels of [`host`] compute the operations that LibTorch has kernels for as well.
pub(crate) fn own_are_chosen() -> bool {
    *CHOSEN == TorchKernels::Own
}

/// True if the kernels of [`host`] compute operations on these tensors.
pub(super) fn are_own<const N: usize>(tensors: [&TchTensor; N]) -> bool {
    own_are_chosen() && host::are_here(tensors)
}

fn for_this_processor() -> TorchKernels {
    match host::is_amd_with_avx512() {
        true => TorchKernels::Own,
        false => TorchKernels::LibTorch,
    }
}
