//! Documents at hand for random second segments.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use crate::Result;
use crate::corpus::{DocumentSource, TokenizedDocument};

/// The documents that were read first, as many as there is room for.
///
/// Second segments come from anywhere with equal chance, so there is nothing to gain from exchanging
/// one document for another.
pub(super) struct DocumentCache<'a, S: ?Sized> {
    documents: &'a S,
    room: usize,
    used: AtomicUsize,
    kept: RwLock<HashMap<usize, Arc<TokenizedDocument>>>,
}

impl<'a, S: DocumentSource + ?Sized> DocumentCache<'a, S> {
    /// Keeps at most about `room` bytes.
    pub(super) fn new(documents: &'a S, room: usize) -> Self {
        Self {
            documents,
            room,
            used: AtomicUsize::new(0),
            kept: RwLock::default(),
        }
    }

    /// Source of the documents.
    pub(super) fn documents(&self) -> &'a S {
        self.documents
    }

    /// The document numbered `index`.
    pub(super) fn get(&self, index: usize) -> Result<Arc<TokenizedDocument>> {
        let kept = self.kept.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(document) = kept.get(&index) {
            return Ok(Arc::clone(document));
        }
        drop(kept);
        let document = Arc::new(self.documents.document(index)?);
        let size: usize = document
            .iter()
            .map(|sentence| size_of_val(sentence) + size_of_val(sentence.as_slice()))
            .sum();
        // Two threads may both count a document: the room is then a little smaller.
        if self.used.fetch_add(size, Ordering::Relaxed) + size <= self.room {
            let mut kept = self.kept.write().unwrap_or_else(PoisonError::into_inner);
            kept.insert(index, Arc::clone(&document));
        } else {
            self.used.fetch_sub(size, Ordering::Relaxed);
        }
        Ok(document)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Counts how often each of its documents is read.
    struct Counted([AtomicUsize; 3]);

    impl DocumentSource for Counted {
        fn len(&self) -> usize {
            self.0.len()
        }

        fn document(&self, index: usize) -> Result<TokenizedDocument> {
            self.0[index].fetch_add(1, Ordering::Relaxed);
            Ok(vec![vec![index as u32; 100]])
        }
    }

    fn reads(room: usize) -> [usize; 3] {
        let documents = Counted(Default::default());
        let cache = DocumentCache::new(&documents, room);
        for index in [0, 1, 2, 2, 1, 0] {
            assert_eq!(cache.get(index).unwrap()[0][99], index as u32);
        }
        documents
            .0
            .each_ref()
            .map(|count| count.load(Ordering::Relaxed))
    }

    #[test]
    fn documents_are_kept_while_there_is_room() {
        assert_eq!(reads(usize::MAX), [1, 1, 1]);
        // A document takes 400 bytes and its sentence's address.
        assert_eq!(reads(1000), [1, 1, 2]);
        assert_eq!(reads(0), [2, 2, 2]);
    }
}
