//! Models ready for inference, with weights in 32 or in 8 bits.
//!
//! [`prepare`] holds the weights of the encoder's linear layers, where nearly all the work is, as the kernels read them: in
//! floats on the processors where that is faster, or in 8 bits if asked to.
//!
//! In floats they take as much memory as before, and nothing else changes.
//! Processors are AMD's with AVX-512, with Flex, with NdArray and with LibTorch where it [computes by the same
//! kernels](crate::device::LibTorchInfo::own_kernels); elsewhere weights in floats stay as they are.
//!
//! In 8 bits they take a quarter of the memory, and processors with AVX-512 VNNI or AMX compute products of whole numbers several
//! times as fast as those of floats.
//! Every column of a weight has a scale, from its largest magnitude, and every token's vector gets one, with a zero, from its
//! range as it comes (dynamic quantisation): nothing is calibrated, and a sentence's result does not depend on the batch that
//! it is in.
//! Embeddings, LayerNorm, attention, pooler and heads stay in 32 bits.
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

use burn::module::{Module, Param, Reparameterization, Reparameterizer};
use burn::nn::Linear;
use burn::tensor::Tensor;

use crate::device::{is_flex, multiplies_panels};
use crate::error::{Error, Result};
use crate::ops::PackedWeight;

/// Which parameters are held so: the matrices of the encoder's layers.
const LAYERS: &str = "encoder.layer.";

/// How the weights of the encoder's linear layers are held.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Weights {
    /// In the float type of the device.
    #[default]
    Float,
    /// In 8 bits.
    Int8,
}

/// The model, or any part with an encoder, ready for inference.
///
/// Weights are held as the kernels read them and nowhere else: whoever asks a layer for its parameter (to save the model, to
/// train it) gets what they stand for, floats to the bit, and from then on that layer computes with it.
///
/// # Errors
///
/// With [`Weights::Int8`] [`Error::Int8NotSupported`] on another device than Flex, and [`Error::NotFinite`].
pub fn prepare<M: Module>(model: M, weights: Weights) -> Result<M> {
    let mut error = None;
    let model = model.apply_reparameterization(Holder {
        weights,
        error: &mut error,
    });
    match error {
        Some(error) => Err(error),
        None => Ok(model),
    }
}

/// The instructions of this processor that make weights in 8 bits faster than floats, on Flex; `None` if it has none.
pub fn int8_instructions() -> Option<&'static str> {
    #[cfg(feature = "flex")]
    return crate::ops::int8_instructions();
    #[cfg(not(feature = "flex"))]
    None
}

/// A weight that a kernel holds; it has no parameters of its own and changes nothing for those who read the weight.
#[derive(Module, Debug)]
struct Held {
    #[module(skip)]
    weight: Arc<PackedWeight>,
}

impl Reparameterization for Held {
    const NAME: &'static str = "held";

    fn apply<const D: usize>(&self, base: Tensor<D>) -> Tensor<D> {
        base
    }
}

struct Holder<'a> {
    weights: Weights,
    error: &'a mut Option<Error>,
}

impl Reparameterizer for Holder<'_> {
    type Reparam = Held;

    fn reparameterize<const D: usize>(
        &mut self,
        path: &str,
        param: Param<Tensor<D>>,
    ) -> (Param<Tensor<D>>, Option<Held>) {
        if D != 2 || !path.contains(LAYERS) || self.error.is_some() {
            return (param, None);
        }
        let held = match self.weights {
            Weights::Float => Ok(pack(&param)),
            Weights::Int8 => quantize(path, &param).map(Some),
        };
        match held {
            Ok(Some(weight)) => {
                let weight = Arc::new(weight);
                (on_demand(&param, weight.clone()), Some(Held { weight }))
            }
            Ok(None) => (param, None),
            Err(error) => {
                *self.error = Some(error);
                (param, None)
            }
        }
    }
}

/// The weight in panels, where they are faster.
fn pack<const D: usize>(param: &Param<Tensor<D>>) -> Option<PackedWeight> {
    if !multiplies_panels(&param.lazy_device()) {
        return None;
    }
    let data = param.val().into_data();
    let columns = data.shape().last().copied()?;
    PackedWeight::panels(data.as_slice::<f32>().ok()?, columns)
}

fn quantize<const D: usize>(path: &str, param: &Param<Tensor<D>>) -> Result<PackedWeight> {
    let device = param.lazy_device();
    if !is_flex(&device) {
        return Err(Error::Int8NotSupported {
            device: format!("{device:?}"),
        });
    }
    let data = param.val().into_data().convert::<f32>();
    let columns = data.shape().last().copied().unwrap_or(1);
    let values = data.as_slice::<f32>().ok();
    let weight = values.and_then(|values| PackedWeight::int8(values, columns));
    weight.ok_or_else(|| Error::NotFinite {
        name: path.to_owned(),
    })
}

/// The parameter with what `weight` stands for, which is computed when somebody reads it; frozen, if it was.
fn on_demand<const D: usize>(
    param: &Param<Tensor<D>>,
    weight: Arc<PackedWeight>,
) -> Param<Tensor<D>> {
    let trainable = param.clone().train().is_require_grad();
    Param::uninitialized(
        param.id,
        move |device, require_grad| {
            Tensor::from_data(weight.floats(), device)
                .set_require_grad(require_grad && device.is_autodiff())
        },
        param.lazy_device(),
        trainable,
        param.lazy_shape(),
    )
}

/// The weight of `layer` as a kernel holds it, if one does, if that is not out of date, and if `input` needs no gradient.
pub(crate) fn weight_of<const D: usize>(
    layer: &Linear,
    input: &Tensor<D>,
) -> Option<Arc<PackedWeight>> {
    let held = layer.weight.reparameterization::<Held>()?;
    // Once the parameter has a value, that may have been changed.
    let current = !layer.weight.is_initialized() && !input.device().is_autodiff();
    current.then(|| held.weight.clone())
}
