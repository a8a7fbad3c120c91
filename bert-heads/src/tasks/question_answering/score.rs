//! Answers against what is known (SQuAD 1.1 and 2.0).

use super::answerer::answer_rows;
use super::{
    BertForQuestionAnswering, FoundAnswer, QuestionAnswerer, QuestionFeaturizer, QuestionRows,
    QuestionSettings,
};
use crate::datasets::QuestionExample;
use crate::error::Result;
use crate::metrics::Scores;
use crate::metrics::squad::{AnswerLanguage, Prediction, V1Scorer, V2Scorer, is_unspaced};
use crate::tasks::logits::{cross_entropy, mean};
use bert_core::stop::ShouldStop;

/// Questions with known answers, ready to be asked again and again.
pub(crate) struct QuestionEvaluation {
    questions: Vec<QuestionExample>,
    features: QuestionRows,
    targets: Vec<(usize, usize)>,
}

impl QuestionAnswerer {
    /// The answers to questions, and how good they are, by threshold and language of the settings: the
    /// metrics of SQuAD 2.0 if one of the questions is impossible, else those of 1.1; and the `loss`.
    ///
    /// # Errors
    ///
    /// [`Error::NoGoldAnswer`](crate::Error::NoGoldAnswer) for a question of which nothing is known, and those of
    /// [`answer`](Self::answer).
    pub fn evaluate(&self, questions: &[QuestionExample]) -> Result<(Scores, Vec<FoundAnswer>)> {
        let evaluation = QuestionEvaluation::new(&self.featurizer, questions.to_vec())?;
        let (answers, loss) = evaluation.ask(&self.model, &self.featurizer, &|| false)?;
        let scores = score_questions(questions, &answers, self.settings())?;
        Ok((scores.with_value("loss", loss), answers))
    }
}

impl QuestionEvaluation {
    pub(crate) fn new(
        featurizer: &QuestionFeaturizer,
        questions: Vec<QuestionExample>,
    ) -> Result<Self> {
        let features = featurizer.questions(&questions)?;
        Ok(Self {
            targets: features.targets(&questions),
            questions,
            features,
        })
    }

    pub(crate) fn questions(&self) -> &[QuestionExample] {
        &self.questions
    }

    /// The answers, and the mean loss of the windows, the softmax of which leaves padding out.
    pub(crate) fn ask(
        &self,
        model: &BertForQuestionAnswering,
        featurizer: &QuestionFeaturizer,
        should_stop: ShouldStop<'_>,
    ) -> Result<(Vec<FoundAnswer>, f64)> {
        let mut losses = vec![0.0; self.features.rows.len()];
        let answers = answer_rows(
            model,
            featurizer,
            &self.questions,
            &self.features,
            should_stop,
            |row, logits| {
                let (start, end) = self.targets[row];
                let ends = |which: usize| -> Vec<f32> {
                    logits.iter().skip(which).step_by(2).copied().collect()
                };
                losses[row] = (cross_entropy(start, &ends(0)) + cross_entropy(end, &ends(1))) / 2.0;
            },
        )?;
        Ok((answers, mean(losses)))
    }
}

/// The metrics of SQuAD 2.0 if one of the questions is impossible, else those of 1.1. Without a
/// threshold every question has an answer.
pub(crate) fn score_questions(
    questions: &[QuestionExample],
    answers: &[FoundAnswer],
    settings: &QuestionSettings,
) -> Result<Scores> {
    let null_threshold = settings.null_threshold;
    let language = language(questions, settings);
    if questions.iter().any(|question| question.is_impossible) {
        let scorer = V2Scorer::with_threshold(null_threshold.unwrap_or(f64::INFINITY))?;
        let scorer = scorer.in_language(language);
        let scores = scored(scorer, questions, answers)?.scores();
        return Ok(naming(language, scores));
    }
    let mut scorer = V1Scorer::in_language(language);
    for (question, answer) in questions.iter().zip(answers) {
        let said = answer.with_threshold(null_threshold);
        scorer.add(&question.id, &gold(question), Some(said))?;
    }
    Ok(naming(language, scorer.scores()))
}

/// The language that answers are scored in.
fn language(questions: &[QuestionExample], settings: &QuestionSettings) -> AnswerLanguage {
    let found = || answers_language(questions);
    settings.answers_language.unwrap_or_else(found)
}

/// The language of the answers that are known, or of the questions where none is in letters.
///
/// Where the answers mix two scripts, as names of another language in Chinese ones do, the contexts
/// that they stand in decide.
pub(crate) fn answers_language(questions: &[QuestionExample]) -> AnswerLanguage {
    let answers = || questions.iter().flat_map(gold);
    let letters = || answers().flat_map(str::chars);
    if !letters().any(char::is_alphabetic) {
        return AnswerLanguage::of(questions.iter().map(|question| question.question.as_str()));
    }
    let found = AnswerLanguage::of(answers());
    match !found.counts_characters() && letters().any(is_unspaced) {
        false => found,
        true => AnswerLanguage::of(
            questions
                .iter()
                .map(|question| &*question.context)
                .chain(answers()),
        ),
    }
}

/// The scores, which name the language if it is not that of the scripts.
pub(crate) fn naming(language: AnswerLanguage, scores: Scores) -> Scores {
    match language.counts_characters() {
        true => scores.with_name("answers_language", language.code()),
        false => scores,
    }
}

/// The threshold of the best F1.
pub(crate) fn best_null_threshold(
    questions: &[QuestionExample],
    answers: &[FoundAnswer],
    settings: &QuestionSettings,
) -> Result<f64> {
    let scorer = V2Scorer::with_threshold(f64::INFINITY)?;
    let scorer = scorer.in_language(language(questions, settings));
    Ok(scored(scorer, questions, answers)?.best_threshold())
}

