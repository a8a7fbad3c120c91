//! Precision, recall and F1 of one label, and their averages over labels.

use serde::Serialize;

use super::ratio;

/// Counts for one label.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LabelCounts {
    /// Predicted where it is gold.
    pub true_positives: u64,
    /// Predicted, rightly or not.
    pub predicted: u64,
    /// Times it is gold.
    pub gold: u64,
}

/// Precision, recall and F1, each 0 to 1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct PrecisionRecallF1 {
    /// Share of the predictions that are right; 0 without a prediction.
    pub precision: f64,
    /// Share of the gold labels that were found; 0 without a gold label.
    pub recall: f64,
    /// Harmonic mean of the two; 0 if both are.
    pub f1: f64,
    /// Times the label is gold.
    pub support: u64,
}

/// Three ways to make one number of many labels.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Averages {
    /// Computed from the counts of all labels together.
    pub micro_average: PrecisionRecallF1,
    /// The mean over the labels, each counting the same; 0 without labels.
    pub macro_average: PrecisionRecallF1,
    /// The mean over the labels, each counting by its support; 0 without support.
    pub weighted_average: PrecisionRecallF1,
}

impl LabelCounts {
    /// True if the label is neither gold nor predicted anywhere.
    pub const fn is_absent(self) -> bool {
        self.predicted == 0 && self.gold == 0
    }

    /// One more example: is the label gold there, and is it predicted?
    pub(super) fn add(&mut self, gold: bool, predicted: bool) {
        self.gold += u64::from(gold);
        self.predicted += u64::from(predicted);
        self.true_positives += u64::from(gold && predicted);
    }

    /// Precision, recall and F1 of these counts.
    pub fn scores(self) -> PrecisionRecallF1 {
        PrecisionRecallF1 {
            precision: ratio(self.true_positives, self.predicted),
            recall: ratio(self.true_positives, self.gold),
            f1: ratio(2 * self.true_positives, self.predicted + self.gold),
            support: self.gold,
        }
    }
}

impl Averages {
    /// The averages over these labels, absent ones included.
    pub fn of(labels: impl IntoIterator<Item = LabelCounts>) -> Self {
        let mut together = LabelCounts::default();
        let (mut equal, mut weighted) = (Mean::default(), Mean::default());
        for counts in labels {
            together.true_positives += counts.true_positives;
            together.predicted += counts.predicted;
            together.gold += counts.gold;
            equal.add(counts.scores(), 1.0);
            weighted.add(counts.scores(), counts.gold as f64);
        }
        Self {
            micro_average: together.scores(),
            macro_average: equal.finish(together.gold),
            weighted_average: weighted.finish(together.gold),
        }
    }
}

/// A weighted mean in the making.
#[derive(Default)]
struct Mean {
    sums: [f64; 3],
    weight: f64,
}

impl Mean {
    fn add(&mut self, scores: PrecisionRecallF1, weight: f64) {
        let values = [scores.precision, scores.recall, scores.f1];
        for (sum, value) in self.sums.iter_mut().zip(values) {
            *sum += value * weight;
        }
        self.weight += weight;
    }

    fn finish(self, support: u64) -> PrecisionRecallF1 {
        let weight = if self.weight == 0.0 { 1.0 } else { self.weight };
        let [precision, recall, f1] = self.sums.map(|sum| sum / weight);
        PrecisionRecallF1 {
            precision,
            recall,
            f1,
            support,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn empty_denominators_give_zero() {
        let nothing = PrecisionRecallF1::default();
        assert_eq!(LabelCounts::default().scores(), nothing);
        assert_eq!(Averages::of([]), Averages::default());
        let never_gold = LabelCounts {
            predicted: 5,
            ..LabelCounts::default()
        };
        assert_eq!(Averages::of([never_gold]).weighted_average, nothing);
    }

    #[test]
    fn the_three_averages_differ_as_they_should() {
        let counts = |true_positives, predicted, gold| LabelCounts {
            true_positives,
            predicted,
            gold,
        };
        let averages = Averages::of([counts(3, 4, 6), counts(1, 1, 2)]);
        assert_eq!(averages.micro_average.precision, 4.0 / 5.0);
        assert_eq!(averages.macro_average.precision, (0.75 + 1.0) / 2.0);
        let weighted = (0.75 * 6.0 + 1.0 * 2.0) / 8.0;
        assert_eq!(averages.weighted_average.precision, weighted);
        assert_eq!(averages.weighted_average.recall, 0.5);
        assert_eq!(averages.macro_average.support, 8);
    }
}
