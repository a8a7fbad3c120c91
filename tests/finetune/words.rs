//! Tags chosen together, and sentences that come as words.

use super::*;

#[test]
fn sequences_of_tags_and_sentences_of_words() {
    let workshop = Workshop::new();
    let mut finetune = workshop.finetune("tokens", "tags.conll", "out", "60");
    let trained = succeed(finetune.args(["--crf", "--crf-lr-scale", "5"]));
    assert_eq!(json_lines(&trained)[0]["evaluation"]["f1"], 1.0);
    let (out, tags) = (workshop.text("out"), workshop.text("tags.conll"));

    // Words in columns come back with their tags, which are then scored without the model.
    let found = workshop.text("found.jsonl");
    succeed(&mut bert(&[
        "predict", "--model", &out, "--words", &tags, "--output", &found,
    ]));
    let scored = succeed(&mut bert(&[
        "evaluate",
        "--task",
        "tokens",
        "--data",
        &tags,
        "--predictions",
        &found,
        "--json",
    ]));
    assert_eq!(json_lines(&scored)[0]["f1"], 1.0);
    let row = r#"{"tokens": ["the", "cat", "in", "Paris"]}"#;
    let mut predict = bert(&["predict", "--model", &out, "--words", "--format", "jsonl"]);
    let answer = json_lines(&piped(&mut predict, row)).remove(0);
    assert_eq!(answer["tokens"][3], "Paris");
    assert_eq!(answer["tags"][3]["label"], "B-LOC");
    assert!(answer["tags"][3]["score"].as_f64().unwrap() > 0.5);
}
