//! Any number of labels per example.

use super::averages::{Averages, LabelCounts, PrecisionRecallF1};
use super::{ratio, same_length, scores::Scores};
use crate::error::{Error, Result};

/// Counts labels that each are there or not (scikit-learn's multi-label indicator matrices).
#[derive(Clone, Debug)]
pub struct MultiLabelScorer {
    labels: Vec<LabelCounts>,
    examples: u64,
    exact: u64,
}

impl MultiLabelScorer {
    /// Nothing counted yet, for this many labels.
    pub fn new(labels: usize) -> Self {
        Self {
            labels: vec![LabelCounts::default(); labels],
            examples: 0,
            exact: 0,
        }
    }

    /// Counts one example: for each label, whether it is there.
    ///
    /// # Errors
    ///
    /// [`Error::Unpaired`] when one list is longer than the other, and [`Error::LabelsPerExample`] when
    /// they don't have one entry per label; nothing is counted then.
    pub fn add(&mut self, gold: &[bool], predicted: &[bool]) -> Result<()> {
        same_length("labels of an example", gold.len(), predicted.len())?;
        if gold.len() != self.labels.len() {
            return Err(Error::LabelsPerExample {
                expected: self.labels.len(),
                found: gold.len(),
                example: self.examples,
            });
        }
        for (counts, (gold, predicted)) in self.labels.iter_mut().zip(gold.iter().zip(predicted)) {
            counts.add(*gold, *predicted);
        }
        self.examples += 1;
        self.exact += u64::from(gold == predicted);
        Ok(())
    }

    /// Share of the examples in which every label is right, 0 to 1.
    pub fn subset_accuracy(&self) -> f64 {
        ratio(self.exact, self.examples)
    }

    /// Precision, recall and F1 of one label; all 0 for a label out of range.
    pub fn label(&self, label: usize) -> PrecisionRecallF1 {
        let counts = self.labels.get(label).copied().unwrap_or_default();
        counts.scores()
    }

    /// The averages over all labels, also those that never occur.
    pub fn averages(&self) -> Averages {
        Averages::of(self.labels.iter().copied())
    }

    /// `micro_…`, of which `micro_f1` is the primary number, `macro_…` and `weighted_…`;
    /// `subset_accuracy`; `examples`.
    ///
    /// `labels` names the labels for the scores by label; one without a name goes by its number.
    pub fn scores(&self, labels: &[impl AsRef<str>]) -> Scores {
        let averages = self.averages();
        Scores::new("micro_f1")
            .with_average(
                ["micro_precision", "micro_recall", "micro_f1"],
                averages.micro_average,
            )
            .with_average(
                ["macro_precision", "macro_recall", "macro_f1"],
                averages.macro_average,
            )
            .with_average(
                ["weighted_precision", "weighted_recall", "weighted_f1"],
                averages.weighted_average,
            )
            .with_value("subset_accuracy", self.subset_accuracy())
            .with_count("examples", self.examples)
            .with_labels(
                labels,
                (0..self.labels.len()).map(|label| self.label(label)),
            )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_of_another_length_are_refused() {
        let mut scorer = MultiLabelScorer::new(2);
        scorer.add(&[true, false], &[true, true]).unwrap();
        let error = scorer.add(&[true; 3], &[true; 3]).unwrap_err();
        assert!(
            matches!(
                error,
                Error::LabelsPerExample {
                    expected: 2,
                    found: 3,
                    example: 1
                }
            ),
            "{error}"
        );
        let error = scorer.add(&[true; 2], &[true; 3]).unwrap_err();
        assert!(matches!(error, Error::Unpaired { .. }), "{error}");
        assert_eq!(scorer.scores(&["a", "b"]).get("examples"), Some(1.0));
    }

    #[test]
    fn an_example_counts_as_right_only_as_a_whole() {
        let mut scorer = MultiLabelScorer::new(2);
        scorer.add(&[true, false], &[true, true]).unwrap();
        scorer.add(&[false, false], &[false, false]).unwrap();
        assert_eq!(scorer.subset_accuracy(), 0.5);
        assert_eq!(scorer.averages().micro_average.f1, 2.0 / 3.0);
        assert_eq!(scorer.averages().macro_average.f1, 0.5);
        assert_eq!(scorer.label(7), PrecisionRecallF1::default());
    }
}
