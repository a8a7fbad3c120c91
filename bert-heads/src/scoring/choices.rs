//! Choices that were predicted for questions.

use std::path::Path;

use super::{bad_row, check_order};
use crate::datasets::{
    ChoiceExample, Dataset, PredictedKind, RowFault, Target, read_text_predictions,
};
use crate::error::Result;
use crate::metrics::Scores;

/// `accuracy` and `examples` for the predictions in the file `path`, of which there is one for each
/// question: JSON lines with `choice`, or its number on a line, counted from 0.
///
/// # Errors
///
/// [`Error::BadRow`](crate::Error::BadRow) for a question whose right choice is not known and for a
/// prediction that cannot be read or is none of the choices,
/// [`Error::Unpaired`](crate::Error::Unpaired) and
/// [`Error::PredictionOrder`](crate::Error::PredictionOrder) for predictions that are not those of
/// the questions.
pub fn score_choice_file(data: &Dataset<ChoiceExample>, path: &Path) -> Result<Scores> {
    let right = data.right_choices()?;
    let (predictions, _) = read_text_predictions(path, PredictedKind::Choice, None)?.read_all()?;
    let lines = data.examples.iter().map(|example| example.line);
    check_order(path, lines, &predictions)?;
    let mut hits = 0;
    for ((example, right), row) in data.examples.iter().zip(&right).zip(&predictions) {
        let count = example.choices.len();
        let chosen = match row.prediction {
            Target::Number(number) => (0..count).find(|choice| *choice as f64 == number),
            _ => None,
        };
        let Some(chosen) = chosen else {
            let last = count.saturating_sub(1);
            let reason = format!("its choice is none of the {count}: use 0 to {last}");
            return Err(bad_row(path, row.line, RowFault::Choices { reason }));
        };
        hits += usize::from(chosen == *right);
    }
    let accuracy = hits as f64 / right.len().max(1) as f64;
    Ok(Scores::new("accuracy")
        .with_value("accuracy", accuracy)
        .with_count("examples", right.len() as u64))
}
