//! SQuAD 2.0: some questions have no answer.

use super::answer::NormalAnswer;
use super::language::AnswerLanguage;
use super::percent;
use crate::error::{Error, Result};
use crate::metrics::Scores;

/// Predicted answer to a question.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Prediction<'a> {
    /// The answer; empty to say that there is none.
    pub text: &'a str,
    /// Confidence of the model that there is none: a probability, or any number that grows with it,
    /// such as the difference of the scores. Not read by a scorer without a threshold.
    pub no_answer: f64,
}

/// Scores answers as `evaluate-v2.0.py` does. Needs 32 bytes a question: thresholds are searched
/// over all of them.
///
/// A question without a prediction is left out of every score, and counted as `missing`. (The
/// script does so for `exact`, `f1` and `total`, and fails where it splits them.)
#[derive(Clone, Debug, Default)]
pub struct V2Scorer {
    language: AnswerLanguage,
    threshold: Option<f64>,
    answered: Vec<Question>,
    missing: u64,
    /// Questions without a gold answer, those without a prediction included.
    no_answer_questions: u64,
}

/// A question with a prediction.
#[derive(Clone, Copy, Debug)]
struct Question {
    has_answer: bool,
    /// True if the prediction claims an answer.
    claims_answer: bool,
    exact: f64,
    f1: f64,
    no_answer: f64,
}

/// Sums over questions.
#[derive(Default)]
struct Sums {
    exact: f64,
    f1: f64,
    total: u64,
}

impl Sums {
    fn add(&mut self, (exact, f1): (f64, f64)) {
        self.exact += exact;
        self.f1 += f1;
        self.total += 1;
    }
}

impl V2Scorer {
    /// A scorer that takes predictions at their word.
    pub fn new() -> Self {
        Self::default()
    }

    /// A scorer for which every prediction with a `no_answer` above `threshold` says that there is
    /// none, and that searches for the best threshold. The script's own is 1, which no probability
    /// exceeds.
    ///
    /// # Errors
    ///
    /// [`Error::NoAnswerScore`] for a threshold that is not a number.
    pub fn with_threshold(threshold: f64) -> Result<Self> {
        if threshold.is_nan() {
            return Err(Error::NoAnswerScore {
                place: "the threshold".to_owned(),
                found: threshold,
            });
        }
        Ok(Self {
            threshold: Some(threshold),
            ..Self::default()
        })
    }

    /// Scores of answers in a language.
    #[must_use]
    pub fn in_language(self, language: AnswerLanguage) -> Self {
        Self { language, ..self }
    }

    /// Counts one question: its gold answers, none if it has no answer, and the prediction.
    ///
    /// # Errors
    ///
    /// [`Error::NoAnswerScore`] naming the question when the scorer has a threshold and `no_answer`
    /// is not a finite number.
    pub fn add(
        &mut self,
        id: &str,
        gold: &[impl AsRef<str>],
        prediction: Option<Prediction<'_>>,
    ) -> Result<()> {
        if let Some(prediction) = prediction
            && self.threshold.is_some()
            && !prediction.no_answer.is_finite()
        {
            return Err(Error::NoAnswerScore {
                place: format!("question `{id}`"),
                found: prediction.no_answer,
            });
        }
        self.no_answer_questions += u64::from(gold.is_empty());
        let Some(Prediction { text, no_answer }) = prediction else {
            self.missing += 1;
            return Ok(());
        };
        let predicted = NormalAnswer::of(text, self.language);
        let mut answers: Vec<NormalAnswer> = gold
            .iter()
            .map(|answer| NormalAnswer::of(answer.as_ref(), self.language))
            .filter(|answer| !answer.is_empty())
            .collect();
        if answers.is_empty() {
            // Right is only to say nothing.
            answers.push(NormalAnswer::new(""));
        }
        let exact = answers.iter().any(|answer| answer.exact_match(&predicted));
        let f1s = answers.iter().map(|answer| answer.token_f1(&predicted));
        self.answered.push(Question {
            has_answer: !gold.is_empty(),
            claims_answer: !text.is_empty(),
            exact: f64::from(u8::from(exact)),
            f1: f1s.fold(0.0, f64::max),
            no_answer,
        });
        Ok(())
    }

    /// Questions without a prediction so far: worth a warning, for the scores leave them out.
    pub fn missing(&self) -> u64 {
        self.missing
    }

    /// `exact` and `f1`, the primary number, 0 to 100, and `total`; the same with `HasAns_` and
    /// `NoAns_` where there are such questions; with a threshold `best_exact`, `best_f1` and the
    /// thresholds `best_exact_thresh`, `best_f1_thresh` that give them; the questions `missing` a
    /// prediction.
    ///
    /// The best values are the script's also where it is odd: the search begins with the threshold 0
    /// for saying that there is no answer anywhere, goes through predictions of equal `no_answer` in
    /// the order they were added in, and counts questions without answer and prediction as right.
    pub fn scores(&self) -> Scores {
        let (mut all, mut has, mut no) = (Sums::default(), Sums::default(), Sums::default());
        for question in &self.answered {
            let scores = self.at_threshold(question);
            all.add(scores);
            if question.has_answer {
                has.add(scores);
            } else {
                no.add(scores);
            }
        }
        let mut scores = Scores::new("f1")
            .with_value("exact", percent(all.exact, all.total))
            .with_value("f1", percent(all.f1, all.total))
            .with_count("total", all.total);
        if has.total > 0 {
            scores = scores
                .with_value("HasAns_exact", percent(has.exact, has.total))
                .with_value("HasAns_f1", percent(has.f1, has.total))
                .with_count("HasAns_total", has.total);
        }
        if no.total > 0 {
            scores = scores
                .with_value("NoAns_exact", percent(no.exact, no.total))
                .with_value("NoAns_f1", percent(no.f1, no.total))
                .with_count("NoAns_total", no.total);
        }
        if self.threshold.is_some() {
            let (best_exact, exact_thresh) = self.best(|question| question.exact);
            let (best_f1, f1_thresh) = self.best(|question| question.f1);
            scores = scores
                .with_value("best_exact", best_exact)
                .with_value("best_exact_thresh", exact_thresh)
                .with_value("best_f1", best_f1)
                .with_value("best_f1_thresh", f1_thresh);
        }
        scores.with_count("missing", self.missing)
    }

