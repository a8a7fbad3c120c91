//! The right one of several continuations or answers (BERT §4.4).

mod features;
mod loss;
mod model;
mod picker;
mod task;

pub use features::choice_rows;
pub use loss::ChoiceTargets;
pub use model::BertForMultipleChoice;
pub use picker::{Choice, ChoicePicker};
pub use task::{CHOICE, MultipleChoice};

pub(crate) use model::HEAD;
pub(crate) use picker::{ChoiceRows, choice_logits, score_choices};
