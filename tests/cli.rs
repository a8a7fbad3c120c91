//! The command as a shell sees it: results on standard output, one message on standard error, and
//! exit codes that mean something.

use std::fs;
use std::io::{BufRead, BufReader, Write};
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

// tokenize

#[test]
fn tokenize_prints_tokens_or_json() {
    let model = model();
    let (stdout, stderr) = succeed(&["tokenize", "--model", &model, "The cat sat."], "");
    assert_eq!(stdout, "[CLS] the cat sat . [SEP]\n");
    assert_eq!(stderr, "", "no device is needed");

    let pair = [
        "tokenize", "--model", &model, "Cat", "--pair", "the mat", "--json",
    ];
    let (stdout, _) = succeed(&pair, "");
    let line = &json_lines(&stdout)[0];
    assert_eq!(
        line["tokens"],
        serde_json::json!(["[CLS]", "cat", "[SEP]", "the", "mat", "[SEP]"])
    );
    assert_eq!(line["type_ids"], serde_json::json!([0, 0, 0, 1, 1, 1]));
    assert_eq!(line["offsets"][4], serde_json::json!([4, 7]));

    let reference = reference();
    let texts = reference_texts(&reference);
    let (stdout, _) = succeed(&["tokenize", "--model", &model, "--json"], &texts);
    for (line, text) in json_lines(&stdout)
        .iter()
        .zip(reference["texts"].as_array().unwrap())
    {
        let (found, expected) = (&line["ids"], &text["ids"]);
        // The reference is cut to 48 tokens.
        if expected.as_array().unwrap().len() < 48 {
            assert_eq!(found, expected);
        }
    }
}

#[test]
fn tokenize_names_the_line_that_is_not_utf8() {
    let message = fail(&["tokenize", "--model", &model()], b"fine\ncaf\xe9\n");
    assert_names(&message, &["line 2", "not UTF-8", "byte 4"]);
    assert_names(
        &refuse(&["tokenize", "--model", &model(), "--pair", "b"]),
        &["TEXT"],
    );
}

// embed

#[test]
fn embed_gives_json_lines_in_the_order_of_the_input() {
    let reference = reference();
    let texts = reference_texts(&reference);
    let model = model();
    for (field, extra) in [
        ("mean", &[][..]),
        ("mean_normalized", &["--normalize"]),
        ("cls", &["--pooling", "cls", "--batch-tokens", "60"]),
        ("max", &["--pooling", "max", "--normalize=false"]),
        ("pooler", &["--pooling", "pooler", "-"]),
    ] {
        let arguments = [&["embed", "--model", &model], extra].concat();
        let (stdout, stderr) = succeed(&arguments, &texts);
        let lines = json_lines(&stdout);
        let expected = reference["texts"].as_array().unwrap();
        assert_eq!(lines.len(), expected.len());
        for (index, (line, text)) in lines.iter().zip(expected).enumerate() {
            assert_eq!(line["index"], index);
            assert_close(&floats(&line["embedding"]), &floats(&text[field]));
        }
        let stderr: Vec<&str> = stderr.lines().collect();
        assert_eq!(stderr[0], format!("device: {}", device()));
        assert_names(stderr[1], &["6 texts", "tokens/s"]);
        assert_names(stderr[2], &["warning: 1 of 6 texts", "48 tokens", "line 4"]);
        assert_eq!(stderr.len(), 3);
    }
}

#[test]
fn embed_gives_token_vectors() {
    let (stdout, _) = succeed(&["embed", "--model", &model(), "--tokens"], "The cat\n\n");
    let lines = json_lines(&stdout);
    assert_eq!(
        lines[0]["tokens"],
        serde_json::json!(["[CLS]", "the", "cat", "[SEP]"])
    );
    assert_eq!(lines[1]["tokens"], serde_json::json!(["[CLS]", "[SEP]"]));
    for line in &lines {
        let rows = line["embeddings"].as_array().unwrap();
        assert_eq!(rows.len(), line["tokens"].as_array().unwrap().len());
        assert!(rows.iter().all(|row| row.as_array().unwrap().len() == 18));
    }
}

