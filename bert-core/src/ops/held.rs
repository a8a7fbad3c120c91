//! Weights of linear layers as kernels read them, for models that only infer.

use burn::tensor::TensorData;

#[cfg(feature = "flex")]
use super::flex::Int8Weight;
#[cfg(any(feature = "flex", feature = "tch"))]
use super::host::PanelWeight;

/// The weight `[d_input, d_output]` of a linear layer, laid out for the kernel that multiplies with it.
#[derive(Debug)]
pub enum HeldWeight {
    /// In 8 bits, which only the kernels of Flex read.
    #[cfg(feature = "flex")]
    Int8(Int8Weight),
    /// In floats, for the kernels that Flex and LibTorch run on processors.
    #[cfg(any(feature = "flex", feature = "tch"))]
    Panels(PanelWeight),
}

impl HeldWeight {
    /// The nearest numbers of 8 bits to `values`, rows of `columns` one after another; none if a value is not finite, or in a
    /// build without Flex.
    pub(crate) fn int8(values: &[f32], columns: usize) -> Option<Self> {
        #[cfg(feature = "flex")]
        return Int8Weight::quantize(values, columns).map(Self::Int8);
        #[cfg(not(feature = "flex"))]
        {
            let _ = (values, columns);
            None
        }
    }

    /// `values` in panels; none in a build without kernels for them.
    pub(crate) fn panels(values: &[f32], columns: usize) -> Option<Self> {
        #[cfg(any(feature = "flex", feature = "tch"))]
        return Some(Self::Panels(PanelWeight::pack(values, columns)));
        #[cfg(not(any(feature = "flex", feature = "tch")))]
        {
            let _ = (values, columns);
            None
        }
    }

    /// The weight in f32, dequantised or unpacked, `[d_input, d_output]`.
    pub(crate) fn floats(&self) -> TensorData {
        TensorData::new(self.values(), self.shape())
    }

    fn values(&self) -> Vec<f32> {
        match *self {
            #[cfg(feature = "flex")]
            Self::Int8(ref weight) => weight.floats(),
            #[cfg(any(feature = "flex", feature = "tch"))]
            Self::Panels(ref weight) => weight.floats(),
        }
    }

    fn shape(&self) -> [usize; 2] {
        match *self {
            #[cfg(feature = "flex")]
            Self::Int8(ref weight) => weight.shape(),
            #[cfg(any(feature = "flex", feature = "tch"))]
            Self::Panels(ref weight) => weight.shape(),
        }
    }
}
