//! An input and a loss that exercise a whole model.

use burn::module::{Flag, Module, ModuleMapper, ModuleVisitor, Param};
use burn::tensor::{Device, Gradients, Tensor, TensorData};
use rand::{RngExt, SeedableRng, rngs::ChaCha8Rng};

use super::Trace;
use crate::batch::BertInput;
use crate::checkpoint::load::{Position, transpose};
use crate::nn::{BertModel, OutputOptions};

/// An input and a fixed loss, on the host, to be run on any device.
///
/// The loss is `Σ sequence_output · sequence_weights + Σ pooled_output · pooled_weights`: every
/// parameter has a gradient under it and no task is needed.
#[derive(Clone, Debug)]
pub struct Probe {
    /// Token ids, `[batch, seq]` row by row.
    pub input_ids: Vec<i64>,
    /// Segment ids, likewise.
    pub token_type_ids: Vec<i64>,
    /// 1 where a token counts and 0 at padding, likewise.
    pub attention_mask: Vec<i64>,
    /// `[batch, seq]`.
    pub shape: [usize; 2],
    /// `[batch, seq, hidden]`, zero at padding.
    pub sequence_weights: Vec<f32>,
    /// `[batch, hidden]`.
    pub pooled_weights: Vec<f32>,
}

impl Probe {
    /// A probe over `input` whose loss weights are drawn uniformly from [-1, 1).
    pub fn new(input: &BertInput, hidden_size: usize, seed: u64) -> Self {
        let [batch, seq] = input.dims();
        let padding: Vec<bool> = input.mask_pad.to_data().iter::<bool>().collect();
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let mut weight = || random.random_range(-1.0..1.0_f32);
        let sequence_weights = padding
            .iter()
            .flat_map(|&padding| vec![padding; hidden_size])
            .map(|padding| if padding { 0.0 } else { weight() })
            .collect();
        Self {
            input_ids: input.input_ids.to_data().iter::<i64>().collect(),
            token_type_ids: input.token_type_ids.to_data().iter::<i64>().collect(),
            attention_mask: padding.iter().map(|&padding| i64::from(!padding)).collect(),
            shape: [batch, seq],
            sequence_weights,
            pooled_weights: (0..batch * hidden_size).map(|_| weight()).collect(),
        }
    }

    /// The input as tensors on `device`.
    pub fn input(&self, device: &Device) -> BertInput {
        BertInput::from_attention_mask(
            self.input_ids.clone(),
            self.token_type_ids.clone(),
            self.attention_mask.clone(),
            self.shape,
            device,
        )
    }

    /// Runs `model`, which must not be on an autodiff device: hidden states, sequence and pooled
    /// output through the kernels that inference uses, then attention probabilities; of padding too.
    pub fn forward(&self, model: &BertModel, device: &Device) -> Trace {
        let mut trace = Trace::default();
        let states = OutputOptions {
            hidden_states: true,
            attentions: false,
        };
        let output = model.forward_with(self.input(device).padded(), states);
        for (layer, state) in output.hidden_states.into_iter().flatten().enumerate() {
            trace.push_tensor(format!("hidden_states.{layer}"), state);
        }
        trace.push_tensor("sequence_output", output.sequence_output);
        if let Some(pooled) = output.pooled_output {
            trace.push_tensor("pooled_output", pooled);
        }
        let attentions = OutputOptions {
            hidden_states: false,
            attentions: true,
        };
        let output = model.forward_with(self.input(device).padded(), attentions);
        for (layer, probabilities) in output.attentions.into_iter().flatten().enumerate() {
            trace.push_tensor(format!("attentions.{layer}"), probabilities);
        }
        trace
    }

    /// Runs `model`, which must be on an autodiff device, forward and backward without dropout:
    /// the loss and the gradient of every parameter; without the padding where the input is packed.
    pub fn backward(&self, model: BertModel, device: &Device) -> Trace {
        let model = without_dropout(model);
        let loss = self.loss(&model, device);
        let mut trace = Trace::default();
        trace.push_tensor("loss", loss.clone());
        push_gradients(&mut trace, &model, &loss.backward());
        trace
    }

    /// The loss of `model`, `[1]`; without the padding where the input is packed.
    pub(super) fn loss(&self, model: &BertModel, device: &Device) -> Tensor<1> {
        let output = model.forward(self.input(device));
        let weights = TensorData::new(self.sequence_weights.clone(), output.sequence_output.dims());
        let mut loss = (output.sequence_output * Tensor::from_data(weights, device)).sum();
        if let Some(pooled) = output.pooled_output {
            let weights = TensorData::new(self.pooled_weights.clone(), pooled.dims());
            loss = loss + (pooled * Tensor::from_data(weights, device)).sum();
        }
        loss
    }
}

/// Adds `grad.NAME` for every parameter of `module`, in Hugging Face's names and layout; parameters
/// without a gradient count as zero.
pub fn push_gradients<M: Module>(trace: &mut Trace, module: &M, gradients: &Gradients) {
    push(trace, module, Some(gradients));
}

/// Adds `value.NAME` for every parameter of `module`, in Hugging Face's names and layout.
pub(super) fn push_values<M: Module>(trace: &mut Trace, module: &M) {
    push(trace, module, None);
}

fn push<M: Module>(trace: &mut Trace, module: &M, gradients: Option<&Gradients>) {
    struct Visitor<'a> {
        position: Position,
        gradients: Option<&'a Gradients>,
        trace: &'a mut Trace,
    }
    impl ModuleVisitor for Visitor<'_> {
        fn enter_module(&mut self, name: &str, container: &str) {
            self.position.enter(name, container);
        }
        fn exit_module(&mut self, _name: &str, _container: &str) {
            self.position.exit();
        }
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            let shape = param.shape();
            let (kind, values) = match self.gradients {
                Some(gradients) => (
                    "grad",
                    param.val().grad(gradients).map(|grad| grad.into_data()),
                ),
                None => ("value", Some(param.val().into_data())),
            };
            let mut values: Vec<f64> = match values {
                Some(values) => values.iter::<f64>().collect(),
                None => vec![0.0; shape.num_elements()],
            };
            if let (true, &[rows, columns]) = (self.position.is_transposed(), shape.as_slice()) {
                values = transpose(&values, rows, columns);
            }
            let name = format!("{kind}.{}", self.position.name());
            self.trace.push(name, values);
        }
    }
    module.visit(&mut Visitor {
        position: Position::default(),
        gradients,
        trace,
    });
}

/// `module` with every dropout switched off and its gradients kept: training without noise.
pub fn without_dropout<M: Module>(module: M) -> M {
    struct Off;
    impl ModuleMapper for Off {
        fn map_flag(&mut self, flag: Param<Flag>) -> Param<Flag> {
            flag.with_value(false)
        }
    }
    module.map(&mut Off)
}
