//! Fine-tuning for next-sentence prediction.

use bert_heads::tasks::next_sentence::{IS_NEXT, IS_RANDOM, NEXT_SENTENCE_LABELS, NextSentence};

use super::*;

/// A cat comes next, a dog is random.
fn pairs(labels: [&str; 2]) -> Dataset<TextExample> {
    let mut data = texts(|animal| Target::Label(labels[animal].to_owned()));
    for example in &mut data.examples {
        let second = std::mem::replace(&mut example.text, "who wrote it ?".to_owned());
        example.pair = Some(second);
    }
    data
}

fn trial(labels: [&str; 2], steps: u64) -> Trial {
    let data = TrainingData::new(
        NextSentence,
        Splits {
            train: pairs(labels),
            validation: Some(pairs(labels)),
        },
    );
    Trial::new(&labels, data, steps)
}

/// Leaves the encoder without the head that it was pretrained with.
fn behead(dir: &Path) {
    let file = dir.join("model.safetensors");
    let bytes = fs::read(&file).unwrap();
    let tensors = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    let kept = tensors
        .tensors()
        .into_iter()
        .filter(|(name, _)| !name.starts_with("cls."));
    fs::write(&file, safetensors::serialize(kept, None).unwrap()).unwrap();
}

#[test]
fn what_follows_is_learnt_and_saved_as_transformers_has_it() {
    for (label, device) in test_devices() {
        for fresh in [false, true] {
            let trial = Trial {
                device: device.clone(),
                ..trial(NEXT_SENTENCE_LABELS, 60)
            };
            if fresh {
                behead(trial.encoder.path());
            }
            let (summary, course) = trial.run(false).unwrap();
            let named = |text: &String| text.contains("cls.seq_relationship.weight");
            assert_eq!(course.messages.iter().any(named), fresh, "{label}");
            assert_eq!(summary.evaluation["accuracy"], 1.0, "{label}");
            assert_eq!(summary.best.unwrap().metric, "accuracy");

            let config = fs::read_to_string(trial.out.path().join("config.json")).unwrap();
            let config: Value = serde_json::from_str(&config).unwrap();
            assert_eq!(config["architectures"][0], "BertForNextSentencePrediction");
            assert!(config.get("id2label").is_none());
            let checkpoint = Checkpoint::open(trial.out.path()).unwrap();
            assert!(checkpoint.contains("cls.seq_relationship.weight"));
            assert!(!checkpoint.contains("classifier.weight"));

            let options = PredictOptions::default();
            let model = TextClassifier::from_dir(trial.out.path(), &options, &trial.device);
            let model = model.unwrap();
            let asked = ["cat", "dog"].map(|animal| TextInput::Pair("who wrote it ?", animal));
            let found = model.predict(asked).unwrap();
            let [next, random] = [IS_NEXT as usize, IS_RANDOM as usize];
            assert!(found[0].logits[next] > found[0].logits[random], "{label}");
            assert!(found[1].logits[next] < found[1].logits[random], "{label}");
            let (scores, _) = model.evaluate(&pairs(NEXT_SENTENCE_LABELS), None).unwrap();
            assert_eq!(scores.get("accuracy"), Some(1.0));
        }
    }
}

#[test]
fn labels_that_mean_neither_are_named() {
    let refused = |labels: [&str; 2], needle: &str| {
        let mut trial = trial(labels, 3);
        trial.settings.labels = NEXT_SENTENCE_LABELS.map(str::to_owned).to_vec();
        let error = trial.run(false).map(|(summary, _)| summary).unwrap_err();
        let error = error.to_string();
        assert!(
            error.contains(needle) && error.contains("line 2"),
            "{error}"
        );
    };
    refused(["next", "other"], "`other`");

    let mut trial = trial(NEXT_SENTENCE_LABELS, 3);
    trial.settings.labels.push("neither".to_owned());
    let error = trial.run(false).unwrap_err().to_string();
    assert!(error.contains("3") && error.contains("labels"), "{error}");
}
