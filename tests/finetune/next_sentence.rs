//! What a pretrained model knows without fine-tuning: whether one text follows the other.

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
