//! AdamW and LAMB over named parameters.

use std::collections::BTreeMap;

use burn::module::{Module, ModuleMapper, ModuleVisitor, Param};
use burn::tensor::Tensor;

use super::gradients::ParameterGradients;
use super::recipe::{Algorithm, OptimizerConfig};
use crate::checkpoint::load::Position;
use crate::ops::{self, AdamStep};

/// Weight decay and learning rate of one parameter's update.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ParameterRule {
    /// Weight decay applies.
    pub decays: bool,
    /// Factor on the learning rate; 0 leaves the parameter as it is.
    pub learning_rate_scale: f64,
}

/// The rule for each parameter by its name in transformers' spelling.
pub type ParameterRules = dyn Fn(&str) -> ParameterRule + Send;

/// Weight decay for everything but biases and LayerNorm, as all recipes have it.
pub fn default_rule(name: &str) -> ParameterRule {
    let exempt = name.ends_with(".bias") || name.contains("LayerNorm");
    ParameterRule {
        decays: !exempt,
        learning_rate_scale: 1.0,
    }
}

/// Running means of a parameter's gradient and of its square, flat: `[parameter size]` each.
#[derive(Clone, Debug)]
pub(crate) struct Moments {
    pub(crate) first: Tensor<1>,
    pub(crate) second: Tensor<1>,
}

/// An optimizer with its state, which is kept by parameter name and so fits the same model on any device.
pub struct Optimizer {
    config: OptimizerConfig,
    rules: Box<ParameterRules>,
    steps: u64,
    moments: BTreeMap<String, Moments>,
}

impl Optimizer {
    /// A fresh optimizer; biases and LayerNorm are exempt from weight decay.
    pub fn new(config: OptimizerConfig) -> Self {
        Self {
            config,
            rules: Box::new(default_rule),
            steps: 0,
            moments: BTreeMap::new(),
        }
    }

    /// Sets the rule for each parameter.
    pub fn with_rules(mut self, rules: impl Fn(&str) -> ParameterRule + Send + 'static) -> Self {
        self.rules = Box::new(rules);
        self
    }

    /// Its numbers.
    pub fn config(&self) -> &OptimizerConfig {
        &self.config
    }

    /// Updates made.
    pub fn steps(&self) -> u64 {
        self.steps
    }

    pub(crate) fn moments(&self) -> &BTreeMap<String, Moments> {
        &self.moments
    }

    pub(crate) fn restore(&mut self, steps: u64, moments: BTreeMap<String, Moments>) {
        self.steps = steps;
        self.moments = moments;
    }

    /// Clips `gradients` and moves the parameters of `module`; returns the module and the norm of the gradients before
    /// clipping, `[1]`, which stays on the device.
    ///
    /// Parameters without a gradient are left alone, decay included, as in PyTorch.
    pub fn step<M: Module>(
        &mut self,
        module: M,
        mut gradients: ParameterGradients,
        learning_rate: f64,
    ) -> (M, Option<Tensor<1>>) {
        gradients.retain(|name| (self.rules)(name).learning_rate_scale != 0.0);
        let (norm, factor) = match self.config.max_gradient_norm {
            Some(maximum) => gradients
                .clipping(maximum, self.config.clip_epsilon)
                .unzip(),
            None => (gradients.norm(), None),
        };
        self.steps += 1;
        let updated = match &factor {
            Some(factor) => self.update_in_fours(&module, &mut gradients, factor, learning_rate),
            None => BTreeMap::new(),
        };
        let mut stepper = Stepper {
            position: Position::default(),
            optimizer: self,
            gradients,
            updated,
            factor,
            learning_rate,
        };
        (module.map(&mut stepper), norm)
    }

    /// New values by their names, flat, of the parameters that are updated four at once: of small ones, and of large ones of one
    /// size, as many as four times some share a step. Their gradients are taken out of `gradients`.
    fn update_in_fours<M: Module>(
        &mut self,
        module: &M,
        gradients: &mut ParameterGradients,
        factor: &Tensor<1>,
        learning_rate: f64,
    ) -> BTreeMap<String, Tensor<1>> {
        let mut values = Values::default();
        module.visit(&mut values);
        let mut groups: Vec<Alike> = Vec::new();
        for (name, value) in values.by_name {
            if !gradients.contains(&name) {
                continue;
            }
            let (step, _) = self.step_of(&name, learning_rate);
            if step.rate.is_none() {
                continue;
            }
            let size = Some(value.dims()[0]).filter(|&size| size > SMALL);
            let mut fitting = groups.iter_mut();
            match fitting.find(|alike| (alike.step, alike.size) == (step, size)) {
                Some(alike) => alike.parameters.push((name, value)),
                None => groups.push(Alike {
                    step,
                    size,
                    parameters: vec![(name, value)],
                }),
            }
        }
        let mut updated = BTreeMap::new();
        for Alike {
            step, parameters, ..
        } in groups
        {
            let (fours, _) = parameters.as_chunks::<4>();
            for four in fours {
                let tensors = four.each_ref().map(|(name, value)| {
                    let gradient = gradients.remove(name).expect("it was there above");
                    let Moments { first, second } = self.take_moments(name, &gradient);
                    [value.clone(), gradient, first, second]
                });
                let outputs = ops::adam_update_of_four(tensors, factor.clone(), step);
                for ((name, _), [value, first, second]) in four.iter().zip(outputs) {
                    let moments = Moments { first, second };
                    self.moments.insert(name.clone(), moments);
                    updated.insert(name.clone(), value);
                }
            }
        }
        updated
    }