fn scored(
    mut scorer: V2Scorer,
    questions: &[QuestionExample],
    answers: &[FoundAnswer],
) -> Result<V2Scorer> {
    for (question, answer) in questions.iter().zip(answers) {
        let best = answer.n_best.first();
        let prediction = Prediction {
            text: best.map_or("", |best| best.text.as_str()),
            no_answer: f64::from(answer.no_answer),
        };
        scorer.add(&question.id, &gold(question), Some(prediction))?;
    }
    Ok(scorer)
}

fn gold(question: &QuestionExample) -> Vec<&str> {
    let answers = question.answers.iter();
    answers.map(|answer| answer.text.as_str()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::datasets::Answer;
    use crate::tasks::question_answering::AnswerCandidate;

    fn settings(null_threshold: Option<f64>) -> QuestionSettings {
        QuestionSettings {
            null_threshold,
            ..QuestionSettings::usual(12)
        }
    }

    fn pair(gold: Option<&str>, said: &str, no_answer: f32) -> (QuestionExample, FoundAnswer) {
        let question = QuestionExample {
            id: "q".to_owned(),
            question: "?".to_owned(),
            context: "x y".into(),
            answers: gold
                .map(|text| Answer {
                    text: text.to_owned(),
                    start: 0,
                })
                .into_iter()
                .collect(),
            is_impossible: gold.is_none(),
            title: "".into(),
        };
        let answer = FoundAnswer {
            answer: said.to_owned(),
            start: Some(0),
            end: Some(1),
            score: 1.0,
            no_answer,
            n_best: vec![AnswerCandidate {
                text: said.to_owned(),
                start: 0,
                end: 1,
                score: 1.0,
            }],
            windows: 1,
        };
        (question, answer)
    }

    #[test]
    fn the_threshold_that_is_found_gives_the_best_score() {
        let (questions, answers): (Vec<_>, Vec<_>) = [
            pair(Some("x"), "x", -3.0),
            pair(Some("x"), "x", -1.0),
            pair(None, "y", -0.5),
            pair(Some("x"), "y", 2.0),
        ]
        .into_iter()
        .unzip();
        let threshold = best_null_threshold(&questions, &answers, &settings(None)).unwrap();
        assert_eq!(threshold, -0.75);
        let scores = score_questions(&questions, &answers, &settings(Some(threshold))).unwrap();
        assert_eq!(scores.get("f1"), Some(75.0));
        assert_eq!(scores.get("best_f1"), Some(75.0));
        let all = score_questions(&questions, &answers, &settings(None)).unwrap();
        assert_eq!(all.get("f1"), Some(50.0));

        // Best is to say nothing at all.
        let (questions, answers): (Vec<_>, Vec<_>) =
            [pair(None, "x", -3.0), pair(Some("x"), "y", -9.0)]
                .into_iter()
                .unzip();
        let threshold = best_null_threshold(&questions, &answers, &settings(None)).unwrap();
        assert!(threshold < -9.0 && threshold.is_finite(), "{threshold}");
        let scores = score_questions(&questions, &answers, &settings(Some(threshold))).unwrap();
        assert_eq!(scores.get("f1"), Some(50.0));
    }

    #[test]
    fn without_impossible_questions_the_scores_are_those_of_version_1() {
        let (questions, answers): (Vec<_>, Vec<_>) =
            [pair(Some("x"), "the X", 0.0), pair(Some("x"), "y", 0.0)]
                .into_iter()
                .unzip();
        let scores = score_questions(&questions, &answers, &settings(None)).unwrap();
        assert_eq!(scores.get("exact_match"), Some(50.0));
        assert_eq!(scores.get("HasAns_f1"), None);
    }

    #[test]
    fn the_language_of_the_answers_decides_what_is_counted() {
        let (question, answer) = pair(
            Some("\u{5317}\u{4eac}\u{5927}\u{5b66}"),
            "\u{5317}\u{4eac}",
            0.0,
        );
        let (questions, answers) = ([question], [answer]);
        let scores = score_questions(&questions, &answers, &settings(None)).unwrap();
        assert!((scores.get("f1").unwrap() - 200.0 / 3.0).abs() < 1e-9);
        assert_eq!(scores.to_map()["answers_language"], "zh");
        let words = QuestionSettings {
            answers_language: Some(AnswerLanguage::English),
            ..settings(None)
        };
        let scores = score_questions(&questions, &answers, &words).unwrap();
        assert_eq!(scores.get("f1"), Some(0.0));
        assert!(!scores.to_map().contains_key("answers_language"));
    }

    #[test]
    fn contexts_decide_where_answers_mix_scripts() {
        let in_context = |context: &str| {
            let golds = [
                "2016\u{5e74}NBA\u{603b}\u{51a0}\u{519b}",
                "iPhone\u{624b}\u{673a}",
            ];
            let questions = golds.map(|gold| QuestionExample {
                context: context.into(),
                ..pair(Some(gold), "x", 0.0).0
            });
            answers_language(&questions)
        };
        let chinese = "\u{6e56}\u{4eba}\u{662f}\u{7bee}\u{7403}\u{961f}\u{ff0c}\u{5728}\u{6d1b}\u{6749}\u{77f6}\u{3002}";
        assert_eq!(in_context(chinese), AnswerLanguage::Chinese);
        let english = "The Lakers are a basketball team in Los Angeles, which they call home.";
        assert_eq!(in_context(english), AnswerLanguage::English);
    }
}
