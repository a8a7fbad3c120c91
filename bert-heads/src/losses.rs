//! Losses of fine-tuning, from logits and labels; computed in f32 whatever the logits are.

use bert_core::ops::{self, CrossEntropy};
use burn::tensor::{DType, Device, FloatDType, Int, Tensor, activation};

/// The label of a row that has none (`ignore_index` of torch): it takes no part in a loss.
pub const IGNORED_LABEL: i64 = -100;

/// A loss over some rows, as a sum and what the sum is divided by.
///
/// [`mean`](Self::mean) is what transformers reports for one batch. Where an update has several
/// micro-batches, its loss is the sum of their `sum`s over the sum of their `weight`s; the mean of
/// their means is another number unless all have equal weight.
#[derive(Clone, Debug)]
pub struct Loss {
    /// The weighted sum, `[1]`, in nats for cross-entropies.
    pub sum: Tensor<1>,
    /// The sum of the weights, `[1]`: a count where rows are not weighted.
    pub weight: Tensor<1>,
}

impl Loss {
    /// `sum / weight`, `[1]`; 0 with zero gradients where nothing was counted, for which torch gives
    /// NaN.
    pub fn mean(self) -> Tensor<1> {
        let nothing = self.weight.clone().equal_elem(0.0);
        self.sum / self.weight.mask_fill(nothing, 1.0)
    }

    /// The loss of `losses`, all of weight one.
    fn unweighted<const D: usize>(losses: Tensor<D>) -> Self {
        let count = losses.shape().num_elements();
        let weight = f32_scalar(count as f32, &losses.device());
        Self {
            sum: losses.sum(),
            weight,
        }
    }
}

/// Cross-entropy of one label per row.
///
/// Rows labelled [`IGNORED_LABEL`] count nothing and get no gradient, whatever their logits are.
/// With `class_weights` a row weighs as much as its label: torch's weighted mean.
///
/// # Shapes
///
/// - logits: `[rows, classes]`
/// - labels: `[rows]`, each in `0..classes` or [`IGNORED_LABEL`]
/// - class_weights: `[classes]`
pub fn cross_entropy(
    logits: Tensor<2>,
    labels: Tensor<1, Int>,
    class_weights: Option<Tensor<1>>,
) -> Loss {
    let CrossEntropy { sum, totals } = cross_entropy_and_totals(logits, labels, class_weights);
    let weight = totals.narrow(0, CrossEntropy::WEIGHT, 1);
    Loss { sum, weight }
}

/// [`cross_entropy`] with its totals.
pub(crate) fn cross_entropy_and_totals(
    logits: Tensor<2>,
    labels: Tensor<1, Int>,
    class_weights: Option<Tensor<1>>,
) -> CrossEntropy {
    let class_weights = class_weights.map(|weights| weights.cast(FloatDType::F32));
    ops::cross_entropy(logits.cast(FloatDType::F32), labels, class_weights)
}

/// Binary cross-entropy of every label on its own, each output through a sigmoid: for texts with
/// any number of labels.
///
/// # Shapes
///
/// - logits, labels: `[rows, classes]`; labels are 1 where the label applies, 0 where not
pub fn binary_cross_entropy_with_logits(logits: Tensor<2>, labels: Tensor<2>) -> Loss {
    let logits = logits.cast(FloatDType::F32);
    let labels = labels.cast(FloatDType::F32);
    let log_sigmoid = activation::log_sigmoid(logits.clone());
    // -y·ln σ(x) - (1 - y)·ln(1 - σ(x)), where ln(1 - σ(x)) is ln σ(x) - x.
    Loss::unweighted((labels.neg() + 1.0) * logits - log_sigmoid)
}

/// Binary cross-entropy of one label per token.
///
/// Tokens labelled [`IGNORED_LABEL`] count nothing and get no gradient, whatever their logits are.
///
/// # Shapes
///
/// - logits: `[batch, seq]`
/// - labels: `[batch, seq]`, each 0, 1 or [`IGNORED_LABEL`]
pub fn binary_cross_entropy_of_tokens(logits: Tensor<2>, labels: Tensor<2, Int>) -> Loss {
    let ignored = labels.clone().equal_elem(IGNORED_LABEL);
    let logits = logits.cast(FloatDType::F32).mask_fill(ignored.clone(), 0.0);
    let labels = labels.equal_elem(1).float().cast(FloatDType::F32);
    // As above; at a logit and a label of 0 it is ln 2, with a gradient that goes no further.
    let losses = (labels.neg() + 1.0) * logits.clone() - activation::log_sigmoid(logits);
    let weights = losses.ones_like().mask_fill(ignored, 0.0);
    Loss {
        sum: (losses * weights.clone()).sum(),
        weight: weights.sum(),
    }
}

