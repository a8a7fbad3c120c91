//! `bert demo` as people run it, small enough to show nothing.

use std::fs;

use serde_json::Value;

use super::{assert_names, fail, refuse, succeed};

#[test]
fn texts_models_and_report_are_there() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("out");
    let path = path.to_str().unwrap();
    let arguments = ["demo", "--tiny", "--seed", "3", "--output", path];
    let (json, progress) = succeed(&[&arguments[..], &["--json"][..]].concat(), "");
    let results: Value = serde_json::from_str(&json).unwrap();
    assert_eq!(results["seed"], 3);
    for (place, name) in ["reviews", "names", "questions"].iter().enumerate() {
        let task = &results["tasks"][place];
        assert_eq!(task["subject"], *name, "{json}");
        for start in ["pretrained", "scratch"] {
            assert!(task[start].is_number(), "{json}");
        }
    }
    assert_names(&progress, &["1 of 4", "4 of 4", "step"]);
    for name in [
        "texts/corpus.txt",
        "texts/reviews-test.tsv",
        "pretrained/model.safetensors",
        "names-scratch/model.safetensors",
        "reviews-pretrained/model.safetensors",
        "questions-scratch/model.safetensors",
        "texts/questions-test.json",
        "results.json",
    ] {
        assert!(dir.path().join("out").join(name).is_file(), "{name}");
    }
    let report = fs::read_to_string(dir.path().join("out/report.html")).unwrap();
    assert_names(&report, &["What pretraining is worth", "Layer 2, head 2"]);

    // Again: nothing is trained anew, and the results are the same, as a table this time.
    let (table, progress) = succeed(&arguments, "");
    assert!(!progress.contains("step"), "{progress}");
    assert_names(
        &table,
        &["find names", "answer questions", "from scratch", "report: "],
    );
    assert_names(
        &fail(&["demo", "--tiny", "--output", path], b""),
        &["other settings", "--output"],
    );
}

#[test]
fn what_makes_no_sense_is_refused() {
    assert_names(&refuse(&["demo", "--language", "fr"]), &["fr", "en or zh"]);
    assert_names(&refuse(&["demo", "--seed", "many"]), &["--seed"]);
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("letter.txt"), "dear").unwrap();
    let path = dir.path().to_str().unwrap();
    assert_names(&fail(&["demo", "--output", path], b""), &["not empty"]);
}
