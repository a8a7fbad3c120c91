//! Weights of linear layers, laid out once for the kernels of a backend.

use std::fmt::{self, Debug, Formatter};

#[cfg(feature = "flex")]
use super::host::{FloatMatrix, Int8Matrix};

/// A weight `[d_input, d_output]` as kernels read it. Only Flex has kernels that do.
pub struct HeldWeight(pub(super) Kind);

pub(super) enum Kind {
    /// In 32 bits, packed.
    #[cfg(feature = "flex")]
    Float(FloatMatrix),
    /// In 8 bits, packed.
    #[cfg(feature = "flex")]
    Int8(Int8Matrix),
}

#[cfg(feature = "flex")]
impl HeldWeight {
    /// `values`, rows of `columns` one after another, in 32 bits.
    pub(crate) fn float(values: &[f32], columns: usize) -> Self {
        Self(Kind::Float(FloatMatrix::pack(values, columns)))
    }

    /// The same in 8 bits; none if a value is not finite.
    pub(crate) fn int8(values: &[f32], columns: usize) -> Option<Self> {
        Int8Matrix::quantize(values, columns).map(|matrix| Self(Kind::Int8(matrix)))
    }
}

impl HeldWeight {
    /// What it stands for, row by row.
    pub(crate) fn floats(&self) -> Vec<f32> {
        match self.0 {
            #[cfg(feature = "flex")]
            Kind::Float(ref matrix) => matrix.floats(),
            #[cfg(feature = "flex")]
            Kind::Int8(ref matrix) => matrix.floats(),
        }
    }

    /// `[d_input, d_output]`.
    pub(crate) fn shape(&self) -> [usize; 2] {
        match self.0 {
            #[cfg(feature = "flex")]
            Kind::Float(ref matrix) => matrix.shape(),
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
