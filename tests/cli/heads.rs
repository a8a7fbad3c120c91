//! Which head a model has, where its files say it badly or not at all.

use std::path::Path;

use bert_core::checkpoint::Checkpoint;
use bert_core::nn::BertInit;
use bert_heads::labels::Labels;
use bert_heads::tasks::token_classification::BertForTokenClassification;
use serde_json::json;

use super::*;

/// A tagger of words over the tiny encoder, with the pooler that older ones of transformers have.
fn tagger(config: impl FnOnce(&mut Value)) -> TempDir {
    let dir = copy();
    let checkpoint = Checkpoint::open(dir.path()).unwrap();
    let (_, device) = bert_core::device::test_devices().swap_remove(0);
    let init = BertInit::new(checkpoint.config(), 11, &device);
    let names = ["O", "B-PER", "I-PER", "B-LOC", "I-LOC"];
    let labels = Labels::new(names).unwrap();
    let (model, _) = BertForTokenClassification::from_encoder(&checkpoint, 5, &init).unwrap();
    let saved = tempfile::tempdir().unwrap();
    model
        .save(saved.path(), checkpoint.config(), &labels)
        .unwrap();
    let path = |name: &str| dir.path().join(name);
    fs::copy(saved.path().join("config.json"), path("config.json")).unwrap();
    fs::copy(
        saved.path().join("model.safetensors"),
        path("model.safetensors"),
    )
    .unwrap();
    edit(&path("config.json"), config);
    dir
}

pub(super) fn edit(path: &Path, change: impl FnOnce(&mut Value)) {
    let mut value: Value = serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap();
    change(&mut value);
    fs::write(path, value.to_string()).unwrap();
}

fn predict<'a>(dir: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    [&["predict", "--model", dir][..], more].concat()
}

const TEXT: &str = "the cat sat in Paris\n";

#[test]
fn a_class_of_the_authors_own_is_told_by_its_labels_or_not_at_all() {
    let own = tagger(|config| config["architectures"] = json!(["Ner"]));
    let dir = own.path().display().to_string();
    let (stdout, stderr) = succeed(&predict(&dir, &[]), TEXT);
    let found = json_lines(&stdout).remove(0);
    assert!(
        found["entities"].is_array() && found.get("label").is_none(),
        "{found}"
    );
    assert_names(&stderr, &["config.json", "`id2label`", "words", "--task"]);

    let other = tagger(|config| {
        config["architectures"] = json!(["Tagger"]);
        config["id2label"] = json!({"0": "NN", "1": "VB", "2": "IN", "3": "DT", "4": "."});
    });
    let dir = other.path().display().to_string();
    let message = fail(&predict(&dir, &[]), TEXT.as_bytes());
    assert_names(
        &message,
        &["config.json", "`architectures`", "Tagger", "--task"],
    );
    let (stdout, _) = succeed(&predict(&dir, &["--task", "tokens"]), TEXT);
    let words = json_lines(&stdout).remove(0)["words"].clone();
    assert_eq!(words.as_array().unwrap().len(), 5, "{words}");

    // Explaining asks first, too; its attention needs no head.
    let explain = ["explain", "--model", &dir, "--json", "the cat"];
    assert_names(&fail(&explain, b""), &["`architectures`", "--task"]);
    let arguments = [&explain[..], &["--task", "tokens"]].concat();
    let (stdout, _) = succeed(&arguments, "");
    let explained = json_lines(&stdout).remove(0);
    assert!(explained.get("attribution").is_none() && explained["attentions"].is_array());
    let message = fail(&[&arguments[..], &["--labels", "a,b"]].concat(), b"");
    assert_names(&message, &["--labels"]);
}

