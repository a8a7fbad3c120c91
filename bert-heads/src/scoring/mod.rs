//! Files of predictions against labelled data, without a model.
//!
//! | task | predictions | here |
//! | --- | --- | --- |
//! | texts, pairs of texts | JSON lines or a line each | [`score_text_file`] |
//! | word tags | JSON lines or columns | [`score_tag_file`] |
//! | answers (SQuAD) | one JSON object, id to text, or JSON lines | [`score_answer_file`] |
//! | choices | JSON lines or a number each | [`score_choice_file`] |

mod answers;
mod choices;
mod tags;
mod texts;

pub use answers::{AnswerFiles, score_answer_file};
pub use choices::score_choice_file;
pub use tags::score_tag_file;
pub use texts::score_text_file;

use std::collections::BTreeSet;
use std::path::Path;

use crate::datasets::{Place, Predicted, RowFault};
use crate::error::{Error, Result};
use crate::labels::Labels;

/// Refuses predictions that are not one for each example, in the order of `lines`, the lines of the
/// examples.
fn check_order<T>(
    path: &Path,
    lines: impl ExactSizeIterator<Item = usize>,
    predictions: &[Predicted<T>],
) -> Result<()> {
    if lines.len() != predictions.len() {
        return Err(Error::Unpaired {
            what: "examples",
            gold: lines.len(),
            predicted: predictions.len(),
        });
    }
    for (expected, prediction) in lines.zip(predictions) {
        match prediction.of_line {
            Some(found) if found != expected => {
                return Err(Error::PredictionOrder {
                    path: path.to_owned(),
                    line: prediction.line,
                    found,
                    expected,
                });
            }
            _ => {}
        }
    }
    Ok(())
}

/// The labels of the data, then those that are predicted beyond them.
fn with_predicted<'a>(
    labels: &Labels,
    predicted: impl Iterator<Item = &'a String>,
) -> Result<Labels> {
    let beyond: BTreeSet<&String> = predicted.filter(|name| labels.id(name).is_none()).collect();
    Labels::new(labels.names().iter().chain(beyond))
}

/// A row of the file of predictions that cannot be used.
fn bad_row(path: &Path, line: usize, fault: RowFault) -> Error {
    Error::BadRow {
        path: path.to_owned(),
        place: Place::Line(line),
        fault: fault.into(),
    }
}
