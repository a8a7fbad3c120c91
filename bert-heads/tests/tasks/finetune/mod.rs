//! Fine-tuning as a whole, on a task that a tiny encoder can learn in seconds.

mod choices;
mod next_sentence;
mod pseudo_labels;
mod questions;
mod similarity;
mod trial;

use std::fs;
use std::path::Path;

use bert_core::checkpoint::Checkpoint;
use bert_core::device::test_devices;
use bert_core::tokenizer::TextInput;
use bert_core::training::Recipe;
use bert_heads::datasets::{Dataset, Target, TextExample};
use bert_heads::finetune::TrainingData;
use bert_heads::runner::PredictOptions;
use bert_heads::task::{Settings, Splits};
use bert_heads::tasks::sequence_classification::{
    Answer, ProblemType, SequenceClassification, TextClassifier,
};
use bert_heads::tasks::token_classification::{CrfSettings, TokenClassification, TokenTagger};
use bert_heads::{Error, Result};
use serde_json::Value;
use tempfile::TempDir;

use trial::{Trial, classes, mean, sentences, texts};

#[test]
fn texts_are_learnt_and_saved_with_their_labels() {
    for (label, device) in test_devices() {
        let trial = Trial {
            device,
            ..Trial::classify(60)
        };
        let (summary, course) = trial.run(false).unwrap();
        let (first, last) = (mean(&course.losses[..5]), mean(&course.losses[55..]));
        assert!(last < 0.5 * first, "{label}: {first} to {last}");
        assert!(summary.finished);
        assert_eq!(summary.evaluation["accuracy"], 1.0, "{label}");
        assert_eq!(summary.best.unwrap().metric, "accuracy");
        assert!(
            course.messages[0].contains("classifier.weight"),
            "{:?}",
            course.messages
        );

        let options = PredictOptions::default();
        let classifier =
            TextClassifier::from_dir(trial.out.path(), &options, &trial.device).unwrap();
        let inputs = [
            TextInput::Single("the dog"),
            TextInput::Single("a cat in the river"),
        ];
        let answers = classifier.predict(inputs).unwrap();
        for (prediction, expected) in answers.iter().zip(["dog", "cat"]) {
            let Answer::Label { label, score, .. } = classifier.answer(prediction) else {
                panic!("{prediction:?}");
            };
            assert_eq!(label, expected);
            assert!(score > 0.5);
        }
        let (scores, _) = classifier.evaluate(&classes(), None).unwrap();
        assert_eq!(scores.get("accuracy"), Some(1.0));
        let config = fs::read_to_string(trial.out.path().join("config.json")).unwrap();
        let config: Value = serde_json::from_str(&config).unwrap();
        assert_eq!(
            config["id2label"],
            serde_json::json!({"0": "cat", "1": "dog"})
        );
        assert_eq!(config["architectures"][0], "BertForSequenceClassification");
    }
}

#[test]
fn words_are_learnt_and_entities_found_in_running_text() {
    let data = TrainingData::new(
        TokenClassification,
        Splits {
            train: sentences(),
            validation: Some(sentences()),
        },
    );
    words_are_learnt(Trial::new(&["O", "B-LOC", "I-LOC"], data, 80));
}

#[test]
fn sequences_of_tags_are_learnt_together() {
    let data = TrainingData::new(
        TokenClassification,
        Splits {
            train: sentences(),
            validation: Some(sentences()),
        },
    );
    let mut trial = Trial::new(&["O", "B-LOC", "I-LOC"], data, 80);
    trial.settings.crf = Some(CrfSettings {
        learning_rate_scale: 5.0,
    });
    let out = words_are_learnt(trial);
    let weights = fs::read(out.path().join("model.safetensors")).unwrap();
    let weights = safetensors::SafeTensors::deserialize(&weights).unwrap();
    let transitions = weights.tensor("crf.transitions").unwrap();
    assert!(transitions.data().iter().any(|&byte| byte != 0));

    let mut trial = Trial::classify(1);
    trial.settings.crf = Some(CrfSettings::default());
    let error = trial.run(false).unwrap_err().to_string();
    assert!(error.contains("the task tokens"), "{error}");
}