#[test]
fn embed_writes_a_numpy_array_to_a_file_and_to_standard_output() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("vectors.npy");
    let path = file.display().to_string();
    let model = model();
    let arguments = ["embed", "--model", &model, "--format", "npy"];
    let (stdout, _) = succeed(
        &[&arguments[..], &["--output", &path]].concat(),
        "The cat\nParis\n",
    );
    assert_eq!(stdout, "");
    assert_eq!(
        fs::read_dir(dir.path()).unwrap().count(),
        1,
        "a temporary file is left"
    );
    let bytes = fs::read(&file).unwrap();
    assert_eq!(bytes.len(), 128 + 2 * 18 * 4);
    assert_names(
        &String::from_utf8_lossy(&bytes[..128]),
        &["'<f4'", "(2, 18)"],
    );
    let output = run(&arguments, b"The cat\nParis\n");
    assert_eq!(output.stdout, bytes);

    let (jsonl, _) = succeed(&["embed", "--model", &model], "The cat\nParis\n");
    let values: Vec<f64> = bytes[128..]
        .as_chunks()
        .0
        .iter()
        .map(|bytes| f64::from(f32::from_le_bytes(*bytes)))
        .collect();
    let lines = json_lines(&jsonl);
    assert_close(&values[18..], &floats(&lines[1]["embedding"]));

    let empty = run(&arguments, b"");
    assert_names(&String::from_utf8_lossy(&empty.stdout), &["(0, 18)"]);
}

#[test]
fn embed_reads_a_file_and_replaces_one_only_when_it_is_complete() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name).display().to_string();
    fs::write(path("in.txt"), "The cat\nParis\n").unwrap();
    fs::write(path("bad.txt"), b"The cat\n\xff\n").unwrap();
    fs::write(path("out.jsonl"), "before").unwrap();
    let model = model();
    let out = path("out.jsonl");
    let arguments = ["embed", "--model", &model, "--output", &out];

    let message = fail(&[&arguments[..], &[&path("bad.txt")]].concat(), b"");
    assert_names(&message, &["line 2", "not UTF-8"]);
    assert_eq!(fs::read_to_string(&out).unwrap(), "before");
    succeed(&[&arguments[..], &[&path("in.txt")]].concat(), "");
    assert_eq!(json_lines(&fs::read_to_string(&out).unwrap()).len(), 2);
    assert_eq!(
        fs::read_dir(dir.path()).unwrap().count(),
        3,
        "a temporary file is left"
    );

    let message = fail(&["embed", "--model", &model, &path("absent.txt")], b"");
    assert_names(&message, &["cannot read", "absent.txt"]);
    let nowhere = path("no/such/directory.jsonl");
    let message = fail(&["embed", "--model", &model, "--output", &nowhere], b"");
    assert_names(&message, &["cannot create", &nowhere]);
    let directory = dir.path().display().to_string();
    let message = fail(&["embed", "--model", &model, "--output", &directory], b"");
    assert_names(&message, &["cannot write", &directory]);
}

#[test]
fn embed_ends_quietly_when_its_reader_is_gone() {
    let mut child = command(&["embed", "--model", &model()])
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let writer = std::thread::spawn(move || {
        // More than the pipe holds; writing fails once the command has ended.
        while stdin
            .write_all("the old river bank\n".repeat(1000).as_bytes())
            .is_ok()
        {}
    });
    let mut first = String::new();
    let mut stdout = BufReader::new(child.stdout.take().unwrap());
    stdout.read_line(&mut first).unwrap();
    drop(stdout);
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap();
    assert!(first.starts_with("{\"index\":0,"));
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{stderr}");
    assert!(!stderr.contains("error"), "{stderr}");
}

#[test]
fn embed_refuses_options_that_make_no_sense() {
    let model = model();
    let embed = |extra: &[&str]| refuse(&[&["embed", "--model", &model], extra].concat());
    assert_names(
        &embed(&["--tokens", "--format", "npy"]),
        &["--tokens", "--format jsonl"],
    );
    assert_names(
        &embed(&["--tokens", "--pooling", "cls"]),
        &["--tokens", "--pooling"],
    );
    assert_names(
        &embed(&["--pooling", "middle"]),
        &["`middle`", "cls, mean, max or pooler"],
    );
    assert_names(&embed(&["--dtype", "f8"]), &["`f8`", "bf16"]);
    assert_names(
        &embed(&["--device", "toaster"]),
        &["`toaster`", "flex", "cuda"],
    );
    assert_names(&embed(&["--max-length", "many"]), &["many", "--max-length"]);

    let message = fail(&["embed", "--model", &model, "--max-length", "49"], b"a\n");
    assert_names(&message, &["49 tokens", "48 positions"]);
    let message = fail(&["embed", "--model", &model, "--max-length", "1"], b"a\n");
    assert_names(&message, &["max_length 1", "special tokens"]);
}

