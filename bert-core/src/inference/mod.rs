//! Models ready for inference, with weights in 32, in 16 or in 8 bits.
//!
//! [`prepare`] holds the weights of the encoder's linear layers, where nearly all the work is, as the kernels read them: in
//! floats on the processors where that is faster, or in bf16 or 8 bits if asked to.
//!
//! In floats they take as much memory as before, and nothing else changes.
//! Processors are AMD's with AVX-512, with Flex, with NdArray and with LibTorch where it [computes by the same
//! kernels](libtorch_kernels_are_own); elsewhere weights in floats stay as they are.
//!
//! In bf16 they take half the memory, and every token's vector is rounded to bf16 on its way into a layer; products are summed up
//! in f32, and so is all that follows them.
//! Flex, NdArray, and LibTorch with our kernels do so on processors with AMX or AVX-512 BF16, several times as fast as in floats.
//!
//! In 8 bits they take a quarter of the memory, and processors with AVX-512 VNNI or AMX compute products of whole numbers several
//! times as fast as those of floats.
//! Every column of a weight has a scale, from its largest magnitude, and every token's vector gets one, with a zero, from its
//! range as it comes (dynamic quantisation): nothing is calibrated, and a sentence's result does not depend on the batch that
//! it is in.
//!
//! A few elements of a token's vector that are far beyond the others stay in 32 bits.
//!
//! Embeddings, LayerNorm and attention stay in 32 bits, and so do the last layers of classifiers; in bf16 the pooler and the
//! hidden layers of heads, too, and with [`quantize_table`] the table of a masked-LM head does not.
//!
//! ```
//! # if !cfg!(feature = "flex") {
//! #     return Ok(());
//! # }
//! use bert_core::config::BertConfig;
//! use bert_core::device::DeviceSpec;
//! use bert_core::inference::{Weights, prepare};
//!
//! let device = "flex".parse::<DeviceSpec>()?.open()?;
//! let model = BertConfig::preset_by_name("tiny")?.init(0, &device);
//! let model = prepare(model, Weights::Int8)?;
//! # let _ = model;
//! # Ok::<(), bert_core::Error>(())
//! ```

use std::sync::Arc;

use burn::module::{Module, Param, Reparameterizer};
use burn::tensor::{Device, Tensor};

use crate::device::{Precision, is_flex, is_libtorch_processor, is_ndarray, set_dtype};
use crate::error::{Error, Result};
use crate::ops::{self, PackedParam, PackedWeight};

mod awake;

/// Part of the names of packed parameters: the matrices of the encoder's layers.
const LAYERS: &str = "encoder.layer.";

/// Ends of the names of matrices outside the encoder that are packed in 8 bits: those of the pooler, and of the hidden layers
/// of heads.
const HIDDEN_LAYERS: [&str; 3] = [
    "pooler.dense.weight",
    "transform.dense.weight",
    "pre_classifier.dense.weight",
];

/// Precision of the packed weights of the encoder's linear layers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Weights {
    /// In the float type of the device.
    #[default]
    Float,
    /// In bf16.
    BFloat16,
    /// In 8 bits.
    Int8,
}

/// The model, or any part with an encoder, ready for inference.
///
/// Weights are packed as the kernels read them and kept nowhere else: reading a layer's parameter (to save the model, to
/// train it) unpacks them, floats to the bit, and from then on that layer computes with the parameter.
///
/// # Errors
///
/// With [`Weights::BFloat16`] [`Error::BFloat16NotSupported`] on a device that does not run our kernels, and
/// [`Error::NoBFloat16Instructions`].
/// With [`Weights::Int8`] [`Error::Int8NotSupported`] on another device than Flex, and [`Error::NotFinite`].
pub fn prepare<M: Module>(model: M, weights: Weights) -> Result<M> {
    let mut error = None;
    let model = model.apply_reparameterization(WeightPacker {
        weights,
        error: &mut error,
    });
    match error {
        Some(error) => Err(error),
        None => {
            if weights != Weights::Float {
                ops::release_replaced_weights();
            }
            Ok(model)
        }
    }
}

/// The table `[rows, width]` of this name, whose rows a masked-LM head compares its vectors with, as a matrix `[width, rows]` in
/// 8 bits.
///
/// # Errors
///
/// [`Error::Int8NotSupported`] on another device than Flex, and [`Error::NotFinite`].
pub fn quantize_table(name: &str, table: &Param<Tensor<2>>) -> Result<Arc<PackedWeight>> {
    let matrix = Param::from_tensor(table.val().transpose());
    quantize(name, &matrix).map(Arc::new)
}

/// Settles the float type of `device` for models that infer in `precision`, and returns how [`prepare`] is to hold their
/// weights.
///
/// Devices that compute by our kernels have bf16 as [`Weights::BFloat16`] among tensors in f32; on all others the tensors are in
/// `precision` themselves, as [`set_dtype`] has it, which also says when to call it and what `label` is.
///
/// # Errors
///
/// [`Error::NoBFloat16Instructions`], and those of [`set_dtype`].
pub fn set_precision(device: &Device, label: &str, precision: Precision) -> Result<Weights> {
    if precision != Precision::BF16 || !computes_by_our_kernels(device) {
        set_dtype(device, label, precision)?;
        return Ok(Weights::Float);
    }
    if bfloat16_instructions().is_none() {
        return Err(Error::NoBFloat16Instructions);
    }
    set_dtype(device, label, Precision::F32)?;
    Ok(Weights::BFloat16)
}

