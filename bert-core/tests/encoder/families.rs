//! Checkpoints of every family through files: names, bytes, and what the encoder of a task model takes from them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use bert_core::checkpoint::{Checkpoint, Loading, save};
use bert_core::config::BertConfig;
use bert_core::device::test_devices;
use bert_core::models::{BERT, ROBERTA};
use bert_core::{BertModel, Error};
use safetensors::SafeTensors;
use serde_json::{Value, json};

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("fixtures")
        .join(name)
}

fn tensors(dir: &Path) -> BTreeMap<String, Vec<u8>> {
    let bytes = std::fs::read(dir.join("model.safetensors")).unwrap();
    let file = SafeTensors::deserialize(&bytes).unwrap();
    let tensors = file.tensors().into_iter();
    tensors
        .map(|(name, view)| (name, view.data().to_vec()))
        .collect()
}

#[test]
fn an_encoder_is_saved_as_transformers_saves_it() {
    for (label, device) in test_devices() {
        for name in [
            "tiny-erf",
            "roberta/base",
            "xlm-roberta/base",
            "camembert/base",
        ] {
            let checkpoint = Checkpoint::open(fixture(name)).unwrap();
            let (model, report) = checkpoint.load_model(Loading::Strict, &device).unwrap();
            assert!(report.is_exact() && report.ignored.is_empty(), "{report}");
            let dir = tempfile::tempdir().unwrap();
            let config = checkpoint.config();
            save(dir.path(), &model, config, &config.family.class("Model")).unwrap();
            let (saved, given) = (tensors(dir.path()), tensors(&fixture(name)));
            assert!(saved == given, "{label} {name}");
            let read = |dir: &Path| -> BTreeMap<String, Value> {
                let text = std::fs::read_to_string(dir.join("config.json")).unwrap();
                serde_json::from_str(&text).unwrap()
            };
            assert_eq!(read(dir.path()), read(&fixture(name)), "{label} {name}");
            BertModel::from_dir(dir.path(), &device).unwrap();
        }
    }
}

#[test]
fn a_task_model_gives_its_encoder() {
    let (_, device) = test_devices().swap_remove(0);
    for (name, heads) in [
        ("roberta/token", &["classifier.weight"][..]),
        (
            "roberta/sequence",
            &["classifier.dense.weight", "classifier.out_proj.weight"],
        ),
        (
            "roberta/mlm",
            &["lm_head.layer_norm.weight", "lm_head.bias"],
        ),
    ] {
        let checkpoint = Checkpoint::open(fixture(name)).unwrap();
        assert_eq!(*checkpoint.config().family, ROBERTA);
        assert!(!checkpoint.has_pooler(), "{name}");
        assert!(checkpoint.contains("bert.embeddings.LayerNorm.weight"));
        let (model, report) = checkpoint.load_model(Loading::Strict, &device).unwrap();
        assert!(model.pooler.is_none());
        assert!(report.is_exact(), "{name}: {report}");
        for head in heads {
            let mut ignored = report.ignored.iter();
            assert!(
                ignored.any(|tensor| tensor.name == *head),
                "{name}: {report}"
            );
        }
    }
}

#[test]
fn a_missing_tensor_has_the_name_of_its_family() {
    let (_, device) = test_devices().swap_remove(0);
    let dir = tempfile::tempdir().unwrap();
    let from = fixture("roberta/token");
    std::fs::copy(
        from.join("model.safetensors"),
        dir.path().join("model.safetensors"),
    )
    .unwrap();
    let text = std::fs::read_to_string(from.join("config.json")).unwrap();
    let mut config: Value = serde_json::from_str(&text).unwrap();
    let open = |config: &Value| {
        std::fs::write(dir.path().join("config.json"), config.to_string()).unwrap();
        Checkpoint::open(dir.path()).unwrap()
    };
    config["num_hidden_layers"] = json!(3);
    let error = open(&config).load_model(Loading::Strict, &device);
    let Err(Error::MissingTensors { names }) = error else {
        panic!("nothing is missing");
    };
    assert!(names[0].starts_with("encoder.layer.2."), "{names:?}");

    // The class tells where the configuration has no model_type.
    config.as_object_mut().unwrap().remove("model_type");
    assert_eq!(*open(&config).config().family, ROBERTA);
    config.as_object_mut().unwrap().remove("architectures");
    let config = config.as_object().unwrap().clone();
    assert_eq!(*BertConfig::from_json(config).unwrap().family, BERT);
}
