//! Kernels of BERT for processors: slices in, slices out, no tensors.
//!
//! A kernel is a plain loop: [`simd`] compiles it for the widest vectors of the processor it runs on, and [`parallel`] spreads
//! chunks of it over Rayon's threads. Chunks have a fixed size and partial sums are added in order, so that a result depends
//! neither on the number of threads nor on which of them was faster.
//!
//! Matrices are row-major. A kernel that fills an output takes it uninitialised and returns it initialised ([`output`]), since
//! clearing what is overwritten anyway takes as long as a pass over it; the others work in place.
//!
//! Words of the matrix products are those of BLIS: a *micro-kernel* multiplies a tile of a few rows by a *packed panel* of a few
//! vectors, a *K-block* of the depth at a time, and adds it up in registers.

pub mod activation;
pub mod adam;
pub mod attention;
pub mod bf16;
pub mod cross_entropy;
pub mod embedding;
pub mod gate;
pub mod gradient_norm;
pub mod int8;
pub mod layer_norm;
pub mod linear;
pub mod matmul;
pub mod memory;
pub mod output;
pub mod parallel;
pub mod rotary;
pub mod simd;
pub mod softmax;
#[cfg(test)]
mod testing;
