//! Checkpoints of every family: names, and what the encoder of a task model takes from them.

use std::collections::BTreeSet;

use bert_core::Error;
use bert_core::checkpoint::{Checkpoint, Loading};
use bert_core::config::BertConfig;
use bert_core::device::test_devices;
use bert_core::models::{FAMILIES, ROBERTA};
use serde_json::{Value, json};

use crate::zoo;

#[test]
fn a_task_model_of_every_family_gives_its_encoder() {
    let (_, device) = test_devices().swap_remove(0);
    for fixture in FAMILIES.into_iter().flat_map(zoo::of_family) {
        let (name, dir) = (&fixture.name, zoo::fixtures().join(&fixture.name));
        let checkpoint = Checkpoint::open(&dir).unwrap();
        assert_eq!(checkpoint.config().family, fixture.family, "{name}");
        let (model, report) = checkpoint.load_model(Loading::Strict, &device).unwrap();
        assert!(report.is_exact(), "{name}: {report}");
        assert_eq!(model.pooler.is_some(), checkpoint.has_pooler(), "{name}");
        let unused = report.ignored.iter().map(|tensor| tensor.name.as_str());
        let unused: BTreeSet<&str> = unused.collect();
        assert_eq!(
            unused.is_empty(),
            fixture.class == "Model",
            "{name}: {report}"
        );
        let all = checkpoint.tensors().count();
        assert_eq!(report.loaded.len() + unused.len(), all, "{name}: {report}");
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
        let checkpoint = Checkpoint::open(zoo::fixtures().join(name)).unwrap();
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
    let from = zoo::fixtures().join("roberta/token");
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
    let error = BertConfig::from_json(config).unwrap_err().to_string();
    assert!(error.contains("`model_type`"), "{error}");
}
