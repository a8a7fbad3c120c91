//! Weights of linear layers, laid out once for the kernels of a backend.

use std::fmt::{self, Debug, Formatter};

#[cfg(feature = "flex")]
use super::host::Int8Matrix;

/// A weight `[d_input, d_output]` as kernels read it. Only Flex has kernels that do.
pub struct HeldWeight(pub(super) Kind);

pub(super) enum Kind {
    /// In 8 bits.
    #[cfg(feature = "flex")]
    Int8(Int8Matrix),
}

impl HeldWeight {
    /// `values`, rows of `columns` one after another, in 8 bits; none if a value is not finite.
    #[cfg(feature = "flex")]
    pub(crate) fn int8(values: &[f32], columns: usize) -> Option<Self> {
        Int8Matrix::quantize(values, columns).map(|matrix| Self(Kind::Int8(matrix)))
    }

    /// What it stands for, row by row.
    pub(crate) fn floats(&self) -> Vec<f32> {
        match self.0 {
            #[cfg(feature = "flex")]
            Kind::Int8(ref matrix) => matrix.floats(),
        }
    }

    /// `[d_input, d_output]`.
    pub(crate) fn shape(&self) -> [usize; 2] {
        match self.0 {
            #[cfg(feature = "flex")]
            Kind::Int8(ref matrix) => matrix.shape(),
        }
    }
}

impl Debug for HeldWeight {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "HeldWeight {:?}", self.shape())
    }
}
