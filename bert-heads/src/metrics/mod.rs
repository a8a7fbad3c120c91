//! Metrics of the tasks that BERT is fine-tuned for (BERT §4), with the numbers of the scripts they
//! are published with.
//!
//! | task | here | reference |
//! | --- | --- | --- |
//! | one class per text | [`ConfusionMatrix`] | scikit-learn |
//! | several labels per text | [`MultiLabelScorer`] | scikit-learn |
//! | a number per text | [`RegressionScorer`] | SciPy, scikit-learn |
//! | GLUE | [`GlueTask`] | the GLUE metrics of transformers |
//! | tags per word | [`EntityScorer`] | seqeval, default and strict |
//! | answers in a context | [`squad::V1Scorer`], [`squad::V2Scorer`] | the official SQuAD scripts |
//!
//! Everything here runs on the host, takes predictions as they come and gives out [`Scores`]. All
//! but [`RegressionScorer`] (ranks) and [`squad::V2Scorer`] (thresholds) need memory for their
//! counts only, however many examples there are.
//!
//! # Nothing to divide by
//!
//! Precision without a prediction, recall without a gold label, F1 without either, accuracy of no
//! example and Matthews correlation of constant labels are 0, as in scikit-learn (`zero_division=0`,
//! its default up to a warning). Pearson and Spearman of constant values, NaN in SciPy, are
//! undefined: `None`, [`Score::Undefined`], `null` in JSON.

mod averages;
mod classification;
mod entities;
mod glue;
mod multi_label;
mod regression;
mod scores;
mod sequence_labelling;
pub mod squad;
mod tags;

pub use averages::{Averages, LabelCounts, PrecisionRecallF1};
pub use classification::ConfusionMatrix;
pub use entities::{Entity, TagReading, entities};
pub use glue::GlueTask;
pub use multi_label::MultiLabelScorer;
pub use regression::{RegressionScorer, mean_squared_error, pearson, spearman};
pub use scores::{Score, Scores};
pub use sequence_labelling::EntityScorer;
pub use tags::Scheme;

use crate::error::{Error, Result};

/// `numerator / denominator`, and 0 where there is nothing to divide by.
fn ratio(numerator: u64, denominator: u64) -> f64 {
    match denominator {
        0 => 0.0,
        _ => numerator as f64 / denominator as f64,
    }
}

/// Refuses lists of different length: somewhere an example was lost.
fn same_length(what: &'static str, gold: usize, predicted: usize) -> Result<()> {
    match gold == predicted {
        true => Ok(()),
        false => Err(Error::Unpaired {
            what,
            gold,
            predicted,
        }),
    }
}
