//! Classes, sets of labels and numbers that were predicted for texts.

use std::path::Path;

use super::{bad_row, check_order, with_predicted};
use crate::datasets::{
    Dataset, PredictedKind, TextExample, discover_labels, read_text_predictions,
};
use crate::error::{Error, Result};
use crate::labels::Labels;
use crate::metrics::{GlueTask, Scores};
use crate::model_kind::ModelKind;
use crate::task::TaskEntry;
use crate::tasks::sequence_classification::{ProblemType, TextTarget, text_metrics};
use crate::tasks::similarity::score_similarity;

/// The metrics of `glue`, or else those of `task`, for the predictions in the file `path`, of which
/// there is one for each example.
///
/// Without `labels` they are those of the data and the predictions.
///
/// # Errors
///
/// [`Error::BadRow`] for a prediction that cannot be read or whose label is not among `labels`,
/// [`Error::Unpaired`] and [`Error::PredictionOrder`] for predictions that are not those of the
/// examples; [`Error::InvalidOption`] for word tags.
pub fn score_text_file(
    task: &TaskEntry,
    data: &Dataset<TextExample>,
    labels: Option<&Labels>,
    glue: Option<GlueTask>,
    path: &Path,
) -> Result<Scores> {
    let compares = task.model_kind == ModelKind::Sentences;
    let problem_type = match compares {
        true => Some(ProblemType::Regression),
        false => task.problem_type,
    };
    let Some(problem_type) = problem_type else {
        return Err(Error::InvalidOption {
            option: "task",
            value: task.to_string(),
            expected: "one of texts",
        });
    };
    let kind = match problem_type {
        ProblemType::SingleLabel => PredictedKind::Label,
        ProblemType::MultiLabel => PredictedKind::Labels,
        ProblemType::Regression => PredictedKind::Number,
    };
    let (predictions, _) = read_text_predictions(path, kind, labels)?.read_all()?;
    let lines = data.examples.iter().map(|example| example.line);
    check_order(path, lines, &predictions)?;
    let labels = match (labels, problem_type) {
        (_, ProblemType::Regression) => Labels::numbered(1)?,
        (Some(labels), _) => labels.clone(),
        (None, _) => {
            let predicted = predictions.iter().flat_map(|row| row.prediction.labels());
            with_predicted(&discover_labels(&data.examples)?, predicted)?
        }
    };
    let gold = data.targets(problem_type, &labels)?;
    let predicted: Vec<TextTarget> = predictions
        .iter()
        .map(|row| {
            problem_type
                .target(&row.prediction, &labels)
                .map_err(|fault| bad_row(path, row.line, fault))
        })
        .collect::<Result<_>>()?;
    if compares {
        let numbers = |targets: &[TextTarget]| -> Vec<f64> {
            let number = |target: &TextTarget| match target {
                TextTarget::Number(number) => Some(f64::from(*number)),
                _ => None,
            };
            targets.iter().filter_map(number).collect()
        };
        return Ok(score_similarity(&numbers(&gold), &numbers(&predicted)));
    }
    text_metrics(problem_type, &labels, glue, &gold, &predicted)
}
