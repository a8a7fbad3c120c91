//! Model directories that are not what they should be.

use super::*;

/// Error message of `embed` for a model directory.
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
            {"type": "sentence_transformers.models.CNN", "path": "2_CNN"}]"#,
    )
    .unwrap();
    assert_names(
        &embed_fails(dir.path()),
        &["modules.json", "[2].type", "CNN"],
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
