//! Questions as rows with targets.

use super::QuestionFeaturizer;
use crate::datasets::{Dataset, QuestionExample};
use crate::error::Result;
use crate::task::LabelledRow;

/// Rows to train on out of questions: every window of every context, with the first gold answer as
/// its target, or `[CLS]` where the window does not hold it (run_squad.py).
///
/// # Errors
///
/// Those of the tokenizer.
pub fn question_rows(
    data: &Dataset<QuestionExample>,
    featurizer: &QuestionFeaturizer,
) -> Result<Vec<LabelledRow<(usize, usize)>>> {
    let features = featurizer.questions(&data.examples)?;
    let targets = features.targets(&data.examples).into_iter();
    let rows = features.rows.into_iter().zip(targets);
    Ok(rows
        .map(|(row, span)| LabelledRow::new(row, span))
        .collect())
}
