//! Weights of linear layers, packed for the kernels that read them, for models that only infer.

use std::sync::Arc;

#[cfg(feature = "kernels")]
use bert_kernels::{bf16::Bf16Matrix, int8::QuantizedMatrix, matmul::PackedMatrix};
use burn::backend::backend_extension;
use burn::backend::tensor::FloatTensor;
use burn::tensor::TensorData;

use super::{Activation, BertOps, linear};

/// Returns to the system the memory of weights that packed ones have replaced.
pub(crate) fn release_replaced_weights() {
    #[cfg(feature = "kernels")]
    bert_kernels::memory::release_freed();
}

/// The weight `[d_input, d_output]` of a linear layer, packed for the kernel that multiplies with it.
#[derive(Debug)]
pub enum PackedWeight {
    /// In bf16.
    #[cfg(feature = "kernels")]
    BFloat16(Bf16Matrix),
    /// In 8 bits.
    #[cfg(feature = "kernels")]
    Int8(QuantizedMatrix),
    /// In floats.
    #[cfg(feature = "kernels")]
    Panels(PackedMatrix),
}

/// Products with packed weights; they have no gradients.
#[backend_extension(
    Autodiff,
    Flex: cfg(feature = "flex"),
    NdArray: cfg(feature = "ndarray"),
    LibTorch: cfg(feature = "tch"),
    Cube: cfg(any(feature = "wgpu", feature = "cuda", feature = "rocm", feature = "cpu")),
    Remote: cfg(feature = "remote")
)]
pub trait PackedWeightOps: BertOps {
    /// [`project`](BertOps::project) with a packed weight, and the activation of it.
    ///
    /// The default body multiplies with the unpacked weight; with one in 8 bits an override quantises `input` too, each row with
    /// a scale of its own.
    ///
    /// # Shapes
    ///
    /// - input: `[..., any, d_input]`
    /// - bias: `[d_output]`
    /// - weight: `[d_input, d_output]`
    /// - output: `[..., any, d_output]`
    fn project_packed(
        input: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        weight: Arc<PackedWeight>,
        activation: Activation,
    ) -> FloatTensor<Self> {
        linear::project_data::<Self>(input, bias, weight.floats(), activation)
    }

    /// The feed-forward layer of a block, [`project_packed`](PackedWeightOps::project_packed) with an activation and again without, for
    /// which an override need not write what is between.
    fn feed_forward_packed(
        input: FloatTensor<Self>,
        first: FloatTensor<Self>,
        second: FloatTensor<Self>,
        weights: [Arc<PackedWeight>; 2],
        activation: Activation,
    ) -> FloatTensor<Self> {
        let [by_first, by_second] = weights;
        let widened = Self::project_packed(input, first, by_first, activation);
        Self::project_packed(widened, second, by_second, Activation::Identity)
    }

    /// Gated activation by two layers, `activation(gate(input)) · other(input)`, for which an override need not write all gates.
    ///
    /// # Shapes
    ///
    /// - input: `[..., any, d_input]`
    /// - of_gate, of_other, the biases: `[d_output]`
    /// - weights: `[d_input, d_output]` each
    /// - output: `[..., any, d_output]`
    fn project_packed_gated(
        input: FloatTensor<Self>,
        of_gate: FloatTensor<Self>,
        of_other: FloatTensor<Self>,
        weights: [Arc<PackedWeight>; 2],
        activation: Activation,
    ) -> FloatTensor<Self> {
        let [gate, other] = weights;
        let gate = Self::project_packed(input.clone(), of_gate, gate, activation);
        let other = Self::project_packed(input, of_other, other, Activation::Identity);
        Self::float_mul(gate, other)
    }

    /// [`project_packed`](PackedWeightOps::project_packed) of one input by three layers, which an override quantises once for all.
    fn project_packed_thrice(
        input: FloatTensor<Self>,
        first: FloatTensor<Self>,
        second: FloatTensor<Self>,
        third: FloatTensor<Self>,
        weights: [Arc<PackedWeight>; 3],
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
        let [by_first, by_second, by_third] = weights;
        (
            Self::project_packed(input.clone(), first, by_first, Activation::Identity),
            Self::project_packed(input.clone(), second, by_second, Activation::Identity),
            Self::project_packed(input, third, by_third, Activation::Identity),
        )
    }
}

impl PackedWeight {
    /// The nearest numbers of 8 bits to `values`, rows of `columns` one after another; `None` if a value is not finite, or in a
    /// build without the kernels.
    pub(crate) fn int8(values: &[f32], columns: usize) -> Option<Self> {
        #[cfg(feature = "kernels")]
        return QuantizedMatrix::quantize(values, columns).map(Self::Int8);
        #[cfg(not(feature = "kernels"))]
        {
            let _ = (values, columns);
            None
        }
    }

    /// The nearest numbers of bf16 to `values`, rows of `columns` one after another; `None` in a build without the kernels.
    pub(crate) fn bfloat16(values: &[f32], columns: usize) -> Option<Self> {
        #[cfg(feature = "kernels")]
        return Some(Self::BFloat16(Bf16Matrix::round(values, columns)));
        #[cfg(not(feature = "kernels"))]
        {
            let _ = (values, columns);
            None
        }
    }

    /// `values` in panels; `None` in a build without the kernels.
    pub(crate) fn panels(values: &[f32], columns: usize) -> Option<Self> {
        #[cfg(feature = "kernels")]
        return Some(Self::Panels(PackedMatrix::pack(values, columns)));
        #[cfg(not(feature = "kernels"))]
        {
            let _ = (values, columns);
            None
        }
    }

    /// The weight in f32, dequantised, widened or unpacked, `[d_input, d_output]`.
    pub(crate) fn floats(&self) -> TensorData {
        TensorData::new(self.values(), self.shape())
    }

    fn values(&self) -> Vec<f32> {
        match *self {
            #[cfg(feature = "kernels")]
            Self::BFloat16(ref weight) => weight.widen(),
            #[cfg(feature = "kernels")]
            Self::Int8(ref weight) => weight.dequantize(),
            #[cfg(feature = "kernels")]
            Self::Panels(ref weight) => weight.unpack(),
        }
    }

    fn shape(&self) -> [usize; 2] {
        match *self {
            #[cfg(feature = "kernels")]
            Self::BFloat16(ref weight) => weight.shape(),
            #[cfg(feature = "kernels")]
            Self::Int8(ref weight) => weight.shape(),
            #[cfg(feature = "kernels")]
            Self::Panels(ref weight) => weight.shape(),
        }
    }
}
