//! How well masked tokens are predicted.

use super::{ratio, scores::Scores};
use crate::error::{Error, Result};

/// Perplexity and accuracy over masked tokens, however many batches they come in.
///
/// Losses are weighted by token: two batches of different size count as their union would.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct MaskedLmMeter {
    loss_sum: f64,
    predictions: u64,
    correct: u64,
}

impl MaskedLmMeter {
    /// Adds a batch: the sum of its cross-entropies in nats, the number of masked tokens, and how
    /// many of them were the likeliest of the vocabulary.
    pub fn add(&mut self, loss_sum: f64, predictions: u64, correct: u64) {
        self.loss_sum += loss_sum;
        self.predictions += predictions;
        self.correct += correct;
    }

    /// Adds one masked token by its logits over the vocabulary. Of equal logits the first counts as
    /// the prediction.
    ///
    /// # Errors
    ///
    /// [`Error::ClassOutOfRange`] for a label beyond the logits.
    pub fn add_logits(&mut self, logits: &[f32], label: usize) -> Result<()> {
        let Some(right) = logits.get(label) else {
            return Err(Error::ClassOutOfRange {
                class: label,
                classes: logits.len(),
                example: self.predictions,
            });
        };
        let (mut best, mut largest) = (0, f64::NEG_INFINITY);
        for (index, logit) in logits.iter().enumerate() {
            if f64::from(*logit) > largest {
                (best, largest) = (index, f64::from(*logit));
            }
        }
        let shifted = logits.iter().map(|logit| f64::from(*logit) - largest);
        let log_sum = shifted.map(f64::exp).sum::<f64>().ln() + largest;
        self.add(log_sum - f64::from(*right), 1, u64::from(best == label));
        Ok(())
    }

    /// Masked tokens counted so far.
    pub fn predictions(&self) -> u64 {
        self.predictions
    }

    /// Mean cross-entropy per masked token in nats; `None` without one, or if it is not finite.
    pub fn loss(&self) -> Option<f64> {
        let mean = self.loss_sum / self.predictions as f64;
        mean.is_finite().then_some(mean)
    }

    /// `exp` of the mean cross-entropy; `None` as for [`loss`](Self::loss), and beyond the range of
    /// f64.
    pub fn perplexity(&self) -> Option<f64> {
        self.loss().map(f64::exp).filter(|value| value.is_finite())
    }

    /// Share of the masked tokens that were the likeliest, 0 to 1.
    pub fn accuracy(&self) -> f64 {
        ratio(self.correct, self.predictions)
    }

    /// `perplexity`, which is the primary number and better when lower, `loss`, `accuracy` and
    /// `predictions`.
    pub fn scores(&self) -> Scores {
        Scores::new("perplexity")
            .with_lower_is_better()
            .with_value("perplexity", self.perplexity())
            .with_value("loss", self.loss())
            .with_value("accuracy", self.accuracy())
            .with_count("predictions", self.predictions)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn batches_count_by_their_tokens() {
        let mut meter = MaskedLmMeter::default();
        meter.add(13.0 * 2.0, 13, 7);
        meter.add(5.0 * 1.0, 5, 5);
        assert_eq!(meter.loss(), Some(31.0 / 18.0));
        assert_eq!(meter.perplexity(), Some((31.0_f64 / 18.0).exp()));
        assert_eq!(meter.accuracy(), 12.0 / 18.0);
    }

    #[test]
    fn what_has_no_value_is_undefined() {
        let mut meter = MaskedLmMeter::default();
        assert_eq!((meter.perplexity(), meter.accuracy()), (None, 0.0));
        meter.add(1000.0, 1, 0);
        assert_eq!((meter.loss(), meter.perplexity()), (Some(1000.0), None));
        meter.add(f64::NAN, 1, 0);
        assert_eq!(meter.loss(), None);
    }

    #[test]
    fn equal_logits_and_labels_out_of_range() {
        let mut meter = MaskedLmMeter::default();
        meter.add_logits(&[5.0, 5.0], 1).unwrap();
        assert_eq!(meter.perplexity().map(f64::round), Some(2.0));
        assert_eq!(meter.accuracy(), 0.0);
        for logits in [&[][..], &[1.0]] {
            let error = meter.add_logits(logits, 1).unwrap_err();
            assert!(matches!(error, Error::ClassOutOfRange { class: 1, .. }));
        }
        // Logits that underflow when they are not shifted.
        let mut far = MaskedLmMeter::default();
        far.add_logits(&[-3e4, -3e4 + 1.0], 1).unwrap();
        assert!((far.loss().unwrap() - (1.0 + (-1.0_f64).exp()).ln()).abs() < 1e-12);
    }
}
