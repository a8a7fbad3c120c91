//! Weights of linear layers in 8 bits, which only the kernels of Flex read: other builds have none.

#[cfg(feature = "flex")]
pub use super::flex::Int8Weight;

/// A weight in 8 bits, of which a build without Flex has none.
#[cfg(not(feature = "flex"))]
#[derive(Debug)]
pub enum Int8Weight {}

#[cfg(not(feature = "flex"))]
impl Int8Weight {
    pub(crate) fn quantize(_: &[f32], _: usize) -> Option<Self> {
        None
    }

    pub(crate) fn floats(&self) -> Vec<f32> {
        match *self {}
    }

    pub(crate) fn shape(&self) -> [usize; 2] {
        match *self {}
    }
}
