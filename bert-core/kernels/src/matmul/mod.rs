//! Matrix products: large ones by the `gemm` crate, those of few rows and those by packed matrices by a micro-kernel of our own.

mod gemm;
mod matrix;
mod microkernel;
pub(crate) mod packed;
pub(crate) mod panels;
mod skinny;
pub(crate) mod transpose;

pub use gemm::matmul;
pub use matrix::Matrix;
pub use packed::{PackedMatrix, packing_pays};

/// Rows up to which a product is skinny: packing the right matrix is not worth it, and with too few rows for each thread it is
/// the columns that are spread.
const SKINNY_ROWS: usize = 48;

/// Multiplications from which a product by our micro-kernel is worth spreading over threads.
const MIN_PARALLEL: usize = 1 << 21;
