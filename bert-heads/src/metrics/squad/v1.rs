//! SQuAD 1.1: every question has an answer.

use super::answer::NormalAnswer;
use super::language::AnswerLanguage;
use super::percent;
use crate::error::{Error, Result};
use crate::metrics::Scores;

/// Scores answers as `evaluate-v1.1.py` does, question by question in constant memory.
#[derive(Clone, Debug, Default)]
pub struct V1Scorer {
    language: AnswerLanguage,
    questions: u64,
    missing: u64,
    exact: f64,
    f1: f64,
    /// F1 of the longest runs that are shared, for Chinese.
    run_f1: f64,
}

impl V1Scorer {
    /// A scorer of answers in a language.
    pub fn in_language(language: AnswerLanguage) -> Self {
        Self {
            language,
            ..Self::default()
        }
    }

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
        let prediction = NormalAnswer::of(prediction, self.language);
        let (mut exact, mut f1, mut run_f1) = (false, 0.0_f64, 0.0_f64);
        for answer in gold {
            let answer = NormalAnswer::of(answer.as_ref(), self.language);
            exact |= answer.exact_match(&prediction);
            // Two answers without words share none: unlike version 2.0, this one gives 0.
            if !answer.is_empty() {
                f1 = f1.max(answer.token_f1(&prediction));
                if self.language == AnswerLanguage::Chinese {
                    run_f1 = run_f1.max(answer.run_f1(&prediction));
                }
            }
        }
        self.exact += f64::from(u8::from(exact));
        self.f1 += f1;
        self.run_f1 += run_f1;
        Ok(())
    }

    /// Questions without a prediction so far: worth a warning, for they count as wrong.
    pub fn missing(&self) -> u64 {
        self.missing
    }

    /// `exact_match` and `f1`, the primary number, 0 to 100; `total` questions, and those `missing`
    /// a prediction. For Chinese also `cmrc_f1`, the F1 of CMRC 2018, which counts the longest run of
    /// characters that both answers have.
    pub fn scores(&self) -> Scores {
        let mut scores = Scores::new("f1")
            .with_value("exact_match", percent(self.exact, self.questions))
            .with_value("f1", percent(self.f1, self.questions));
        if self.language == AnswerLanguage::Chinese {
            scores = scores.with_value("cmrc_f1", percent(self.run_f1, self.questions));
        }
        scores
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
    fn chinese_answers_are_scored_by_characters() {
        let gold = ["\u{5317}\u{4eac}\u{5927}\u{5b66}"];
        let mut scorer = V1Scorer::in_language(AnswerLanguage::Chinese);
        scorer.add("q1", &gold, Some("\u{5317}\u{4eac}")).unwrap();
        scorer
            .add(
                "q2",
                &gold,
                Some("\u{5927}\u{5b66}\u{5317}\u{4eac}\u{3002}"),
            )
            .unwrap();
        let scores = scorer.scores();
        assert_eq!(scores.get("f1"), Some(100.0 * (2.0 / 3.0 + 1.0) / 2.0));
        assert_eq!(scores.get("cmrc_f1"), Some(100.0 * (2.0 / 3.0 + 0.5) / 2.0));
        let mut words = V1Scorer::default();
        words.add("q1", &gold, Some("\u{5317}\u{4eac}")).unwrap();
        assert_eq!(words.scores().get("f1"), Some(0.0));
        assert_eq!(words.scores().get("cmrc_f1"), None);
    }

    #[test]
    fn a_question_without_gold_answers_is_refused() {
        let mut scorer = V1Scorer::default();
        let error = scorer.add("q7", &[] as &[&str], Some("x")).unwrap_err();
        assert!(error.to_string().contains("q7"), "{error}");
        assert_eq!(scorer.scores().get("total"), Some(0.0));
    }
}