/// The instructions of this processor that make weights in bf16 faster than floats, with our kernels; `None` if it has none.
pub fn bfloat16_instructions() -> Option<&'static str> {
    ops::bfloat16_instructions()
}

/// The instructions of this processor that make weights in 8 bits faster than floats, on Flex; `None` if it has none.
pub fn int8_instructions() -> Option<&'static str> {
    ops::int8_instructions()
}

struct WeightPacker<'a> {
    weights: Weights,
    error: &'a mut Option<Error>,
}

impl Reparameterizer for WeightPacker<'_> {
    type Reparam = PackedParam;

    fn reparameterize<const D: usize>(
        &mut self,
        path: &str,
        param: Param<Tensor<D>>,
    ) -> (Param<Tensor<D>>, Option<PackedParam>) {
        let is_hidden = || HIDDEN_LAYERS.iter().any(|end| path.ends_with(end));
        let is_packed = path.contains(LAYERS) || self.weights == Weights::Int8 && is_hidden();
        if D != 2 || !is_packed || self.error.is_some() {
            return (param, None);
        }
        let packed = match self.weights {
            Weights::Float => Ok(pack(&param)),
            Weights::BFloat16 => round(path, &param).map(Some),
            Weights::Int8 => quantize(path, &param).map(Some),
        };
        match packed {
            Ok(Some(weight)) => {
                let (param, packed) = PackedParam::attach(&param, weight);
                (param, Some(packed))
            }
            Ok(None) => (param, None),
            Err(error) => {
                *self.error = Some(error);
                (param, None)
            }
        }
    }
}

/// The weight in packed panels, where they are faster.
fn pack<const D: usize>(param: &Param<Tensor<D>>) -> Option<PackedWeight> {
    if !prefers_packed_weights(&param.lazy_device()) {
        return None;
    }
    let data = param.val().into_data();
    let columns = data.shape().last().copied()?;
    PackedWeight::panels(data.as_slice::<f32>().ok()?, columns)
}

fn round<const D: usize>(path: &str, param: &Param<Tensor<D>>) -> Result<PackedWeight> {
    let device = param.lazy_device();
    if !computes_by_our_kernels(&device) {
        return Err(Error::BFloat16NotSupported {
            device: format!("{device:?}"),
        });
    }
    if bfloat16_instructions().is_none() {
        return Err(Error::NoBFloat16Instructions);
    }
    pack_rows(path, param, PackedWeight::bfloat16)
}

fn quantize<const D: usize>(path: &str, param: &Param<Tensor<D>>) -> Result<PackedWeight> {
    let device = param.lazy_device();
    if !is_flex(&device) {
        return Err(Error::Int8NotSupported {
            device: format!("{device:?}"),
        });
    }
    pack_rows(path, param, PackedWeight::int8)
}

/// The weight as `pack` packs its rows of a number of columns.
fn pack_rows<const D: usize>(
    path: &str,
    param: &Param<Tensor<D>>,
    pack: fn(&[f32], usize) -> Option<PackedWeight>,
) -> Result<PackedWeight> {
    let data = param.val().into_data().convert::<f32>();
    let columns = data.shape().last().copied().unwrap_or(1);
    let values = data.as_slice::<f32>().ok();
    let weight = values.and_then(|values| pack(values, columns));
    weight.ok_or_else(|| Error::NotFinite {
        name: path.to_owned(),
    })
}

/// True if LibTorch on the processor runs matrix products, and the operations around them, in the kernels of Flex, which are
/// faster than LibTorch's own there: on AMD's processors with AVX-512, or as the environment variable `BERT_LIBTORCH_KERNELS`
/// (`own`, `libtorch`) has it. False in a build without LibTorch.
pub fn libtorch_kernels_are_own() -> bool {
    ops::libtorch_kernels_are_own()
}

/// Tokens up to which the threads of our kernels are kept awake: with more, kernels last long enough for waking not to matter,
/// and looking for work in vain costs more than it gains.
const FEW_TOKENS: usize = 128;

/// Runs `work` on `tokens` tokens with the threads awake that our kernels are spread over, if they compute without gradients
/// on `device`, and the tokens are few.
pub(crate) fn with_threads_awake<R: Send>(
    device: &Device,
    tokens: usize,
    work: impl FnOnce() -> R + Send,
) -> R {
    if tokens <= FEW_TOKENS && computes_by_our_kernels(device) {
        return awake::with_threads_awake(work);
    }
    work()
}

/// True if matrix products with packed weights are faster on this device, which is one without autodiff.
fn prefers_packed_weights(device: &Device) -> bool {
    ops::packed_weights_pay() && computes_by_our_kernels(device)
}

/// True for Flex and NdArray, and for LibTorch with the kernels that those run; false for any device with autodiff.
pub(crate) fn computes_by_our_kernels(device: &Device) -> bool {
    is_flex(device)
        || is_ndarray(device)
        || ops::libtorch_kernels_are_own() && is_libtorch_processor(device)
}
