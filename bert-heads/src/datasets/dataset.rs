//! A data set in memory.

use std::path::PathBuf;

use bert_core::tokenizer::TextInput;

use super::{Place, RowFault, TextExample};
use crate::error::Error;

/// Examples, and the file they come from, which errors name.
#[derive(Clone, Debug)]
pub struct Dataset<T> {
    /// The file.
    pub path: PathBuf,
    /// Its examples.
    pub examples: Vec<T>,
}

impl<T> Dataset<T> {
    /// Error for the example on `line`.
    pub(crate) fn fault(&self, line: usize, fault: RowFault) -> Error {
        Error::BadRow {
            path: self.path.clone(),
            place: Place::Line(line),
            fault: fault.into(),
        }
    }
}

impl Dataset<TextExample> {
    /// The texts as the tokenizer takes them.
    pub(crate) fn inputs(&self) -> impl Iterator<Item = TextInput<'_>> {
        self.examples.iter().map(|example| match &example.pair {
            Some(pair) => TextInput::Pair(&example.text, pair),
            None => TextInput::Single(&example.text),
        })
    }
}
