//! Settings that the files of a directory give, and files that are refused.

use super::super::dense::DenseConfig;
use super::super::modules::MODULES;
use super::*;
use crate::torch_activation::TorchActivation;

const PROMPTS: &str = LIBRARY_CONFIG;
const PACKAGE: &str = "sentence_transformers.models";

fn dir(files: &[(&str, Value)]) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    for (name, value) in files {
        let path = dir.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, value.to_string()).unwrap();
    }
    dir
}

fn module(kind: &str, path: &str) -> Value {
    json!({"idx": 0, "name": "0", "path": path, "type": format!("{PACKAGE}.{kind}")})
}

fn modules_json(kinds: &[(&str, &str)]) -> (&'static str, Value) {
    (
        MODULES,
        kinds
            .iter()
            .map(|(kind, path)| module(kind, path))
            .collect(),
    )
}

fn message(dir: &tempfile::TempDir) -> String {
    match SentenceTransformersFiles::read(dir.path(), false) {
        Ok(_) => panic!("it was read"),
        Err(error) => error.to_string(),
    }
}

#[test]
fn a_plain_checkpoint_is_pooled_by_mean() {
    let files = SentenceTransformersFiles::read(dir(&[]).path(), false).unwrap();
    assert!(files.pooling == Pooling::Mean && files.steps.is_empty());
    assert_eq!((files.max_seq_length, files.do_lower_case), (None, false));
}

#[test]
fn the_files_set_the_defaults() {
    let dir = dir(&[
        modules_json(&[
            ("Transformer", "0_BERT"),
            ("Pooling", "1_Pooling"),
            ("Normalize", "2"),
        ]),
        (
            "0_BERT/sentence_bert_config.json",
            json!({"max_seq_length": 37, "do_lower_case": true}),
        ),
        (
            "1_Pooling/config.json",
            json!({"word_embedding_dimension": 32, "pooling_mode_cls_token": true, "pooling_mode_mean_tokens": false}),
        ),
        (
            PROMPTS,
            json!({"prompts": {"query": "query: "}, "default_prompt_name": "query"}),
        ),
    ]);
    let files = SentenceTransformersFiles::read(dir.path(), false).unwrap();
    assert_eq!(files.transformer_dir, dir.path().join("0_BERT"));
    assert_eq!(files.pooling, Pooling::Cls);
    assert_eq!(files.steps, [StepConfig::Normalize]);
    assert_eq!(
        (files.max_seq_length, files.do_lower_case),
        (Some(37), true)
    );
    assert_eq!(files.prompt, "query: ");
    files.check_dimension(32).unwrap();
    let error = files.check_dimension(13).unwrap_err().to_string();
    assert!(
        error.contains("1_Pooling") && error.contains("word_embedding_dimension"),
        "{error}"
    );
}

#[test]
fn the_layout_of_version_5_is_read() {
    let mut modules = modules_json(&[("", ""), ("", "1_Pooling")]);
    modules.1[0]["type"] = json!("sentence_transformers.base.modules.transformer.Transformer");
    modules.1[1]["type"] =
        json!("sentence_transformers.sentence_transformer.modules.pooling.Pooling");
    let config = json!({"embedding_dimension": 5, "pooling_mode": ["max"], "include_prompt": true});
    let dir = dir(&[modules, ("1_Pooling/config.json", config)]);
    let files = SentenceTransformersFiles::read(dir.path(), false).unwrap();
    assert!(files.pooling == Pooling::Max && files.steps.is_empty());
}

#[test]
fn what_is_not_implemented_is_named_with_file_and_field() {
    let transformer = ("Transformer", "");
    let pooling = ("Pooling", "1");
    let mean = ("1/config.json", json!({"pooling_mode_mean_tokens": true}));
    let usual = modules_json(&[transformer, pooling, ("Normalize", "2")]);
    for (files, needles) in [
        (
            vec![
                modules_json(&[transformer, pooling, ("CNN", "2_CNN")]),
                mean.clone(),
            ],
            vec![MODULES, "[2].type", "models.CNN"],
        ),
        (
            vec![modules_json(&[transformer]), mean.clone()],
            vec![MODULES, "[1].type", "missing"],
        ),
        (
            vec![modules_json(&[("CLIPModel", "")])],
            vec![MODULES, "[0].type", "CLIPModel"],
        ),
        (
            vec![
                usual.clone(),
                ("1/config.json", json!({"pooling_mode_cls_token": "yes"})),
            ],
            vec!["1/config.json", "`pooling_mode_cls_token`", "true or false"],
        ),
        (
            vec![
                usual.clone(),
                ("1/config.json", json!({"pooling_mode": ["cls", "median"]})),
            ],
            vec!["1/config.json", "`pooling_mode`", "median", "lasttoken"],
        ),
        (
            vec![
                usual.clone(),
                mean.clone(),
                (
                    "2/config.json",
                    json!({"module_input_name": "token_embeddings"}),
                ),
            ],
            vec!["2/config.json", "module_input_name"],
        ),
        (
            vec![
                usual.clone(),
                mean.clone(),
                (TRANSFORMER_CONFIG, json!({"max_seq_length": "long"})),
            ],
            vec![TRANSFORMER_CONFIG, "max_seq_length", "whole number"],
        ),
        (
            vec![
                usual.clone(),
                mean.clone(),
                (PROMPTS, json!({"default_prompt_name": "query"})),
            ],
            vec![PROMPTS, "default_prompt_name"],
        ),
        (
            vec![
                usual.clone(),
                ("1/config.json", json!({"include_prompt": false})),
                (
                    PROMPTS,
                    json!({"prompts": {"q": "q: "}, "default_prompt_name": "q"}),
                ),
            ],
            vec!["1/config.json", "include_prompt"],
        ),
        (vec![usual.clone()], vec!["1/config.json"]),
        (
            vec![modules_json(&[("Transformer", "../elsewhere"), pooling])],
            vec![MODULES, "[0].path"],
        ),
        (vec![(MODULES, json!({}))], vec![MODULES, "not a list"]),
        (
            vec![(MODULES, json!([{"type": "x"}]))],
            vec![MODULES, "[0].path"],
        ),
    ] {
        let message = message(&dir(&files));
        for needle in needles {
            assert!(message.contains(needle), "{needle}: {message}");
        }
    }
}