#[test]
fn names_on_the_command_line_count_before_those_of_the_files() {
    let names = "O,B-PER,I-PER,B-LOC,I-LOC";
    for (id2label, needle) in [
        (
            json!({"0": "O", "1": "X", "2": "X", "3": "Y", "4": "Z"}),
            "`X` is both",
        ),
        (json!({"0": "O", "1": "X"}), "names 2"),
    ] {
        let stale = tagger(|config| config["id2label"] = id2label);
        let dir = stale.path().display().to_string();
        let message = fail(&predict(&dir, &[]), TEXT.as_bytes());
        assert_names(&message, &["config.json", "`id2label`", needle, "--labels"]);
        let (stdout, _) = succeed(&predict(&dir, &["--labels", names]), TEXT);
        assert!(json_lines(&stdout)[0]["entities"].is_array());

        let data = stale.path().join("tags.conll");
        fs::write(&data, "the O\ncat O\nin O\nParis B-LOC\n\n").unwrap();
        let data = data.display().to_string();
        let evaluate = ["evaluate", "--model", &dir, "--data", &data, "--json"];
        assert_names(&fail(&evaluate, b""), &["`id2label`", "--labels"]);
        let named = [&evaluate[..], &["--labels", names, "--task", "tokens"]].concat();
        let (stdout, _) = succeed(&named, "");
        assert!(json_lines(&stdout)[0]["f1"].is_number(), "{stdout}");
    }
    let message = fail(
        &predict(
            &tagger(|_| {}).path().display().to_string(),
            &["--labels", "a,b"],
        ),
        b"x\n",
    );
    assert_names(&message, &["2 label name(s)", "5 output(s)"]);
}

/// The cross-encoder that sentence-transformers saved over the tiny encoder.
pub(super) fn cross_encoder() -> TempDir {
    let dir = copy();
    let source = fixture("sentence-transformers").join("cross-encoder");
    for entry in fs::read_dir(source).unwrap() {
        let path = entry.unwrap().path();
        fs::copy(&path, dir.path().join(path.file_name().unwrap())).unwrap();
    }
    let path = |name: &str| dir.path().join(name);
    fs::rename(path("model.safetensors"), path("encoder.safetensors")).unwrap();
    let index = json!({"weight_map": {
        "bert.pooler.dense.weight": "encoder.safetensors",
        "classifier.weight": "classifier.safetensors",
    }});
    fs::write(path("model.safetensors.index.json"), index.to_string()).unwrap();
    dir
}

