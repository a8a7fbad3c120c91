//! Ids that a model has embeddings for.

use crate::{Error, Result};

/// Checks that token ids lie within the rows of the word embeddings, and segment ids within those of the segment table.
pub(super) fn check_embedded(
    (ids, vocab_size): (&[u32], usize),
    (type_ids, segments): (&[u32], usize),
) -> Result<()> {
    let highest = |ids: &[u32]| ids.iter().max().map(|&id| id as usize);
    if let Some(id) = highest(ids).filter(|&id| id >= vocab_size) {
        return Err(Error::VocabularyMismatch { id, vocab_size });
    }
    match highest(type_ids).filter(|&segment| segment >= segments) {
        Some(segment) => Err(Error::SegmentMismatch { segment, segments }),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::batch::{BertBatcher, Padding};
    use crate::config::BertConfig;

    const A: (&[u32], &[u32]) = (&[101, 7, 8, 102, 9, 102], &[0, 0, 0, 0, 1, 1]);
    const B: (&[u32], &[u32]) = (&[101, 5, 102], &[0, 0, 0]);

    #[test]
    fn rows_that_the_model_has_no_embedding_for_are_refused() {
        let mut config = BertConfig::new(200, 12, 1, 2, 13);
        config.max_position_embeddings = 6;
        let device = crate::device::test_devices().swap_remove(0).1;
        let batcher = |config: &BertConfig| {
            let batcher = BertBatcher {
                pad_id: 37,
                padding: Padding::Longest,
                max_length: None,
                vocab_size: None,
                segments: None,
            };
            batcher.for_model(config)
        };
        let batch = |config: &BertConfig, rows: &[(&[u32], &[u32])]| {
            batcher(config).batch_rows(rows, &device).map(|_| ())
        };
        batch(&config, &[A, B]).unwrap();
        batcher(&config).check_row(A.0, A.1).unwrap();

        config.type_vocab_size = 1;
        batch(&config, &[B]).unwrap();
        let error = batch(&config, &[B, A]).unwrap_err();
        assert!(matches!(
            error,
            Error::SegmentMismatch {
                segment: 1,
                segments: 1
            }
        ));
        assert!(error.to_string().contains("type_vocab_size"), "{error}");
        assert!(batcher(&config).check_row(A.0, A.1).is_err());

        config.type_vocab_size = 2;
        config.vocab_size = 102;
        let error = batch(&config, &[B]).unwrap_err();
        assert!(matches!(
            error,
            Error::VocabularyMismatch {
                id: 102,
                vocab_size: 102
            }
        ));
        assert!(batcher(&config).check_row(B.0, B.1).is_err());
        // Padding is looked up too.
        config.vocab_size = 37;
        let low: (&[u32], &[u32]) = (&[1, 2], &[0, 0]);
        batch(&config, &[low, low]).unwrap();
        let lower: (&[u32], &[u32]) = (&[1], &[0]);
        let error = batch(&config, &[low, lower]).unwrap_err();
        assert!(matches!(error, Error::VocabularyMismatch { id: 37, .. }));
        assert!(batcher(&config).check_row(low.0, low.1).is_err());
    }
}
