//! Directories that sentence-transformers 6.2 saved around the encoder of tiny-pretraining, against
//! its vectors and scores in float64.

use std::fs;
use std::path::{Path, PathBuf};

use bert_core::device::{Device, test_devices};
use bert_core::tokenizer::TextInput;
use bert_heads::Error;
use bert_heads::labels::Labels;
use bert_heads::model_kind::ModelKind;
use bert_heads::runner::PredictOptions;
use bert_heads::sentence_embedding::{EmbedderOptions, SentenceEmbedder};
use bert_heads::task::Overrule;
use bert_heads::tasks::sequence_classification::{Answer, CLASSIFY, REGRESS, TextClassifier};
use serde_json::{Value, json};
use tempfile::TempDir;

const ENCODER: [&str; 4] = [
    "config.json",
    "model.safetensors",
    "vocab.txt",
    "tokenizer_config.json",
];

/// The distance to the float64 reference that other vectors have, too.
const BAR: f64 = 1e-5;

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../bert-core/fixtures")
}

fn read(path: impl AsRef<Path>) -> Value {
    serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap()
}

fn reference() -> Value {
    read(fixtures().join("sentence-transformers/reference.json"))
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let target = to.join(path.file_name().unwrap());
        match path.is_dir() {
            true => copy(&path, &target),
            false => drop(fs::copy(&path, &target).unwrap()),
        }
    }
}

/// The encoder with the files of `name` around it.
fn assembled(name: &str) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    for file in ENCODER {
        let source = fixtures().join("tiny-pretraining").join(file);
        fs::copy(source, dir.path().join(file)).unwrap();
    }
    copy(
        &fixtures().join("sentence-transformers").join(name),
        dir.path(),
    );
    dir
}

fn edit(dir: &TempDir, name: &str, edit: impl FnOnce(&mut Value)) {
    let path = dir.path().join(name);
    let mut value = read(&path);
    edit(&mut value);
    fs::write(path, value.to_string()).unwrap();
}

fn floats(value: &Value) -> Vec<f64> {
    let values = value.as_array().unwrap().iter();
    values.map(|value| value.as_f64().unwrap()).collect()
}

fn open(dir: &Path, device: &Device) -> SentenceEmbedder {
    SentenceEmbedder::from_dir(dir, &EmbedderOptions::default(), device).unwrap()
}

/// Refuses vectors of the reference's texts that are not those called `name`.
fn check(label: &str, embedder: &SentenceEmbedder, name: &str) {
    let reference = reference();
    let texts = reference["texts"].as_array().unwrap();
    let texts: Vec<&str> = texts.iter().map(|text| text.as_str().unwrap()).collect();
    let expected = reference[name].as_array().unwrap();
    let found = embedder.embed(&texts).unwrap();
    assert_eq!(found.len(), expected.len());
    for (found, expected) in found.iter().zip(expected) {
        let expected = floats(expected);
        assert_eq!(found.values.len(), expected.len(), "{label} {name}");
        assert_eq!(embedder.dimension(), expected.len(), "{label} {name}");
        for (found, expected) in found.values.iter().zip(expected) {
            let difference = (f64::from(*found) - expected).abs();
            assert!(difference < BAR, "{label} {name}: {difference:e}");
        }
    }
}

#[test]
fn every_pooling_agrees_with_the_library() {
    for (label, device) in test_devices() {
        for name in [
            "cls",
            "max",
            "mean",
            "mean_sqrt_len_tokens",
            "weightedmean",
            "lasttoken",
            "mean+cls",
            "cls+max+mean+mean_sqrt_len_tokens+weightedmean+lasttoken",
        ] {
            // By name, and by the files of both generations.
            let options = EmbedderOptions {
                pooling: Some(name.parse().unwrap()),
                batch_tokens: Some(60),
                ..EmbedderOptions::default()
            };
            let encoder = fixtures().join("tiny-pretraining");
            let embedder = SentenceEmbedder::from_dir(encoder, &options, &device).unwrap();
            check(&label, &embedder, name);

            let dir = assembled("dense");
            edit(&dir, "modules.json", |modules| {
                modules.as_array_mut().unwrap().truncate(2);
            });
            let modes: Vec<&str> = name.split('+').collect();
            edit(&dir, "1_Pooling/config.json", |config| {
                config["pooling_mode"] = json!(modes);
            });
            check(&label, &open(dir.path(), &device), name);
            if modes == ["mean", "cls"] {
                continue; // the flags cannot say it
            }
            let mut config = json!({"word_embedding_dimension": 18});
            for mode in &modes {
                let suffix = if ["cls", "max", "mean", "weightedmean"].contains(mode) {
                    if *mode == "cls" { "_token" } else { "_tokens" }
                } else {
                    ""
                };
                config[format!("pooling_mode_{mode}{suffix}")] = json!(true);
            }
            let path = dir.path().join("1_Pooling/config.json");
            fs::write(path, config.to_string()).unwrap();
            check(&label, &open(dir.path(), &device), name);
        }
    }
}

