//! From the vectors of the tokens to the vector of the text.

use std::str::FromStr;

use bert_core::batch::BertInput;
use bert_core::nn::{BertModel, BertOutput};
use burn::tensor::{Bool, FloatDType, Int, Tensor};
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// Pooling of token vectors to one vector (sentence-transformers `modules/pooling.py`).
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, strum::Display,
)]
#[serde(rename_all = "kebab-case")]
#[strum(serialize_all = "kebab-case")]
pub enum Pooling {
    /// The vector of `[CLS]`.
    Cls,
    /// The mean over all tokens, `[CLS]` and `[SEP]` included.
    #[default]
    Mean,
    /// The sum over all tokens divided by the square root of their number.
    MeanSqrtLen,
    /// The mean over all tokens, each with its position, counted from 1, as its weight
    /// (Muennighoff 2022).
    WeightedMean,
    /// The maximum over all tokens in each dimension.
    Max,
    /// The vector of the last token, `[SEP]`.
    LastToken,
    /// BERT's own pooler: dense layer and tanh on the vector of `[CLS]`.
    Pooler,
}

impl Pooling {
    /// Every pooling.
    pub const ALL: [Self; 7] = [
        Self::Cls,
        Self::Mean,
        Self::MeanSqrtLen,
        Self::WeightedMean,
        Self::Max,
        Self::LastToken,
        Self::Pooler,
    ];

    /// The name in the files of sentence-transformers, which have none for
    /// [`Pooler`](Self::Pooler).
    pub const fn mode(self) -> Option<&'static str> {
        Some(match self {
            Self::Cls => "cls",
            Self::Mean => "mean",
            Self::MeanSqrtLen => "mean_sqrt_len_tokens",
            Self::WeightedMean => "weightedmean",
            Self::Max => "max",
            Self::LastToken => "lasttoken",
            Self::Pooler => return None,
        })
    }

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
            Self::Mean | Self::MeanSqrtLen | Self::WeightedMean | Self::Max | Self::LastToken => {
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
        let [batch, seq, hidden] = sequence.dims();
        let without = |left_out: Tensor<2, Bool>, value: f32| {
            let left_out: Tensor<3, Bool> = left_out.unsqueeze_dim::<3>(2);
            sequence
                .clone()
                .cast(FloatDType::F32)
                .mask_fill(left_out.repeat_dim(2, hidden), value) // [batch, seq, hidden]
        };
        let filled = |value: f32| without(mask_pad.clone(), value);
        // The number of each token, counted from 1, and 0 at padding.
        let numbers = || {
            let numbers = Tensor::<1, Int>::arange(1..seq as i64 + 1, &sequence.device());
            let numbers = numbers.cast(FloatDType::F32).unsqueeze_dim::<2>(0);
            let numbers = numbers.repeat_dim(0, batch);
            numbers.mask_fill(mask_pad.clone(), 0.0) // [batch, seq]
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
            Self::WeightedMean => {
                let weights = numbers();
                let total = weights.clone().sum_dim(1).clamp_min(1.0); // [batch, 1]
                let weighted = filled(0.0) * weights.unsqueeze_dim::<3>(2);
                weighted.sum_dim(1).squeeze_dim::<2>(1) / total
            }
            Self::Max => filled(f32::MIN).max_dim(1).squeeze_dim::<2>(1),
            Self::LastToken => {
                let numbers = numbers();
                let last = numbers.clone().max_dim(1).repeat_dim(1, seq); // [batch, seq]
                // A sum of one vector and of nothing else.
                let only = without(numbers.not_equal(last), 0.0);
                only.sum_dim(1).squeeze_dim::<2>(1)
            }
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

impl FromStr for Pooling {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        Self::ALL
            .into_iter()
            .find(|pooling| pooling.to_string() == name || pooling.mode() == Some(name))
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
            if let Some(mode) = pooling.mode() {
                assert_eq!(mode.parse::<Pooling>().unwrap(), pooling);
            }
        }
        let error = "median".parse::<Pooling>().unwrap_err().to_string();
        assert!(
            error.contains("`median`") && error.contains("last-token"),
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
            for (value, expected) in pool(Pooling::WeightedMean).iter().zip([
                (-1.0 - 2.0 * 3.0) / 3.0,
                (2.0 + 2.0 * 5.0) / 3.0,
                3.0 / 6.0,
                (4.0 - 2.0 + 3.0 * 6.0) / 6.0,
            ]) {
                assert!((value - expected).abs() < 1e-6, "{label}: {value}");
            }
            assert_eq!(pool(Pooling::LastToken), [-3.0, 5.0, 0.0, 6.0], "{label}");
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
