//! Metrics and loss of predicted classes, sets of labels and numbers.

use super::classifier::{TextClassifier, TextPrediction};
use super::{ProblemType, TextTarget};
use crate::datasets::{Dataset, TextExample};
use crate::error::Result;
use crate::labels::Labels;
use crate::metrics::{ConfusionMatrix, GlueTask, MultiLabelScorer, RegressionScorer, Scores};
use crate::tasks::logits::{argmax, cross_entropy, mean};

impl TextClassifier {
    /// The predictions for examples, and how good they are: the metrics of `glue`, or else those of
    /// the model's task, and the `loss`.
    ///
    /// # Errors
    ///
    /// [`BadRow`](crate::Error::BadRow) for an example without a fitting target, and those of
    /// [`predict`](Self::predict).
    pub fn evaluate(
        &self,
        data: &Dataset<TextExample>,
        glue: Option<GlueTask>,
    ) -> Result<(Scores, Vec<TextPrediction>)> {
        let gold = data.targets(self.problem_type(), self.labels())?;
        let predictions = self.predict(data.inputs())?;
        let logits: Vec<Vec<f32>> = predictions.iter().map(|p| self.scored(p)).collect();
        let scores = score_texts(self.problem_type(), self.labels(), glue, &gold, &logits)?;
        Ok((scores, predictions))
    }
}

/// Metrics of a problem type and `loss`, the mean over the examples that training minimises, without
/// class weights.
pub(crate) fn score_texts<L: AsRef<[f32]>>(
    problem_type: ProblemType,
    labels: &Labels,
    glue: Option<GlueTask>,
    gold: &[TextTarget],
    logits: &[L],
) -> Result<Scores> {
    let pairs = gold.iter().zip(logits.iter().map(AsRef::as_ref));
    let loss = mean(pairs.map(|(gold, logits)| text_loss(gold, logits)));
    let predicted: Vec<TextTarget> = logits
        .iter()
        .map(|logits| predicted(problem_type, logits.as_ref()))
        .collect();
    let scores = text_metrics(problem_type, labels, glue, gold, &predicted)?;
    Ok(scores.with_value("loss", loss))
}

/// Predicted target of a text, decoded from its logits.
fn predicted(problem_type: ProblemType, logits: &[f32]) -> TextTarget {
    match problem_type {
        ProblemType::SingleLabel => TextTarget::Class(argmax(logits)),
        ProblemType::MultiLabel => TextTarget::Flags(logits.iter().map(|&x| x > 0.0).collect()),
        ProblemType::Regression => TextTarget::Number(logits[0]),
    }
}

/// Metrics of a problem type, from what was predicted for each text.
pub(crate) fn text_metrics(
    problem_type: ProblemType,
    labels: &Labels,
    glue: Option<GlueTask>,
    gold: &[TextTarget],
    predicted: &[TextTarget],
) -> Result<Scores> {
    let pairs = || gold.iter().zip(predicted);
    let classes = || -> (Vec<usize>, Vec<usize>) {
        pairs()
            .filter_map(|pair| match pair {
                (TextTarget::Class(gold), TextTarget::Class(predicted)) => {
                    Some((*gold, *predicted))
                }
                _ => None,
            })
            .unzip()
    };
    let numbers = || -> (Vec<f64>, Vec<f64>) {
        pairs()
            .filter_map(|pair| match pair {
                (TextTarget::Number(gold), TextTarget::Number(predicted)) => {
                    Some((f64::from(*gold), f64::from(*predicted)))
                }
                _ => None,
            })
            .unzip()
    };
    Ok(match (problem_type, glue) {
        (ProblemType::SingleLabel, Some(glue)) if glue.classes().is_some() => {
            let (gold, predicted) = classes();
            glue.score_classes(&gold, &predicted)?
        }
        (ProblemType::Regression, Some(glue)) if glue.classes().is_none() => {
            let (gold, predicted) = numbers();
            glue.score_values(&gold, &predicted)?
        }
        (ProblemType::SingleLabel, _) => {
            let (gold, predicted) = classes();
            let mut matrix = ConfusionMatrix::new(labels.count());
            matrix.add_all(&gold, &predicted)?;
            matrix.scores(labels.names())
        }
        (ProblemType::MultiLabel, _) => {
            let mut scorer = MultiLabelScorer::new(labels.count());
            for pair in pairs() {
                if let (TextTarget::Flags(gold), TextTarget::Flags(predicted)) = pair {
                    scorer.add(gold, predicted)?;
                }
            }
            scorer.scores(labels.names())
        }
        (ProblemType::Regression, _) => {
            let mut scorer = RegressionScorer::default();
            let (gold, predicted) = numbers();
            gold.iter()
                .zip(&predicted)
                .for_each(|(gold, x)| scorer.add(*gold, *x));
            scorer.scores()
        }
    })
}

fn text_loss(gold: &TextTarget, logits: &[f32]) -> f64 {
    match gold {
        TextTarget::Class(class) => cross_entropy(*class, logits),
        TextTarget::Number(number) => (f64::from(logits[0]) - f64::from(*number)).powi(2),
        TextTarget::Flags(flags) => mean(flags.iter().zip(logits).map(|(&flag, &logit)| {
            let x = f64::from(if flag { logit } else { -logit });
            // -ln σ(x)
            (-x).max(0.0) + (-x.abs()).exp().ln_1p()
        })),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn near(a: f64, b: f64) {
        assert!((a - b).abs() < 1e-9, "{a} against {b}");
    }

    #[test]
    fn losses_are_those_of_training() {
        near(text_loss(&TextTarget::Number(2.0), &[-1.0]), 9.0);
        let flags = TextTarget::Flags(vec![true, false]);
        near(text_loss(&flags, &[0.0, 0.0]), 2_f64.ln());
        near(text_loss(&flags, &[1000.0, -1000.0]), 0.0);
    }

    #[test]
    fn every_task_is_scored() {
        let labels = Labels::new(["a", "b"]).unwrap();
        let gold = [1, 0, 1].map(TextTarget::Class);
        let logits = [[0.0, 1.0], [0.0, 1.0], [0.0, 1.0]];
        let scores = score_texts(ProblemType::SingleLabel, &labels, None, &gold, &logits).unwrap();
        assert_eq!(scores.get("accuracy"), Some(2.0 / 3.0));
        let glue = Some(GlueTask::Mrpc);
        let scores = score_texts(ProblemType::SingleLabel, &labels, glue, &gold, &logits).unwrap();
        assert_eq!(scores.get("f1"), Some(0.8));
        let gold = [1.0, 2.0, 4.0].map(TextTarget::Number);
        let logits = [[2.0], [4.0], [8.0]];
        let scores = score_texts(ProblemType::Regression, &labels, None, &gold, &logits).unwrap();
        assert_eq!(scores.get("mse"), Some(7.0));
        assert_eq!(scores.get("loss"), Some(7.0));
        let gold = [TextTarget::Flags(vec![true, false])];
        let scores =
            score_texts(ProblemType::MultiLabel, &labels, None, &gold, &[[1.0, 1.0]]).unwrap();
        assert_eq!(scores.get("subset_accuracy"), Some(0.0));
    }
}