// similarity and fill-mask

#[test]
fn similarity_is_the_cosine_of_the_means() {
    let model = model();
    let (stdout, stderr) = succeed(&["similarity", "--model", &model, "The cat", "the CAT"], "");
    assert_eq!(stdout, "1.000000\n");
    assert_eq!(stderr, format!("device: {}\n", device()));

    let reference = reference();
    let texts = reference["texts"].as_array().unwrap();
    let text = |index: usize| texts[index]["text"].as_str().unwrap();
    let arguments = ["similarity", "--model", &model, "--json", text(0), text(1)];
    let (stdout, _) = succeed(&arguments, "");
    let (a, b) = (
        floats(&texts[0]["mean_normalized"]),
        floats(&texts[1]["mean_normalized"]),
    );
    let cosine: f64 = a.iter().zip(&b).map(|(a, b)| a * b).sum();
    assert_close(
        &[json_lines(&stdout)[0]["similarity"].as_f64().unwrap()],
        &[cosine],
    );

    let (_, stderr) = succeed(&["similarity", "--model", &model, "a", text(3)], "");
    assert_names(&stderr, &["warning: the second text was cut to 48 tokens"]);
}

#[test]
fn fill_mask_ranks_tokens_for_every_gap() {
    let model = model();
    let reference = reference();
    let expected = &reference["fill_mask"].as_array().unwrap()[1..];
    let fill = [
        "fill-mask",
        "--model",
        &model,
        "the [MASK] of the [MASK]",
        "--top-k",
        "3",
    ];
    let (stdout, _) = succeed(&fill, "");
    let rows: Vec<Vec<&str>> = stdout
        .lines()
        .map(|line| line.split('\t').collect())
        .collect();
    assert_eq!(rows.len(), 6);
    for (index, row) in rows.iter().enumerate() {
        let (gap, rank) = (index / 3, index % 3);
        assert_eq!(row[0], (gap + 1).to_string());
        assert_close(
            &[row[1].parse().unwrap()],
            &[expected[gap]["probabilities"][rank].as_f64().unwrap()],
        );
        assert_eq!(row[2], expected[gap]["tokens"][rank].as_str().unwrap());
    }
    let (stdout, _) = succeed(&[&fill[..], &["--json"]].concat(), "");
    let masks = &json_lines(&stdout)[0]["masks"];
    assert_eq!(masks.as_array().unwrap().len(), 2);
    assert_eq!(masks[1][0]["token"], expected[1]["tokens"][0]);
    assert!(masks[1][0]["token_id"].is_u64());
}

#[test]
fn fill_mask_refuses_what_it_cannot_fill() {
    let message = fail(&["fill-mask", "--model", &model(), "no gap"], b"");
    assert_names(&message, &["[MASK]"]);
    let long = "river ".repeat(50) + "[MASK]";
    let message = fail(&["fill-mask", "--model", &model(), &long], b"");
    assert_names(&message, &["48 positions"]);

    let encoder = tempfile::tempdir().unwrap();
    for name in MODEL_FILES {
        let from = if name.starts_with("vocab") {
            "tokenizer"
        } else {
            "tiny-erf"
        };
        if fixture(from).join(name).is_file() {
            fs::copy(fixture(from).join(name), encoder.path().join(name)).unwrap();
        }
    }
    let vocab = encoder.path().join("vocab.txt");
    let first: Vec<String> = fs::read_to_string(&vocab)
        .unwrap()
        .lines()
        .take(99)
        .map(String::from)
        .collect();
    fs::write(&vocab, first.join("\n")).unwrap();
    let dir = encoder.path().display().to_string();
    let message = fail(&["fill-mask", "--model", &dir, "a [MASK]"], b"");
    assert_names(
        &message,
        &[&dir, "no masked-LM head", "cls.predictions.bias"],
    );
}

// Model directories and devices that are not what they should be

/// What `embed` says about a model directory.
fn embed_fails(dir: &Path) -> String {
    fail(
        &["embed", "--model", &dir.display().to_string()],
        b"The cat\n",
    )
}