#[test]
fn a_pooling_chosen_otherwise_is_not_looked_up() {
    let dir = dir(&[
        modules_json(&[("Transformer", ""), ("Pooling", "1")]),
        ("1/config.json", json!({"pooling_mode": "median"})),
    ]);
    assert!(SentenceTransformersFiles::read(dir.path(), true).is_ok());
    assert!(message(&dir).contains("median"));
}

#[test]
fn every_pooling_of_either_generation_is_read_in_its_order() {
    for (config, expected) in [
        (json!({}), "mean"),
        (json!({"pooling_mode_mean_tokens": false}), "mean"),
        (json!({"pooling_mode": "weightedmean"}), "weighted-mean"),
        (json!({"pooling_mode": ["mean", "cls"]}), "mean+cls"),
        (
            json!({"pooling_mode_lasttoken": true, "pooling_mode_mean_tokens": true,
                "pooling_mode_cls_token": true}),
            "cls+mean+last-token",
        ),
        (
            // The newer field counts alone.
            json!({"pooling_mode": "lasttoken", "pooling_mode_mean_tokens": true}),
            "last-token",
        ),
    ] {
        let dir = dir(&[
            modules_json(&[("Transformer", ""), ("Pooling", "1")]),
            ("1/config.json", config.clone()),
        ]);
        let files = SentenceTransformersFiles::read(dir.path(), false).unwrap();
        assert_eq!(files.pooling.to_string(), expected, "{config}");
    }
}

#[test]
fn what_follows_the_pooling_is_read_in_its_order() {
    let kinds = [
        ("Transformer", ""),
        ("Pooling", "1"),
        ("Dense", "2_Dense"),
        ("Dropout", "3"),
        ("Normalize", "4"),
    ];
    let with = |dense: Value| {
        dir(&[
            modules_json(&kinds),
            ("1/config.json", json!({})),
            ("2_Dense/config.json", dense),
            (
                PROMPTS,
                json!({"similarity_fn_name": "dot", "truncate_dim": 3}),
            ),
        ])
    };
    let dense = json!({"in_features": 7, "out_features": 5});
    let dir = with(dense.clone());
    let files = SentenceTransformersFiles::read(dir.path(), false).unwrap();
    let path = dir.path().join("2_Dense");
    // As the library's constructor has it.
    let config = DenseConfig {
        in_features: 7,
        out_features: 5,
        bias: true,
        activation: TorchActivation::Tanh,
    };
    let steps = [
        StepConfig::Dense(path, config),
        StepConfig::Normalize,
        StepConfig::Truncate(3),
    ];
    assert_eq!(files.steps, steps);
    assert_eq!(files.similarity, SimilarityFunction::Dot);
    let width = |from| steps.iter().try_fold(from, |width, step| step.width(width));
    assert_eq!(width(7).unwrap(), 3);
    let error = width(8).unwrap_err().to_string();
    assert!(
        error.contains("`in_features`") && error.contains('8'),
        "{error}"
    );

    for (field, value) in [
        (
            "activation_function",
            json!("torch.nn.modules.activation.Softmax"),
        ),
        ("activation_function", json!("mine.Tanh")),
        ("in_features", json!(0)),
        ("out_features", json!(null)),
        ("bias", json!(1)),
        ("use_residual", json!(true)),
        ("module_input_name", json!("token_embeddings")),
    ] {
        let mut dense = dense.clone();
        dense[field] = value;
        let message = message(&with(dense));
        assert!(
            message.contains("2_Dense") && message.contains(&format!("`{field}`")),
            "{message}"
        );
    }
}

#[test]
fn directories_of_another_kind_are_named() {
    let modules = modules_json(&[("Transformer", ""), ("Pooling", "1")]);
    let mean = ("1/config.json", json!({}));
    for (file, value, needle) in [
        (
            PROMPTS,
            json!({"model_type": "CrossEncoder"}),
            "bert predict",
        ),
        (
            PROMPTS,
            json!({"model_type": "SparseEncoder"}),
            "SparseEncoder",
        ),
        (
            PROMPTS,
            json!({"similarity_fn_name": "maxsim"}),
            "similarity_fn_name",
        ),
        (PROMPTS, json!({"truncate_dim": 0}), "truncate_dim"),
        (
            TRANSFORMER_CONFIG,
            json!({"transformer_task": "fill-mask"}),
            "transformer_task",
        ),
        (
            TRANSFORMER_CONFIG,
            json!({"modality_config": {"text": {"method_output_name": "pooler_output"}}}),
            "method_output_name",
        ),
    ] {
        let message = message(&dir(&[modules.clone(), mean.clone(), (file, value)]));
        assert!(
            message.contains(file) && message.contains(needle),
            "{message}"
        );
    }
    let mut foreign = modules;
    foreign.1[0]["type"] = json!("custom_st.Transformer");
    let message = message(&dir(&[foreign, mean]));
    assert!(message.contains("custom_st.Transformer"), "{message}");
}
