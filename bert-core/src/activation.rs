//! Activations of feed-forward layers and heads.

use std::str::FromStr;

use burn::nn::Linear;
use burn::tensor::{Tensor, activation};

use crate::error::Error;
use crate::ops::{self, Activation, GateForm, GateHalf};

/// `hidden_act` of the configuration.
///
/// "gelu" is the exact, erf-based form in transformers, while Google's and NVIDIA's code compute
/// its tanh approximation; a checkpoint trained with one loses accuracy under the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HiddenAct {
    /// `x · Φ(x)` through erf ("gelu", "gelu_python").
    Gelu,
    /// The tanh approximation of Hendrycks & Gimpel 2016 ("gelu_new", "gelu_pytorch_tanh",
    /// "gelu_fast"), under the name it was read with.
    GeluTanh(GeluTanhName),
    /// `max(x, 0)` ("relu").
    Relu,
    /// `x · σ(x)`, the SiLU of Hendrycks & Gimpel 2016 ("silu", "swish"), under the name it was read with.
    Silu(SiluName),
    /// `x · σ(1.702·x)`, an approximation of GELU ("quick_gelu").
    QuickGelu,
    /// `tanh(x)`, of the hidden layers of classifiers; no `hidden_act` names it.
    Tanh,
}

/// The spellings of SiLU, kept so that a configuration is written as it was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SiluName {
    /// "silu".
    Silu,
    /// "swish".
    Swish,
}

/// The factor of `quick_gelu` (transformers `QuickGELUActivation`).
const QUICK_GELU_SLOPE: f64 = 1.702;

/// The spellings of the tanh approximation, kept so that a configuration is written as it was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GeluTanhName {
    /// "gelu_new".
    New,
    /// "gelu_pytorch_tanh".
    PytorchTanh,
    /// "gelu_fast".
    Fast,
}

impl HiddenAct {
    /// The name in `config.json`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Gelu => "gelu",
            Self::GeluTanh(GeluTanhName::New) => "gelu_new",
            Self::GeluTanh(GeluTanhName::PytorchTanh) => "gelu_pytorch_tanh",
            Self::GeluTanh(GeluTanhName::Fast) => "gelu_fast",
            Self::Relu => "relu",
            Self::Silu(SiluName::Silu) => "silu",
            Self::Silu(SiluName::Swish) => "swish",
            Self::QuickGelu => "quick_gelu",
            Self::Tanh => "tanh",
        }
    }

    /// Applies the activation element by element.
    ///
    /// # Shapes
    ///
    /// - input: `[..., any]`
    /// - output: the same
    pub fn forward<const D: usize>(self, input: Tensor<D>) -> Tensor<D> {
        match self.operation() {
            Some(activation) => ops::activate(input, activation),
            None if self == Self::Relu => activation::relu(input),
            None => input.tanh(),
        }
    }

    /// [`forward`](Self::forward) of a linear layer, in one pass where a backend has it.
    ///
    /// # Shapes
    ///
    /// - input: `[..., any, d_input]`
    /// - output: `[..., any, d_output]`
    pub fn after_linear<const D: usize>(self, input: Tensor<D>, layer: &Linear) -> Tensor<D> {
        match self.operation() {
            Some(activation) => ops::linear_activated(input, layer, activation),
            None => self.forward(ops::linear(input, layer)),
        }
    }

    /// The activation of one half of every row, multiplied by the other.
    ///
    /// # Shapes
    ///
    /// - input: `[..., any, 2 · width]`
    /// - output: `[..., any, width]`
    pub fn gate<const D: usize>(self, input: Tensor<D>, activated: GateHalf) -> Tensor<D> {
        if let Some(activation) = self.operation() {
            let form = GateForm {
                activation,
                activated,
            };
            return ops::gate(input, form);
        }
        let halves: [_; 2] = input.chunk(2, D - 1).try_into().expect("two halves");
        let [activated, other] = activated.before_other(halves);
        self.forward(activated) * other
    }

    /// The activation of one layer, multiplied by another layer.
    ///
    /// # Shapes
    ///
    /// - input: `[..., any, d_input]`
    /// - output: `[..., any, d_output]`
    pub fn gated<const D: usize>(
        self,
        input: Tensor<D>,
        gate: &Linear,
        other: &Linear,
    ) -> Tensor<D> {
        match self.operation() {
            Some(activation) => ops::linear_gated(input, gate, other, activation),
            None => self.after_linear(input.clone(), gate) * ops::linear(input, other),
        }
    }

    /// The operation that computes it; Burn has the others.
    pub(crate) fn operation(self) -> Option<Activation> {
        match self {
            Self::Gelu => Some(Activation::Gelu),
            Self::GeluTanh(_) => Some(Activation::GeluTanh),
            Self::Silu(_) => Some(Activation::Swish(1.0)),
            Self::QuickGelu => Some(Activation::Swish(QUICK_GELU_SLOPE)),
            Self::Relu | Self::Tanh => None,
        }
    }
}

impl FromStr for HiddenAct {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self, Error> {
        match name {
            "gelu" | "gelu_python" => Ok(Self::Gelu),
            "gelu_new" => Ok(Self::GeluTanh(GeluTanhName::New)),
            "gelu_pytorch_tanh" => Ok(Self::GeluTanh(GeluTanhName::PytorchTanh)),
            "gelu_fast" => Ok(Self::GeluTanh(GeluTanhName::Fast)),
            "relu" => Ok(Self::Relu),
            "silu" => Ok(Self::Silu(SiluName::Silu)),
            "swish" => Ok(Self::Silu(SiluName::Swish)),
            "quick_gelu" => Ok(Self::QuickGelu),
            _ => Err(Error::config(
                "hidden_act",
                format!(
                    "`{name}` is not known; use gelu, gelu_new, gelu_pytorch_tanh, gelu_fast, relu, silu, swish or quick_gelu"
                ),
            )),
        }
    }
}
