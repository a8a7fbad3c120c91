//! Which metrics the tasks of GLUE report.

use std::str::FromStr;

use strum::{VariantArray, VariantNames};

use super::classification::ConfusionMatrix;
use super::regression::RegressionScorer;
use super::same_length;
use super::scores::Scores;
use crate::error::{Error, Result};

/// A task of the General Language Understanding Evaluation (Wang et al. 2019; BERT §4.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, strum::Display, VariantArray, VariantNames)]
#[strum(serialize_all = "lowercase")]
pub enum GlueTask {
    /// Is the sentence grammatical? Matthews correlation.
    Cola,
    /// Sentiment of a film review. Accuracy.
    Sst2,
    /// Do two news sentences say the same? F1 and accuracy.
    Mrpc,
    /// Do two questions ask the same? F1 and accuracy.
    Qqp,
    /// Similarity of two sentences, 0 to 5. Pearson and Spearman correlation.
    Stsb,
    /// Entailment, contradiction or neither, matched and mismatched alike. Accuracy.
    Mnli,
    /// Does the sentence answer the question? Accuracy.
    Qnli,
    /// Entailment or not. Accuracy.
    Rte,
    /// Is the pronoun resolved rightly? Accuracy.
    Wnli,
}

impl GlueTask {
    /// Every task, in the order of the GLUE paper.
    pub const ALL: &'static [Self] = <Self as VariantArray>::VARIANTS;

    /// The name that transformers and the data sets use.
    pub const fn name(self) -> &'static str {
        <Self as VariantNames>::VARIANTS[self as usize]
    }

    /// Number of classes; `None` for STS-B, which predicts a number.
    pub const fn classes(self) -> Option<usize> {
        match self {
            Self::Stsb => None,
            Self::Mnli => Some(3),
            _ => Some(2),
        }
    }

    /// Names of the numbers reported, as in the GLUE metric of Hugging Face. `combined_score` is the
    /// mean of the two before it, as transformers `run_glue.py` adds it; the last one named here is
    /// the primary number.
    pub const fn metrics(self) -> &'static [&'static str] {
        match self {
            Self::Cola => &["matthews_correlation"],
            Self::Mrpc | Self::Qqp => &["accuracy", "f1", "combined_score"],
            Self::Stsb => &["pearson", "spearmanr", "combined_score"],
            Self::Sst2 | Self::Mnli | Self::Qnli | Self::Rte | Self::Wnli => &["accuracy"],
        }
    }

    /// Scores classes; F1 is that of class 1, the paraphrases.
    ///
    /// # Errors
    ///
    /// [`Error::GlueTarget`] for STS-B, [`Error::Unpaired`] for lists of different length and
    /// [`Error::ClassOutOfRange`] for a class that the task does not have.
    pub fn score_classes(self, gold: &[usize], predicted: &[usize]) -> Result<Scores> {
        let classes = self.classes().ok_or(Error::GlueTarget {
            task: self.name(),
            predicts: "a number: score values",
        })?;
        let mut matrix = ConfusionMatrix::new(classes);
        matrix.add_all(gold, predicted)?;
        let accuracy = matrix.accuracy();
        let scores = match self {
            Self::Cola => Scores::new("matthews_correlation")
                .with_value("matthews_correlation", matrix.matthews_correlation()),
            Self::Mrpc | Self::Qqp => {
                let f1 = matrix.class(1).f1;
                Scores::new("combined_score")
                    .with_value("accuracy", accuracy)
                    .with_value("f1", f1)
                    .with_value("combined_score", (accuracy + f1) / 2.0)
            }
            _ => Scores::new("accuracy").with_value("accuracy", accuracy),
        };
        Ok(scores.with_count("examples", matrix.examples()))
    }

    /// Scores numbers, for STS-B.
    ///
    /// # Errors
    ///
    /// [`Error::GlueTarget`] for any other task and [`Error::Unpaired`] for lists of different
    /// length.
    pub fn score_values(self, gold: &[f64], predicted: &[f64]) -> Result<Scores> {
        if self.classes().is_some() {
            return Err(Error::GlueTarget {
                task: self.name(),
                predicts: "a class: score classes",
            });
        }
        same_length("values", gold.len(), predicted.len())?;
        let mut scorer = RegressionScorer::default();
        for (gold, predicted) in gold.iter().zip(predicted) {
            scorer.add(*gold, *predicted);
        }
        let (pearson, spearman) = (scorer.pearson(), scorer.spearman());
        let combined = pearson.zip(spearman).map(|(a, b)| (a + b) / 2.0);
        Ok(Scores::new("combined_score")
            .with_value("pearson", pearson)
            .with_value("spearmanr", spearman)
            .with_value("combined_score", combined)
            .with_count("examples", gold.len() as u64))
    }
}

impl FromStr for GlueTask {
    type Err = Error;

    /// Takes the names as they are found: `sst2`, `SST-2`, `sts_b`.
    fn from_str(name: &str) -> Result<Self> {
        let plain = name.replace(['-', '_'], "").to_lowercase();
        Self::ALL
            .iter()
            .copied()
            .find(|task| task.name() == plain)
            .ok_or_else(|| Error::UnknownChoice {
                what: "GLUE task",
                name: name.to_owned(),
                known: <Self as VariantNames>::VARIANTS.join(", "),
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_task_reports_its_metrics_and_has_a_primary_one() {
        for &task in GlueTask::ALL {
            let scores = match task.classes() {
                Some(_) => task.score_classes(&[1, 0, 1, 1, 0], &[1, 0, 0, 1, 1]),
                None => task.score_values(&[1.0, 2.5, 4.0], &[0.5, 3.0, 2.0]),
            }
            .unwrap();
            let names: Vec<&str> = scores.values().map(|(name, _)| name).collect();
            assert_eq!(names, [task.metrics(), &["examples"]].concat(), "{task}");
            let (primary, value) = scores.primary();
            assert_eq!(Some(&primary), task.metrics().last(), "{task}");
            assert!(value.is_some_and(|value| value > 0.0), "{task}");
        }
        let mrpc = GlueTask::Mrpc.score_classes(&[1, 0, 1, 1, 0], &[1, 0, 0, 1, 1]);
        let mrpc = mrpc.unwrap();
        assert_eq!(mrpc.get("accuracy"), Some(0.6));
        assert_eq!(mrpc.get("f1"), Some(2.0 / 3.0));
    }

    #[test]
    fn names_are_read_in_their_variants() {
        for (name, task) in [("SST-2", GlueTask::Sst2), ("sts_b", GlueTask::Stsb)] {
            assert_eq!(name.parse::<GlueTask>().unwrap(), task);
        }
        let error = "snli".parse::<GlueTask>().unwrap_err().to_string();
        assert!(error.contains("snli") && error.contains("mnli"), "{error}");
    }

    #[test]
    fn the_wrong_kind_of_prediction_is_refused() {
        assert!(GlueTask::Stsb.score_classes(&[1], &[1]).is_err());
        assert!(GlueTask::Rte.score_values(&[1.0], &[1.0]).is_err());
        assert!(GlueTask::Rte.score_classes(&[2], &[0]).is_err());
        assert!(GlueTask::Mnli.score_classes(&[2], &[0]).is_ok());
        let constant = GlueTask::Stsb
            .score_values(&[1.0, 2.0], &[3.0, 3.0])
            .unwrap();
        assert_eq!(constant.primary(), ("combined_score", None));
    }
}
