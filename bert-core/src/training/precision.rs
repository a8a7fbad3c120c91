//! Training in 16 bits with weights kept in 32.

use burn::module::{Module, ModuleMapper, Param};
use burn::tensor::{Device, FloatDType, Tensor};
use serde::{Deserialize, Serialize};

use crate::device::Precision;
use crate::error::{Error, Result};
use crate::inference::{bfloat16_instructions, computes_by_our_kernels};
use crate::ops::Products;

/// Float types of the forward and backward pass of a step; the optimizer's are f32.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PassPrecision {
    /// f32.
    Full,
    /// bf16 for the operands of matrix products, f32 for their sums and for all else, weights included.
    Products,
    /// This type for weights, and for all that is computed from them.
    Tensors(FloatDType),
}

impl PassPrecision {
    /// Types of a step in `precision` on `device`, which has no autodiff and is called `label` in messages.
    ///
    /// Devices that compute by our kernels have bf16 as [`Products`](Self::Products).
    ///
    /// # Errors
    ///
    /// [`Error::NoBFloat16Instructions`] for the products on a processor that has none, and [`Error::DTypeNotSupported`].
    pub fn new(precision: Precision, device: &Device, label: &str) -> Result<Self> {
        let dtype = FloatDType::from(precision);
        match precision {
            Precision::F32 => Ok(Self::Full),
            Precision::BF16 if computes_by_our_kernels(device) => match bfloat16_instructions() {
                Some(_) => Ok(Self::Products),
                None => Err(Error::NoBFloat16Instructions),
            },
            _ if device.supports_dtype(dtype) => Ok(Self::Tensors(dtype)),
            _ => Err(Error::DTypeNotSupported {
                label: label.to_owned(),
                dtype: precision.to_string(),
                supported: Precision::F32.to_string(),
            }),
        }
    }

    /// A copy of `model` for the passes of a step, ready to take gradients, while the optimizer moves the original.
    pub fn working_copy<M: Module>(self, model: &M) -> M {
        match self {
            Self::Full | Self::Products => model.clone(),
            Self::Tensors(dtype) => rounded(model.clone(), dtype),
        }
    }

    /// Float type of matrix products.
    pub fn products(self) -> Products {
        match self {
            Self::Products => Products::BFloat16,
            Self::Full | Self::Tensors(_) => Products::Float,
        }
    }
}

/// A copy of `module` with its weights rounded to `dtype`, ready to take gradients.
fn rounded<M: Module>(module: M, dtype: FloatDType) -> M {
    struct Round(FloatDType);
    impl ModuleMapper for Round {
        fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
            let (id, tensor, mapper) = param.consume();
            let strategy = tensor.gradient_checkpointing_strategy();
            let requires_gradient = tensor.is_require_grad();
            let mut tensor = Tensor::<D>::from_inner(tensor.inner().cast(self.0));
            if let Some(strategy) = strategy {
                tensor = tensor.with_gradient_checkpointing_strategy(strategy);
            }
            if requires_gradient {
                tensor = tensor.require_grad();
            }
            Param::from_mapped_value(id, tensor, mapper)
        }
    }
    module.map(&mut Round(dtype))
}

/// The factor that keeps small gradients from vanishing in f16 (Micikevicius et al. 2018 §3.2): halved when a gradient
/// overflows, whose step is skipped, and doubled after a while without.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct LossScale {
    /// The factor.
    pub scale: f64,
    /// Steps since it last changed.
    pub good_steps: u64,
}

impl Default for LossScale {
    fn default() -> Self {
        Self {
            scale: 65_536.0,
            good_steps: 0,
        }
    }
}

impl LossScale {
    const GROWTH_INTERVAL: u64 = 2000;
    const LOWEST: f64 = 1.0;

    /// True where the loss is not scaled any more, so that gradients which are not finite are no overflow of the scale's
    /// making.
    pub(crate) fn is_lowest(&self) -> bool {
        self.scale <= Self::LOWEST
    }

    /// Takes note of a step; false means that its gradients overflowed and must not be used.
    pub(crate) fn update(&mut self, finite: bool) -> bool {
        if !finite {
            self.scale = (self.scale / 2.0).max(Self::LOWEST);
            self.good_steps = 0;
        } else {
            self.good_steps += 1;
            if self.good_steps == Self::GROWTH_INTERVAL {
                self.scale = (self.scale * 2.0).min(f64::from(1_u32 << 24));
                self.good_steps = 0;
            }
        }
        finite
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn overflow_halves_and_patience_doubles() {
        let mut scale = LossScale::default();
        assert!(!scale.update(false));
        assert_eq!(scale.scale, 32_768.0);
        for _ in 0..LossScale::GROWTH_INTERVAL {
            assert!(scale.update(true));
        }
        assert_eq!(scale, LossScale::default());
        for _ in 0..16 {
            assert!(!scale.is_lowest());
            scale.update(false);
        }
        assert!(scale.is_lowest());
    }
}