fn edit_config(dir: &TempDir, edit: impl Fn(&mut serde_json::Map<String, Value>)) {
    let path = dir.path().join("config.json");
    let mut config: Value = serde_json::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
    edit(config.as_object_mut().unwrap());
    fs::write(path, config.to_string()).unwrap();
}

#[test]
fn truncated_weights_are_named() {
    let dir = copy();
    let path = dir.path().join("model.safetensors");
    let bytes = fs::read(&path).unwrap();
    for length in [0, 5, 100, bytes.len() / 2, bytes.len() - 1] {
        fs::write(&path, &bytes[..length]).unwrap();
        assert_names(&embed_fails(dir.path()), &["model.safetensors"]);
    }
    fs::write(&path, vec![0xff; 4096]).unwrap();
    assert_names(&embed_fails(dir.path()), &["model.safetensors"]);
}

#[test]
fn a_tensor_of_the_wrong_shape_is_named() {
    let dir = copy();
    edit_config(&dir, |config| {
        config.insert("intermediate_size".into(), 26.into());
    });
    let message = embed_fails(dir.path());
    assert_names(
        &message,
        &[
            "encoder.layer.0.intermediate.dense",
            "25",
            "26",
            "config.json",
        ],
    );
}

#[test]
fn a_missing_tensor_is_named() {
    let dir = copy();
    let path = dir.path().join("model.safetensors");
    let mut bytes = fs::read(&path).unwrap();
    let name = b"bert.encoder.layer.1.output.LayerNorm.weight";
    let at = bytes
        .windows(name.len())
        .position(|window| window == name)
        .unwrap();
    bytes[at + name.len() - 1] = b'x';
    fs::write(&path, bytes).unwrap();
    let message = embed_fails(dir.path());
    assert_names(
        &message,
        &["encoder.layer.1.output.LayerNorm.weight", "missing"],
    );
}

#[test]
fn a_field_missing_from_the_configuration_is_named() {
    let dir = copy();
    edit_config(&dir, |config| {
        config.remove("num_attention_heads");
    });
    assert_names(
        &embed_fails(dir.path()),
        &["num_attention_heads", "missing"],
    );

    fs::write(dir.path().join("config.json"), "{").unwrap();
    assert_names(&embed_fails(dir.path()), &["config.json"]);
    fs::remove_file(dir.path().join("config.json")).unwrap();
    assert_names(&embed_fails(dir.path()), &["config.json"]);
}

#[test]
fn a_vocabulary_of_the_wrong_size_is_refused() {
    let dir = copy();
    let path = dir.path().join("vocab.txt");
    let vocab = fs::read_to_string(&path).unwrap();
    fs::write(&path, format!("{vocab}surplus\n")).unwrap();
    assert_names(&embed_fails(dir.path()), &["194", "vocabulary"]);
    let arguments = [
        "fill-mask",
        "--model",
        &dir.path().display().to_string(),
        "a [MASK]",
    ];
    assert_names(&fail(&arguments, b""), &["194", "vocabulary"]);

    let first: Vec<&str> = vocab.lines().take(3).collect();
    fs::write(&path, first.join("\n")).unwrap();
    assert_names(&embed_fails(dir.path()), &["vocab.txt", "[SEP]"]);
    fs::write(&path, b"[PAD]\n\xff\n").unwrap();
    assert_names(&embed_fails(dir.path()), &["vocab.txt", "line 2", "UTF-8"]);
    fs::remove_file(&path).unwrap();
    assert_names(&embed_fails(dir.path()), &["vocab.txt"]);
}

#[test]
fn settings_that_are_not_implemented_are_named() {
    let dir = copy();
    fs::write(
        dir.path().join("modules.json"),
        r#"[{"type": "sentence_transformers.models.Transformer", "path": ""},
            {"type": "sentence_transformers.models.Pooling", "path": ""},
            {"type": "sentence_transformers.models.Dense", "path": "2_Dense"}]"#,
    )
    .unwrap();
    assert_names(
        &embed_fails(dir.path()),
        &["modules.json", "[2].type", "Dense"],
    );
}

