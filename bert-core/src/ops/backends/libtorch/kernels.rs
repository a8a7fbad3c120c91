//! Choice between LibTorch's kernels and those of [`bert_kernels`], on the processor.
//!
//! LibTorch multiplies with MKL, which uses AVX-512 on Intel's processors alone. On AMD's the products of [`bert_kernels`] are
//! twice as fast on Zen 5, and as fast on Zen 4, whose vectors are 256 bits wide inside and where a forward pass gains by what is
//! around them (docs/performance.md).

use std::sync::LazyLock;

use bert_kernels::simd::cpu_features::is_amd_with_avx512;

use crate::device::{TorchKernels, torch_kernels};

/// Those that `BERT_LIBTORCH_KERNELS` names, else those of this processor.
static CHOSEN: LazyLock<TorchKernels> = LazyLock::new(|| {
    let named = torch_kernels().unwrap_or_default();
    named.unwrap_or_else(for_this_processor)
});

/// True if the kernels of [`bert_kernels`] compute the operations that LibTorch has kernels for as well.
pub(crate) fn own_are_chosen() -> bool {
    *CHOSEN == TorchKernels::Own
}

fn for_this_processor() -> TorchKernels {
    match is_amd_with_avx512() {
        true => TorchKernels::Own,
        false => TorchKernels::LibTorch,
    }
}
