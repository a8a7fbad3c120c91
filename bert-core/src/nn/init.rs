//! BERT's initial weights, the same on every backend for a given seed.

use std::cell::Cell;

use burn::module::{Param, ParamId};
use burn::nn::{Embedding, LayerNorm, LayerNormConfig, Linear};
use burn::tensor::{Device, Shape, Tensor, TensorData};
use rand::{RngExt, SeedableRng, rngs::ChaCha8Rng};
use rand_distr::StandardNormal;

use crate::config::BertConfig;

/// Cut-off of a normal distribution.
#[derive(Clone, Copy, PartialEq)]
enum Cut {
    TwoDeviations,
    Nowhere,
}

/// Makes the layers of an encoder or head with BERT's initialisation (modeling.py
/// `create_initializer`): weights from a normal distribution cut at two standard deviations, biases
/// 0, LayerNorm 1 and 0.
///
/// Values are drawn on the host from a ChaCha8 stream of their own per parameter, so they depend on
/// the seed and on the order in which layers are made, but neither on the backend nor on the order
/// in which Burn's lazy parameters are first used.
#[derive(Debug)]
pub struct BertInit {
    device: Device,
    seed: u64,
    std: f64,
    epsilon: f64,
    norm_bias: bool,
    stream: Cell<u64>,
}

impl BertInit {
    /// Initialisation for `config` on `device`.
    pub fn new(config: &BertConfig, seed: u64, device: &Device) -> Self {
        Self {
            device: device.clone(),
            seed,
            std: config.initializer_range,
            epsilon: config.layer_norm_eps,
            norm_bias: config.block.norm_bias,
            stream: Cell::new(0),
        }
    }

    /// The device that the parameters are made on.
    pub fn device(&self) -> &Device {
        &self.device
    }

    /// `[d_input, d_output]` weights and zero biases.
    pub fn linear(&self, d_input: usize, d_output: usize) -> Linear {
        self.linear_of(Cut::TwoDeviations, d_input, d_output)
    }

    /// [`linear`](Self::linear), with a bias only if `bias`.
    pub fn linear_with(&self, d_input: usize, d_output: usize, bias: bool) -> Linear {
        let mut linear = self.linear(d_input, d_output);
        linear.bias = linear.bias.filter(|_| bias);
        linear
    }

    /// The output layer of a task, to be fine-tuned on an encoder that is there: `[d_input, d_output]`
    /// weights from the whole normal distribution, as transformers draws them for its `BertFor…`
    /// classes (`_init_weights`), and zero biases.
    ///
    /// The cut of [`linear`](Self::linear) leaves 0.88 of the deviation. After a few hundred updates
    /// these weights are still near their first values, so that what is left out is felt
    /// (docs/fine-tuning.md).
    pub fn head(&self, d_input: usize, d_output: usize) -> Linear {
        self.linear_of(Cut::Nowhere, d_input, d_output)
    }

    /// [`head`](Self::head), with a bias only if `bias`.
    pub fn head_with(&self, d_input: usize, d_output: usize, bias: bool) -> Linear {
        let mut linear = self.head(d_input, d_output);
        linear.bias = linear.bias.filter(|_| bias);
        linear
    }

    /// A table of `rows` vectors of `width`.
    pub fn embedding(&self, rows: usize, width: usize) -> Embedding {
        Embedding {
            weight: self.normal(Cut::TwoDeviations, [rows, width]),
        }
    }

    /// `[width, width, kernel]` weights of a convolution over `kernel` tokens.
    pub fn kernel(&self, width: usize, kernel: usize) -> Param<Tensor<3>> {
        self.normal(Cut::TwoDeviations, [width, width, kernel])
    }

    /// LayerNorm over `width` with the configuration's epsilon, and with a bias if its norms have one.
    pub fn layer_norm(&self, width: usize) -> LayerNorm {
        LayerNormConfig::new(width)
            .with_epsilon(self.epsilon)
            .with_bias(self.norm_bias)
            .init(&self.device)
    }

    /// A vector of zeros.
    pub fn zeros(&self, width: usize) -> Param<Tensor<1>> {
        self.parameter([width], |count| vec![0.0; count])
    }

    fn linear_of(&self, cut: Cut, d_input: usize, d_output: usize) -> Linear {
        Linear {
            weight: self.normal(cut, [d_input, d_output]),
            bias: Some(self.zeros(d_output)),
        }
    }

    fn normal<const D: usize>(&self, cut: Cut, shape: [usize; D]) -> Param<Tensor<D>> {
        let stream = self.stream.replace(self.stream.get() + 1);
        let (seed, std) = (self.seed, self.std);
        self.parameter(shape, move |count| {
            let mut random = ChaCha8Rng::seed_from_u64(seed);
            random.set_stream(stream);
            (0..count)
                .map(|_| {
                    let value = loop {
                        let value: f64 = random.sample(StandardNormal);
                        if cut == Cut::Nowhere || value.abs() <= 2.0 {
                            break value;
                        }
                    };
                    (value * std) as f32
                })
                .collect()
        })
    }

    fn parameter<const D: usize>(
        &self,
        shape: [usize; D],
        values: impl FnOnce(usize) -> Vec<f32> + Send + Sync + 'static,
    ) -> Param<Tensor<D>> {
        Param::uninitialized(
            ParamId::new(),
            move |device, require_grad| {
                let data = TensorData::new(values(shape.iter().product()), shape);
                Tensor::from_data(data, device)
                    .set_require_grad(require_grad && device.is_autodiff())
            },
            self.device.clone(),
            true,
            Shape::from(shape),
        )
    }
}