    /// The numbers of an update of a parameter, and its learning rate; no rate where a trust ratio comes first.
    fn step_of(&self, name: &str, learning_rate: f64) -> (AdamStep, f64) {
        let OptimizerConfig {
            algorithm,
            beta1,
            beta2,
            epsilon,
            bias_correction,
            weight_decay,
            ..
        } = self.config;
        let rule = (self.rules)(name);
        let (correction1, correction2) = if bias_correction {
            let steps = self.steps as f64;
            (1.0 - beta1.powf(steps), 1.0 - beta2.powf(steps))
        } else {
            (1.0, 1.0)
        };
        let decay = if rule.decays { weight_decay } else { 0.0 };
        let rate = learning_rate * rule.learning_rate_scale;
        // Trust ratios only where there is decay, as in NVIDIA's FusedLAMB.
        let with_trust_ratio = algorithm == Algorithm::Lamb && decay != 0.0;
        let step = AdamStep {
            rate: (!with_trust_ratio).then_some(rate),
            beta1,
            beta2,
            correction1,
            correction2,
            epsilon,
            decay,
        };
        (step, rate)
    }

    /// The running means of a parameter, which are handed over; zeros before its first update.
    fn take_moments(&mut self, name: &str, gradient: &Tensor<1>) -> Moments {
        self.moments.remove(name).unwrap_or_else(|| Moments {
            first: gradient.zeros_like(),
            second: gradient.zeros_like(),
        })
    }

    /// The new value of a parameter, flat, by its gradient multiplied by `factor`.
    fn update(
        &mut self,
        name: &str,
        value: Tensor<1>,
        gradient: Tensor<1>,
        factor: Option<Tensor<1>>,
        learning_rate: f64,
    ) -> Tensor<1> {
        let (step, rate) = self.step_of(name, learning_rate);
        let Moments { first, second } = self.take_moments(name, &gradient);
        // Whoever else holds the value keeps a backend from writing over it.
        let kept = step.rate.is_none().then(|| value.clone());
        let [output, first, second] =
            ops::adam_update(value, gradient, first, second, factor, step);
        self.moments
            .insert(name.to_owned(), Moments { first, second });
        match kept {
            Some(value) => {
                let ratio = trust_ratio(value.clone(), output.clone());
                value - output * ratio * rate
            }
            None => output,
        }
    }
}

/// `‖value‖ / ‖direction‖`, or 1 where either is zero; `[1]`.
fn trust_ratio(value: Tensor<1>, direction: Tensor<1>) -> Tensor<1> {
    let [value, direction] = [value, direction].map(|tensor| ops::sum_of_squares(tensor).sqrt());
    let undefined = value
        .clone()
        .equal_elem(0.0)
        .bool_or(direction.clone().equal_elem(0.0));
    (value / direction).mask_fill(undefined, 1.0)
}

impl std::fmt::Debug for Optimizer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Optimizer")
            .field("config", &self.config)
            .field("steps", &self.steps)
            .field("parameters", &self.moments.len())
            .finish()
    }
}

/// Elements of a parameter that is updated together with others of any size: on a graphics card it takes less time to compute
/// than to launch.
const SMALL: usize = 1 << 15;

/// The name of a parameter and its value, flat.
type NamedValue = (String, Tensor<1>);

/// Parameters that can be updated together.
struct Alike {
    step: AdamStep,
    /// Elements of each, if they are more than [`SMALL`].
    size: Option<usize>,
    parameters: Vec<NamedValue>,
}

/// Values of all parameters.
#[derive(Default)]
struct Values {
    position: Position,
    by_name: Vec<NamedValue>,
}

impl ModuleVisitor for Values {
    fn enter_module(&mut self, name: &str, container: &str) {
        self.position.enter(name, container);
    }