/// Squared difference, averaged over rows and outputs: for regression.
///
/// # Shapes
///
/// - outputs, targets: `[rows, outputs]`
pub fn mean_squared_error(outputs: Tensor<2>, targets: Tensor<2>) -> Loss {
    let difference = outputs.cast(FloatDType::F32) - targets.cast(FloatDType::F32);
    Loss::unweighted(difference.clone() * difference)
}

fn f32_scalar(value: f32, device: &Device) -> Tensor<1> {
    Tensor::from_data([value], (device, DType::F32))
}

#[cfg(test)]
mod tests {
    use bert_core::device::test_devices;
    use burn::tensor::TensorData;

    use super::*;

    fn matrix<const R: usize, const C: usize>(values: [[f32; C]; R], device: &Device) -> Tensor<2> {
        Tensor::from_data(values, device)
    }

    fn value(tensor: Tensor<1>) -> f32 {
        tensor.into_scalar::<f32>()
    }

    fn gradient(loss: &Tensor<1>, of: &Tensor<2>) -> Vec<f32> {
        let gradients = loss.backward();
        let gradient = of.grad(&gradients).unwrap();
        gradient.into_data().iter::<f32>().collect()
    }

    #[test]
    fn ignored_rows_are_not_touched() {
        for (label, device) in test_devices() {
            let device = device.autodiff();
            let logits = [
                [1.0, 2.0, 0.5],
                [f32::NAN, 0.0, f32::INFINITY],
                [0.0, -1.0, 3.0],
            ];
            let logits = matrix(logits, &device).require_grad();
            let labels = Tensor::from_data(TensorData::new(vec![1_i64, -100, 0], [3]), &device);
            let loss = cross_entropy(logits.clone(), labels, None).mean();
            let first = (1.0 + (-1_f32).exp() + (-1.5_f32).exp()).ln();
            let last = (1.0 + (-1_f32).exp() + 3_f32.exp()).ln();
            let expected = (first + last) / 2.0;
            let found = value(loss.clone());
            assert!((found - expected).abs() < 1e-5, "{label}: {found}");
            let gradient = gradient(&loss, &logits);
            assert_eq!(gradient[3..6], [0.0; 3], "{label}");
            assert!(gradient.iter().all(|value| value.is_finite()), "{label}");
            assert!(gradient[1] < 0.0 && gradient[6] < 0.0, "{label}");
        }
    }

    #[test]
    fn a_batch_without_labels_teaches_nothing() {
        for (label, device) in test_devices() {
            let device = device.autodiff();
            let logits = matrix([[1.0, 2.0], [3.0, -1.0]], &device).require_grad();
            let labels = Tensor::<1, Int>::from_data([-100, -100], &device);
            for weights in [None, Some(Tensor::from_data([2.0, 0.5], &device))] {
                let loss = cross_entropy(logits.clone(), labels.clone(), weights).mean();
                assert_eq!(value(loss.clone()), 0.0, "{label}");
                assert_eq!(gradient(&loss, &logits), [0.0; 4], "{label}");
            }
        }
    }

    #[test]
    fn parts_add_up_to_the_whole() {
        let (_, device) = test_devices().swap_remove(0);
        let logits = matrix([[1.0, 2.0], [3.0, -1.0], [0.5, 0.25], [0.0, 1.0]], &device);
        let labels = Tensor::<1, Int>::from_data([0, 1, -100, 1], &device);
        let weights = Tensor::<1>::from_data([3.0, 0.5], &device);
        let loss = |from: usize, to: usize| {
            let logits = logits.clone().narrow(0, from, to - from);
            let labels = labels.clone().narrow(0, from, to - from);
            cross_entropy(logits, labels, Some(weights.clone()))
        };
        let (first, second) = (loss(0, 1), loss(1, 4));
        let parts = (first.sum + second.sum) / (first.weight + second.weight);
        assert!((value(parts) - value(loss(0, 4).mean())).abs() < 1e-6);
    }

    #[test]
    fn large_logits_neither_overflow_nor_vanish() {
        for (label, device) in test_devices() {
            let device = device.autodiff();
            let logits = matrix([[100.0, -100.0, 0.0], [100.0, -100.0, 0.0]], &device);
            let logits = logits.require_grad();
            let labels = matrix([[1.0, 0.0, 1.0], [0.0, 1.0, 0.0]], &device);
            let loss = binary_cross_entropy_with_logits(logits.clone(), labels);
            let ln_2 = std::f32::consts::LN_2;
            let found = value(loss.sum.clone());
            assert!(
                (found - (200.0 + 2.0 * ln_2)).abs() < 1e-4,
                "{label}: {found}"
            );
            let gradient = gradient(&loss.sum, &logits);
            for (found, expected) in gradient.iter().zip([0.0, 0.0, -0.5, 1.0, -1.0, 0.5]) {
                assert!((found - expected).abs() < 1e-6, "{label}: {gradient:?}");
            }
        }
    }
}
