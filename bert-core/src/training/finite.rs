//! Weights and optimizer state without infinities and NaN.

use burn::module::{Module, ModuleVisitor, Param};
use burn::tensor::{FloatDType, Tensor};

use super::optimizer::Optimizer;
use crate::checkpoint::load::Position;
use crate::ops;

/// The first weight of `module`, which takes gradients, or running mean of `optimizer` that is not finite: its name for a
/// message. Waits for the device once.
///
/// Sums of squares are what is looked at: the gradients' norm has them computed for these shapes already, so that nothing
/// is compiled or tuned for the sake of looking.
pub(crate) fn first_not_finite<M: Module>(module: &M, optimizer: &Optimizer) -> Option<String> {
    let mut weights = Weights::default();
    module.visit(&mut weights);
    let Weights {
        mut names,
        mut sums,
        ..
    } = weights;
    for (name, moments) in optimizer.moments() {
        for (kind, tensor) in [("exp_avg", &moments.first), ("exp_avg_sq", &moments.second)] {
            names.push(format!("the optimizer's {kind} of `{name}`"));
            sums.push(ops::sum_of_squares(tensor.clone()));
        }
    }
    if sums.is_empty() {
        return None;
    }
    let sums = Tensor::cat(sums, 0).into_data(); // [names]
    let mut found = names.into_iter().zip(sums.iter::<f64>());
    found
        .find(|(_, sum)| !sum.is_finite())
        .map(|(name, _)| name)
}

#[derive(Default)]
struct Weights {
    position: Position,
    names: Vec<String>,
    sums: Vec<Tensor<1>>,
}

impl ModuleVisitor for Weights {
    fn enter_module(&mut self, name: &str, container: &str) {
        self.position.enter(name, container);
    }

    fn exit_module(&mut self, _name: &str, _container: &str) {
        self.position.exit();
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let value = param.val().inner();
        let size = value.shape().num_elements();
        let flat = value.cast(FloatDType::F32).reshape([size]);
        self.names
            .push(format!("the weight `{}`", self.position.name()));
        self.sums.push(ops::sum_of_squares(flat));
    }
}
