//! Tags that were predicted for words.

use std::path::Path;

use super::{bad_row, check_order, with_predicted};
use crate::datasets::{Dataset, RowFault, TokenExample, discover_labels, read_tag_predictions};
use crate::error::{Error, Result};
use crate::labels::Labels;
use crate::metrics::Scores;
use crate::tasks::token_classification::{gold_tags, tag_metrics};

/// seqeval's metrics where all tags are those of a scheme, else those of single words, for the
/// predictions in the file `path`, of which there is one for each sentence.
///
/// Without `labels` they are those of the data and the predictions.
///
/// # Errors
///
/// [`Error::BadRow`] for a prediction that cannot be read, has another number of tags than the
/// sentence has words, other words, or a tag that is not among `labels`; [`Error::Unpaired`] and
/// [`Error::PredictionOrder`] for predictions that are not those of the sentences.
pub fn score_tag_file(
    data: &Dataset<TokenExample>,
    labels: Option<&Labels>,
    path: &Path,
) -> Result<Scores> {
    let (predictions, _) = read_tag_predictions(path)?.read_all()?;
    let lines = data.examples.iter().map(|example| example.line);
    check_order(path, lines, &predictions)?;
    let labels = match labels {
        Some(labels) => labels.clone(),
        None => {
            let predicted = predictions.iter().flat_map(|row| &row.prediction.tags);
            with_predicted(&discover_labels(&data.examples)?, predicted)?
        }
    };
    for (example, row) in data.examples.iter().zip(&predictions) {
        let refuse = |fault| Err(bad_row(path, row.line, fault));
        let tags = &row.prediction.tags;
        if tags.len() != example.words.len() {
            return refuse(RowFault::TagCount {
                words: example.words.len(),
                tags: tags.len(),
            });
        }
        let words = row.prediction.words.iter().flatten().zip(&example.words);
        if let Some((found, expected)) = words.into_iter().find(|(a, b)| a != b) {
            return Err(Error::PredictionWords {
                path: path.to_owned(),
                line: row.line,
                found: found.clone(),
                expected: expected.clone(),
            });
        }
        if let Some(tag) = tags.iter().find(|tag| labels.id(tag).is_none()) {
            return refuse(RowFault::UnknownLabel {
                label: tag.clone(),
                known: labels.names().join(", "),
            });
        }
    }
    let gold = gold_tags(data, &labels)?;
    let predicted: Vec<Vec<&str>> = predictions
        .iter()
        .map(|row| row.prediction.tags.iter().map(String::as_str).collect())
        .collect();
    tag_metrics(&labels, &gold, &predicted)
}
