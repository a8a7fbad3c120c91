//! The command as a shell sees it: results on standard output, one message on standard error, and
//! exit codes that mean something.

mod bench;
#[path = "../common/zoo.rs"]
mod checkpoints;
#[path = "../common/closed_pipe.rs"]
mod closed_pipe;
mod compare_texts;
mod demo;
mod devices;
mod embed;
mod heads;
mod loading;
mod models;
mod proof;
mod rerank;
mod shell;
mod tokenize;
mod zoo;

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::Value;
use tempfile::TempDir;

/// Files that make a model directory with a tokenizer.
const MODEL_FILES: [&str; 4] = [
    "config.json",
    "model.safetensors",
    "vocab.txt",
    "tokenizer_config.json",
];

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("bert-core/fixtures")
        .join(name)
}

fn model() -> String {
    fixture("tiny-pretraining").display().to_string()
}

/// A copy of the model to spoil.
fn copy() -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    for name in MODEL_FILES {
        fs::copy(
            fixture("tiny-pretraining").join(name),
            dir.path().join(name),
        )
        .unwrap();
    }
    dir
}

/// The first device that tests run on; the libraries' own tests loop over all.
fn device() -> String {
    let devices = bert_core::device::test_devices();
    devices.into_iter().next().unwrap().0
}

fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_bert"));
    command
        .args(arguments)
        .env("BERT_DEVICE", device())
        .env("HF_HUB_OFFLINE", "1")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

fn run(arguments: &[&str], input: &[u8]) -> Output {
    let mut child = command(arguments).stdin(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let input = input.to_owned();
    // The command may fail without reading, or print before it has read all.
    let writer = std::thread::spawn(move || drop(stdin.write_all(&input)));
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap();
    output
}

/// Standard output and standard error of a run that must succeed.
fn succeed(arguments: &[&str], input: &str) -> (String, String) {
    let output = run(arguments, input.as_bytes());
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{arguments:?}: {stderr}");
    (String::from_utf8(output.stdout).unwrap(), stderr)
}

/// The message of a run that must fail at run time: one line, after the device's at most.
fn fail(arguments: &[&str], input: &[u8]) -> String {
    let output = run(arguments, input);
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{arguments:?}: {stderr}");
    let lines: Vec<&str> = stderr
        .lines()
        .filter(|line| !line.starts_with("device: "))
        .collect();
    assert_eq!(lines.len(), 1, "{arguments:?}: {stderr}");
    assert!(
        lines[0].starts_with("error: ") && !stderr.contains("panicked"),
        "{stderr}"
    );
    lines[0].to_owned()
}

/// The message of a command line that makes no sense.
fn refuse(arguments: &[&str]) -> String {
    let output = run(arguments, b"");
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{arguments:?}: {stderr}");
    assert!(
        stderr.starts_with("error: ") && !stderr.contains("panicked"),
        "{stderr}"
    );
    assert!(output.stdout.is_empty());
    stderr
}

fn assert_names(message: &str, needles: &[&str]) {
    for needle in needles {
        assert!(message.contains(needle), "`{needle}` is not in: {message}");
    }
}

fn json_lines(text: &str) -> Vec<Value> {
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

fn floats(value: &Value) -> Vec<f64> {
    value
        .as_array()
        .unwrap()
        .iter()
        .map(|v| v.as_f64().unwrap())
        .collect()
}

fn assert_close(found: &[f64], expected: &[f64]) {
    assert_eq!(found.len(), expected.len());
    for (found, expected) in found.iter().zip(expected) {
        assert!((found - expected).abs() < 1e-4, "{found} {expected}");
    }
}

/// The texts and vectors that transformers gives for the fixture.
fn reference() -> Value {
    let path = fixture("tiny-pretraining").join("text_reference.json");
    serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap()
}

fn reference_texts(reference: &Value) -> String {
    let texts = reference["texts"].as_array().unwrap();
    texts
        .iter()
        .map(|text| format!("{}\n", text["text"].as_str().unwrap()))
        .collect()
}
