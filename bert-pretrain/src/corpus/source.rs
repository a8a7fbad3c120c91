//! Documents by number, wherever they lie.

use crate::Result;

/// The sentences of a document as token ids, without special tokens; no sentence is empty.
pub type TokenizedDocument = Vec<Vec<u32>>;

/// Documents that can be read in any order and from several threads.
pub trait DocumentSource: Sync {
    /// Number of documents.
    fn len(&self) -> usize;

    /// True if there is no document.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The document numbered `index`, from 0.
    ///
    /// # Errors
    /// If it cannot be read.
    ///
    /// # Panics
    /// If `index` is not below [`len`](Self::len).
    fn document(&self, index: usize) -> Result<TokenizedDocument>;
}

impl DocumentSource for [TokenizedDocument] {
    fn len(&self) -> usize {
        <[TokenizedDocument]>::len(self)
    }

    fn document(&self, index: usize) -> Result<TokenizedDocument> {
        Ok(self[index].clone())
    }
}