fn words_are_learnt(trial: Trial) -> TempDir {
    let (summary, course) = trial.run(false).unwrap();
    assert!(mean(&course.losses[70..]) < 0.5 * mean(&course.losses[..5]));
    assert_eq!(summary.evaluation["f1"], 1.0, "{:?}", summary.evaluation);

    let options = PredictOptions::default();
    let tagger = TokenTagger::from_dir(trial.out.path(), &options, &trial.device).unwrap();
    let found = tagger
        .tag_texts(&["the cat is in Paris", "\u{ad}"])
        .unwrap();
    let places = found[0].entities.as_ref().unwrap();
    assert_eq!((places.len(), places[0].text.as_str()), (1, "Paris"));
    assert_eq!((places[0].start, places[0].end), (14, 19));
    assert_eq!(found[1].entities.as_ref().unwrap().len(), 0);

    // A word without a token has a tag all the same.
    let words = ["hello", "\u{ad}", "Paris"].map(String::from);
    let tags = tagger.tag_words([words.as_slice()]).unwrap();
    let labels: Vec<&str> = tags[0].iter().map(|tag| tag.label.as_str()).collect();
    assert_eq!(labels, ["O", "O", "B-LOC"]);
    trial.out
}

#[test]
fn numbers_and_several_labels_are_learnt() {
    let number = |animal| Target::Number(animal as f64 * 2.0 - 1.0);
    let both = |animal| match animal {
        0 => Target::Labels(vec!["animal".to_owned()]),
        _ => Target::Labels(vec!["animal".to_owned(), "dog".to_owned()]),
    };
    let data = |problem_type, target: &dyn Fn(usize) -> Target| {
        let splits = Splits {
            train: texts(target),
            validation: Some(texts(target)),
        };
        TrainingData::new(SequenceClassification::of(problem_type), splits)
    };
    let trial = Trial::new(&["LABEL_0"], data(ProblemType::Regression, &number), 60);
    let (summary, _) = trial.run(false).unwrap();
    assert!(
        summary.evaluation["pearson"].as_f64().unwrap() > 0.9,
        "{summary:?}"
    );
    let trial = Trial::new(&["animal", "dog"], data(ProblemType::MultiLabel, &both), 80);
    let (summary, _) = trial.run(false).unwrap();
    assert_eq!(summary.evaluation["subset_accuracy"], 1.0);
    let options = PredictOptions::default();
    let classifier = TextClassifier::from_dir(trial.out.path(), &options, &trial.device).unwrap();
    let prediction = classifier
        .predict([TextInput::Single("the old cat is in paris")])
        .unwrap();
    assert!(matches!(
        classifier.answer(&prediction[0]),
        Answer::Labels { labels, .. } if labels == ["animal"]
    ));
}

#[test]
fn a_run_in_parts_ends_as_the_uninterrupted_one() {
    let whole = Trial::classify(25);
    let (_, course) = whole.run(false).unwrap();
    let mut parts = Trial::classify(25);
    let mut losses = Vec::new();
    for (stop_after, resume) in [(7, false), (1, true), (100, true)] {
        parts.stop_after = stop_after;
        let (summary, course) = parts.run(resume).unwrap();
        assert_eq!(summary.finished, stop_after == 100);
        losses.extend(course.losses);
    }
    assert_eq!(losses, course.losses);
    assert_eq!(parts.weights(), whole.weights());

    assert!(matches!(
        parts.run(false),
        Err(Error::Core(bert_core::Error::Run { .. }))
    ));
    parts.settings.batch_size = 3;
    let error = parts.run(true).unwrap_err().to_string();
    assert!(error.contains("batch_size was 4 and is now 3"), "{error}");
}

