//! Commands whose reader has gone.

use std::io::{BufRead, BufReader};
use std::process::Child;
use std::thread::sleep;
use std::time::Duration;

use super::*;
use crate::closed_pipe::assert_ends_quietly;

/// Three models that answer lines, trained for a moment, and what each is asked.
fn models(workshop: &Workshop) -> [(String, String); 3] {
    let squad = r#"{"id": "q", "question": "where ?", "context": "the cat sat", "answers": [{"text": "cat", "answer_start": 4}]}"#;
    fs::write(workshop.path("asked.jsonl"), squad).unwrap();
    let row = r#"{"question": "where ?", "context": "the cat sat on the mat"}"#;
    [
        (
            "pair",
            "pairs.tsv",
            r#"{"text1": "hello", "text2": "who ?"}"#,
        ),
        ("tokens", "tags.conll", "the cat in Paris"),
        ("qa", "asked.jsonl", row),
    ]
    .map(|(task, data, asked)| {
        let mut train = workshop.finetune(task, data, task, "1");
        succeed(match task {
            "qa" => train.args(["--max-length", "40", "--doc-stride", "9"]),
            _ => &mut train,
        });
        (workshop.text(task), asked.to_owned())
    })
}

fn predict(model: &str, asked: &str) -> Command {
    let mut command = bert(&["predict", "--model", model]);
    if asked.starts_with('{') {
        command.args(["--format", "jsonl"]);
    }
    command.stdin(Stdio::piped());
    command
}

#[test]
fn predictions_end_quietly_when_their_reader_is_gone() {
    let workshop = Workshop::new();
    for (model, asked) in models(&workshop) {
        assert_ends_quietly(&mut predict(&model, &asked), &asked);
    }
}

#[cfg(unix)]
fn interrupt(child: &Child) {
    succeed(Command::new("kill").args(["-INT", &child.id().to_string()]));
}

#[cfg(unix)]
#[test]
fn ctrl_c_leaves_no_half_written_predictions() {
    let workshop = Workshop::new();
    let (model, asked) = models(&workshop).into_iter().next().unwrap();
    let found = tempfile::tempdir().unwrap();
    let file = found.path().join("found.jsonl");
    let mut child = predict(&model, &asked)
        .arg("--output")
        .arg(&file)
        .spawn()
        .unwrap();
    // It says so once the file is begun, and then waits for texts.
    let mut stderr = BufReader::new(child.stderr.take().unwrap());
    stderr.read_line(&mut String::new()).unwrap();
    assert_eq!(fs::read_dir(found.path()).unwrap().count(), 1);
    interrupt(&child);
    let stdin = child.stdin.take();
    let output = child.wait_with_output().unwrap();
    drop(stdin);
    assert_eq!(output.status.code(), Some(130));
    assert_eq!(fs::read_dir(found.path()).unwrap().count(), 0);
}

#[cfg(unix)]
#[test]
fn ctrl_c_leaves_a_fine_tuning_that_goes_on() {
    let workshop = Workshop::new();
    let train = || {
        let mut command = workshop.finetune("pair", "pairs.tsv", "run", "100000");
        command.args(["--log-every", "1"]);
        command
    };
    let metrics = workshop.path("run").join("metrics.jsonl");
    let mut steps = Vec::new();
    for resume in [false, true] {
        let mut command = train();
        if resume {
            command.arg("--resume");
        }
        let before = fs::metadata(&metrics).map_or(0, |file| file.len());
        let child = command.spawn().unwrap();
        while fs::metadata(&metrics).map_or(0, |file| file.len()) <= before {
            sleep(Duration::from_millis(20));
        }
        interrupt(&child);
        let output = child.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(130), "{}", message(&output));
        assert!(message(&output).contains("--resume"));
        assert!(message(&output).contains("a second signal"));
        let summary = json_lines(&output).remove(0);
        assert_eq!(summary["finished"], false);
        let step = summary["step"].as_u64().unwrap();
        let checkpoint = format!("run/checkpoints/step-{step:08}");
        assert!(workshop.path(&checkpoint).is_dir(), "{checkpoint}");
        steps.push(step);
    }
    assert!(steps[1] > steps[0], "{steps:?}");
}

#[test]
fn a_loss_that_is_not_finite_is_one_error() {
    let workshop = Workshop::new();
    let mut train = workshop.finetune_with("pair", "pairs.tsv", "run", "20", "1e30");
    let output = train.args(["--log-every", "1"]).output().unwrap();
    let said = message(&output);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert_eq!(said.matches("error:").count(), 1, "{said}");
    for part in [
        "is not finite at step",
        "lower the learning rate",
        "no checkpoint yet",
    ] {
        assert!(said.contains(part), "{part} in {said}");
    }
    assert!(!said.contains("panicked"), "{said}");
    assert!(!workshop.path("run").join("model.safetensors").exists());
}

#[test]
fn levels_of_messages_are_checked() {
    let output = bert(&["doctor"]).env("BERT_LOG", "loud").output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(
        message(&output).contains("BERT_LOG is `loud`"),
        "{}",
        message(&output)
    );
}