#[test]
fn modules_beside_a_cross_encoder_leave_it_one() {
    let cross = cross_encoder();
    let dir = cross.path().display().to_string();
    let reference = fs::read_to_string(cross.path().join("reference.json")).unwrap();
    let reference: Value = serde_json::from_str(&reference).unwrap();
    let mut rows = "sentence1\tsentence2\n".to_owned();
    // The last pair has an empty side.
    let pairs = &reference["pairs"].as_array().unwrap()[..2];
    for pair in pairs {
        rows += &format!(
            "{}\t{}\n",
            pair[0].as_str().unwrap(),
            pair[1].as_str().unwrap()
        );
    }
    let arguments = predict(&dir, &["--format", "tsv"]);
    let (stdout, _) = succeed(&arguments, &rows);
    let found = json_lines(&stdout);
    let near = |found: &Value, expected: &Value| {
        let difference = found.as_f64().unwrap() - expected.as_f64().unwrap();
        assert!(difference.abs() < 1e-5, "{found} {expected}");
    };
    assert_eq!(found.len(), pairs.len());
    for (index, line) in found.iter().enumerate() {
        near(&line["value"], &reference["logits"][index]);
        near(&line["score"], &reference["cases"][0]["scores"][index]);
    }
    let (stdout, _) = succeed(
        &predict(&dir, &["--format", "tsv", "--task", "regress"]),
        &rows,
    );
    assert!(json_lines(&stdout)[0].get("score").is_none(), "{stdout}");
    let embed = ["embed", "--model", &dir];
    assert_names(&fail(&embed, b"x\n"), &["model_type", "bert predict"]);

    // What is predicted is scored alike with the model and without it.
    let data = cross.path().join("pairs.tsv");
    let labelled = "sentence1\tsentence2\tscore\nThe cat\tthe dog ran\t0.5\nA fox\tin France\t0.1\nParis\tis old\t0.9\n";
    fs::write(&data, labelled).unwrap();
    let predictions = cross.path().join("found.jsonl");
    let (data, found) = (
        data.display().to_string(),
        predictions.display().to_string(),
    );
    let evaluate = [
        "evaluate",
        "--data",
        &data,
        "--json",
        "--predictions",
        &found,
    ];
    let (with, _) = succeed(&[&evaluate[..], &["--model", &dir]].concat(), "");
    let (without, _) = succeed(&[&evaluate[..], &["--task", "regress"]].concat(), "");
    let (with, without) = (json_lines(&with).remove(0), json_lines(&without).remove(0));
    let difference = with["mse"].as_f64().unwrap() - without["mse"].as_f64().unwrap();
    assert!(
        difference.abs() < 1e-6 && with["mse"].as_f64().unwrap() < 1.0,
        "{with} {without}"
    );

    // A list of modules that is left over from an encoder decides nothing.
    edit(&cross.path().join("modules.json"), |modules| {
        let pooling = json!({"type": "sentence_transformers.models.Pooling", "path": "1_Pooling"});
        modules.as_array_mut().unwrap().push(pooling);
    });
    fs::remove_file(cross.path().join("config_sentence_transformers.json")).unwrap();
    fs::remove_file(cross.path().join("sentence_bert_config.json")).unwrap();
    let message = fail(&arguments, rows.as_bytes());
    assert_names(&message, &["modules.json", "`type`", "--task"]);
    let (stdout, _) = succeed(
        &predict(&dir, &["--format", "tsv", "--task", "pair"]),
        &rows,
    );
    near(
        &json_lines(&stdout)[0]["score"],
        &reference["cases"][0]["scores"][0],
    );
}

#[test]
fn similarity_is_that_of_the_models_files() {
    let dir = copy();
    let source = fixture("sentence-transformers").join("dense");
    let write = |name: &str| {
        let target = dir.path().join(name);
        fs::create_dir_all(target.parent().unwrap()).unwrap();
        fs::copy(source.join(name), target).unwrap();
    };
    for name in [
        "modules.json",
        "config_sentence_transformers.json",
        "1_Pooling/config.json",
        "2_Dense/config.json",
        "2_Dense/model.safetensors",
    ] {
        write(name);
    }
    let model = dir.path().display().to_string();
    let texts = ["The cat sat on the mat.", "Paris"];
    let (stdout, _) = succeed(&["embed", "--model", &model], &texts.join("\n"));
    let vectors: Vec<Vec<f64>> = json_lines(&stdout)
        .iter()
        .map(|line| floats(&line["embedding"]))
        .collect();
    assert_eq!(vectors[0].len(), 7);
    let distance: f64 = vectors[0]
        .iter()
        .zip(&vectors[1])
        .map(|(a, b)| (a - b).abs())
        .sum();
    let library = dir.path().join("config_sentence_transformers.json");
    edit(&library, |config| {
        config["similarity_fn_name"] = json!("manhattan")
    });
    let arguments = ["similarity", "--model", &model, texts[0], texts[1]];
    let (stdout, stderr) = succeed(&arguments, "");
    let found: f64 = stdout.trim().parse().unwrap();
    assert!((found + distance).abs() < 1e-4, "{found} {distance}");
    assert_names(&stderr, &["manhattan", "config_sentence_transformers.json"]);
    let (stdout, _) = succeed(&[&arguments[..], &["--json"]].concat(), "");
    assert_eq!(json_lines(&stdout)[0]["function"], "manhattan");
    edit(&library, |config| {
        config["similarity_fn_name"] = json!("maxsim")
    });
    assert_names(&fail(&arguments, b""), &["`similarity_fn_name`", "maxsim"]);
}