#[test]
fn what_is_frozen_stays_as_it_was_to_the_bit() {
    let mut trial = Trial::classify(5);
    trial.settings.layers.frozen_layers = Some(1);
    trial.run(false).unwrap();
    let tensors = |path: &Path| -> Vec<(String, Vec<u8>)> {
        let bytes = fs::read(path.join("model.safetensors")).unwrap();
        let file = safetensors::SafeTensors::deserialize(&bytes).unwrap();
        let tensors = file.tensors().into_iter();
        tensors
            .map(|(name, tensor)| (name, tensor.data().to_vec()))
            .collect()
    };
    let before = tensors(trial.encoder.path());
    let mut moved = Vec::new();
    for (name, data) in tensors(trial.out.path()) {
        let was = before.iter().find(|(other, _)| *other == name);
        if was.is_none_or(|(_, was)| *was != data) {
            moved.push(name);
        }
    }
    let frozen = |name: &&String| name.contains("embeddings") || name.contains("layer.0.");
    assert_eq!(moved.iter().find(frozen), None);
    // Everything of the second block, the pooler and the classifier.
    assert_eq!(moved.len(), 16 + 2 + 2, "{moved:?}");
}

#[test]
fn gradients_add_up_over_batches() {
    let weights = |batch_size, accumulate| {
        let mut trial = Trial::classify(6);
        trial.settings.batch_size = batch_size;
        trial.settings.accumulate = accumulate;
        trial.settings.class_weights = Some(vec![1.0, 3.0]);
        let (_, course) = trial.run(false).unwrap();
        course.losses
    };
    let (once, parts) = (weights(6, 1), weights(2, 3));
    for (step, (a, b)) in once.iter().zip(&parts).enumerate() {
        assert!((a - b).abs() < 1e-4, "step {step}: {a} against {b}");
    }
}

#[test]
fn a_run_that_gets_no_better_stops_early() {
    let mut trial = Trial::classify(400);
    trial.patience = Some(2);
    let (summary, course) = trial.run(false).unwrap();
    assert!(summary.finished && summary.step < 400, "{summary:?}");
    let best = summary.best.unwrap();
    assert_eq!(summary.step, best.step + 20);
    assert_eq!(course.evaluations.len() as u64, summary.step / 10);
}

#[test]
fn a_model_of_the_same_labels_goes_on_with_its_head() {
    let first = Trial::classify(60);
    first.run(false).unwrap();
    let begun_with_first = |labels: &[&str]| {
        let mut second = Trial::classify(1);
        second.settings.labels = labels.iter().map(|&name| name.to_owned()).collect();
        let course = second.one_step_after(&first);
        (course.losses[0], course.messages[0].clone())
    };
    let (loss, message) = begun_with_first(&["cat", "dog"]);
    assert!(message.starts_with("going on with the head"), "{message}");
    assert!(loss < 0.1, "{loss}");

    // In another order they are other outputs.
    let (loss, message) = begun_with_first(&["dog", "cat"]);
    assert!(message.contains("classifier.weight"), "{message}");
    assert!(loss > 0.3, "{loss}");
}

#[test]
fn tags_chosen_together_go_on_only_together() {
    let tags = ["B-LOC", "I-LOC", "O"];
    let together = |steps| {
        let data = TrainingData::new(
            TokenClassification,
            Splits {
                train: sentences(),
                validation: None,
            },
        );
        let mut trial = Trial::new(&tags, data, steps);
        trial.settings.crf = Some(CrfSettings::default());
        trial
    };
    let first = together(20);
    first.run(false).unwrap();
    let begun_with_first = |crf: Option<CrfSettings>| {
        let mut second = together(1);
        second.settings.crf = crf;
        let course = second.one_step_after(&first);
        let bytes = second.weights();
        let weights = safetensors::SafeTensors::deserialize(&bytes).unwrap();
        let transitions = weights.tensor("crf.transitions").ok();
        (
            course.messages[0].clone(),
            transitions.map(|tensor| tensor.data().to_vec()),
        )
    };
    let (message, transitions) = begun_with_first(Some(CrfSettings::default()));
    assert!(message.starts_with("going on with the head"), "{message}");
    let bytes = first.weights();
    let weights = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    let learnt = weights.tensor("crf.transitions").unwrap().data().to_vec();
    let floats = |bytes: &[u8]| -> Vec<f32> {
        let float = |four: &[u8]| f32::from_le_bytes(four.try_into().unwrap());
        bytes.chunks_exact(4).map(float).collect()
    };
    for (kept, learnt) in floats(&transitions.unwrap()).iter().zip(floats(&learnt)) {
        assert!((kept - learnt).abs() < 1e-6, "{kept} {learnt}");
    }

    let (message, transitions) = begun_with_first(None);
    assert!(message.contains("classifier.weight"), "{message}");
    assert!(transitions.is_none());
}

