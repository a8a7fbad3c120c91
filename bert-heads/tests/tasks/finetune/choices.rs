//! Multiple choice.

use bert_heads::datasets::ChoiceExample;
use bert_heads::tasks::multiple_choice::{ChoicePicker, MultipleChoice};

use super::*;

/// The right choice names an animal; some questions have two choices and some three.
fn animals() -> Dataset<ChoiceExample> {
    let mut examples = Vec::new();
    for animal in ["cat", "dog", "fox"] {
        for (place, count) in [(0, 2), (1, 2), (1, 3), (2, 3)] {
            let others = ["the river bank", "a mat", "the old plan"];
            let mut choices: Vec<String> = others[..count - 1].iter().map(|&c| c.into()).collect();
            choices.insert(place, format!("the {animal}"));
            examples.push(ChoiceExample {
                context: "who wrote it ?".to_owned(),
                question: (count == 3).then(|| "it is".to_owned()),
                choices,
                label: Some(place),
                line: examples.len() + 2,
            });
        }
    }
    Dataset {
        path: "animals.csv".into(),
        examples,
    }
}

#[test]
fn choices_are_learnt_and_made() {
    for (label, device) in test_devices() {
        let data = TrainingData::new(
            MultipleChoice,
            Splits {
                train: animals(),
                validation: Some(animals()),
            },
        );
        let trial = Trial {
            device,
            ..Trial::new(&["score"], data, 50)
        };
        let (summary, course) = trial.run(false).unwrap();
        assert!(
            mean(&course.losses[45..]) < 0.5 * mean(&course.losses[..5]),
            "{label}: {:?}",
            course.losses
        );
        assert_eq!(summary.evaluation["accuracy"], 1.0, "{label}");

        let options = PredictOptions::default();
        let picker = ChoicePicker::from_dir(trial.out.path(), &options, &trial.device).unwrap();
        let questions = animals();
        let made = picker.choose(&questions.examples).unwrap();
        for (example, choice) in questions.examples.iter().zip(&made) {
            assert_eq!(Some(choice.choice), example.label, "{label}: {example:?}");
            assert_eq!(choice.text, example.choices[choice.choice]);
            assert_eq!(choice.scores.len(), example.choices.len());
            assert_eq!(choice.score, choice.scores[choice.choice]);
        }
        let (scores, _) = picker.evaluate(&questions).unwrap();
        assert_eq!(scores.get("accuracy"), Some(1.0));

        // What transformers takes the class from, and our own loader too.
        assert!(matches!(
            TextClassifier::from_dir(trial.out.path(), &options, &trial.device),
            Err(Error::WrongHead { .. })
        ));
    }
}

#[test]
fn a_question_whose_right_choice_is_unknown_is_named() {
    let mut train = animals();
    train.examples[5].label = None;
    let data = TrainingData::new(MultipleChoice, Splits::of_train(train));
    let trial = Trial::new(&["score"], data, 3);
    let error = trial.run(false).map(|(summary, _)| summary).unwrap_err();
    assert!(error.to_string().contains("animals.csv, line 7"), "{error}");
}
