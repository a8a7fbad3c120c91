//! `bert embed`.

use bert_core::inference::bfloat16_instructions;

use super::*;
use crate::closed_pipe::assert_ends_quietly;

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
fn embed_in_eight_bits_gives_near_vectors_or_says_who_does() {
    let model = model();
    let arguments = ["embed", "--model", &model, "--normalize", "--int8"];
    if device() != "flex" {
        let error = fail(&arguments, b"The cat\n");
        assert_names(&error, &["8 bits", "use flex"]);
        return;
    }
    let reference = reference();
    let (stdout, _) = succeed(&arguments, &reference_texts(&reference));
    for (line, text) in json_lines(&stdout)
        .iter()
        .zip(reference["texts"].as_array().unwrap())
    {
        let (found, expected) = (floats(&line["embedding"]), floats(&text["mean_normalized"]));
        let cosine: f64 = found.iter().zip(&expected).map(|(a, b)| a * b).sum();
        assert!(cosine > 0.99 && found != expected, "{cosine}");
    }
}

#[test]
fn embed_in_bf16_gives_nearly_the_vectors_of_f32() {
    if device() != "flex" {
        return; // others round all of their tensors, where they have the type
    }
    let model = model();
    let arguments = ["embed", "--model", &model, "--normalize", "--dtype", "bf16"];
    if bfloat16_instructions().is_none() {
        assert_names(&fail(&arguments, b"The cat\n"), &["AVX-512 BF16", "f32"]);
        return;
    }
    let reference = reference();
    let (stdout, stderr) = succeed(&arguments, &reference_texts(&reference));
    assert!(stderr.starts_with("device: flex, bf16"), "{stderr}");
    for (line, text) in json_lines(&stdout)
        .iter()
        .zip(reference["texts"].as_array().unwrap())
    {
        let (found, expected) = (floats(&line["embedding"]), floats(&text["mean_normalized"]));
        let cosine: f64 = found.iter().zip(&expected).map(|(a, b)| a * b).sum();
        assert!(cosine > 0.999 && found != expected, "{cosine}");
    }
    let both = fail(&[&arguments[..], &["--int8"]].concat(), b"The cat\n");
    assert_names(&both, &["--int8", "--dtype bf16"]);
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
    assert!(!message.contains(".writing-"), "{message}");
    let directory = dir.path().display().to_string();
    let message = fail(&["embed", "--model", &model, "--output", &directory], b"");
    assert_names(&message, &["cannot write", &directory]);
}

#[test]
fn embed_ends_quietly_when_its_reader_is_gone() {
    let mut embed = command(&["embed", "--model", &model()]);
    assert_ends_quietly(&mut embed, "the old river bank");
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
        &["`middle`", "cls, mean, mean-sqrt-len"],
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

#[test]
fn texts_come_compressed_with_a_mark_or_with_returns() {
    use std::io::Write;

    let model = model();
    let dir = tempfile::tempdir().unwrap();
    let text = "The cat\nwho wrote it\n";
    let (expected, _) = succeed(&["embed", "--model", &model], text);
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    gzip.write_all(text.as_bytes()).unwrap();
    let gzip = gzip.finish().unwrap();
    for (name, bytes) in [
        ("texts.gz", gzip.clone()),
        ("texts.zst", zstd::encode_all(text.as_bytes(), 0).unwrap()),
        ("marked.txt", format!("\u{feff}{text}").into_bytes()),
        ("mac.txt", text.replace('\n', "\r").into_bytes()),
        ("dos.txt", text.replace('\n', "\r\n").into_bytes()),
    ] {
        let path = dir.path().join(name);
        fs::write(&path, bytes).unwrap();
        let path = path.display().to_string();
        let (found, _) = succeed(&["embed", "--model", &model, &path], "");
        assert_eq!(found, expected, "{name}");
    }
    let output = run(&["embed", "--model", &model], &gzip);
    assert_eq!(String::from_utf8(output.stdout).unwrap(), expected);
    let output = run(&["embed", "--model", &model], &gzip[..gzip.len() / 2]);
    assert!(!output.status.success());
}
