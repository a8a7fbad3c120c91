//! Checkpoints in every shape found on disk, and what happens to broken ones.

use std::fs;
use std::path::{Path, PathBuf};

use crate::checkpoint_files::{Tensors, rewrite, values};
use bert_core::agreement::{FORWARD_BAR, Golden};
use bert_core::checkpoint::{Checkpoint, Loading, save};
use bert_core::device::{Device, test_devices};
use bert_core::nn::BertModel;
use bert_core::{Error, Result};
use safetensors::{Dtype, SafeTensors};
use serde_json::{Value, json};

fn fixture(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("fixtures")
        .join(name)
}

fn device() -> Device {
    test_devices().swap_remove(0).1
}

/// A copy of a fixture that a test may damage.
fn copy_of(name: &str) -> tempfile::TempDir {
    let copy = tempfile::tempdir().unwrap();
    for entry in fs::read_dir(fixture(name)).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), copy.path().join(entry.file_name())).unwrap();
    }
    copy
}

fn edit_config(dir: &Path, edit: impl FnOnce(&mut serde_json::Map<String, Value>)) {
    let path = dir.join("config.json");
    let mut value: Value = serde_json::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
    edit(value.as_object_mut().unwrap());
    fs::write(path, value.to_string()).unwrap();
}

fn load(dir: &Path) -> Result<BertModel> {
    BertModel::from_dir(dir, &device())
}

fn load_error(dir: &Path) -> String {
    load(dir).map(|_| ()).unwrap_err().to_string()
}

/// Largest difference from the reference of `tiny-erf`.
fn distance(dir: &Path) -> f64 {
    let golden = Golden::open(fixture("tiny-erf")).unwrap();
    golden
        .probe()
        .forward(&load(dir).unwrap(), &device())
        .differences(golden.reference())
        .into_iter()
        .map(|difference| difference.max_abs)
        .fold(0.0, f64::max)
}

#[test]
fn every_format_gives_the_same_model() {
    for format in ["bin-zip", "bin-legacy", "bin-module-prefix", "sharded"] {
        let distance = distance(&fixture("formats").join(format));
        assert!(distance <= FORWARD_BAR, "{format}: {distance:e}");
    }
}

#[test]
fn half_precision_files_keep_their_rounded_values() {
    let bytes = fs::read(fixture("formats/reference.safetensors")).unwrap();
    let reference = SafeTensors::deserialize(&bytes).unwrap();
    let golden = Golden::open(fixture("tiny-erf")).unwrap();
    for format in ["f16", "bf16"] {
        let model = load(&fixture("formats").join(format)).unwrap();
        let trace = golden.probe().forward(&model, &device());
        for output in ["sequence_output", "pooled_output"] {
            let tensor = reference.tensor(&format!("{format}.{output}")).unwrap();
            let (expected, _) = tensor.data().as_chunks::<8>();
            for (found, expected) in trace.get(output).unwrap().iter().zip(expected) {
                let difference = (found - f64::from_le_bytes(*expected)).abs();
                assert!(
                    difference <= FORWARD_BAR,
                    "{format} {output}: {difference:e}"
                );
            }
        }
    }
}

#[test]
fn old_names_and_heads_are_reported_not_refused() {
    let checkpoint = Checkpoint::open(fixture("formats/bin-module-prefix")).unwrap();
    let (_, report) = checkpoint.load_model(Loading::Strict, &device()).unwrap();
    assert!(report.is_exact());
    let ignored: Vec<_> = report.ignored.iter().map(|i| i.name.as_str()).collect();
    assert_eq!(ignored, ["module.bert.embeddings.position_ids"]);

    let checkpoint = Checkpoint::open(fixture("formats/pretraining-gamma-beta")).unwrap();
    let (model, report) = checkpoint.load_model(Loading::Strict, &device()).unwrap();
    assert!(report.is_exact() && model.pooler.is_some());
    assert!(report.ignored.iter().all(|i| i.name.starts_with("cls.")));
    assert!(!report.ignored.is_empty());
    assert!(report.to_string().contains("cls.seq_relationship.weight"));
}

#[test]
fn a_checkpoint_without_pooler_gives_a_model_without_one() {
    let model = load(&fixture("tiny-mlm")).unwrap();
    assert!(model.pooler.is_none());
}