#[test]
fn modules_after_the_pooling_agree_with_the_library() {
    for (label, device) in test_devices() {
        for name in ["dense", "several"] {
            let dir = assembled(name);
            let kind = ModelKind::find(dir.path()).unwrap().kind;
            assert_eq!(kind, ModelKind::Sentences);
            let embedder = open(dir.path(), &device);
            assert_eq!(embedder.is_normalized(), name == "dense");
            check(&label, &embedder, name);

            // As the library called its classes before version 5.
            edit(&dir, "modules.json", |modules| {
                for module in modules.as_array_mut().unwrap() {
                    let class = module["type"].as_str().unwrap();
                    let kind = class.rsplit('.').next().unwrap();
                    *module = json!({
                        "path": module["path"],
                        "type": format!("sentence_transformers.models.{kind}"),
                    });
                }
            });
            fs::remove_file(dir.path().join("config_sentence_transformers.json")).unwrap();
            fs::remove_file(dir.path().join("sentence_bert_config.json")).unwrap();
            check(&label, &open(dir.path(), &device), name);
        }
    }
}

#[test]
fn token_vectors_and_streams_have_their_own_width() {
    let (_, device) = test_devices().swap_remove(0);
    let dir = assembled("several");
    let embedder = open(dir.path(), &device);
    assert_eq!((embedder.dimension(), embedder.token_dimension()), (5, 18));
    let tokens = embedder.embed_tokens(&["the cat"]).unwrap().remove(0);
    assert_eq!(tokens.values.len(), tokens.tokens.len() * 18);
    assert!(embedder.embed(&[]).unwrap().is_empty());
    let lines = (0..5).map(|n| Ok("the cat ".repeat(n)));
    let mut streamed = Vec::new();
    let sink = |text: bert_heads::sentence_embedding::SentenceEmbedding| {
        streamed.push(text.values);
        Ok::<(), Error>(())
    };
    embedder.embed_lines(lines, |_| {}, sink).unwrap();
    let expected = embedder.embed(&["the cat"]).unwrap().remove(0).values;
    assert_eq!(streamed.len(), 5);
    for (found, expected) in streamed[1].iter().zip(expected) {
        assert!((found - expected).abs() < 1e-5);
    }
}

#[test]
fn vectors_are_cut_and_compared_as_the_files_say() {
    let (_, device) = test_devices().swap_remove(0);
    let reference = reference();
    let texts = reference["texts"].as_array().unwrap();
    let pair = (texts[0].as_str().unwrap(), texts[1].as_str().unwrap());
    let expected = reference["similarities"].as_object().unwrap();
    assert_eq!(expected.len(), 4);
    for (name, expected) in expected {
        let dir = assembled("several");
        edit(&dir, "config_sentence_transformers.json", |config| {
            config["similarity_fn_name"] = json!(name);
        });
        let embedder = open(dir.path(), &device);
        assert_eq!(&embedder.similarity_function().to_string(), name);
        let found = embedder.similarities(&[pair]).unwrap()[0];
        let expected = expected.as_f64().unwrap();
        assert!(
            (found - expected).abs() < 1e-4,
            "{name}: {found} {expected}"
        );
    }
    let dir = assembled("dense");
    let whole = open(dir.path(), &device)
        .embed(&[pair.0])
        .unwrap()
        .remove(0);
    edit(&dir, "config_sentence_transformers.json", |config| {
        config["truncate_dim"] = json!(3);
    });
    let cut = open(dir.path(), &device);
    assert_eq!(cut.dimension(), 3);
    let found = cut.embed(&[pair.0]).unwrap().remove(0).values;
    assert_eq!(found, whole.values[..3]);
    let options = EmbedderOptions {
        normalize: Some(true),
        ..EmbedderOptions::default()
    };
    let unit = SentenceEmbedder::from_dir(dir.path(), &options, &device).unwrap();
    let unit = unit.embed(&[pair.0]).unwrap().remove(0).values;
    let length: f32 = unit.iter().map(|x| x * x).sum();
    assert!((length - 1.0).abs() < 1e-5 && unit.len() == 3);
}

