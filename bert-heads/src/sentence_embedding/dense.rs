//! Dense modules of sentence-transformers (`base/modules/dense.py`): a linear layer and an activation
//! on the vector of a text.

use std::path::Path;

use bert_core::checkpoint::{load_weights, save_weights};
use bert_core::files::write_atomically;
use bert_core::nn::BertInit;
use burn::module::Module;
use burn::nn::Linear;
use burn::tensor::{FloatDType, Tensor};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::fields::{Fields, as_size};
use crate::error::{Error, Result};
use crate::torch_activation::TorchActivation;

/// The sizes and the activation of a [`Dense`] module.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DenseConfig {
    /// Numbers of a vector that goes in.
    pub in_features: usize,
    /// Numbers of a vector that comes out.
    pub out_features: usize,
    /// True if a bias is added.
    pub bias: bool,
    /// Applied last.
    pub activation: TorchActivation,
}

/// A linear layer and an activation on the vector of a text.
#[derive(Module, Debug)]
pub struct Dense {
    /// The projection.
    pub linear: Linear,
    #[module(skip)]
    activation: TorchActivation,
}

impl DenseConfig {
    /// Reads `config.json` of a module in `dir`; what the file leaves out is as in sentence-transformers.
    pub(super) fn read(dir: &Path) -> Result<Self> {
        let path = dir.join("config.json");
        let fields = Fields::required(path)?;
        let size = |name: &str| match fields.get(name, "a whole number above 0", positive)? {
            Some(size) => Ok(size),
            None => Err(fields.unsupported(name, &Value::Null, "a size is needed there")),
        };
        fields.only_sentence_vectors()?;
        let flag = |name: &str| fields.get(name, "true or false", Value::as_bool);
        if flag("use_residual")? == Some(true) {
            let supported = "only Dense modules without a residual connection are implemented";
            return Err(fields.unsupported("use_residual", &json!(true), supported));
        }
        let activation = match fields.object.get("activation_function") {
            None | Some(Value::Null) => TorchActivation::Tanh,
            Some(named) => named
                .as_str()
                .and_then(TorchActivation::of_class)
                .ok_or_else(|| {
                    let supported = format!("only {} are implemented", TorchActivation::classes());
                    fields.unsupported("activation_function", named, &supported)
                })?,
        };
        Ok(Self {
            in_features: size("in_features")?,
            out_features: size("out_features")?,
            bias: flag("bias")?.unwrap_or(true),
            activation,
        })
    }

    fn to_json(self) -> Value {
        json!({
            "in_features": self.in_features,
            "out_features": self.out_features,
            "bias": self.bias,
            "activation_function": self.activation.class(),
        })
    }
}

fn positive(value: &Value) -> Option<usize> {
    as_size(value).filter(|size| *size > 0)
}

impl Dense {
    /// A module with fresh weights.
    pub fn new(config: DenseConfig, init: &BertInit) -> Self {
        let linear = init.head(config.in_features, config.out_features);
        Self {
            linear: match config.bias {
                true => linear,
                false => Linear {
                    bias: None,
                    ..linear
                },
            },
            activation: config.activation,
        }
    }

    /// Loads the module in `dir`, whose `config.json` says `config`, on the device of `init`.
    ///
    /// # Errors
    ///
    /// [`Error::ModuleWeights`] naming the directory whose weights are missing, malformed or of other
    /// sizes.
    pub fn load(dir: impl AsRef<Path>, config: DenseConfig, init: &BertInit) -> Result<Self> {
        let dir = dir.as_ref();
        load_weights(dir, Self::new(config, init)).map_err(|source| Error::ModuleWeights {
            dir: dir.to_owned(),
            source,
        })
    }

    /// Writes configuration and weights into `dir`.
    ///
    /// # Errors
    ///
    /// [`Error::Core`] when the directory cannot be written.
    pub fn save(&self, dir: impl AsRef<Path>) -> Result<()> {
        let dir = dir.as_ref();
        save_weights(dir, self)?;
        let config = format!("{:#}\n", self.config().to_json());
        Ok(write_atomically(
            dir.join("config.json"),
            config.as_bytes(),
        )?)
    }

    /// The sizes and the activation.
    pub fn config(&self) -> DenseConfig {
        let [in_features, out_features] = self.linear.weight.lazy_shape().dims();
        DenseConfig {
            in_features,
            out_features,
            bias: self.linear.bias.is_some(),
            activation: self.activation,
        }
    }

    /// Applies the module, in f32 whatever the encoder computes in.
    ///
    /// # Shapes
    ///
    /// - vectors: `[texts, in_features]`
    /// - output: `[texts, out_features]`
    pub fn forward(&self, vectors: Tensor<2>) -> Tensor<2> {
        let weight = self.linear.weight.val().cast(FloatDType::F32);
        let mut output = vectors.matmul(weight); // [texts, out_features]
        if let Some(bias) = &self.linear.bias {
            let bias = bias.val().cast(FloatDType::F32);
            output = output + bias.unsqueeze_dim::<2>(0);
        }
        self.activation.forward(output)
    }
}