#[test]
fn a_saved_model_loads_bit_for_bit_on_every_device() {
    for (label, device) in test_devices() {
        let original = fixture("tiny-erf");
        let checkpoint = Checkpoint::open(&original).unwrap();
        let (model, _) = checkpoint.load_model(Loading::Strict, &device).unwrap();
        let dir = tempfile::tempdir().unwrap();
        save(dir.path(), &model, checkpoint.config(), "BertModel").unwrap();

        let tensors = |dir: &Path| {
            let bytes = fs::read(dir.join("model.safetensors")).unwrap();
            let file = safetensors::SafeTensors::deserialize(&bytes).unwrap();
            let mut tensors: Vec<_> = file
                .tensors()
                .into_iter()
                .map(|(name, view)| (name, view.shape().to_vec(), view.data().to_vec()))
                .collect();
            tensors.sort();
            tensors
        };
        assert_eq!(tensors(dir.path()), tensors(&original), "{label}");
        let again = Checkpoint::open(dir.path()).unwrap();
        assert_eq!(again.config().to_json()["hidden_act"], "gelu");
        assert_eq!(
            again.config().layer_norm_eps,
            checkpoint.config().layer_norm_eps
        );
        let names: Vec<_> = fs::read_dir(dir.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name())
            .collect();
        assert_eq!(names.len(), 2, "{label}: left behind {names:?}");
    }
}

#[test]
fn saving_over_an_old_model_replaces_it_whole() {
    let dir = copy_of("tiny-relu");
    let checkpoint = Checkpoint::open(fixture("tiny-tanh")).unwrap();
    let (model, _) = checkpoint.load_model(Loading::Strict, &device()).unwrap();
    save(dir.path(), &model, checkpoint.config(), "BertModel").unwrap();
    load(dir.path()).unwrap();
}

#[test]
fn truncated_files_are_named() {
    for (format, file) in [
        ("tiny-erf", "model.safetensors"),
        ("formats/bin-zip", "pytorch_model.bin"),
        ("formats/bin-legacy", "pytorch_model.bin"),
        ("formats/sharded", "model-00002-of-00003.safetensors"),
        ("formats/sharded", "model.safetensors.index.json"),
    ] {
        let dir = copy_of(format);
        let path = dir.path().join(file);
        // The final newline of a JSON file is nobody's loss.
        let bytes = fs::read(&path).unwrap().trim_ascii_end().to_vec();
        for keep in [0, 3, 20, bytes.len() / 2, bytes.len() - 1] {
            fs::write(&path, &bytes[..keep]).unwrap();
            let error = load(dir.path())
                .map(|_| ())
                .expect_err(&format!("{file} cut to {keep}"));
            assert!(
                error.to_string().contains(file),
                "{format} cut to {keep}: {error}"
            );
        }
    }
}

#[test]
fn damaged_headers_are_named() {
    let dir = copy_of("tiny-erf");
    let path = dir.path().join("model.safetensors");
    let bytes = fs::read(&path).unwrap();
    for (at, value) in [(3, 0xff), (8, b'x')] {
        let mut damaged = bytes.clone();
        damaged[at] = value;
        fs::write(&path, damaged).unwrap();
        assert!(load_error(dir.path()).contains("model.safetensors"));
    }
}

#[test]
fn tensors_beyond_the_largest_offset_are_refused() {
    let dir = copy_of("tiny-erf");
    let path = dir.path().join("model.safetensors");
    // Their bytes are one fewer than 2^64, to which the length of the header comes.
    let tensor = |n: u64| {
        let size = (1 << 60) - u64::from(n == 15);
        let start = n << 60;
        let tensor = json!({"dtype": "U8", "shape": [size], "data_offsets": [start, start + size]});
        (format!("t{n}"), tensor)
    };
    let header: serde_json::Map<String, Value> = (0..16).map(tensor).collect();
    let header = Value::from(header).to_string();
    let length = (header.len() as u64).to_le_bytes();
    fs::write(&path, [&length[..], header.as_bytes()].concat()).unwrap();
    let error = load_error(dir.path());
    assert!(
        error.contains("model.safetensors") && error.contains("truncated"),
        "{error}"
    );
}

