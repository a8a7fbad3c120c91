//! Activations by the dotted path of their PyTorch class, as sentence-transformers names them.

use burn::tensor::{Tensor, activation};
use serde::{Deserialize, Serialize};

/// An activation that a file of sentence-transformers names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TorchActivation {
    /// `x`.
    Identity,
    /// `tanh(x)`.
    Tanh,
    /// `1 / (1 + exp(-x))`.
    Sigmoid,
    /// `max(x, 0)`.
    Relu,
    /// `x / (1 + exp(-x))`.
    Silu,
    /// `x · Φ(x)`, through erf.
    Gelu,
}

impl TorchActivation {
    const ALL: [Self; 6] = [
        Self::Identity,
        Self::Tanh,
        Self::Sigmoid,
        Self::Relu,
        Self::Silu,
        Self::Gelu,
    ];

    /// The activation of a class such as `torch.nn.modules.activation.Tanh` or `torch.nn.Tanh`;
    /// `None` for a class of another package and for one that is not implemented.
    pub fn of_class(path: &str) -> Option<Self> {
        let name = path.strip_prefix("torch.nn.")?.rsplit('.').next()?;
        let mut all = Self::ALL.into_iter();
        all.find(|activation| activation.class().ends_with(&format!(".{name}")))
    }

    /// The class, as sentence-transformers writes it.
    pub const fn class(self) -> &'static str {
        match self {
            Self::Identity => "torch.nn.modules.linear.Identity",
            Self::Tanh => "torch.nn.modules.activation.Tanh",
            Self::Sigmoid => "torch.nn.modules.activation.Sigmoid",
            Self::Relu => "torch.nn.modules.activation.ReLU",
            Self::Silu => "torch.nn.modules.activation.SiLU",
            Self::Gelu => "torch.nn.modules.activation.GELU",
        }
    }

    /// The classes that are implemented, for a message.
    pub(crate) fn classes() -> String {
        Self::ALL.map(Self::class).join(", ")
    }

    /// Applies the activation element by element.
    ///
    /// # Shapes
    ///
    /// - input: `[..., any]`
    /// - output: the same
    pub fn forward<const D: usize>(self, input: Tensor<D>) -> Tensor<D> {
        match self {
            Self::Identity => input,
            Self::Tanh => input.tanh(),
            Self::Sigmoid => activation::sigmoid(input),
            Self::Relu => activation::relu(input),
            Self::Silu => activation::silu(input),
            Self::Gelu => activation::gelu(input),
        }
    }

    /// The activation of one number, on the host; `None` for [`Gelu`](Self::Gelu), which is no score
    /// of a pair.
    pub fn of_number(self, x: f32) -> Option<f32> {
        let x = f64::from(x);
        let sigmoid = || 1.0 / (1.0 + (-x).exp());
        let value = match self {
            Self::Identity => x,
            Self::Tanh => x.tanh(),
            Self::Sigmoid => sigmoid(),
            Self::Relu => x.max(0.0),
            Self::Silu => x * sigmoid(),
            Self::Gelu => return None,
        };
        Some(value as f32)
    }
}

#[cfg(test)]
mod tests {
    use bert_core::device::test_devices;

    use super::*;

    #[test]
    fn classes_are_known_by_their_old_and_new_paths() {
        for activation in TorchActivation::ALL {
            let path = activation.class();
            assert_eq!(TorchActivation::of_class(path), Some(activation));
            let name = path.rsplit('.').next().unwrap();
            let short = format!("torch.nn.{name}");
            assert_eq!(TorchActivation::of_class(&short), Some(activation));
        }
        for path in [
            "torch.nn.modules.activation.Softmax",
            "torch.nn.",
            "torch.nn.anh",
            "Tanh",
            "elsewhere.Tanh",
            "",
        ] {
            assert_eq!(TorchActivation::of_class(path), None, "{path}");
        }
    }

    #[test]
    fn numbers_and_tensors_agree() {
        let inputs = [-3.5_f32, -0.25, 0.0, 1.5, 30.0];
        for (label, device) in test_devices() {
            for activation in TorchActivation::ALL {
                let tensor = activation.forward(Tensor::<1>::from_data(inputs, &device));
                let found: Vec<f32> = tensor.try_into_vec_as().unwrap();
                for (found, input) in found.iter().zip(inputs) {
                    // Φ(x) from a table.
                    let expected = activation.of_number(input).unwrap_or(match input {
                        -3.5 => -3.5 * 0.000_232_629,
                        -0.25 => -0.25 * 0.401_293_7,
                        1.5 => 1.5 * 0.933_192_8,
                        other => other,
                    });
                    assert!(
                        (found - expected).abs() < 1e-5,
                        "{label} {activation:?}({input}): {found}"
                    );
                }
            }
        }
    }
}
