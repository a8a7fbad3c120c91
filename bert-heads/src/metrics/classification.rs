//! One class per example.

use std::collections::BTreeMap;

use super::averages::{Averages, LabelCounts, PrecisionRecallF1};
use super::{ratio, same_length, scores::Scores};
use crate::error::{Error, Result};

/// Confusion matrix, counts of each predicted class for each gold class, and the scores that follow
/// from it (scikit-learn `metrics/_classification.py`).
#[derive(Clone, Debug)]
pub struct ConfusionMatrix {
    classes: Vec<LabelCounts>,
    /// Counts by gold and predicted class; cells of 0 are left out.
    cells: BTreeMap<(usize, usize), u64>,
    examples: u64,
}

impl ConfusionMatrix {
    /// An empty matrix for classes `0..classes`.
    pub fn new(classes: usize) -> Self {
        Self {
            classes: vec![LabelCounts::default(); classes],
            cells: BTreeMap::new(),
            examples: 0,
        }
    }

    /// Counts one example.
    ///
    /// # Errors
    ///
    /// [`Error::ClassOutOfRange`] for a class that the matrix has no place for.
    pub fn add(&mut self, gold: usize, predicted: usize) -> Result<()> {
        if let Some(class) = [gold, predicted]
            .into_iter()
            .find(|class| *class >= self.classes.len())
        {
            return Err(Error::ClassOutOfRange {
                class,
                classes: self.classes.len(),
                example: self.examples,
            });
        }
        self.classes[gold].gold += 1;
        self.classes[predicted].predicted += 1;
        self.classes[gold].true_positives += u64::from(gold == predicted);
        *self.cells.entry((gold, predicted)).or_default() += 1;
        self.examples += 1;
        Ok(())
    }

    /// Counts many examples.
    ///
    /// # Errors
    ///
    /// [`Error::Unpaired`] for lists of different length, before anything is counted, and those of
    /// [`add`](Self::add).
    pub fn add_all(&mut self, gold: &[usize], predicted: &[usize]) -> Result<()> {
        same_length("classes", gold.len(), predicted.len())?;
        gold.iter()
            .zip(predicted)
            .try_for_each(|(gold, predicted)| self.add(*gold, *predicted))
    }

    /// Examples of class `gold` for which `predicted` was predicted.
    pub fn count(&self, gold: usize, predicted: usize) -> u64 {
        self.cells.get(&(gold, predicted)).copied().unwrap_or(0)
    }

    /// Examples counted so far.
    pub fn examples(&self) -> u64 {
        self.examples
    }

    /// Share of the examples whose class was predicted, 0 to 1.
    pub fn accuracy(&self) -> f64 {
        let right = self.classes.iter().map(|class| class.true_positives).sum();
        ratio(right, self.examples)
    }

    /// Precision, recall and F1 of one class against all others: the binary scores with `class` as
    /// the positive one. All 0 for a class out of range.
    pub fn class(&self, class: usize) -> PrecisionRecallF1 {
        let counts = self.classes.get(class).copied().unwrap_or_default();
        counts.scores()
    }

    /// The averages over all classes that are gold or predicted somewhere, as scikit-learn has it
    /// when no list of labels is given.
    pub fn averages(&self) -> Averages {
        let classes = self.classes.iter().copied();
        Averages::of(classes.filter(|class| !class.is_absent()))
    }

    /// Matthews correlation coefficient, -1 to 1, for any number of classes (Gorodkin 2004; the
    /// `matthews_corrcoef` of scikit-learn); 0 if gold or predicted classes are all the same.
    pub fn matthews_correlation(&self) -> f64 {
        let examples = self.examples as f64;
        let [mut right, mut both, mut predicted, mut gold] = [0.0; 4];
        for class in &self.classes {
            right += class.true_positives as f64;
            both += class.gold as f64 * class.predicted as f64;
            predicted += (class.predicted as f64).powi(2);
            gold += (class.gold as f64).powi(2);
        }
        let spread = (examples.powi(2) - predicted) * (examples.powi(2) - gold);
        match spread == 0.0 {
            true => 0.0,
            false => (right * examples - both) / spread.sqrt(),
        }
    }

    /// Everything above: `accuracy`, which is the primary number; for two classes `precision`,
    /// `recall` and `f1` of class 1; `macro_…`, `weighted_…` and `micro_f1` (which is the accuracy);
    /// `matthews_correlation`; `examples`.
    ///
    /// `labels` names the classes for the scores by label; a class without a name goes by its
    /// number.
    pub fn scores(&self, labels: &[impl AsRef<str>]) -> Scores {
        let mut scores = Scores::new("accuracy").with_value("accuracy", self.accuracy());
        if self.classes.len() == 2 {
            let positive = self.class(1);
            scores = scores
                .with_value("precision", positive.precision)
                .with_value("recall", positive.recall)
                .with_value("f1", positive.f1);
        }
        let averages = self.averages();
        scores
            .with_average(
                ["macro_precision", "macro_recall", "macro_f1"],
                averages.macro_average,
            )
            .with_average(
                ["weighted_precision", "weighted_recall", "weighted_f1"],
                averages.weighted_average,
            )
            .with_value("micro_f1", averages.micro_average.f1)
            .with_value("matthews_correlation", self.matthews_correlation())
            .with_count("examples", self.examples)
            .with_labels(
                labels,
                (0..self.classes.len()).map(|class| self.class(class)),
            )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_out_of_range_and_unpaired_lists_are_refused() {
        let mut matrix = ConfusionMatrix::new(3);
        matrix.add(2, 0).unwrap();
        for (gold, predicted) in [(3, 0), (0, 3)] {
            let error = matrix.add(gold, predicted).unwrap_err();
            assert!(
                matches!(
                    error,
                    Error::ClassOutOfRange {
                        class: 3,
                        classes: 3,
                        example: 1
                    }
                ),
                "{error}"
            );
        }
        let error = matrix.add_all(&[0, 1], &[0]).unwrap_err();
        assert!(matches!(error, Error::Unpaired { .. }), "{error}");
        // None of them left a trace.
        assert_eq!((matrix.examples(), matrix.count(2, 0)), (1, 1));
        assert_eq!(matrix.count(0, 2), 0);
    }

    #[test]
    fn nothing_counted_gives_zero() {
        let scores = ConfusionMatrix::new(2).scores(&["no", "yes"]);
        assert!(
            scores
                .values()
                .all(|(_, score)| score.as_f64() == Some(0.0))
        );
        assert_eq!(ConfusionMatrix::new(0).matthews_correlation(), 0.0);
    }

    #[test]
    fn binary_scores_are_there_for_two_classes_only() {
        let mut two = ConfusionMatrix::new(2);
        two.add_all(&[1, 1, 0, 1], &[1, 0, 0, 1]).unwrap();
        let scores = two.scores(&["no"]);
        assert_eq!(scores.get("f1"), Some(0.8));
        assert_eq!(scores.primary(), ("accuracy", Some(0.75)));
        let labels: Vec<&str> = scores.per_label().iter().map(|(l, _)| l.as_str()).collect();
        assert_eq!(labels, ["no", "1"]);
        assert_eq!(ConfusionMatrix::new(3).scores(&["a"]).get("f1"), None);
    }
}