#[test]
fn a_missing_tensor_is_named_and_may_be_allowed() {
    // One layer more in the configuration than in the file.
    let dir = copy_of("tiny-erf");
    edit_config(dir.path(), |config| {
        config.insert("num_hidden_layers".into(), json!(4));
    });
    assert!(load_error(dir.path()).contains("encoder.layer.3."));

    let checkpoint = Checkpoint::open(dir.path()).unwrap();
    let (_, report) = checkpoint.load_model(Loading::Partial, &device()).unwrap();
    assert_eq!(report.missing.len(), 16);
    assert!(
        report
            .to_string()
            .contains("encoder.layer.3.output.dense.weight")
    );
}

#[test]
fn tensors_that_no_parameter_takes_are_left_out_and_reported() {
    // One layer fewer in the configuration than in the file, as of a model cut short.
    let dir = copy_of("tiny-erf");
    edit_config(dir.path(), |config| {
        config.insert("num_hidden_layers".into(), json!(2));
    });
    let checkpoint = Checkpoint::open(dir.path()).unwrap();
    let (model, report) = checkpoint.load_model(Loading::Strict, &device()).unwrap();
    assert_eq!(model.encoder.layer.len(), 2);
    assert_eq!(report.unexpected.len(), 16);
    assert!(!report.is_exact());

    // What is there is what the whole model gives after two of its layers.
    let golden = Golden::open(fixture("tiny-erf")).unwrap();
    let trace = golden.probe().forward(&model, &device());
    let differences = trace.differences(golden.reference());
    let second = differences
        .iter()
        .find(|difference| difference.name == "hidden_states.2");
    assert!(second.unwrap().max_abs <= FORWARD_BAR);

    // ColBERT's projection, an adapter, a tensor of a type that no weight has.
    let extra = [
        ("linear.weight", Dtype::F32, vec![4, 30]),
        (
            "bert.encoder.layer.0.output.adapter.down.weight",
            Dtype::F16,
            vec![3],
        ),
        ("counter", Dtype::I64, vec![]),
    ];
    let dir = copy_of("tiny-erf");
    rewrite(dir.path(), |tensors| {
        for (name, dtype, shape) in &extra {
            let size = shape.iter().product::<usize>() * dtype.bitsize() / 8;
            tensors.insert((*name).to_owned(), (*dtype, shape.clone(), vec![1; size]));
        }
    });
    assert!(distance(dir.path()) <= FORWARD_BAR);
    let checkpoint = Checkpoint::open(dir.path()).unwrap();
    let (_, report) = checkpoint.load_model(Loading::Strict, &device()).unwrap();
    let mut names = extra.map(|(name, ..)| name);
    names.sort_unstable();
    assert_eq!(report.unexpected, names);
}

#[test]
fn a_wrong_shape_is_named_with_both_shapes() {
    let dir = copy_of("tiny-erf");
    edit_config(dir.path(), |config| {
        config.insert("vocab_size".into(), json!(98));
    });
    let message = load_error(dir.path());
    for part in ["word_embeddings", "[98, 30]", "[99, 30]"] {
        assert!(message.contains(part), "{message}");
    }
    let checkpoint = Checkpoint::open(dir.path()).unwrap();
    let (_, report) = checkpoint.load_model(Loading::Partial, &device()).unwrap();
    assert_eq!(report.mismatched.len(), 1);
}

