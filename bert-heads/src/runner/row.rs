//! Tokens of a row.

use bert_core::tokenizer::Encoding;

/// The tokens of a row, special tokens included, without padding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// Token ids.
    pub ids: Vec<u32>,
    /// Segments, 0 or 1, as many.
    pub type_ids: Vec<u32>,
}

impl Row {
    /// The tokens of an encoding.
    pub(crate) fn of(encoding: &Encoding) -> Self {
        Self {
            ids: encoding.ids().to_vec(),
            type_ids: encoding.type_ids().to_vec(),
        }
    }
}
