//! `bert pretrain` as people run it: from text to a checkpoint, stopped, killed and taken up again.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::thread::sleep;
use std::time::Duration;

use rand::rngs::ChaCha8Rng;
use rand::{RngExt, SeedableRng};
use tempfile::TempDir;

fn bert() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_bert"));
    command.env_remove("BERT_DEVICE").stdin(Stdio::null());
    if let Ok(devices) = std::env::var("BERT_TEST_DEVICES") {
        // The command's own choice could be a GPU, whose sums are not the same in every run.
        let cpu = devices.split(',').find(|label| !label.starts_with("wgpu"));
        command.env("BERT_DEVICE", cpu.expect("a CPU device to test on"));
    }
    command
}

fn succeed(command: &mut Command) -> Output {
    let output = command.output().unwrap();
    assert!(
        output.status.success(),
        "{command:?}\n{}",
        String::from_utf8_lossy(&output.stderr)
    );
    output
}

/// A corpus with a vocabulary and the sizes of a very small model.
struct Workshop {
    dir: TempDir,
}

impl Workshop {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut random = ChaCha8Rng::seed_from_u64(3);
        let words = [
            "river", "stone", "green", "quick", "letter", "window", "garden", "walks", "sees",
            "old", "under", "the", "a", "bright", "morning", "sings", "house", "friend",
        ];
        let mut text = String::new();
        for _ in 0..60 {
            for _ in 0..random.random_range(2..9) {
                for _ in 0..random.random_range(3..10) {
                    text.push_str(words[random.random_range(0..words.len())]);
                    text.push(' ');
                }
                text.push_str(".\n");
            }
            text.push('\n');
        }
        fs::write(dir.path().join("corpus.txt"), text).unwrap();
        let config = r#"{"vocab_size": 1, "hidden_size": 24, "num_hidden_layers": 2,
            "num_attention_heads": 2, "intermediate_size": 48, "max_position_embeddings": 64}"#;
        fs::write(dir.path().join("config.json"), config).unwrap();
        let workshop = Self { dir };
        succeed(&mut workshop.pretrain("vocab --size 80 --input @corpus.txt --output @vocab"));
        workshop
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// `bert pretrain` with the words of `line`, those that begin with `@` being files of the workshop.
    fn pretrain(&self, line: &str) -> Command {
        let mut command = bert();
        command.arg("pretrain");
        for word in line.split_whitespace() {
            match word.strip_prefix('@') {
                Some(name) => command.arg(self.path(name)),
                None => command.arg(word),
            };
        }
        command
    }

    /// A run of `steps` steps into `output`, with dropout.
    fn train(&self, output: &str, steps: usize) -> Command {
        self.pretrain(&format!(
            "train --corpus @corpus.txt --layout lines --held-out 0.1 --tokenizer @vocab \
             --config @config.json --recipe google --lr 1e-3 --warmup 3 --steps {steps} \
             --seq-length 32 --batch-size 4 --accumulate 2 \
             --log-every 1 --checkpoint-every 3 --eval-every 50 --no-dashboard --output @{output}"
        ))
    }

    fn weights(&self, output: &str) -> Vec<u8> {
        fs::read(self.path(output).join("model.safetensors")).unwrap()
    }

    /// The metrics without the times.
    fn metrics(&self, output: &str) -> Vec<String> {
        let text = fs::read_to_string(self.path(output).join("metrics.jsonl")).unwrap();
        text.lines()
            .map(|line| {
                let mut event: serde_json::Value = serde_json::from_str(line).unwrap();
                let event = event.as_object_mut().unwrap();
                for name in ["elapsed_s", "tokens_per_second", "data_wait"] {
                    event.shift_remove(name);
                }
                serde_json::to_string(event).unwrap()
            })
            .collect()
    }
}

