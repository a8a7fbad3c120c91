//! Documents set aside to evaluate on.

use std::sync::Arc;

use super::{DocumentSource, TokenizedDocument};
use crate::Result;

/// Documents shared between threads.
pub type Documents = Arc<dyn DocumentSource + Send>;

/// Some of another source's documents.
struct Part {
    documents: Documents,
    indices: Vec<usize>,
}

impl DocumentSource for Part {
    fn len(&self) -> usize {
        self.indices.len()
    }

    fn document(&self, index: usize) -> Result<TokenizedDocument> {
        self.documents.document(self.indices[index])
    }
}

/// Every n-th document set aside, so that about `share` of them are: the others, and these.
///
/// Nothing is set aside when `share` is not positive or there is a single document.
pub fn hold_out(documents: Documents, share: f64) -> (Documents, Option<Documents>) {
    let count = documents.len();
    if share <= 0.0 || count < 2 {
        return (documents, None);
    }
    let stride = ((1.0 / share).round() as usize).clamp(2, count);
    let (held_out, kept): (Vec<_>, Vec<_>) =
        (0..count).partition(|index| index % stride == stride - 1);
    let part = |indices| -> Documents {
        Arc::new(Part {
            documents: Arc::clone(&documents),
            indices,
        })
    };
    (part(kept), Some(part(held_out)))
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Numbers(u32);

    impl DocumentSource for Numbers {
        fn len(&self) -> usize {
            self.0 as usize
        }

        fn document(&self, index: usize) -> Result<TokenizedDocument> {
            Ok(vec![vec![index as u32]])
        }
    }

    fn all(documents: &Documents) -> Vec<u32> {
        (0..documents.len())
            .map(|index| documents.document(index).unwrap()[0][0])
            .collect()
    }

    #[test]
    fn the_two_parts_are_disjoint_and_complete() {
        for (count, share, expected) in [(100, 0.1, 10), (7, 0.02, 1), (10, 0.9, 5), (2, 0.5, 1)] {
            let (kept, held_out) = hold_out(Arc::new(Numbers(count)), share);
            let held_out = all(&held_out.unwrap());
            assert_eq!(held_out.len(), expected);
            let mut both = [all(&kept), held_out].concat();
            both.sort_unstable();
            assert_eq!(both, (0..count).collect::<Vec<_>>());
        }
    }

    #[test]
    fn nothing_to_set_aside() {
        for (count, share) in [(100, 0.0), (1, 0.5)] {
            let (kept, held_out) = hold_out(Arc::new(Numbers(count)), share);
            assert_eq!(kept.len(), count as usize);
            assert!(held_out.is_none());
        }
    }
}
