//! More to learn from: texts without labels, altered copies.

use super::*;

#[test]
fn texts_without_labels_and_altered_copies() {
    let workshop = Workshop::new();
    fs::write(workshop.path("more.txt"), "the lazy cat\nthe lazy dog\n").unwrap();
    fs::write(
        workshop.path("texts.csv"),
        "id,text,label\n1,the old cat sat,feline\n2,\"hello, dog ?\",canine\n",
    )
    .unwrap();
    let more = workshop.text("more.txt");
    let mut finetune = workshop.finetune("classify", "texts.csv", "out", "40");
    let trained = succeed(finetune.args(["--unlabelled", &more, "--confidence", "0.5"]));
    let rounds = json_lines(&trained);
    assert_eq!(
        (rounds.len(), &rounds[1]["taken"]),
        (2, &2.into()),
        "{rounds:?}"
    );
    assert!(
        message(&trained).contains("2 of 2 texts are taken"),
        "{}",
        message(&trained)
    );
    for name in [
        "out/model.safetensors",
        "out/round-1/pseudo_labels.jsonl",
        "out/round-0/report.html",
    ] {
        assert!(workshop.path(name).is_file(), "{name}");
    }

    let encoder = Path::new(env!("CARGO_MANIFEST_DIR")).join("bert-core/fixtures/tiny-pretraining");
    let altered = succeed(
        bert(&[
            "augment",
            "--model",
            &encoder.display().to_string(),
            "--copies",
            "2",
        ])
        .args(["--share", "0.5", "--data", &workshop.text("texts.csv")]),
    );
    let altered = String::from_utf8(altered.stdout).unwrap();
    let lines: Vec<&str> = altered.lines().collect();
    assert_eq!(lines[..2], ["id,text,label", "1,the old cat sat,feline"]);
    assert!(lines.len() > 4, "{altered}");
    for line in &lines[2..] {
        let is_cat = line.starts_with("1,") && line.ends_with(",feline");
        let is_dog = line.starts_with("2,\"") && line.ends_with("\",canine");
        assert!(is_cat || is_dog, "{line}");
    }
}
