//! `bert finetune`, `bert predict` and `bert evaluate` as people run them.

#[path = "../common/zoo.rs"]
mod checkpoints;
mod choices;
#[path = "../common/closed_pipe.rs"]
mod closed_pipe;
mod ends;
mod more_data;
mod next_sentence;
mod questions;
mod similarity;
mod tables;
mod words;
mod zoo;

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::Value;
use tempfile::TempDir;

fn bert(arguments: &[&str]) -> Command {
    let device = bert_core::device::test_devices().swap_remove(0).0;
    let mut command = Command::new(env!("CARGO_BIN_EXE_bert"));
    command
        .args(arguments)
        .env("BERT_DEVICE", device)
        .env("HF_HUB_OFFLINE", "1")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

fn message(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn succeed(command: &mut Command) -> Output {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}\n{}", message(&output));
    output
}

fn json_lines(output: &Output) -> Vec<Value> {
    let text = std::str::from_utf8(&output.stdout).unwrap();
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

/// Gives the command `text` to read.
fn piped(command: &mut Command, text: &str) -> Output {
    let output = fed(command, text);
    assert!(output.status.success(), "{}", message(&output));
    output
}

/// Error message of the command that refuses `text`.
fn refused(command: &mut Command, text: &str) -> String {
    let output = fed(command, text);
    assert!(!output.status.success());
    message(&output)
}

fn fed(command: &mut Command, text: &str) -> Output {
    let mut child = command.stdin(Stdio::piped()).spawn().unwrap();
    child
        .stdin
        .take()
        .unwrap()
        .write_all(text.as_bytes())
        .unwrap();
    child.wait_with_output().unwrap()
}

struct Workshop {
    dir: TempDir,
}

impl Workshop {
    fn new() -> Self {
        let mut pairs = "sentence1\tsentence2\tlabel\n".to_owned();
        for text in [
            "the old {} sat",
            "hello {} ?",
            "a quick {}",
            "who wrote , the {} ?",
        ] {
            for (animal, label) in [("cat", "feline"), ("dog", "canine")] {
                pairs += &format!("{}\tis it near ?\t{label}\n", text.replace("{}", animal));
            }
        }
        // Sentences of different length and beginning, so that no position alone tells a name.
        let mut tags = String::new();
        for repeats in 1..=5 {
            for before in 0..4 {
                tags += &"hello O\n".repeat(before);
                tags += &"the O\ncat O\nin O\nParis B-LOC\n".repeat(repeats);
                tags += "\n";
            }
            tags += "France B-LOC\n, O\nhello O\n\n";
        }
        let workshop = Self {
            dir: tempfile::tempdir().unwrap(),
        };
        fs::write(workshop.path("pairs.tsv"), pairs).unwrap();
        fs::write(workshop.path("tags.conll"), tags).unwrap();
        workshop
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn text(&self, name: &str) -> String {
        self.path(name).display().to_string()
    }

    fn finetune(&self, task: &str, data: &str, out: &str, steps: &str) -> Command {
        self.finetune_with(task, data, out, steps, "1e-2")
    }

    fn finetune_with(&self, task: &str, data: &str, out: &str, steps: &str, lr: &str) -> Command {
        let model = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("bert-core/fixtures/tiny-pretraining")
            .display()
            .to_string();
        let (data, out) = (self.text(data), self.text(out));
        let mut command = bert(&["finetune", "--task", task, "--model", &model, "--out", &out]);
        command
            .args([
                "--train",
                &data,
                "--validation",
                &data,
                "--steps",
                steps,
                "--lr",
                lr,
            ])
            .args(["--batch-size", "4", "--no-dashboard", "--eval-every", "10"]);
        command
    }
}

#[test]
fn a_classifier_goes_on_with_its_own_labels() {
    let workshop = Workshop::new();
    // Not the order in which the data alone would put them.
    succeed(
        workshop
            .finetune("pair", "pairs.tsv", "first", "60")
            .args(["--labels", "feline,canine"]),
    );
    let again = |out: &str, labels: &[&str]| {
        let data = workshop.text("pairs.tsv");
        let mut command = bert(&["finetune", "--task", "pair", "--train", &data]);
        command
            .args([
                "--model",
                &workshop.text("first"),
                "--out",
                &workshop.text(out),
            ])
            .args(["--steps", "1", "--no-dashboard"])
            .args(labels);
        let said = message(&succeed(&mut command));
        let config = fs::read_to_string(workshop.path(out).join("config.json")).unwrap();
        let config: Value = serde_json::from_str(&config).unwrap();
        (said, config["id2label"]["0"].as_str().unwrap().to_owned())
    };
    let (said, first_label) = again("second", &[]);
    assert!(said.contains("going on with the head of"), "{said}");
    assert_eq!(first_label, "feline");
    let (said, first_label) = again("third", &["--labels", "canine,feline"]);
    assert!(said.contains("random values: classifier.bias"), "{said}");
    assert_eq!(first_label, "canine");
}

#[test]
fn pairs_from_training_to_predictions() {
    let workshop = Workshop::new();
    let trained = succeed(&mut workshop.finetune("pair", "pairs.tsv", "out", "60"));
    let summary = json_lines(&trained).remove(0);
    assert_eq!(
        (&summary["finished"], &summary["evaluation"]["accuracy"]),
        (&true.into(), &1.0.into())
    );
    assert!(
        message(&trained).contains("classifier.weight"),
        "{}",
        message(&trained)
    );
    for name in [
        "model.safetensors",
        "tokenizer.json",
        "metrics.jsonl",
        "report.html",
    ] {
        assert!(workshop.path("out").join(name).is_file(), "{name}");
    }

    let out = workshop.text("out");
    let pairs = workshop.text("pairs.tsv");
    let scored = succeed(&mut bert(&[
        "evaluate",
        "--model",
        &out,
        "--data",
        &pairs,
        "--json",
        "--predictions",
        &workshop.text("found.jsonl"),
    ]));
    assert_eq!(json_lines(&scored)[0]["accuracy"], 1.0);
    let found = fs::read_to_string(workshop.path("found.jsonl")).unwrap();
    assert_eq!(found.lines().count(), 8);

    // A table, and JSON lines without targets from a pipe.
    let answers = json_lines(&succeed(&mut bert(&["predict", "--model", &out, &pairs])));
    let labels: Vec<&str> = answers
        .iter()
        .map(|a| a["label"].as_str().unwrap())
        .collect();
    assert_eq!(labels, ["feline", "canine"].repeat(4));
    assert_eq!(
        (&answers[2]["index"], &answers[2]["line"]),
        (&2.into(), &4.into())
    );
    let row = r#"{"text_a": "the old dog sat", "text_b": "is it near ?"}"#;
    let mut predict = bert(&["predict", "--model", &out, "--format", "jsonl"]);
    let answer = json_lines(&piped(&mut predict, row)).remove(0);
    assert_eq!(answer["label"], "canine");
    assert!(answer["scores"]["canine"].as_f64().unwrap() > 0.5);

    // The file of predictions is scored without the model.
    let found = workshop.text("found.jsonl");
    let score = |data: &str| {
        bert(&[
            "evaluate",
            "--task",
            "pair",
            "--data",
            data,
            "--predictions",
            &found,
            "--json",
        ])
    };
    assert_eq!(json_lines(&succeed(&mut score(&pairs)))[0]["accuracy"], 1.0);
    let fewer = workshop.path("fewer.tsv");
    let rows = fs::read_to_string(workshop.path("pairs.tsv")).unwrap();
    fs::write(&fewer, rows.lines().take(4).collect::<Vec<_>>().join("\n")).unwrap();
    let output = score(&fewer.display().to_string()).output().unwrap();
    assert!(
        message(&output).contains("3 are gold and 8 predicted"),
        "{}",
        message(&output)
    );

    let page = workshop.path("page.html");
    let explained = succeed(
        bert(&[
            "explain",
            "--model",
            &out,
            "the old dog sat",
            "--pair",
            "is it near ?",
        ])
        .args(["--label", "feline", "--steps", "20", "--output"])
        .arg(&page),
    );
    let text = String::from_utf8(explained.stdout).unwrap();
    assert!(
        text.contains("feline*") && text.contains("f(x) - f(baseline)"),
        "{text}"
    );
    let html = fs::read_to_string(page).unwrap();
    assert!(html.contains("<q>feline</q>") && html.contains("the old dog sat"));
    let explained = succeed(&mut bert(&[
        "explain",
        "--model",
        &out,
        "the old dog sat",
        "--json",
    ]));
    let found = json_lines(&explained).remove(0);
    assert_eq!(found["attribution"]["label"], "canine");
    assert!(found["attribution"]["relative_error"].as_f64().unwrap() < 0.01);
    assert_eq!(found["attentions"][0][0].as_array().unwrap().len(), 6);
    let mut empty = bert(&["explain", "--model", &out, " ", "--json"]);
    let refused = empty.output().unwrap();
    assert!(!refused.status.success() && message(&refused).contains("the text is empty"));

    // The same run again is refused, and nothing of it is lost.
    let again = workshop
        .finetune("pair", "pairs.tsv", "out", "60")
        .output()
        .unwrap();
    assert!(
        !again.status.success() && message(&again).contains("resume"),
        "{}",
        message(&again)
    );
}

#[test]
fn words_from_training_to_entities() {
    let workshop = Workshop::new();
    let trained = succeed(&mut workshop.finetune("tokens", "tags.conll", "out", "80"));
    assert_eq!(json_lines(&trained)[0]["evaluation"]["f1"], 1.0);
    let (out, tags) = (workshop.text("out"), workshop.text("tags.conll"));
    let scored = succeed(&mut bert(&["evaluate", "--model", &out, "--data", &tags]));
    let table = String::from_utf8(scored.stdout).unwrap();
    assert!(table.contains("f1") && table.contains("LOC"), "{table}");

    let long = "the cat in Paris ".repeat(30);
    let output = piped(
        &mut bert(&["predict", "--model", &out, "--max-length", "24"]),
        &format!("France , hello\n\n{long}\n"),
    );
    assert!(
        message(&output).contains("overlapping windows"),
        "{}",
        message(&output)
    );
    let found = json_lines(&output);
    assert_eq!(found[0]["entities"][0]["text"], "France");
    assert_eq!(found[0]["entities"][0]["start"], 0);
    assert_eq!(found[1]["entities"].as_array().unwrap().len(), 0);
    let places = found[2]["entities"].as_array().unwrap();
    assert!(places.len() > 20, "{} of 30", places.len());
    assert!(
        places
            .iter()
            .all(|place| place["text"] == "Paris" && place["label"] == "LOC")
    );
}

#[test]
fn what_is_wrong_with_data_and_options_is_told() {
    let workshop = Workshop::new();
    fs::write(
        workshop.path("bad.tsv"),
        "text\tlabel\nhello\ta\nthe cat\n dog\tb\n",
    )
    .unwrap();
    let refuse = |arguments: &[&str], needle: &str| {
        let mut command = workshop.finetune("classify", "bad.tsv", "none", "2");
        let output = command.args(arguments).output().unwrap();
        let text = message(&output);
        assert!(
            !output.status.success() && text.contains(needle),
            "{needle}: {text}"
        );
    };
    refuse(&[], "bad.tsv, line 3");
    refuse(&["--skip-bad-rows", "--metric", "bleu"], "bleu");
    refuse(
        &["--skip-bad-rows", "--class-weights", "1,2,3"],
        "class weights",
    );
    refuse(&["--skip-bad-rows", "--max-length", "4000"], "48 positions");
    refuse(&["--skip-bad-rows", "--preset", "conll2003"], "conll2003");
    refuse(
        &["--skip-bad-rows", "--multi-label", "--metric", "accuracy"],
        "micro_f1",
    );
    let pair = workshop
        .finetune("pair", "bad.tsv", "none", "2")
        .arg("--skip-bad-rows")
        .output();
    assert!(message(&pair.unwrap()).contains("bad.tsv, line 2: it has one text"));
    let skipped = succeed(
        workshop
            .finetune("classify", "bad.tsv", "skipped", "2")
            .args([
                "--skip-bad-rows",
                "--freeze-layers",
                "1",
                "--layer-decay",
                "0.9",
            ]),
    );
    assert!(
        message(&skipped).contains("1 of 3 row(s) skipped"),
        "{}",
        message(&skipped)
    );

    let encoder = Path::new(env!("CARGO_MANIFEST_DIR")).join("bert-core/fixtures/tiny-mlm");
    let encoder = encoder.display().to_string();
    let output = bert(&["predict", "--model", &encoder]).output().unwrap();
    assert!(
        message(&output).contains("bert finetune"),
        "{}",
        message(&output)
    );
}
