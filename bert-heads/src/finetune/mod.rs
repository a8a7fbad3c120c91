//! From a pretrained encoder to a model of a task (BERT §4): text classification, next
//! sentences, regression, word tags, answers in a context, multiple choice and vectors of texts.
//!
//! [`PreparedData::train`] is a run: labelled [examples](crate::datasets::Dataset) become [rows](crate::task::LabelledRow), rows become
//! [updates](Updates) of similar length, and `bert-core`'s trainer does the rest. [`Settings`](crate::task::Settings) decide
//! the outcome and are kept with the checkpoints; what is saved at the end is what transformers'
//! class loads, label names included: the best evaluation by a named metric, or the last step where
//! there is nothing to evaluate on.

mod constructors;
mod data;
mod pseudo_labels;
mod run;
mod stored;
mod updates;

pub use constructors::DataConstructor;
pub use data::TrainingData;
pub use pseudo_labels::{Round, SelfTraining};
pub use run::PreparedData;
pub use stored::stored_labels;
pub use updates::{Cursor, Updates, UpdatesOptions};
