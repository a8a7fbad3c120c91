//! How far devices agree: everything a model computes for one input, by name, and the differences
//! between two such traces.
//!
//! The same code serves the golden fixtures (against float64 of transformers), the self-test of
//! `bert doctor` and the table of `bert compare`.

use std::collections::BTreeMap;
use std::path::Path;

use burn::module::{Flag, Module, ModuleMapper, ModuleVisitor, Param};
use burn::tensor::{Device, Gradients, Tensor, TensorData};
use rand::{RngExt, SeedableRng, rngs::ChaCha8Rng};
use serde::Serialize;

use crate::batch::BertInput;
use crate::checkpoint::{Checkpoint, Loading};
use crate::checkpoint::{load::Position, load::transpose, tensors};
use crate::encoder::Keep;
use crate::error::{Error, Result};
use crate::model::BertModel;

/// Largest difference allowed in a LayerNorm output, pooled output or probability of a fixture.
pub const FORWARD_BAR: f64 = 1e-5;
/// Largest difference allowed in a gradient of a fixture, relative as in [`Difference::relative`].
pub const GRADIENT_BAR: f64 = 1e-4;

/// Gradients below this share of the largest one in the model are measured against that share:
/// some are zero by symmetry (a key's bias moves all scores of a query alike), and what is left of
/// them is rounding.
const GRADIENT_FLOOR: f64 = 1e-2;

/// Named values of one run, in the order in which the model computes them.
#[derive(Clone, Debug, Default)]
pub struct Trace {
    entries: Vec<(String, Vec<f64>)>,
}

/// How far one named value is from its reference.
#[derive(Clone, Debug, Serialize)]
pub struct Difference {
    /// "hidden_states.3", "pooled_output", "grad.encoder.layer.0.output.dense.weight", …
    pub name: String,
    /// Largest absolute difference; infinite when shapes differ or a value is not a number.
    pub max_abs: f64,
    /// Mean absolute difference.
    pub mean_abs: f64,
    /// Largest absolute value of the reference, for gradients at least a hundredth of the largest
    /// gradient of the model.
    pub scale: f64,
}

impl Difference {
    /// `max_abs` as a share of `scale`.
    pub fn relative(&self) -> f64 {
        if self.max_abs == 0.0 {
            0.0
        } else {
            self.max_abs / self.scale
        }
    }

    /// Whether this is a gradient.
    pub fn is_gradient(&self) -> bool {
        self.name.starts_with("grad.")
    }

    /// Whether the difference is within the bars for fixtures.
    pub fn is_within_bars(&self) -> bool {
        if self.is_gradient() {
            self.relative() <= GRADIENT_BAR
        } else {
            self.max_abs <= FORWARD_BAR
        }
    }
}

impl Trace {
    /// Adds a value under `name`.
    pub fn push(&mut self, name: impl Into<String>, values: Vec<f64>) {
        self.entries.push((name.into(), values));
    }

    /// Adds a tensor's values under `name`; waits for the device.
    pub fn push_tensor<const D: usize>(&mut self, name: impl Into<String>, tensor: Tensor<D>) {
        self.push(name, tensor.into_data().iter::<f64>().collect());
    }

    /// Adds everything of `other`.
    pub fn extend(&mut self, other: Trace) {
        self.entries.extend(other.entries);
    }

    /// The values under `name`.
    pub fn get(&self, name: &str) -> Option<&[f64]> {
        self.entries
            .iter()
            .find(|(entry, _)| entry == name)
            .map(|(_, values)| values.as_slice())
    }