#[test]
fn killed_twenty_times_a_run_ends_as_the_uninterrupted_one() {
    let workshop = Workshop::new();
    let steps = 240;
    succeed(&mut workshop.train("whole", steps));

    let mut random = ChaCha8Rng::seed_from_u64(17);
    let mut kills = 0;
    while kills < 20 {
        let mut child = workshop
            .train("killed", steps)
            .arg("--resume")
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        // Growing patience, so that even a slow machine gets past its start now and then.
        sleep(Duration::from_millis(
            random.random_range(20..250) + 10 * kills,
        ));
        match child.try_wait().unwrap() {
            None => {
                child.kill().unwrap();
                child.wait().unwrap();
                kills += 1;
            }
            Some(status) => {
                assert!(status.success(), "{status}");
                // Done before all kills: begin again, further kills must hit a run that works.
                fs::remove_dir_all(workshop.path("killed")).unwrap();
            }
        }
    }
    succeed(workshop.train("killed", steps).arg("--resume"));

    assert!(
        workshop.weights("killed") == workshop.weights("whole"),
        "weights differ"
    );
    assert_eq!(workshop.metrics("killed"), workshop.metrics("whole"));
    let names: Vec<_> = fs::read_dir(workshop.path("killed").join("checkpoints"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    assert_eq!(names.len(), 2, "{names:?}");
}

#[cfg(unix)]
#[test]
fn ctrl_c_leaves_a_checkpoint_and_resume_goes_on() {
    let workshop = Workshop::new();
    let child = workshop
        .train("run", 100_000)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let metrics = workshop.path("run").join("metrics.jsonl");
    while fs::metadata(&metrics).map_or(0, |file| file.len()) == 0 {
        sleep(Duration::from_millis(20));
    }
    succeed(Command::new("kill").args(["-INT", &child.id().to_string()]));
    let output = child.wait_with_output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(130), "{stderr}");
    assert!(stderr.contains("--resume"), "{stderr}");
    let summary: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let step = summary["step"].as_u64().unwrap();
    assert_eq!(summary["finished"], false);
    let checkpoint = format!("step-{step:08}");
    assert!(workshop.path("run/checkpoints").join(checkpoint).is_dir());

    // Another length is another run.
    let output = workshop.train("run", 50).arg("--resume").output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(
        !output.status.success() && stderr.contains("other settings"),
        "{stderr}"
    );
    // And without --resume nothing is overwritten.
    let output = workshop.train("run", 100_000).output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(
        !output.status.success() && stderr.contains("--resume"),
        "{stderr}"
    );
}

#[test]
fn prepared_instances_train_and_long_sequences_follow_short_ones() {
    let workshop = Workshop::new();
    let run = |line: &str| succeed(&mut workshop.pretrain(line)).stdout;
    let json = |line: &str| -> serde_json::Value { serde_json::from_slice(&run(line)).unwrap() };

    run(
        "prepare --input @corpus.txt --tokenizer @vocab --max-seq-length 32 --dupe-factor 2 \
         --output @instances",
    );
    let shown = json("inspect --json @instances");
    assert!(shown.is_object(), "{shown}");

    run(
        "train --corpus @corpus.txt --layout lines --tokenizer @vocab --config @config.json \
         --steps 6 --long-steps 3 --seq-length 32 --long-seq-length 64 --batch-size 4 \
         --no-next-sentence --mask-per-token --whole-word --no-dashboard --output @long",
    );
    let config = fs::read_to_string(workshop.path("long/config.json")).unwrap();
    assert!(config.contains("BertForMaskedLM"), "{config}");

    run(
        "train --instances @instances --validation @corpus.txt --layout lines --tokenizer @vocab \
         --config @config.json --steps 4 --seq-length 32 --batch-size 4 --no-dashboard \
         --output @static",
    );
    assert!(report_is_self_contained(
        &workshop.path("static/report.html")
    ));

    // What was trained is measured, and trained further.
    let measured =
        json("eval --json --model @static --corpus @corpus.txt --layout lines --seq-length 32");
    assert!(measured["perplexity"].as_f64().unwrap() > 1.0, "{measured}");
    run(
        "train --init @static --corpus @corpus.txt --layout lines --steps 2 --seq-length 32 \
         --batch-size 4 --no-dashboard --output @continued",
    );
}

#[test]
fn vocabularies_of_every_kind_are_the_same_in_every_process_and_prepare_instances() {
    let workshop = Workshop::new();
    for (kind, family, special) in [
        ("bpe", "roberta", ["<s>", "</s>", "<mask>"]),
        ("bpe", "modernbert", ["[CLS]", "[SEP]", "[MASK]"]),
        ("unigram", "xlm-roberta", ["<s>", "</s>", "<mask>"]),
        ("unigram", "albert", ["[CLS]", "[SEP]", "[MASK]"]),
        ("wordpiece", "electra", ["[CLS]", "[SEP]", "[MASK]"]),
    ] {
        let vocab = |output: &str| {
            let line = format!(
                "vocab --kind {kind} --family {family} --size 300 --input @corpus.txt --output @{output}"
            );
            succeed(&mut workshop.pretrain(&line));
            fs::read(workshop.path(output).join("tokenizer.json")).unwrap()
        };
        let (first, second) = (format!("{family}-1"), format!("{family}-2"));
        assert!(vocab(&first) == vocab(&second), "{family}");

        succeed(&mut workshop.pretrain(&format!(
            "prepare --family {family} --input @corpus.txt --tokenizer @{first} --seq-length 24 \
             --dupe-factor 1 --output @{family}-instances"
        )));
        let shown = succeed(
            &mut workshop.pretrain(&format!("inspect --json --verify @{family}-instances")),
        );
        let shown: serde_json::Value = serde_json::from_slice(&shown.stdout).unwrap();
        let instance = &shown["instances"][0];
        let tokens: Vec<&str> = instance["tokens"]
            .as_array()
            .unwrap()
            .iter()
            .map(|token| token.as_str().unwrap())
            .collect();
        let [cls, sep, mask] = special;
        assert_eq!(
            (tokens[0], tokens[tokens.len() - 1]),
            (cls, sep),
            "{family}"
        );
        assert!(tokens.contains(&mask), "{family}: {tokens:?}");
        assert_eq!(instance["is_random_next"], serde_json::Value::Null);
        let types = instance["type_ids"].as_array().unwrap();
        assert!(types.iter().all(|segment| segment == 0), "{family}");
    }
    for (line, message) in [
        ("--kind bpe --family albert", "--kind bpe"),
        ("--kind bpe --strip-accents", "--strip-accents"),
        (
            "--family albert --no-chinese-characters",
            "--no-chinese-characters",
        ),
        ("--kind bpe --limit-alphabet 7", "limit-alphabet"),
        ("--family gpt2", "roberta"),
    ] {
        let line = format!("vocab {line} --input @corpus.txt --output @refused");
        let output = workshop.pretrain(&line).output().unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(
            !output.status.success() && stderr.contains(message),
            "{stderr}"
        );
    }
    assert!(!workshop.path("refused").exists());
}

#[test]
fn replaced_tokens_are_learned_measured_and_told() {
    let workshop = Workshop::new();
    let run = |line: &str| succeed(&mut workshop.pretrain(line)).stdout;
    let train =
        "train --corpus @corpus.txt --layout lines --seq-length 32 --batch-size 4 --no-dashboard";
    let electra = "--family electra --preset tiny --tokenizer @vocab --objective rtd";
    run(&format!(
        "{train} {electra} --generator-size 0.5 --steps 3 --output @electra"
    ));
    let class = |dir: &str| {
        let config = fs::read_to_string(workshop.path(dir).join("config.json")).unwrap();
        let config: serde_json::Value = serde_json::from_str(&config).unwrap();
        config["architectures"][0].as_str().unwrap().to_owned()
    };
    assert_eq!(class("electra"), "ElectraForPreTraining");
    assert_eq!(class("electra/generator"), "ElectraForMaskedLM");
    let metrics = fs::read_to_string(workshop.path("electra/metrics.jsonl")).unwrap();
    for name in [
        "mlm_loss",
        "mlm_accuracy",
        "rtd_loss",
        "rtd_accuracy",
        "rtd_recall",
    ] {
        assert!(metrics.contains(name), "{name}: {metrics}");
    }

    let eval = "eval --json --corpus @corpus.txt --layout lines --seq-length 32 --batches 2";
    let measured = |model: &str| -> serde_json::Value {
        serde_json::from_slice(&run(&format!("{eval} --model @{model}"))).unwrap()
    };
    assert!(measured("electra")["rtd_loss"].as_f64().unwrap() > 0.0);
    assert!(
        measured("electra/generator")["perplexity"]
            .as_f64()
            .unwrap()
            > 1.0
    );

    // Another objective is another run.
    let line = format!(
        "{train} --family electra --preset tiny --tokenizer @vocab --steps 3 --resume --output @electra"
    );
    let output = workshop.pretrain(&line).output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(
        !output.status.success() && stderr.contains("replaced_tokens"),
        "{stderr}"
    );

    // Taken up with its generator; one of another size starts anew, and a note says so.
    let further = |size: &str, output: &str| {
        let line = format!(
            "{train} --init @electra --objective rtd --generator-size {size} --steps 1 --output @{output}"
        );
        String::from_utf8(succeed(&mut workshop.pretrain(&line)).stderr).unwrap()
    };
    assert!(!further("0.5", "further").contains("random values"));
    let said = further("0.25", "other");
    assert!(said.contains("has no generator"), "{said}");

    fs::write(workshop.path("texts.txt"), "the old house\nriver sings\n").unwrap();
    let mut predict = bert();
    predict
        .args(["predict", "--model"])
        .arg(workshop.path("electra"))
        .arg(workshop.path("texts.txt"));
    let lines = String::from_utf8(succeed(&mut predict).stdout).unwrap();
    let lines: Vec<serde_json::Value> = lines
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(lines.len(), 2);
    for line in &lines {
        let [tokens, chances] =
            ["tokens", "probabilities"].map(|field| line[field].as_array().unwrap());
        assert!(
            !tokens.is_empty() && tokens.len() == chances.len(),
            "{line}"
        );
        let chances = chances.iter().map(|chance| chance.as_f64().unwrap());
        assert!(
            chances
                .into_iter()
                .all(|chance| (0.0..=1.0).contains(&chance)),
            "{line}"
        );
    }

    for (line, message) in [
        ("--objective rtd --family bert", "electra"),
        ("--generator-size 0.5 --family electra", "--objective rtd"),
        (
            "--objective rtd --family electra --generator-size 1.5",
            "generator size",
        ),
    ] {
        let line = format!("{train} --tokenizer @vocab {line} --steps 1 --output @refused");
        let output = workshop.pretrain(&line).output().unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(
            !output.status.success() && stderr.contains(message),
            "{stderr}"
        );
    }
}

fn report_is_self_contained(path: &Path) -> bool {
    let page = fs::read_to_string(path).unwrap();
    page.contains("<svg") && !page.contains("src=\"http") && !page.contains("href=\"http")
}
