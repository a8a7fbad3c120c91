//! The gradients of a whole model, by parameter name.

use std::collections::BTreeMap;

use burn::module::{Module, ModuleVisitor, Param};
use burn::optim::GradientsParams;
use burn::tensor::{Device, FloatDType, Tensor};

use crate::checkpoint::load::Position;
use crate::ops;

/// One gradient per parameter that took part in the loss, in f32, each flat: `[parameter size]`.
///
/// Names are those of transformers' checkpoints; the order of all sums is that of the names, so that results don't depend
/// on chance.
#[derive(Clone, Debug, Default)]
pub struct ParameterGradients {
    by_name: BTreeMap<String, Tensor<1>>,
}

impl ParameterGradients {
    /// Takes the gradients of `module`'s parameters out of `gradients`.
    pub fn take<M: Module>(module: &M, gradients: GradientsParams) -> Self {
        let mut taker = Taker {
            position: Position::default(),
            gradients,
            by_name: BTreeMap::new(),
        };
        module.visit(&mut taker);
        Self {
            by_name: taker.by_name,
        }
    }

    pub(crate) fn remove(&mut self, name: &str) -> Option<Tensor<1>> {
        self.by_name.remove(name)
    }

    pub(crate) fn contains(&self, name: &str) -> bool {
        self.by_name.contains_key(name)
    }

    /// The sum of both, parameter by parameter.
    pub fn plus(mut self, other: Self) -> Self {
        for (name, gradient) in other.by_name {
            let sum = match self.by_name.remove(&name) {
                Some(sum) => sum + gradient,
                None => gradient,
            };
            self.by_name.insert(name, sum);
        }
        self
    }

    /// Every gradient copied to `device`.
    pub(crate) fn on_device(mut self, device: &Device) -> Self {
        self.map(|gradient| gradient.to_device(device));
        self
    }

    /// Leaves out the parameters whose name `keep` refuses.
    pub fn retain(&mut self, keep: impl Fn(&str) -> bool) {
        self.by_name.retain(|name, _| keep(name));
    }

    /// Everything multiplied by `factor`.
    pub fn scale(&mut self, factor: f64) {
        self.map(|gradient| gradient * factor);
    }

    /// Hands the only reference to each gradient over, so that it can be changed where it is.
    fn map(&mut self, change: impl Fn(Tensor<1>) -> Tensor<1>) {
        let gradients = std::mem::take(&mut self.by_name).into_iter();
        self.by_name = gradients
            .map(|(name, gradient)| (name, change(gradient)))
            .collect();
    }

    /// The Euclidean norm of all gradients together, `[1]`, on the device; `None` without any gradient.
    pub fn norm(&self) -> Option<Tensor<1>> {
        let squares = ops::sum_of_all_squares(self.by_name.values().cloned());
        squares.map(Tensor::sqrt)
    }

    /// The norm of the gradients, and the factor by which they are at most `maximum` long together, `[1]` each, without
    /// waiting for the device.
    ///
    /// `epsilon` is added to the norm that is divided by (PyTorch's `clip_grad_norm_`: 1e-6).
    pub fn clipping(&self, maximum: f64, epsilon: f64) -> Option<(Tensor<1>, Tensor<1>)> {
        ops::clipping(self.by_name.values().cloned(), maximum, epsilon)
    }
}

struct Taker {
    position: Position,
    gradients: GradientsParams,
    by_name: BTreeMap<String, Tensor<1>>,
}

impl ModuleVisitor for Taker {
    fn enter_module(&mut self, name: &str, container: &str) {
        self.position.enter(name, container);
    }

    fn exit_module(&mut self, _name: &str, _container: &str) {
        self.position.exit();
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        if let Some(gradient) = self.gradients.remove::<D>(param.id) {
            let size = gradient.shape().num_elements();
            let flat = gradient.cast(FloatDType::F32).reshape([size]);
            self.by_name.insert(self.position.name(), flat);
        }
    }
}