    /// The names, in order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.entries.iter().map(|(name, _)| name.as_str())
    }

    /// The difference of every value of `self` that `reference` has too.
    pub fn differences(&self, reference: &Trace) -> Vec<Difference> {
        let largest = |values: &[f64]| values.iter().fold(0.0, |max: f64, v| max.max(v.abs()));
        let largest_gradient = reference
            .entries
            .iter()
            .filter(|(name, _)| name.starts_with("grad."))
            .fold(0.0, |max: f64, (_, values)| max.max(largest(values)));
        self.entries
            .iter()
            .filter_map(|(name, values)| Some((name, values, reference.get(name)?)))
            .map(|(name, values, expected)| {
                let mut scale = largest(expected);
                if name.starts_with("grad.") {
                    scale = scale.max(GRADIENT_FLOOR * largest_gradient);
                }
                let (max_abs, mean_abs) = absolute_differences(values, expected);
                Difference {
                    name: name.clone(),
                    max_abs,
                    mean_abs,
                    scale,
                }
            })
            .collect()
    }
}

fn absolute_differences(values: &[f64], expected: &[f64]) -> (f64, f64) {
    if values.len() != expected.len() {
        return (f64::INFINITY, f64::INFINITY);
    }
    let (mut max, mut sum) = (0.0_f64, 0.0);
    for (value, expected) in values.iter().zip(expected) {
        let difference = (value - expected).abs();
        if difference.is_nan() {
            return (f64::INFINITY, f64::INFINITY);
        }
        max = max.max(difference);
        sum += difference;
    }
    (max, sum / values.len().max(1) as f64)
}

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
    /// output through the kernels that inference uses, then attention probabilities.
    pub fn forward(&self, model: &BertModel, device: &Device) -> Trace {
        let mut trace = Trace::default();
        let states = Keep {
            hidden_states: true,
            attentions: false,
        };
        let output = model.forward_keeping(self.input(device), states);
        for (layer, state) in output.hidden_states.into_iter().flatten().enumerate() {
            trace.push_tensor(format!("hidden_states.{layer}"), state);
        }
        trace.push_tensor("sequence_output", output.sequence_output);
        if let Some(pooled) = output.pooled_output {
            trace.push_tensor("pooled_output", pooled);
        }
        let attentions = Keep {
            hidden_states: false,
            attentions: true,
        };
        let output = model.forward_keeping(self.input(device), attentions);
        for (layer, probabilities) in output.attentions.into_iter().flatten().enumerate() {
            trace.push_tensor(format!("attentions.{layer}"), probabilities);
        }
        trace
    }

    /// Runs `model`, which must be on an autodiff device, forward and backward without dropout:
    /// the loss and the gradient of every parameter.
    pub fn backward(&self, model: BertModel, device: &Device) -> Trace {
        let model = without_dropout(model);
        let output = model.forward(self.input(device));
        let weights = TensorData::new(self.sequence_weights.clone(), output.sequence_output.dims());
        let mut loss = (output.sequence_output * Tensor::from_data(weights, device)).sum();
        if let Some(pooled) = output.pooled_output {
            let weights = TensorData::new(self.pooled_weights.clone(), pooled.dims());
            loss = loss + (pooled * Tensor::from_data(weights, device)).sum();
        }
        let mut trace = Trace::default();
        trace.push_tensor("loss", loss.clone());
        push_gradients(&mut trace, &model, &loss.backward());
        trace
    }
}