    /// The threshold with the best F1, found as the script does, but true to its word: below every
    /// `no_answer` where it is best to claim no answer at all, and else in the middle between the two
    /// values that it tells apart, so that rounding on another device changes nothing.
    ///
    /// 0 without a prediction.
    pub fn best_threshold(&self) -> f64 {
        let mut order: Vec<&Question> = self.answered.iter().collect();
        order.sort_by(|a, b| a.no_answer.total_cmp(&b.no_answer));
        let mut current = order.iter().filter(|q| !q.has_answer).count() as f64;
        let lowest = order
            .first()
            .map_or(0.0, |question| question.no_answer - 1.0);
        let (mut best, mut threshold) = (current, lowest);
        let mut groups = order.chunk_by(|a, b| a.no_answer == b.no_answer).peekable();
        while let Some(equal) = groups.next() {
            let gained = |question: &&Question| match question.has_answer {
                true => question.f1,
                false => question.f1 - 1.0,
            };
            current += equal.iter().map(gained).sum::<f64>();
            if current > best {
                let next = groups.peek().map_or(equal[0], |next| next[0]);
                best = current;
                threshold = f64::midpoint(equal[0].no_answer, next.no_answer);
            }
        }
        threshold
    }

    /// Exact match and F1 once the threshold has had its say.
    fn at_threshold(&self, question: &Question) -> (f64, f64) {
        match self.threshold {
            Some(threshold) if question.no_answer > threshold => {
                let right = f64::from(u8::from(!question.has_answer));
                (right, right)
            }
            _ => (question.exact, question.f1),
        }
    }

    /// The best score over all thresholds, 0 to 100, and the threshold.
    fn best(&self, score: impl Fn(&Question) -> f64) -> (f64, f64) {
        let mut order: Vec<&Question> = self.answered.iter().collect();
        order.sort_by(|a, b| a.no_answer.total_cmp(&b.no_answer));
        // With every prediction turned into "no answer".
        let mut current = self.no_answer_questions as f64;
        let (mut best, mut threshold) = (current, 0.0);
        for question in order {
            current += match (question.has_answer, question.claims_answer) {
                (true, _) => score(question),
                (false, true) => -1.0,
                (false, false) => 0.0,
            };
            if current > best {
                (best, threshold) = (current, question.no_answer);
            }
        }
        (percent(best, self.answered.len() as u64), threshold)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(text: &str, no_answer: f64) -> Option<Prediction<'_>> {
        Some(Prediction { text, no_answer })
    }

    const NONE: [&str; 0] = [];

    #[test]
    fn questions_are_split_by_whether_they_have_an_answer() {
        let mut scorer = V2Scorer::new();
        scorer.add("q1", &["x y"], said("y", f64::NAN)).unwrap();
        scorer.add("q2", &NONE, said("", 0.0)).unwrap();
        scorer.add("q3", &NONE, said("x", 0.0)).unwrap();
        scorer.add("q4", &NONE, None).unwrap();
        // Answers without words are dropped, and the question counts as one that has an answer.
        scorer.add("q5", &["the"], said("", 0.0)).unwrap();
        let scores = scorer.scores();
        assert_eq!(scores.get("exact"), Some(50.0));
        assert_eq!(scores.get("HasAns_exact"), Some(50.0));
        assert_eq!(
            scores.get("HasAns_f1"),
            Some(100.0 * (2.0 / 3.0 + 1.0) / 2.0)
        );
        assert_eq!(scores.get("NoAns_f1"), Some(50.0));
        assert_eq!((scores.get("total"), scorer.missing()), (Some(4.0), 1));
        assert_eq!(scores.get("best_f1"), None);
    }

    #[test]
    fn the_best_threshold_is_found() {
        let mut scorer = V2Scorer::with_threshold(0.25).unwrap();
        scorer.add("q1", &["x"], said("x", 0.5)).unwrap();
        scorer.add("q2", &["x"], said("x", 0.125)).unwrap();
        scorer.add("q3", &NONE, said("x", 0.75)).unwrap();
        let scores = scorer.scores();
        // q1 is silenced by the threshold, and need not be.
        assert_eq!(scores.get("exact"), Some(100.0 * 2.0 / 3.0));
        assert_eq!(scores.get("best_exact"), Some(100.0));
        assert_eq!(scores.get("best_exact_thresh"), Some(0.5));
    }

    #[test]
    fn scores_that_are_no_numbers_are_refused() {
        assert!(V2Scorer::with_threshold(f64::NAN).is_err());
        let mut scorer = V2Scorer::with_threshold(1.0).unwrap();
        let error = scorer.add("q7", &["x"], said("x", f64::NAN)).unwrap_err();
        assert!(error.to_string().contains("q7"), "{error}");
        assert_eq!(scorer.scores().get("total"), Some(0.0));
    }
}