#[test]
fn modules_that_do_not_fit_are_named() {
    let (_, device) = test_devices().swap_remove(0);
    let fails = |dir: &TempDir, options: &EmbedderOptions| {
        let error = SentenceEmbedder::from_dir(dir.path(), options, &device).unwrap_err();
        let cause = std::error::Error::source(&error).map(ToString::to_string);
        format!("{error}: {}", cause.unwrap_or_default())
    };
    let options = EmbedderOptions::default();
    let dir = assembled("dense");
    fs::remove_file(dir.path().join("2_Dense/model.safetensors")).unwrap();
    let message = fails(&dir, &options);
    assert!(
        message.contains("2_Dense") && message.contains("model.safetensors"),
        "{message}"
    );

    let dir = assembled("dense");
    edit(&dir, "2_Dense/config.json", |config| {
        config["bias"] = json!(false)
    });
    let message = fails(&dir, &options);
    assert!(
        message.contains("2_Dense") && message.contains("linear.bias"),
        "{message}"
    );
    edit(&dir, "2_Dense/config.json", |config| {
        config["bias"] = json!(true);
        config["out_features"] = json!(8);
    });
    let message = fails(&dir, &options);
    assert!(
        message.contains("2_Dense") && message.contains("linear.weight"),
        "{message}"
    );

    // Another pooling than the one that the module was trained on.
    let dir = assembled("several");
    let one = EmbedderOptions {
        pooling: Some("cls".parse().unwrap()),
        ..EmbedderOptions::default()
    };
    let message = fails(&dir, &one);
    assert!(
        message.contains("`in_features`") && message.contains("18"),
        "{message}"
    );
    let cross = assembled("cross-encoder");
    assert!(fails(&cross, &options).contains("bert predict"));
}

/// The cross-encoder: its classifier beside the encoder's weights, as two shards.
fn cross_encoder() -> TempDir {
    let dir = assembled("cross-encoder");
    let path = |name: &str| dir.path().join(name);
    fs::rename(path("model.safetensors"), path("encoder.safetensors")).unwrap();
    let index = json!({"weight_map": {
        "bert.pooler.dense.weight": "encoder.safetensors",
        "classifier.weight": "classifier.safetensors",
    }});
    fs::write(path("model.safetensors.index.json"), index.to_string()).unwrap();
    dir
}

fn scores(dir: &TempDir, overrule: &Overrule, device: &Device) -> Vec<(f32, Option<f32>)> {
    let kind = ModelKind::find(dir.path()).unwrap().kind;
    assert_eq!(kind, ModelKind::Texts);
    let options = PredictOptions::default();
    let model = TextClassifier::open(dir.path(), &options, overrule, device).unwrap();
    let reference = read(dir.path().join("reference.json"));
    let pairs = reference["pairs"].as_array().unwrap().clone();
    let inputs = pairs
        .iter()
        .map(|pair| TextInput::Pair(pair[0].as_str().unwrap(), pair[1].as_str().unwrap()));
    let predictions = model.predict(inputs).unwrap();
    let answers = predictions
        .iter()
        .map(|prediction| model.answer(prediction));
    answers
        .map(|answer| match answer {
            Answer::Number { value, score } => (value, score),
            other => panic!("{other:?}"),
        })
        .collect()
}

