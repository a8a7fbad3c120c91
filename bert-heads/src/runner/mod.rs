//! Rows of texts of any length through a model, and streams of texts in bounded memory.
//!
//! A text that is longer than the model reads is read in overlapping [windows](Featurizer), never cut:
//! the logits of a text are the mean of those of its windows, or the highest ([`LongTexts`]), and a
//! word's are those of the window in which it has most context.

mod batches;
mod logits;
mod long_texts;
mod options;
mod row;
mod rows;
mod stream;
pub(crate) mod windows;

pub use batches::RowModel;
pub use long_texts::LongTexts;
pub use options::PredictOptions;
pub use row::Row;
pub use rows::{Featurizer, TextRows, WordRows};
pub(crate) use stream::in_windows_of;
pub use stream::{WINDOW_TEXTS, in_windows};

pub(crate) use batches::{Batches, host_values};
pub(crate) use logits::{run_rows, text_logits};
