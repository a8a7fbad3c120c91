//! SQuAD 1.1: every question has an answer.

use super::answer::NormalAnswer;
use super::percent;
use crate::error::{Error, Result};
use crate::metrics::Scores;

/// Scores answers as `evaluate-v1.1.py` does, question by question in constant memory.
#[derive(Clone, Debug, Default)]
pub struct V1Scorer {
    questions: u64,
    missing: u64,
    exact: f64,
    f1: f64,
}

impl V1Scorer {
    /// Counts one question: its gold answers, of which the best match counts, and the prediction.
    /// A question without a prediction counts as wrong.
    ///
    /// # Errors
    ///
    /// [`Error::NoGoldAnswer`] naming the question when there is no gold answer.
    pub fn add(
        &mut self,
        id: &str,
        gold: &[impl AsRef<str>],
        prediction: Option<&str>,
    ) -> Result<()> {
        if gold.is_empty() {
            return Err(Error::NoGoldAnswer { id: id.to_owned() });
        }
        self.questions += 1;
        let Some(prediction) = prediction else {
            self.missing += 1;
            return Ok(());
        };
        let prediction = NormalAnswer::new(prediction);
        let (mut exact, mut f1) = (false, 0.0_f64);
        for answer in gold {
            let answer = NormalAnswer::new(answer.as_ref());
            exact |= answer.exact_match(&prediction);
            // Two answers without words share none: unlike version 2.0, this one gives 0.
            if !answer.is_empty() {
                f1 = f1.max(answer.token_f1(&prediction));
            }
        }
        self.exact += f64::from(u8::from(exact));
        self.f1 += f1;
        Ok(())
    }

    /// Questions without a prediction so far: worth a warning, for they count as wrong.
    pub fn missing(&self) -> u64 {
        self.missing
    }

    /// `exact_match` and `f1`, the primary number, 0 to 100; `total` questions, and those `missing`
    /// a prediction.
    pub fn scores(&self) -> Scores {
        Scores::new("f1")
            .with_value("exact_match", percent(self.exact, self.questions))
            .with_value("f1", percent(self.f1, self.questions))
            .with_count("total", self.questions)
            .with_count("missing", self.missing)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_best_gold_answer_counts_and_missing_predictions_are_wrong() {
        let mut scorer = V1Scorer::default();
        scorer.add("q1", &["x y", "the y"], Some("Y.")).unwrap();
        scorer.add("q2", &["x y"], Some("y")).unwrap();
        scorer.add("q3", &["x"], None).unwrap();
        scorer.add("q4", &["the"], Some("a")).unwrap();
        let scores = scorer.scores();
        assert_eq!(scores.get("exact_match"), Some(50.0));
        assert_eq!(scores.get("f1"), Some(100.0 * (1.0 + 2.0 / 3.0) / 4.0));
        assert_eq!((scores.get("total"), scorer.missing()), (Some(4.0), 1));
    }

    #[test]
    fn a_question_without_gold_answers_is_refused() {
        let mut scorer = V1Scorer::default();
        let error = scorer.add("q7", &[] as &[&str], Some("x")).unwrap_err();
        assert!(error.to_string().contains("q7"), "{error}");
        assert_eq!(scorer.scores().get("total"), Some(0.0));
    }
}
