//! Training in 16 bits with weights kept in 32.

use burn::module::{Module, ModuleMapper, Param};
use burn::tensor::{FloatDType, Tensor};
use serde::{Deserialize, Serialize};

/// A copy of `module` with its weights rounded to `dtype`, ready to take gradients: what a step runs on, while the
/// optimizer moves the original.
pub fn rounded<M: Module>(module: M, dtype: FloatDType) -> M {
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
