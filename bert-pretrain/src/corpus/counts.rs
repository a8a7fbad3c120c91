//! Counts of a corpus.

use std::ops::AddAssign;

use serde::{Deserialize, Serialize};

/// Counts of a corpus, or of what has been read of it so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CorpusCounts {
    /// Files opened.
    pub files: u64,
    /// Documents with at least one sentence.
    pub documents: u64,
    /// Sentences in them.
    pub sentences: u64,
    /// Documents of one sentence, which cannot give a pair of segments (BERT §3.1, task 2).
    pub one_sentence_documents: u64,
    /// Bytes of the sentences as UTF-8, without what separates them.
    pub bytes: u64,
    /// WordPieces; 0 where nothing was tokenised.
    pub tokens: u64,
}

impl CorpusCounts {
    /// Counts a document of that many sentences, bytes and WordPieces; one without sentences is
    /// none.
    pub(crate) fn add_document(&mut self, sentences: u64, bytes: u64, tokens: u64) {
        if sentences == 0 {
            return;
        }
        self.documents += 1;
        self.sentences += sentences;
        self.one_sentence_documents += u64::from(sentences == 1);
        self.bytes += bytes;
        self.tokens += tokens;
    }

    /// Warning about documents too short for next-sentence pairs; `None` if there are
    /// none.
    pub fn warning(&self) -> Option<String> {
        let Self {
            documents,
            one_sentence_documents: short,
            ..
        } = *self;
        (short > 0).then(|| {
            format!(
                "{short} of {documents} documents hold one sentence only: they cannot give a pair \
                 for next-sentence prediction; if that is most of them, check the layout"
            )
        })
    }
}

impl AddAssign for CorpusCounts {
    fn add_assign(&mut self, other: Self) {
        self.files += other.files;
        self.documents += other.documents;
        self.sentences += other.sentences;
        self.one_sentence_documents += other.one_sentence_documents;
        self.bytes += other.bytes;
        self.tokens += other.tokens;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents_of_none_and_of_one_sentence_are_told_apart() {
        let mut counts = CorpusCounts::default();
        counts.add_document(0, 0, 0);
        counts.add_document(3, 37, 13);
        assert_eq!(counts.warning(), None);
        counts.add_document(1, 5, 2);
        let mut twice = counts;
        twice += counts;
        assert_eq!((twice.documents, twice.sentences), (4, 8));
        assert_eq!((twice.bytes, twice.tokens), (84, 30));
        let warning = twice.warning().unwrap();
        assert!(warning.starts_with("2 of 4 documents"), "{warning}");
    }
}
