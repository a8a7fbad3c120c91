//! Encoders without task heads.

mod model;

pub use model::{BertModel, BertOutput};
