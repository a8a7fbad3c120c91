//! Parameters whose weight a kernel holds in a layout of its own.

use std::sync::Arc;

use burn::module::{Module, Param, Reparameterization};
use burn::nn::Linear;
use burn::tensor::Tensor;

use super::PackedWeight;

/// A weight that a kernel reads in place of a parameter; it has no parameters of its own and changes nothing for readers of
/// the parameter.
#[derive(Module, Debug)]
pub(crate) struct PackedParam {
    #[module(skip)]
    weight: Arc<PackedWeight>,
}

impl Reparameterization for PackedParam {
    const NAME: &'static str = "packed";

    fn apply<const D: usize>(&self, base: Tensor<D>) -> Tensor<D> {
        base
    }
}

impl PackedParam {
    /// Attaches `weight` to `param`, whose own value becomes lazy.
    pub(crate) fn attach<const D: usize>(
        param: &Param<Tensor<D>>,
        weight: PackedWeight,
    ) -> (Param<Tensor<D>>, Self) {
        let weight = Arc::new(weight);
        (lazily_unpacked(param, weight.clone()), Self { weight })
    }

    /// The packed weight of `layer`, unless it has none, it is out of date, or `input` needs a gradient.
    pub(super) fn weight_of<const D: usize>(
        layer: &Linear,
        input: &Tensor<D>,
    ) -> Option<Arc<PackedWeight>> {
        let packed = layer.weight.reparameterization::<Self>()?;
        // Once the parameter has a value, that may have been changed.
        let current = !layer.weight.is_initialized() && !input.device().is_autodiff();
        current.then(|| packed.weight.clone())
    }
}

/// A lazy parameter that unpacks or dequantises `weight` on first access; keeps `require_grad`.
fn lazily_unpacked<const D: usize>(
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