    fn exit_module(&mut self, _name: &str, _container: &str) {
        self.position.exit();
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        self.by_name.push((self.position.name(), flat(param.val())));
    }
}

/// The value of a parameter, `[parameter size]`.
fn flat<const D: usize>(value: Tensor<D>) -> Tensor<1> {
    let size = value.shape().num_elements();
    value.inner().reshape([size])
}

struct Stepper<'a> {
    position: Position,
    optimizer: &'a mut Optimizer,
    gradients: ParameterGradients,
    /// New values of parameters that were updated before.
    updated: BTreeMap<String, Tensor<1>>,
    /// Factor of clipping.
    factor: Option<Tensor<1>>,
    learning_rate: f64,
}

impl ModuleMapper for Stepper<'_> {
    fn enter_module(&mut self, name: &str, container: &str) {
        self.position.enter(name, container);
    }

    fn exit_module(&mut self, _name: &str, _container: &str) {
        self.position.exit();
    }

    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let name = self.position.name();
        let updated = self.updated.remove(&name).or_else(|| {
            let gradient = self.gradients.remove(&name)?;
            let (value, factor) = (flat(param.val()), self.factor.clone());
            let learning_rate = self.learning_rate;
            let optimizer = &mut self.optimizer;
            Some(optimizer.update(&name, value, gradient, factor, learning_rate))
        });
        let Some(updated) = updated else {
            return param;
        };
        let (id, tensor, mapper) = param.consume();
        let strategy = tensor.gradient_checkpointing_strategy();
        let requires_gradient = tensor.is_require_grad();
        let mut tensor = Tensor::<D>::from_inner(updated.reshape(tensor.shape()));
        if let Some(strategy) = strategy {
            tensor = tensor.with_gradient_checkpointing_strategy(strategy);
        }
        if requires_gradient {
            tensor = tensor.require_grad();
        }
        Param::from_mapped_value(id, tensor, mapper)
    }
}

#[cfg(test)]
mod tests {
    use burn::optim::GradientsParams;
    use burn::tensor::{Device, TensorData};

    use super::*;
    use crate::device::test_devices;
    use crate::training::Recipe;

    #[derive(Module, Debug)]
    struct Weights {
        values: Vec<Param<Tensor<1>>>,
    }

    /// More than four of one large size, two of another, and many small ones.
    fn sizes() -> Vec<usize> {
        let large = [SMALL + 3; 5].into_iter().chain([SMALL + 40; 2]);
        large.chain(1..=9).collect()
    }

    fn weights(device: &Device) -> Weights {
        let value = |(number, size): (usize, usize)| {
            let at = |place: usize| ((place * 31 + number * 7) % 53) as f32 / 26.0 - 1.0;
            let values = (0..size).map(at).collect::<Vec<_>>();
            Param::from_tensor(Tensor::from_data(TensorData::new(values, [size]), device))
        };
        Weights {
            values: sizes().into_iter().enumerate().map(value).collect(),
        }
    }

    /// Values after three steps.
    fn trained(device: &Device, max_gradient_norm: Option<f64>) -> Vec<Vec<f32>> {
        let mut optimizer = Optimizer::new(OptimizerConfig {
            max_gradient_norm,
            ..Recipe::HuggingFace.optimizer()
        });
        let mut weights = weights(device);
        for _ in 0..3 {
            let terms = weights
                .values
                .iter()
                .map(|value| value.val().powi_scalar(2));
            let loss = terms.map(Tensor::sum).reduce(|sum, term| sum + term);
            let gradients = loss.unwrap().backward();
            let gradients = GradientsParams::from_grads(gradients, &weights);
            let gradients = ParameterGradients::take(&weights, gradients);
            (weights, _) = optimizer.step(weights, gradients, 0.01);
        }
        let values = weights.values.iter();
        values
            .map(|value| value.val().into_data().iter::<f32>().collect())
            .collect()
    }

    #[test]
    fn parameters_that_are_updated_together_move_like_each_alone() {
        for (label, device) in test_devices() {
            let device = device.autodiff();
            let fresh = weights(&device);
            // Only with clipping are several updated at once; this one clips nothing.
            let (together, alone) = (trained(&device, Some(1e9)), trained(&device, None));
            for ((found, expected), before) in together.iter().zip(&alone).zip(&fresh.values) {
                let before: Vec<f32> = before.val().into_data().iter().collect();
                assert_eq!(found.len(), before.len());
                for ((found, expected), before) in found.iter().zip(expected).zip(&before) {
                    assert!(
                        (found - expected).abs() <= 1e-6,
                        "{label}: {found} {expected}"
                    );
                    assert!((found - before).abs() > 1e-3 || *before == 0.0, "{label}");
                }
            }
        }
    }
}
