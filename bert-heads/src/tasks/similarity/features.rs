//! Texts to be compared as rows with targets.

use bert_core::tokenizer::{BertTokenizer, EncodeOptions};

use super::{SimilarityLoss, SimilaritySettings, SimilarityTarget};
use crate::datasets::{Dataset, RowFault, SimilarExample};
use crate::error::Result;
use crate::runner::Row;
use crate::task::LabelledRow;

/// Rows to train on out of similar texts, each cut to `max_length` tokens; also how many examples
/// were cut.
///
/// # Errors
///
/// [`Error::BadRow`](crate::Error::BadRow) for a pair without the score that the loss asks for, and
/// those of the tokenizer.
pub fn similarity_rows(
    data: &Dataset<SimilarExample>,
    settings: &SimilaritySettings,
    tokenizer: &BertTokenizer,
    max_length: usize,
) -> Result<(Vec<LabelledRow<SimilarityTarget>>, usize)> {
    let options = EncodeOptions::truncated(max_length);
    let mut cut = 0;
    let mut rows = Vec::with_capacity(data.examples.len());
    for example in &data.examples {
        let (texts, target) = match (settings.loss, example.score) {
            (SimilarityLoss::Cosine, Some(score)) => {
                let cosine = settings.cosine(score) as f32;
                (&example.texts[..2], SimilarityTarget::Cosine(cosine))
            }
            (SimilarityLoss::Cosine, None) => {
                let column = "score".to_owned();
                return Err(data.fault(example.line, RowFault::MissingColumn { column }));
            }
            (SimilarityLoss::Ranking, _) => {
                let scale = settings.scale as f32;
                (&example.texts[..], SimilarityTarget::Ranking { scale })
            }
        };
        let encodings = tokenizer.encode_batch(texts, &options)?;
        cut += usize::from(encodings.iter().any(|encoding| encoding.truncated() > 0));
        rows.push(LabelledRow {
            rows: encodings.iter().map(Row::of).collect(),
            target,
        });
    }
    Ok((rows, cut))
}
