//! From a pretrained encoder to a model of a task (BERT §4): text classification, next
//! sentences, regression, word tags, answers in a context, multiple choice and vectors of texts.
//!
//! [`FineTuning`] is a run: labelled [examples](crate::datasets::Dataset) become [rows](crate::task::LabelledRow), rows become
//! [updates](Updates) of similar length, and `bert-core`'s trainer does the rest. [`Settings`] decide
//! the outcome and are kept with the checkpoints; what is saved at the end is what transformers'
//! class loads, label names included: the best evaluation by a named metric, or the last step where
//! there is nothing to evaluate on.

mod pseudo_labels;
mod rules;
mod run;
mod settings;
mod stored;
mod training_data;
mod updates;

pub use pseudo_labels::{Round, SelfTraining};
pub use rules::LayerRules;
pub use run::{FineTuning, Summary};
pub use settings::{Settings, best_metric, metric_names};
pub use stored::stored_labels;
pub use training_data::{Splits, TrainingData};
pub use updates::{Cursor, Updates, UpdatesOptions};

pub use crate::datasets::Dataset;
pub use crate::task::Task;
pub use crate::tasks::similarity::{SimilarityLoss, SimilaritySettings};
pub use crate::tasks::token_classification::CrfSettings;