#[test]
fn from_scratch_forgets_the_encoder() {
    let mut trial = Trial::classify(1);
    trial.settings.from_scratch = true;
    trial.settings.schedule = Recipe::HuggingFace.schedule(1e-9, 0, 1);
    let (_, course) = trial.run(false).unwrap();
    assert!(
        course
            .messages
            .iter()
            .all(|text| !text.contains("random values"))
    );
    let checkpoint = Checkpoint::open(trial.out.path()).unwrap();
    assert!(checkpoint.has_pooler());
    let find = |dir: &Path| {
        let bytes = fs::read(dir.join("model.safetensors")).unwrap();
        let file = safetensors::SafeTensors::deserialize(&bytes).unwrap();
        let name = "bert.encoder.layer.1.output.dense.weight";
        file.tensor(name).unwrap().data().to_vec()
    };
    assert_ne!(find(trial.out.path()), find(trial.encoder.path()));
}

#[test]
fn settings_that_make_no_run_are_named() {
    let refused = |change: &dyn Fn(&mut Settings), needle: &str| {
        let mut trial = Trial::classify(3);
        change(&mut trial.settings);
        let error = trial
            .run(false)
            .map(|(summary, _)| summary)
            .unwrap_err()
            .to_string();
        assert!(error.contains(needle), "{error}");
    };
    refused(&|s| s.class_weights = Some(vec![1.0]), "class weights");
    refused(&|s| s.batch_size = 0, "batch size");
    refused(&|s| s.layers.frozen_layers = Some(3), "frozen layers");
    refused(&|s| s.labels = vec!["cat".to_owned()], "at least two");
    refused(
        &|s| s.labels = vec!["cat".to_owned(), "fox".to_owned()],
        "animals.tsv, line 2",
    );
    refused(&|s| s.metric = "bleu".to_owned(), "bleu");
    refused(&|s| s.max_length = 49, "48 positions");
    refused(&|s| s.schedule.total_steps = 0, "steps");
}

#[test]
fn a_text_is_predicted_alike_alone_and_with_others_and_however_long() {
    let trial = Trial::classify(5);
    trial.run(false).unwrap();
    for (label, device) in test_devices() {
        let options = PredictOptions {
            max_length: Some(16),
            ..PredictOptions::default()
        };
        let classifier = TextClassifier::from_dir(trial.out.path(), &options, &device).unwrap();
        let long = "the quick brown fox wrote it over the lazy dog . ".repeat(7);
        let inputs = [
            TextInput::Single("hello"),
            TextInput::Single(&long),
            TextInput::Pair("the cat", &long),
            TextInput::Single(""),
            TextInput::Pair("the old man", "the sea"),
        ];
        let together = classifier.predict(inputs).unwrap();
        for (input, prediction) in inputs.into_iter().zip(&together) {
            let alone = classifier.predict([input]).unwrap().remove(0);
            assert_eq!(alone.windows, prediction.windows);
            for (a, b) in alone.logits.iter().zip(&prediction.logits) {
                assert!((a - b).abs() < 1e-5, "{label}, {input:?}: {a} against {b}");
            }
        }
        let windows: Vec<usize> = together.iter().map(|p| p.windows).collect();
        assert!(windows[1] > 5 && windows[2] > 5, "{windows:?}");
        assert_eq!([windows[0], windows[3], windows[4]], [1, 1, 1]);
        // The mean of the windows of a text that repeats itself is near any of them, not their sum.
        let sum: f32 = together[1].logits.iter().map(|x| x.abs()).sum();
        let one: f32 = together[0].logits.iter().map(|x| x.abs()).sum();
        assert!(sum < 10.0 * one.max(0.1), "{sum} against {one}");
    }
}
