//! Kernels of this build that this processor can run, for those who decide by them.

/// The instructions of this processor that make weights in bf16 faster than floats, with our kernels; `None` if it has none.
pub(crate) fn bfloat16_instructions() -> Option<&'static str> {
    #[cfg(feature = "kernels")]
    return bert_kernels::bf16::instructions();
    #[cfg(not(feature = "kernels"))]
    None
}

/// The instructions of this processor that make weights in 8 bits faster than floats, on Flex; `None` if it has none.
pub(crate) fn int8_instructions() -> Option<&'static str> {
    #[cfg(feature = "flex")]
    return bert_kernels::int8::instructions();
    #[cfg(not(feature = "flex"))]
    None
}

/// True if products with packed weights are faster on this processor.
pub(crate) fn packed_weights_pay() -> bool {
    #[cfg(feature = "kernels")]
    return bert_kernels::matmul::packing_pays();
    #[cfg(not(feature = "kernels"))]
    false
}

/// True if LibTorch on the processor computes by the kernels of Flex.
pub(crate) fn libtorch_kernels_are_own() -> bool {
    #[cfg(feature = "tch")]
    return super::backends::libtorch::own_are_chosen();
    #[cfg(not(feature = "tch"))]
    false
}
