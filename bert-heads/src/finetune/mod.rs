//! From a pretrained encoder to a model of a task (BERT §4): text classification, next
//! sentences, regression, word tags, answers in a context, multiple choice and vectors of texts.
//!
//! [`FineTuning`] is a run: labelled [examples](Dataset) become [rows](LabelledRow), rows become
//! [updates](Updates) of similar length, and `bert-core`'s trainer does the rest. [`Settings`] decide
//! the outcome and are kept with the checkpoints; what is saved at the end is what transformers'
//! class loads, label names included: the best evaluation by a named metric, or the last step where
//! there is nothing to evaluate on.

mod batch;
mod dataset;
mod objective;
mod pseudo_labels;
mod rows;
mod rules;
mod run;
mod settings;
mod stored;
mod training_data;
mod updates;

pub use batch::{BatchTargets, LabelledBatch, LabelledRow, RowTarget};
pub use dataset::{Dataset, Task, text_rows, token_rows};
pub use pseudo_labels::{Round, SelfTraining};
pub use rows::{choice_rows, question_rows, similarity_rows};
pub use rules::LayerRules;
pub use run::{FineTuning, Summary};
pub use settings::{
    CrfSettings, Settings, SimilarityLoss, SimilaritySettings, best_metric, metric_names,
};
pub use stored::stored_labels;
pub use training_data::{Splits, TrainingData};
pub use updates::{Cursor, Updates, UpdatesOptions};
