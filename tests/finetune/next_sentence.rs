//! Next sentence prediction, with a pretrained model as it is and fine-tuned.

use super::*;

#[test]
fn pairs_are_told_apart_by_the_next_sentence_head() {
    let workshop = Workshop::new();
    let pairs =
        "sentence1\tsentence2\tlabel\nthe cat sat\ton the mat\tnext\nhello\twho ?\trandom\n";
    fs::write(workshop.path("next.tsv"), pairs).unwrap();
    let model = Path::new(env!("CARGO_MANIFEST_DIR")).join("bert-core/fixtures/tiny-pretraining");
    let (model, pairs) = (model.display().to_string(), workshop.text("next.tsv"));
    let found = json_lines(&succeed(&mut bert(&["predict", "--model", &model, &pairs])));
    let score = |index: usize, label: &str| found[index]["scores"][label].as_f64().unwrap();
    assert!((score(0, "next") + score(0, "random") - 1.0).abs() < 1e-6);
    assert_ne!(score(0, "next"), score(1, "next"));
    let scored = succeed(&mut bert(&[
        "evaluate", "--model", &model, "--data", &pairs, "--json",
    ]));
    let right = found.iter().zip(["next", "random"]);
    let right = right
        .filter(|(found, label)| found["label"] == *label)
        .count();
    assert_eq!(json_lines(&scored)[0]["accuracy"], right as f64 / 2.0);

    let mut lone = bert(&["predict", "--model", &model]);
    let text = refused(&mut lone, "hello\n");
    assert!(
        text.contains("`hello`") && text.contains("bert finetune"),
        "{text}"
    );
}

#[test]
fn what_follows_is_learnt_from_labelled_pairs() {
    let workshop = Workshop::new();
    // The pairs of the workshop, read as if a feline came next.
    let mut train = workshop.finetune("next-sentence", "pairs.tsv", "out", "60");
    let trained = succeed(train.args(["--labels", "feline,canine"]));
    assert_eq!(json_lines(&trained)[0]["evaluation"]["accuracy"], 1.0);
    let (out, pairs) = (workshop.text("out"), workshop.text("pairs.tsv"));
    let found = json_lines(&succeed(&mut bert(&["predict", "--model", &out, &pairs])));
    let labels: Vec<&str> = found
        .iter()
        .filter_map(|row| row["label"].as_str())
        .collect();
    assert_eq!(labels, ["next", "random"].repeat(4));
    let mut evaluate = bert(&["evaluate", "--model", &out, "--data", &pairs, "--json"]);
    let scored = succeed(evaluate.args(["--labels", "feline,canine"]));
    assert_eq!(json_lines(&scored)[0]["accuracy"], 1.0);

    let refused = |data: &str, needle: &str| {
        let output = workshop
            .finetune("next-sentence", data, "none", "2")
            .output()
            .unwrap();
        let text = message(&output);
        assert!(!output.status.success() && text.contains(needle), "{text}");
    };
    refused(
        "pairs.tsv",
        "pairs.tsv, line 2: label `feline` is not known",
    );
    let single = "text\tlabel\nhello\tnext\n";
    fs::write(workshop.path("single.tsv"), single).unwrap();
    refused("single.tsv", "--task next-sentence needs two");
}
