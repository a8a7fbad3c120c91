//! A worker that dies under a run.

use std::thread::sleep;
use std::time::{Duration, Instant};

use super::*;

/// A corpus, its vocabulary and the sizes of a very small model, on a desk.
fn furnish(desk: &Desk) {
    let sentences = [
        "the old house by the river sings .",
        "a green stone walks under the bright window .",
        "quick letters see the morning in a garden .",
    ];
    let mut text = String::new();
    for document in 0..40 {
        for sentence in 0..3 + document % 4 {
            text.push_str(sentences[(document + sentence) % 3]);
            text.push('\n');
        }
        text.push('\n');
    }
    fs::write(desk.path("corpus.txt"), text).unwrap();
    let config = r#"{"vocab_size": 1, "hidden_size": 24, "num_hidden_layers": 2,
        "num_attention_heads": 2, "intermediate_size": 48, "max_position_embeddings": 64}"#;
    fs::write(desk.path("config.json"), config).unwrap();
    let mut vocab = bert(&["pretrain", "vocab", "--size", "80", "--input"]);
    vocab.arg(desk.path("corpus.txt"));
    succeed(vocab.arg("--output").arg(desk.path("vocab")));
}

/// A run into `output` on `device`.
fn train(desk: &Desk, output: &str, device: &str, token: &Path) -> Command {
    let words = "pretrain train --layout lines --held-out 0.1 --recipe google --lr 1e-3 --warmup 3 --steps 60 \
                 --seq-length 32 --batch-size 4 --log-every 1 --checkpoint-every 3 --eval-every 1000 --no-dashboard";
    let words: Vec<&str> = words.split_whitespace().collect();
    let mut command = bert(&words);
    command.args(["--device", device]);
    command.arg("--token-file").arg(token);
    for (option, name) in [
        ("--corpus", "corpus.txt"),
        ("--tokenizer", "vocab"),
        ("--config", "config.json"),
        ("--output", output),
    ] {
        command.arg(option).arg(desk.path(name));
    }
    command
}

#[test]
fn a_worker_that_dies_is_one_error_and_the_run_resumes() {
    let desk = Desk::new();
    furnish(&desk);
    let token = desk.token("token", "an open secret\n");
    let worker = desk.start("127.0.0.1:0", Some(&token));
    let (label, address) = (worker.label(), worker.address());
    succeed(&mut train(&desk, "whole", &label, &token));

    let mut run = train(&desk, "run", &label, &token)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let checkpoints = desk.path("run/checkpoints");
    while !fs::read_dir(&checkpoints).is_ok_and(|mut found| found.next().is_some()) {
        assert!(run.try_wait().unwrap().is_none(), "it ended too early");
        sleep(Duration::from_millis(5));
    }
    worker.kill();
    let killed = Instant::now();
    let output = run.wait_with_output().unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    assert!(killed.elapsed() < Duration::from_secs(60), "{stderr}");
    let errors: Vec<&str> = stderr
        .lines()
        .filter(|line| line.starts_with("error: "))
        .collect();
    assert_eq!(errors.len(), 1, "{stderr}");
    assert_names(errors[0], &["remote:"]);
    assert!(!stderr.contains("panicked"), "{stderr}");
    assert!(!desk.path("run/model.safetensors").exists());

    // Its successor has the same key, and so the same label.
    let worker = desk.start(&address.to_string(), Some(&token));
    assert_eq!(worker.label(), label);
    let resumed = succeed(train(&desk, "run", &label, &token).arg("--resume"));
    let summary: Value = serde_json::from_slice(&resumed.stdout).unwrap();
    assert_eq!(summary["finished"], true);
    assert_eq!(summary["step"], 60);
    let weights = |run: &str| fs::read(desk.path(run).join("model.safetensors")).unwrap();
    assert!(weights("run") == weights("whole"), "weights differ");
}