#[test]
fn a_decoder_plays_no_part_in_the_encoder() {
    type Change = fn(&mut Tensors);
    let decoder = "cls.predictions.decoder.weight";
    let changes: [(&str, Change); 4] = [
        ("stale", |tensors| {
            tensors.get_mut("cls.predictions.decoder.weight").unwrap().2[5] ^= 1;
        }),
        ("in half precision", |tensors| {
            let (_, shape, _) = tensors["cls.predictions.decoder.weight"].clone();
            let zeros = vec![0; shape.iter().product::<usize>() * 2];
            let half = (Dtype::F16, shape, zeros);
            tensors.insert("cls.predictions.decoder.weight".to_owned(), half);
        }),
        ("of fewer rows", |tensors| {
            let decoder = (Dtype::F32, vec![1, 18], vec![0; 72]);
            tensors.insert("cls.predictions.decoder.weight".to_owned(), decoder);
        }),
        ("absent", |tensors| {
            tensors.remove("cls.predictions.decoder.weight");
        }),
    ];
    let expected = values(&load(&fixture("tiny-pretraining")).unwrap());
    for (what, change) in changes {
        let dir = copy_of("formats/pretraining-gamma-beta");
        rewrite(dir.path(), change);
        for tied in [json!(true), json!(false), Value::Null] {
            edit_config(dir.path(), |config| {
                config.insert("tie_word_embeddings".into(), tied.clone());
            });
            let checkpoint = Checkpoint::open(dir.path()).unwrap();
            let (model, report) = checkpoint.load_model(Loading::Strict, &device()).unwrap();
            assert!(report.is_exact(), "{what} {tied}");
            let ignored = report.ignored.iter().any(|tensor| tensor.name == decoder);
            assert_eq!(ignored, what != "absent", "{what} {tied}");
            assert_eq!(values(&model), expected, "{what} {tied}");
        }
    }

    // The decoder is the table where that was left out, but only if they are one.
    let dir = copy_of("formats/pretraining-gamma-beta");
    rewrite(dir.path(), |tensors| {
        tensors.remove("bert.embeddings.word_embeddings.weight");
    });
    assert_eq!(values(&load(dir.path()).unwrap()), expected);
    edit_config(dir.path(), |config| {
        config.insert("tie_word_embeddings".into(), json!(false));
    });
    assert!(load_error(dir.path()).contains("word_embeddings"));
}

#[test]
fn a_tensor_under_two_names_is_read_if_both_have_its_values() {
    let dir = copy_of("tiny-erf");
    let copy = "bert.embeddings.LayerNorm.weight";
    rewrite(dir.path(), |tensors| {
        let weight = tensors["embeddings.LayerNorm.weight"].clone();
        tensors.insert(copy.to_owned(), weight);
    });
    assert!(distance(dir.path()) <= FORWARD_BAR);
    rewrite(dir.path(), |tensors| {
        tensors.get_mut(copy).unwrap().2[0] ^= 1
    });
    let error = load_error(dir.path());
    assert!(
        error.contains(copy) && error.contains("same parameter"),
        "{error}"
    );
}

#[test]
fn a_shard_that_is_not_there_is_named() {
    let dir = copy_of("formats/sharded");
    fs::remove_file(dir.path().join("model-00003-of-00003.safetensors")).unwrap();
    assert!(load_error(dir.path()).contains("model-00003-of-00003.safetensors"));
}

#[test]
fn directories_without_a_model_say_what_is_missing() {
    let empty = tempfile::tempdir().unwrap();
    assert!(load_error(empty.path()).contains("config.json"));
    fs::copy(
        fixture("tiny-erf").join("config.json"),
        empty.path().join("config.json"),
    )
    .unwrap();
    assert!(load_error(empty.path()).contains("model.safetensors"));
    let nowhere = empty.path().join("nowhere");
    assert!(load_error(&nowhere).contains("nowhere"));
}

#[test]
fn files_that_are_not_what_they_claim_are_named() {
    let dir = copy_of("tiny-erf");
    fs::write(dir.path().join("config.json"), b"\xff\xfe{}").unwrap();
    assert!(load_error(dir.path()).contains("config.json"));
    fs::write(dir.path().join("config.json"), b"[1]").unwrap();
    assert!(load_error(dir.path()).contains("config.json"));

    let dir = copy_of("formats/bin-zip");
    fs::write(dir.path().join("pytorch_model.bin"), b"not a pickle").unwrap();
    assert!(load_error(dir.path()).contains("pytorch_model.bin"));
}

#[test]
fn integer_weights_are_refused_by_name() {
    let dir = copy_of("tiny-pytorch-tanh");
    let path = dir.path().join("model.safetensors");
    let bytes = fs::read(&path).unwrap();
    let header = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
    let text = String::from_utf8(bytes[8..8 + header].to_vec()).unwrap();
    let mut damaged = bytes[..8].to_vec();
    damaged.extend(text.replace("\"F32\"", "\"I32\"").as_bytes());
    damaged.extend(&bytes[8 + header..]);
    fs::write(&path, damaged).unwrap();
    let error = load(dir.path()).map(|_| ()).unwrap_err();
    assert!(matches!(error, Error::UnsupportedDType { .. }), "{error}");
}
