//! Classes, sets of labels and numbers for texts and pairs of texts (BERT §4.1).

mod classifier;
mod features;
mod loss;
mod model;
mod score;
mod task;

pub use crate::labels::ProblemType;
pub use classifier::{Answer, TextClassifier, TextPrediction};
pub use features::text_rows;
pub use loss::{TextTarget, TextTargets};
pub use model::BertForSequenceClassification;
pub use task::{CLASSIFY, MULTI_LABEL, REGRESS, SequenceClassification};

pub(crate) use loss::text_loss;
pub(crate) use model::HEAD;
pub(crate) use score::{score_texts, text_metrics};
pub(crate) use task::prepare_texts;
