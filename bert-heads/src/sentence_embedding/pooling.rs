//! From the vectors of the tokens to the vector of the text.

use std::fmt::{self, Display, Formatter};
use std::str::FromStr;

use bert_core::batch::BertInput;
use bert_core::model::{BertModel, BertOutput};
use burn::tensor::{Bool, FloatDType, Tensor};
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// How token vectors become one vector (sentence-transformers `modules/pooling.py`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Pooling {
    /// The vector of `[CLS]`.
    Cls,
    /// The mean over all tokens, `[CLS]` and `[SEP]` included.
    #[default]
    Mean,
    /// The sum over all tokens divided by the square root of their number.
    MeanSqrtLen,
    /// The maximum over all tokens in each dimension.
    Max,
    /// BERT's own pooler: dense layer and tanh on the vector of `[CLS]`.
    Pooler,
}

impl Pooling {
    /// Every pooling.
    pub const ALL: [Self; 5] = [
        Self::Cls,
        Self::Mean,
        Self::MeanSqrtLen,
        Self::Max,
        Self::Pooler,
    ];

    /// The vectors of texts, [pooled](Self::forward); what a pooling does not read of the last block is not computed.
    ///
    /// # Shapes
    ///
    /// - input: `[batch, seq]` ids, segments and padding
    /// - result: `[batch, hidden]`
    ///
    /// # Panics
    ///
    /// [`Pooler`](Self::Pooler) with a model without a pooler.
    pub fn encode(self, model: &BertModel, input: BertInput) -> Tensor<2> {
        match self {
            Self::Cls => model.forward_first(input).cast(FloatDType::F32),
            Self::Pooler => {
                let pooled = model.forward_pooled(input);
                pooled
                    .expect("the model has a pooler")
                    .cast(FloatDType::F32)
            }
            Self::Mean | Self::MeanSqrtLen | Self::Max => {
                let mask_pad = input.mask_pad.clone();
                self.forward(model.forward(input), mask_pad)
            }
        }
    }

    /// Pools on the device, in f32 whatever the model computes in; padding plays no part.
    ///
    /// # Shapes
    ///
    /// - output: of the encoder, `[batch, seq, hidden]`
    /// - mask_pad: `[batch, seq]`, true at padding
    /// - result: `[batch, hidden]`
    ///
    /// # Panics
    ///
    /// [`Pooler`](Self::Pooler) of a model without a pooler.
    pub fn forward(self, output: BertOutput, mask_pad: Tensor<2, Bool>) -> Tensor<2> {
        let sequence = output.sequence_output;
        let [_, seq, hidden] = sequence.dims();
        let filled = |value: f32| {
            let mask_pad: Tensor<3, Bool> = mask_pad.clone().unsqueeze_dim::<3>(2);
            sequence
                .clone()
                .cast(FloatDType::F32)
                .mask_fill(mask_pad.repeat_dim(2, hidden), value) // [batch, seq, hidden]
        };
        match self {
            Self::Cls => sequence
                .narrow(1, 0, 1)
                .squeeze_dim::<2>(1)
                .cast(FloatDType::F32),
            Self::Mean | Self::MeanSqrtLen => {
                let count = seq as f32 - mask_pad.clone().cast(FloatDType::F32).sum_dim(1); // [batch, 1]
                let count = count.clamp_min(1.0);
                let divisor = match self {
                    Self::MeanSqrtLen => count.sqrt(),
                    _ => count,
                };
                filled(0.0).sum_dim(1).squeeze_dim::<2>(1) / divisor
            }
            Self::Max => filled(f32::MIN).max_dim(1).squeeze_dim::<2>(1),
            Self::Pooler => output
                .pooled_output
                .expect("the model has a pooler")
                .cast(FloatDType::F32),
        }
    }
}

/// Scales every row to length 1 (`torch.nn.functional.normalize`).
///
/// # Shapes
///
/// - rows, output: `[n, hidden]`
pub fn normalize(rows: Tensor<2>) -> Tensor<2> {
    let length = rows.clone().square().sum_dim(1).sqrt(); // [n, 1]
    rows / length.clamp_min(1e-12)
}

impl Display for Pooling {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Cls => "cls",
            Self::Mean => "mean",
            Self::MeanSqrtLen => "mean-sqrt-len",
            Self::Max => "max",
            Self::Pooler => "pooler",
        })
    }
}

impl FromStr for Pooling {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        Self::ALL
            .into_iter()
            .find(|pooling| pooling.to_string() == name)
            .ok_or_else(|| Error::UnknownPooling {
                name: name.to_owned(),
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bert_core::device::test_devices;

    #[test]
    fn names_parse_and_print() {
        for pooling in Pooling::ALL {
            assert_eq!(pooling.to_string().parse::<Pooling>().unwrap(), pooling);
        }
        let error = "lasttoken".parse::<Pooling>().unwrap_err().to_string();
        assert!(
            error.contains("`lasttoken`") && error.contains("pooler"),
            "{error}"
        );
    }

    #[test]
    fn padding_plays_no_part() {
        for (label, device) in test_devices() {
            // Rows of two and three tokens; what stands at the padding would show everywhere.
            let sequence = Tensor::<3>::from_floats(
                [
                    [[-1.0, 2.0], [-3.0, 5.0], [900.0, -900.0]],
                    [[3.0, 4.0], [0.0, -1.0], [0.0, 6.0]],
                ],
                &device,
            );
            let mask_pad = Tensor::<2, Bool>::from_bool(
                [[false, false, true], [false, false, false]],
                &device,
            );
            let pool = |pooling: Pooling| -> Vec<f32> {
                let output = BertOutput {
                    sequence_output: sequence.clone(),
                    pooled_output: Some(Tensor::from_floats([[0.5, 0.25], [0.0, 1.0]], &device)),
                    hidden_states: None,
                    attentions: None,
                };
                let pooled = pooling.forward(output, mask_pad.clone());
                pooled.try_into_vec_as().unwrap()
            };
            assert_eq!(pool(Pooling::Cls), [-1.0, 2.0, 3.0, 4.0], "{label}");
            assert_eq!(pool(Pooling::Mean), [-2.0, 3.5, 1.0, 3.0], "{label}");
            for (value, expected) in pool(Pooling::MeanSqrtLen).iter().zip([
                -4.0 / 2.0_f32.sqrt(),
                7.0 / 2.0_f32.sqrt(),
                3.0 / 3.0_f32.sqrt(),
                9.0 / 3.0_f32.sqrt(),
            ]) {
                assert!((value - expected).abs() < 1e-6, "{label}: {value}");
            }
            assert_eq!(pool(Pooling::Max), [-1.0, 5.0, 3.0, 6.0], "{label}");
            assert_eq!(pool(Pooling::Pooler), [0.5, 0.25, 0.0, 1.0], "{label}");

            let rows = Tensor::<2>::from_floats([[3.0, 4.0], [0.0, 0.0]], &device);
            let values: Vec<f32> = normalize(rows).try_into_vec_as().unwrap();
            for (value, expected) in values.iter().zip([0.6, 0.8, 0.0, 0.0]) {
                assert!((value - expected).abs() < 1e-6, "{label}: {values:?}");
            }
        }
    }
}