/// Files as one generation of the library writes them, or a person.
fn as_case(dir: &TempDir, case: &str) {
    let library = "config_sentence_transformers.json";
    if case != "as saved" && !case.starts_with("identity") {
        for name in ["modules.json", "sentence_bert_config.json", library] {
            fs::remove_file(dir.path().join(name)).unwrap();
        }
    }
    let identity = json!("torch.nn.modules.linear.Identity");
    match case {
        "as saved" | "no file names one" => {}
        "identity in config_sentence_transformers.json" => {
            edit(dir, library, |config| config["activation_fn"] = identity);
        }
        "version 4" => edit(dir, "config.json", |config| {
            let tanh = "torch.nn.modules.activation.Tanh";
            config["sentence_transformers"] = json!({"activation_fn": tanh, "version": "4.1.0"});
        }),
        "before version 4" => edit(dir, "config.json", |config| {
            config["sbert_ce_default_activation_function"] = identity;
        }),
        other => panic!("a case that is not known: {other}"),
    }
}

#[test]
fn scores_of_pairs_are_those_of_the_library() {
    let record = read(fixtures().join("sentence-transformers/cross-encoder/reference.json"));
    let logits = floats(&record["logits"]);
    let cases = record["cases"].as_array().unwrap();
    assert_eq!(cases.len(), 5);
    for (label, device) in test_devices() {
        for case in cases {
            let name = case["case"].as_str().unwrap();
            let dir = cross_encoder();
            as_case(&dir, name);
            let found = scores(&dir, &Overrule::default(), &device);
            for ((found, logit), score) in found.iter().zip(&logits).zip(floats(&case["scores"])) {
                let (value, scored) = (f64::from(found.0), f64::from(found.1.unwrap()));
                assert!(
                    (value - logit).abs() < BAR,
                    "{label} {name}: {value} {logit}"
                );
                assert!(
                    (scored - score).abs() < BAR,
                    "{label} {name}: {scored} {score}"
                );
            }
        }
    }
}

#[test]
fn a_regression_keeps_its_number_and_options_overrule_the_files() {
    let (_, device) = test_devices().swap_remove(0);
    let dir = cross_encoder();
    let task = |task| Overrule {
        task: Some(task),
        labels: None,
    };
    let scored = |overrule: &Overrule| scores(&dir, overrule, &device)[0].1;
    assert!(scored(&task(&REGRESS)).is_none());
    assert!(scored(&task(&CLASSIFY)).is_some());
    as_case(&dir, "no file names one");
    edit(&dir, "config.json", |config| {
        config["problem_type"] = json!("regression")
    });
    assert!(scored(&Overrule::default()).is_none());
    assert!(scored(&task(&CLASSIFY)).is_some());

    let open = |overrule: &Overrule| {
        TextClassifier::open(dir.path(), &PredictOptions::default(), overrule, &device)
    };
    let named = |names: &[&str]| Overrule {
        task: None,
        labels: Some(Labels::new(names.iter().copied()).unwrap()),
    };
    assert_eq!(open(&named(&["like"])).unwrap().labels().names(), ["like"]);
    let error = open(&named(&["like", "unlike"])).unwrap_err();
    assert!(
        matches!(
            error,
            Error::LabelNames {
                labels: 2,
                outputs: 1
            }
        ),
        "{error}"
    );
    // Names that the files give twice, or for outputs that there are not.
    for (names, needle) in [
        (json!({"0": "a", "1": "b"}), "names 2"),
        (json!({"0": "a", "1": "a"}), "`a` is both"),
        (json!({"1": "a"}), "entry `1`"),
    ] {
        edit(&dir, "config.json", |config| config["id2label"] = names);
        let message = open(&Overrule::default()).unwrap_err().to_string();
        for needle in ["config.json", "`id2label`", needle, "--labels"] {
            assert!(message.contains(needle), "{needle}: {message}");
        }
        open(&named(&["like"])).unwrap();
    }
    // Without names the outputs have numbers, as many as there are.
    edit(&dir, "config.json", |config| {
        config["id2label"] = json!(null)
    });
    let model = open(&Overrule::default()).unwrap();
    assert_eq!(model.labels().names(), ["LABEL_0"]);
    edit(&dir, "config.json", |config| {
        config["num_labels"] = json!(3)
    });
    let message = open(&Overrule::default()).unwrap_err().to_string();
    assert!(message.contains("`num_labels`"), "{message}");
}
