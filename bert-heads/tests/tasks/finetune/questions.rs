//! Questions on contexts, with and without an answer.

use bert_heads::datasets::{Answer, QuestionExample};
use bert_heads::runner::PredictOptions;
use bert_heads::tasks::question_answering::{
    QuestionAnswerer, QuestionAnswering, QuestionOptions, QuestionSettings,
};

use super::*;

fn question(id: usize, context: &str, place: Option<&str>) -> QuestionExample {
    let answers = place.map(|place| Answer {
        text: place.to_owned(),
        start: context[..context.find(place).unwrap()].chars().count(),
    });
    QuestionExample {
        id: format!("q{id}"),
        question: "where is the cat ?".to_owned(),
        context: context.into(),
        is_impossible: answers.is_none(),
        answers: answers.into_iter().collect(),
        title: "".into(),
    }
}

/// Questions for the place of the cat; a context without a place has no answer.
fn places(impossible: bool) -> Dataset<QuestionExample> {
    let long = "the quick fox was old . ".repeat(6);
    let mut examples = Vec::new();
    for place in ["canal", "river bank"] {
        for context in [
            format!("the cat is in {place} ."),
            format!("naïve fox , {place}, hello"),
            format!("a lazy dog at the end and the cat in {place}"),
            format!("{long} the old cat sat in {place} , it is quick . {long}"),
        ] {
            examples.push(question(examples.len(), &context, Some(place)));
        }
    }
    if impossible {
        for context in ["the cat is old .", "hello dog", &long] {
            examples.push(question(examples.len(), context, None));
        }
    }
    Dataset {
        path: "places.json".into(),
        examples,
    }
}

fn trial(impossible: bool, steps: u64) -> Trial {
    let data = TrainingData::new(
        QuestionAnswering,
        Splits {
            train: places(impossible),
            validation: Some(places(impossible)),
        },
    );
    let mut trial = Trial::new(&["start", "end"], data, steps);
    trial.settings.batch_size = 8;
    trial.settings.questions = Some(QuestionSettings {
        doc_stride: 9,
        n_best: 5,
        ..QuestionSettings::usual(32)
    });
    trial
}

fn batches() -> PredictOptions {
    PredictOptions {
        batch_tokens: 512,
        ..PredictOptions::default()
    }
}

#[test]
fn answers_are_learnt_and_found_in_long_contexts() {
    for (label, device) in test_devices() {
        let trial = Trial {
            device,
            // The first weights that have all answers right need not be sure of them; these are the last.
            evaluate_every: 120,
            ..trial(false, 120)
        };
        assert_eq!(trial.settings.metric, "f1");
        let (summary, course) = trial.run(false).unwrap();
        assert!(
            mean(&course.losses[110..]) < 0.5 * mean(&course.losses[..5]),
            "{label}: {:?}",
            course.losses
        );
        assert_eq!(summary.evaluation["exact_match"], 100.0, "{label}");
        assert_eq!(summary.best.unwrap().metric, "f1");

        let options = QuestionOptions::default();
        let answerer =
            QuestionAnswerer::from_dir(trial.out.path(), &options, &batches(), &trial.device)
                .unwrap();
        assert_eq!(answerer.settings().doc_stride, 9);
        assert_eq!(answerer.settings().null_threshold, None);
        let questions = places(false).examples;
        let found = answerer.answer(&questions).unwrap();
        for (question, found) in questions.iter().zip(&found) {
            let gold = &question.answers[0];
            assert_eq!(found.answer, gold.text, "{label}: {question:?}");
            let end = gold.start + gold.text.len();
            assert_eq!((found.start, found.end), (Some(gold.start), Some(end)));
            assert!(found.n_best.len() == 5 && found.score > 0.5, "{found:?}");
        }
        assert!(found[3].windows > 3 && found[0].windows == 1);
        // Alone as with others.
        let alone = answerer.answer(&questions[3..4]).unwrap();
        assert!((alone[0].score - found[3].score).abs() < 1e-4, "{label}");
        let (scores, _) = answerer.evaluate(&questions).unwrap();
        assert_eq!(scores.get("f1"), Some(100.0));
        assert!(scores.get("loss").unwrap() < 1.0);
    }
}

#[test]
fn questions_without_an_answer_are_told_by_a_threshold_that_is_kept() {
    let mut trial = trial(true, 80);
    trial.settings.metric = "exact_match".to_owned();
    let (summary, _) = trial.run(false).unwrap();
    assert_eq!(summary.evaluation["f1"], 100.0, "{:?}", summary.evaluation);
    assert_eq!(summary.evaluation["exact"], 100.0);
    let best = summary.best.unwrap();
    assert_eq!((best.metric.as_str(), best.value), ("exact_match", 100.0));
    assert_eq!(summary.evaluation["NoAns_total"], 3);

    let questions = places(true).examples;
    let options = QuestionOptions::default();
    let answerer =
        QuestionAnswerer::from_dir(trial.out.path(), &options, &batches(), &trial.device).unwrap();
    let threshold = answerer.settings().null_threshold.unwrap();
    let found = answerer.answer(&questions).unwrap();
    for (question, found) in questions.iter().zip(&found) {
        assert_eq!(found.answer.is_empty(), question.is_impossible, "{found:?}");
        let is_above = f64::from(found.no_answer) > threshold;
        assert_eq!(is_above, question.is_impossible);
    }
    let (scores, _) = answerer.evaluate(&questions).unwrap();
    assert_eq!(scores.get("exact"), Some(100.0));

    // Another threshold, and no word of it in the encoder's own file.
    let options = QuestionOptions {
        null_threshold: Some(-1e9),
        ..options
    };
    let silent =
        QuestionAnswerer::from_dir(trial.out.path(), &options, &batches(), &trial.device).unwrap();
    let found = silent.answer(&questions).unwrap();
    assert!(found.iter().all(|found| found.answer.is_empty()));
    let config = fs::read_to_string(trial.out.path().join("config.json")).unwrap();
    assert!(config.contains("BertForQuestionAnswering") && !config.contains("threshold"));
}

#[test]
fn a_run_on_questions_goes_on_where_it_stopped() {
    let whole = trial(true, 12);
    let (_, course) = whole.run(false).unwrap();
    let mut parts = trial(true, 12);
    parts.stop_after = 5;
    let (_, first) = parts.run(false).unwrap();
    parts.stop_after = usize::MAX;
    let (_, second) = parts.run(true).unwrap();
    assert_eq!([first.losses, second.losses].concat(), course.losses);
    assert_eq!(parts.weights(), whole.weights());
}

#[test]
fn exact_answers_may_choose_the_best_model() {
    let mut trial = trial(false, 20);
    trial.settings.metric = "exact_match".to_owned();
    let (summary, course) = trial.run(false).unwrap();
    let found = course.evaluations.iter();
    let found: Vec<f64> = found
        .map(|evaluation| evaluation.value("exact_match").unwrap())
        .collect();
    let best = summary.best.unwrap();
    assert_eq!(best.metric, "exact_match");
    assert_eq!(best.value, found.iter().copied().fold(f64::MIN, f64::max));
}

#[test]
fn settings_without_room_for_a_context_are_refused() {
    let mut trial = trial(false, 3);
    let usual = QuestionSettings::usual(32);
    trial.settings.questions = Some(QuestionSettings {
        max_query_length: 30,
        ..usual
    });
    let error = trial.run(false).map(|(summary, _)| summary).unwrap_err();
    assert!(error.to_string().contains("30 of 32 tokens"), "{error}");
}