/// Adds `grad.NAME` for every parameter of `module`, in Hugging Face's names and layout; parameters
/// without a gradient count as zero.
pub fn push_gradients<M: Module>(trace: &mut Trace, module: &M, gradients: &Gradients) {
    struct Visitor<'a> {
        position: Position,
        gradients: &'a Gradients,
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
            let mut values: Vec<f64> = match param.val().grad(self.gradients) {
                Some(gradient) => gradient.into_data().iter::<f64>().collect(),
                None => vec![0.0; shape.num_elements()],
            };
            if let (true, &[rows, columns]) = (self.position.is_transposed(), shape.as_slice()) {
                values = transpose(&values, rows, columns);
            }
            let name = format!("grad.{}", self.position.name());
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

/// A fixture: a checkpoint, a probe and what transformers computes for it in float64.
pub struct Golden {
    /// Keeps the files of the built-in fixture alive.
    dir: Option<tempfile::TempDir>,
    checkpoint: Checkpoint,
    probe: Probe,
    reference: Trace,
}

impl Golden {
    /// Opens a fixture directory: a checkpoint with `reference.safetensors` beside it.
    ///
    /// # Errors
    ///
    /// As [`Checkpoint::open`], or when the reference lacks a part of the probe.
    pub fn open(dir: impl AsRef<Path>) -> Result<Self> {
        let checkpoint = Checkpoint::open(dir.as_ref())?;
        let path = dir.as_ref().join("reference.safetensors");
        let mut values = BTreeMap::new();
        for tensor in tensors::open_file(&path)? {
            let shape = tensor.info.shape.clone();
            values.insert(tensor.info.name.clone(), (shape, tensor.read_f64()?));
        }
        let take = |name: &str| {
            values.get(name).cloned().ok_or_else(|| {
                Error::malformed(&path, "golden reference", format!("it lacks `{name}`"))
            })
        };
        let integers = |name: &str| -> Result<Vec<i64>> {
            Ok(take(name)?
                .1
                .into_iter()
                .map(|value| value as i64)
                .collect())
        };
        let floats = |name: &str| -> Result<Vec<f32>> {
            Ok(take(name)?
                .1
                .into_iter()
                .map(|value| value as f32)
                .collect())
        };
        let (shape, _) = take("input_ids")?;
        let &[batch, seq] = shape.as_slice() else {
            return Err(Error::malformed(
                &path,
                "golden reference",
                "`input_ids` is not of rank two",
            ));
        };
        let probe = Probe {
            input_ids: integers("input_ids")?,
            token_type_ids: integers("token_type_ids")?,
            attention_mask: integers("attention_mask")?,
            shape: [batch, seq],
            sequence_weights: floats("loss_weights.sequence")?,
            pooled_weights: floats("loss_weights.pooled")?,
        };
        let mut reference = Trace::default();
        for (name, (_, values)) in values {
            reference.push(name, values);
        }
        Ok(Self {
            dir: None,
            checkpoint,
            probe,
            reference,
        })
    }

    /// The fixture that is part of this crate, for self-tests without any file.
    ///
    /// # Errors
    ///
    /// When the temporary directory cannot be written.
    pub fn built_in() -> Result<Self> {
        let dir = tempfile::tempdir()
            .map_err(|error| Error::io("create", std::env::temp_dir(), error))?;
        for (name, bytes) in [
            (
                "config.json",
                &include_bytes!("../fixtures/tiny-erf/config.json")[..],
            ),
            (
                "model.safetensors",
                include_bytes!("../fixtures/tiny-erf/model.safetensors"),
            ),
            (
                "reference.safetensors",
                include_bytes!("../fixtures/tiny-erf/reference.safetensors"),
            ),
        ] {
            let path = dir.path().join(name);
            std::fs::write(&path, bytes).map_err(|error| Error::io("write", path, error))?;
        }
        let mut golden = Self::open(dir.path())?;
        golden.dir = Some(dir);
        Ok(golden)
    }

    /// The checkpoint of the fixture.
    pub fn checkpoint(&self) -> &Checkpoint {
        &self.checkpoint
    }

    /// The input and loss of the fixture.
    pub fn probe(&self) -> &Probe {
        &self.probe
    }

    /// The float64 reference.
    pub fn reference(&self) -> &Trace {
        &self.reference
    }

    /// Runs forward and backward on `device` (without autodiff) and compares.
    ///
    /// # Errors
    ///
    /// When the weights do not load.
    pub fn check(&self, device: &Device) -> Result<Vec<Difference>> {
        let (model, _) = self.checkpoint.load_model(Loading::Strict, device)?;
        let mut differences = self
            .probe
            .forward(&model, device)
            .differences(&self.reference);
        let autodiff = device.clone().autodiff();
        let (model, _) = self.checkpoint.load_model(Loading::Strict, &autodiff)?;
        let backward = self.probe.backward(model, &autodiff);
        differences.extend(
            backward
                .differences(&self.reference)
                .into_iter()
                .filter(Difference::is_gradient),
        );
        Ok(differences)
    }
}
