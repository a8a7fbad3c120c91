//! Learning in rounds from texts without labels.

use bert_heads::finetune::{Round, SelfTraining};

use super::*;

/// Learns in rounds from texts of which only some have labels; what was taken in each, and the notes
/// of the first round after the beginning.
fn in_rounds(confidence: f32, output: &Path) -> (Vec<Round>, Option<String>) {
    let unlabelled = texts(|_| Target::None);
    let mut labelled = classes();
    // Cats and dogs of some frames; the others are to be labelled.
    labelled.examples.truncate(8);
    let training = SelfTraining {
        labelled,
        validation: None,
        unlabelled,
        confidence,
        rounds: 2,
        output: output.to_owned(),
    };
    let mut rounds = Vec::new();
    let device = test_devices().swap_remove(0).1;
    training
        .run(
            |round, dir, data| -> Result<()> {
                rounds.push(round.clone());
                let labelled = data.train_examples();
                assert_eq!(labelled, 8 + round.taken);
                let trial = Trial {
                    data,
                    ..Trial::classify(60)
                };
                trial.run(false)?;
                fs::create_dir_all(dir).unwrap();
                for file in fs::read_dir(trial.out.path()).unwrap() {
                    let path = file.unwrap().path();
                    if path.is_file() {
                        fs::copy(&path, dir.join(path.file_name().unwrap())).unwrap();
                    }
                }
                Ok(())
            },
            |dir| TextClassifier::from_dir(dir, &PredictOptions::default(), &device),
        )
        .unwrap();
    let notes = fs::read_to_string(output.join("round-1/pseudo_labels.jsonl")).ok();
    (rounds, notes)
}

#[test]
fn what_a_classifier_is_sure_of_is_learnt_from() {
    let outputs = [(); 2].map(|()| tempfile::tempdir().unwrap());
    let [first, second] = outputs.each_ref().map(|dir| in_rounds(0.9, dir.path()));
    assert_eq!(first, second);
    let (rounds, notes) = first;
    assert_eq!((rounds[0].round, rounds[0].taken), (0, 0));
    assert!(rounds.len() > 1 && rounds[1].taken >= 8, "{rounds:?}");
    let by_label = &rounds[1].taken_by_label;
    let counts = ["cat", "dog"].map(|label| by_label[label].as_u64().unwrap() as usize);
    assert_eq!(counts.iter().sum::<usize>(), rounds[1].taken);
    for line in notes.unwrap().lines() {
        let line: Value = serde_json::from_str(line).unwrap();
        let number = line["line"].as_u64().unwrap() as usize;
        // What it has learnt it knows; on the others it may be wrong.
        assert!(
            number > 8 || line["label"] == ["dog", "cat"][number % 2],
            "{line}"
        );
        assert!(line["score"].as_f64().unwrap() >= 0.9 - 1e-6);
    }
    let options = PredictOptions::default();
    let device = test_devices().swap_remove(0).1;
    let last = TextClassifier::from_dir(outputs[0].path(), &options, &device).unwrap();
    assert_eq!(last.labels().names(), ["cat", "dog"]);
}

#[test]
fn rounds_end_where_nothing_changes_and_make_sense() {
    let output = tempfile::tempdir().unwrap();
    let (rounds, notes) = in_rounds(1.0, output.path());
    assert_eq!((rounds.len(), notes), (1, None));
    assert!(output.path().join("model.safetensors").is_file());

    let training = SelfTraining {
        labelled: classes(),
        validation: None,
        unlabelled: texts(|_| Target::None),
        confidence: 0.9,
        rounds: 0,
        output: output.path().to_owned(),
    };
    for (confidence, rounds) in [(0.9, 0), (0.0, 1), (1.5, 1), (f32::NAN, 1)] {
        let training = SelfTraining {
            confidence,
            rounds,
            ..training.clone()
        };
        let run = training.run(|_, _, _| Ok(()), |_| panic!("nothing was trained"));
        assert!(
            matches!(run, Err(Error::InvalidOption { .. })),
            "{confidence}, {rounds}"
        );
    }
}
