//! Demonstration of BERT in minutes and from nothing: a [language of our own](text), a model pretrained on it, and
//! what that model does with a few labels beside one that was not pretrained.
//!
//! A [`Demo`] is a directory: [`write_texts`](Demo::write_texts) fills it, [`pretrain`](Demo::pretrain) and
//! [`fine_tune`](Demo::fine_tune) add models, [`inspect`](Demo::inspect) inspects the pretrained one. Existing parts
//! are kept, so that an interrupted demonstration resumes where it stopped.

mod directory;
mod error;
mod files;
mod fine_tuning;
mod inspection;
mod picture;
mod plan;
mod pretraining;
mod results;
mod subject;
pub mod text;

pub use directory::Demo;
pub use error::{Error, Result};
pub use files::{Counts, Texts};
pub use inspection::{Inspection, Meanings};
pub use picture::attention_html;
pub use plan::Plan;
pub use results::{Comparison, Ending, Pretraining, Results};
pub use subject::{Start, Subject};