#[test]
fn a_model_that_is_not_there_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let absent = dir.path().join("absent");
    assert_names(&embed_fails(&absent), &["absent"]);
    assert_names(&embed_fails(dir.path()), &["config.json"]);
    let message = fail(
        &["tokenize", "--model", &absent.display().to_string(), "a"],
        b"",
    );
    assert_names(&message, &["absent"]);

    let mut offline = command(&["tokenize", "--model", "nobody/has-this-model", "a"]);
    let output = offline.env("HF_HOME", dir.path()).output().unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    assert_names(
        &stderr,
        &["error: ", "nobody/has-this-model", "HF_HUB_OFFLINE"],
    );
}

#[test]
fn an_unknown_or_absent_device_is_named() {
    let model = model();
    let mut unknown = command(&["embed", "--model", &model]);
    let output = unknown.env("BERT_DEVICE", "toaster").output().unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    assert_names(&stderr, &["error: ", "`toaster`", "BERT_DEVICE", "flex"]);

    // Not compiled in, or no such card: either way an error, and never another device.
    let message = fail(
        &[
            "similarity",
            "--model",
            &model,
            "--device",
            "cuda:99",
            "a",
            "b",
        ],
        b"",
    );
    assert_names(&message, &["cuda:99"]);
    let (_, stderr) = succeed(
        &[
            "similarity",
            "--model",
            &model,
            "--device",
            &device(),
            "a",
            "b",
        ],
        "",
    );
    assert_eq!(stderr, format!("device: {}\n", device()));
}

#[test]
fn no_arguments_and_unknown_commands_are_usage_errors() {
    for arguments in [
        &[][..],
        &["fly"],
        &["embed"],
        &["embed", "--model"],
        &["similarity", "--model", "m", "a"],
    ] {
        let output = run(arguments, b"");
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert!(!output.stderr.is_empty());
    }
    assert!(run(&["--help"], b"").status.success());
    assert!(run(&["embed", "--help"], b"").status.success());
}

#[test]
fn doctor_tests_each_device_in_a_process_of_its_own() {
    let device = device();
    let (output, _) = succeed(&["doctor", "--devices", &device, "--json"], "");
    let report: Value = serde_json::from_str(&output).unwrap();
    let row = &report["devices"][0];
    assert_eq!(row["device"], device.as_str());
    assert_eq!(row["status"], "OK");
    assert!(row["forward"].as_f64().unwrap() <= 1e-5);
    assert!(row["forward"].as_f64().unwrap() > 0.0);

    let failed = run(&["doctor", "--devices", &device, "--timeout", "0"], b"");
    assert_eq!(failed.status.code(), Some(1));
    assert!(String::from_utf8(failed.stdout).unwrap().contains("HUNG"));
    let message = fail(&["doctor", "--devices", "abacus"], b"");
    assert_names(&message, &["abacus", "flex"]);
}

#[test]
fn inspect_shows_sizes_tensors_and_the_load_report() {
    let model = model();
    let (output, _) = succeed(&["inspect", "--model", &model, "--json"], "");
    let found: Value = serde_json::from_str(&output).unwrap();
    assert_eq!(found["config"]["hidden_size"], 18);
    assert_eq!(found["pooler"], true);
    assert_eq!(found["report"]["missing"], serde_json::json!([]));
    assert!(!found["report"]["ignored"].as_array().unwrap().is_empty());
    let (text, _) = succeed(&["inspect", "--model", &model], "");
    assert!(text.contains("bert.encoder.layer.1.output.dense.weight F32 [18, 25]"));
}

#[test]
fn compare_wants_two_devices_and_finds_them_close() {
    let model = model();
    let labels: Vec<String> = bert_core::device::test_devices()
        .into_iter()
        .map(|(label, _)| label)
        .collect();
    let all = labels.join(",");
    if labels.len() == 1 {
        let message = fail(&["compare", "--model", &model, "--devices", &all], b"");
        assert_names(&message, &["two different devices"]);
        return;
    }
    let (output, _) = succeed(
        &["compare", "--model", &model, "--devices", &all, "--json"],
        "",
    );
    let table: Value = serde_json::from_str(&output).unwrap();
    assert_eq!(table["reference"], labels[0].as_str());
    for label in &labels[1..] {
        let rows = table["devices"][label].as_array().unwrap();
        assert!(rows.iter().any(|row| row["name"] == "logits"));
        for row in rows {
            let scale = row["scale"].as_f64().unwrap().max(1.0);
            let difference = row["max_abs"].as_f64().unwrap();
            assert!(difference <= 1e-4 * scale, "{label}: {row}");
        }
    }
}
