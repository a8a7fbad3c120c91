//! Checkpoints of every family: names, and what the encoder of a task model takes from them.

use std::collections::BTreeSet;

use bert_core::Error;
use bert_core::agreement::Golden;
use bert_core::checkpoint::{Checkpoint, Loading, save};
use bert_core::config::BertConfig;
use bert_core::device::test_devices;
use bert_core::models::{FAMILIES, GTE, ROBERTA};
use safetensors::SafeTensors;
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

#[test]
fn files_of_gte_from_before_transformers_are_its_own() {
    let (_, device) = test_devices().swap_remove(0);
    let fixture = zoo::fixtures().join("gte/base");
    let dir = tempfile::tempdir().unwrap();
    let bytes = std::fs::read(fixture.join("model.safetensors")).unwrap();
    let tensors = SafeTensors::deserialize(&bytes).unwrap();
    let own = tensors.tensors().into_iter();
    let own = own.map(|(name, view)| (format!("new.{name}"), view));
    let file = dir.path().join("model.safetensors");
    safetensors::serialize_to_file(own, None, &file).unwrap();
    let mut config = zoo::read_json(&fixture.join("config.json"));
    let fields = config.as_object_mut().unwrap();
    // Linear scaling by 1.5 of the base 50, for heads of width 6.
    fields.remove("rope_parameters");
    let factor = 1.5_f64.powi(3);
    let own = json!({
        "architectures": ["NewModel"], "model_type": "new", "layer_norm_type": "layer_norm", "pack_qkv": true,
        "position_embedding_type": "rope", "rope_theta": 50.0 / factor, "unpad_inputs": false,
        "rope_scaling": {"type": "ntk", "factor": factor}, "logn_attention_scale": false,
        "auto_map": {"AutoModel": "Alibaba-NLP/new-impl--modeling.NewModel"},
    });
    fields.extend(own.as_object().unwrap().clone());
    std::fs::write(dir.path().join("config.json"), config.to_string()).unwrap();

    let checkpoint = Checkpoint::open(dir.path()).unwrap();
    assert_eq!(*checkpoint.config().family, GTE);
    let (model, report) = checkpoint.load_model(Loading::Strict, &device).unwrap();
    assert!(report.is_exact(), "{report}");
    let golden = Golden::open(&fixture).unwrap();
    let expected = golden.checkpoint().load_model(Loading::Strict, &device);
    let (expected, _) = expected.unwrap();
    let vectors = |model: &bert_core::nn::BertModel| -> Vec<f32> {
        let output = model.forward(golden.probe().input(&device));
        output.sequence_output.into_data().iter().collect()
    };
    let pairs = vectors(&model).into_iter().zip(vectors(&expected));
    let difference = pairs.fold(0.0_f32, |most, (a, b)| most.max((a - b).abs()));
    assert!(difference < 1e-6, "{difference}");

    // What is saved of it is transformers' again.
    let saved = tempfile::tempdir().unwrap();
    let config = checkpoint.config();
    save(saved.path(), &model, config, &GTE.class("Model")).unwrap();
    let again = Checkpoint::open(saved.path()).unwrap();
    let names = |checkpoint: &Checkpoint| -> Vec<String> {
        let tensors = checkpoint.tensors();
        tensors.map(|tensor| tensor.name.clone()).collect()
    };
    assert_eq!(names(&again), names(golden.checkpoint()));
    let fields = zoo::read_json(&saved.path().join("config.json"));
    assert_eq!(fields["model_type"], "gte");
    assert_eq!(fields["rope_parameters"]["rope_type"], "linear");
    let [again, config] = [again.config(), config].map(|config| config.rotary.unwrap());
    assert!(
        (again.theta - config.theta).abs() < 1e-9 && (again.scale - config.scale).abs() < 1e-12
    );
}
