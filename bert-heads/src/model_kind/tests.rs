//! Directories of every kind, and those that do not tell.

use std::fs;

use bert_core::device::test_devices;
use bert_core::nn::BertInit;
use serde_json::json;
use tempfile::TempDir;

use super::*;
use crate::labels::Labels;
use crate::tasks::multiple_choice::BertForMultipleChoice;
use crate::tasks::next_sentence::BertForNextSentencePrediction;
use crate::tasks::question_answering::BertForQuestionAnswering;
use crate::tasks::sequence_classification::BertForSequenceClassification;
use crate::tasks::token_classification::BertForTokenClassification;

/// A model whose `classifier` has two outputs, with a pooler, as one of texts and older ones of words
/// have.
fn classifier(edit: impl Fn(&mut Value)) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    let config = BertConfig::new(37, 12, 1, 3, 29);
    let (_, device) = test_devices().swap_remove(0);
    let init = BertInit::new(&config, 3, &device);
    let model = BertForSequenceClassification::new(&config, 2, &init);
    let labels = Labels::new(["no", "yes"]).unwrap();
    let kind = ProblemType::SingleLabel;
    model.save(dir.path(), &config, &labels, kind).unwrap();
    edit_config(&dir, |config| {
        // Only what a case states is to tell.
        config.as_object_mut().unwrap().remove("problem_type");
        edit(config);
    });
    dir
}

fn edit_config(dir: &TempDir, edit: impl Fn(&mut Value)) {
    let path = dir.path().join("config.json");
    let mut config: Value = serde_json::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
    edit(&mut config);
    fs::write(path, config.to_string()).unwrap();
}

fn write(dir: &TempDir, name: &str, value: Value) {
    fs::write(dir.path().join(name), value.to_string()).unwrap();
}

fn stating(classes: Value) -> TempDir {
    classifier(move |config| config["architectures"] = classes.clone())
}

#[test]
fn the_class_tells_whoever_wrote_it() {
    for (classes, kind) in [
        (json!(["BertForSequenceClassification"]), ModelKind::Texts),
        (json!(["MyBertForSequenceClassification"]), ModelKind::Texts),
        (json!(["BertForTokenClassification"]), ModelKind::Tokens),
        (json!("BertForTokenClassification"), ModelKind::Tokens),
        (json!(["BertForMultipleChoice"]), ModelKind::Choices),
        (
            json!(["BertModel", "BertForTokenClassification"]),
            ModelKind::Tokens,
        ),
    ] {
        let found = ModelKind::find(stating(classes.clone()).path()).unwrap();
        let evidence = None;
        assert_eq!(found, FoundKind { kind, evidence }, "{classes}");
    }
}

#[test]
fn what_a_classifier_is_about_is_not_guessed() {
    for classes in [
        json!(["Ner"]),
        json!(["BertForMaskedLM"]),
        json!([]),
        json!(null),
        json!([
            "BertForTokenClassification",
            "BertForSequenceClassification"
        ]),
    ] {
        let error = ModelKind::find(stating(classes.clone()).path()).unwrap_err();
        let message = error.to_string();
        for needle in [
            "config.json",
            "`architectures`",
            &classes.to_string(),
            "--task",
        ] {
            assert!(message.contains(needle), "{classes}: {message}");
        }
    }
    let missing = classifier(|config| {
        config.as_object_mut().unwrap().remove("architectures");
    });
    let message = ModelKind::find(missing.path()).unwrap_err().to_string();
    assert!(message.contains("`architectures` is missing"), "{message}");
}

#[test]
fn fields_of_one_kind_alone_tell_it() {
    let own = |field: &str, value: Value| {
        let found = classifier(|config| {
            config["architectures"] = json!(["Ner"]);
            config[field] = value.clone();
        });
        ModelKind::find(found.path()).map(|found| (found.kind, found.evidence.is_some()))
    };
    let tags = json!({"0": "O", "1": "B-PER"});
    assert_eq!(own("id2label", tags).unwrap(), (ModelKind::Tokens, true));
    let kind = json!("multi_label_classification");
    assert_eq!(own("problem_type", kind).unwrap(), (ModelKind::Texts, true));
    let identity = json!("torch.nn.modules.linear.Identity");
    let mark = own("sbert_ce_default_activation_function", identity);
    assert_eq!(mark.unwrap(), (ModelKind::Texts, true));
    for (field, value) in [
        ("id2label", json!({"0": "O", "1": "X"})),
        ("id2label", json!({"0": "B-", "1": "O"})),
        ("id2label", json!({"0": "B-PER", "1": "I-PER"})),
        ("id2label", json!({"0": "I-am-sure", "1": "not"})),
        ("problem_type", json!("tagging")),
    ] {
        assert!(own(field, value.clone()).is_err(), "{field} {value}");
    }
    // Two that contradict each other tell nothing.
    let both = classifier(|config| {
        config["architectures"] = json!(["Ner"]);
        config["id2label"] = json!({"0": "O", "1": "B-PER"});
        config["problem_type"] = json!("regression");
    });
    assert!(ModelKind::find(both.path()).is_err());
}

#[test]
fn heads_with_names_of_their_own_tell_by_them() {
    let config = BertConfig::new(37, 12, 1, 3, 29);
    let (_, device) = test_devices().swap_remove(0);
    let init = BertInit::new(&config, 3, &device);
    let dir = || tempfile::tempdir().unwrap();
    let (questions, next) = (dir(), dir());
    let model = BertForQuestionAnswering::new(&config, &init);
    model.save(questions.path(), &config).unwrap();
    let model = BertForNextSentencePrediction::new(&config, &init);
    model.save(next.path(), &config).unwrap();
    for (dir, kind) in [
        (&questions, ModelKind::Questions),
        (&next, ModelKind::NextSentence),
    ] {
        for classes in [
            json!(["Own"]),
            json!([]),
            json!(["BertForSequenceClassification"]),
        ] {
            edit_config(dir, |config| config["architectures"] = classes.clone());
            assert_eq!(ModelKind::find(dir.path()).unwrap().kind, kind, "{classes}");
        }
    }
    // A class whose head is not there is left to the loader, which names the tensors.
    let encoder = dir();
    bert_core::checkpoint::save(
        encoder.path(),
        &bert_core::nn::BertModel::new(&config, true, &init),
        &config,
        "BertForTokenClassification",
    )
    .unwrap();
    let kind = ModelKind::find(encoder.path()).unwrap().kind;
    assert_eq!(kind, ModelKind::Tokens);
    edit_config(&encoder, |config| {
        config["architectures"] = json!(["BertModel"])
    });
    let message = ModelKind::find(encoder.path()).unwrap_err().to_string();
    assert!(
        message.contains("BertModel") && message.contains("finetune"),
        "{message}"
    );
}

#[test]
fn heads_of_another_kind_are_refused_unless_they_are_asked_for() {
    let (_, device) = test_devices().swap_remove(0);
    let dir = stating(json!(["OwnForTokenClassification"]));
    let checkpoint = Checkpoint::open(dir.path()).unwrap();
    let error = BertForSequenceClassification::from_checkpoint(&checkpoint, &device).unwrap_err();
    assert!(
        error.to_string().contains("OwnForTokenClassification"),
        "{error}"
    );
    assert!(BertForMultipleChoice::from_checkpoint(&checkpoint, &device).is_err());
    BertForTokenClassification::from_checkpoint(&checkpoint, &device).unwrap();
    BertForSequenceClassification::from_weights(&checkpoint, &device).unwrap();
}

#[test]
fn modules_tell_vectors_from_scores_of_pairs() {
    let module = |kind: &str, path: &str| json!({"path": path, "type": format!("sentence_transformers.models.{kind}")});
    let transformer = || module("Transformer", "");
    let cross = classifier(|_| {});
    let found = |dir: &TempDir| ModelKind::find(dir.path()).map(|found| found.kind);

    // A lone Transformer leaves it to the checkpoint; the library's own word counts before.
    write(&cross, MODULES, json!([transformer()]));
    assert_eq!(found(&cross).unwrap(), ModelKind::Texts);
    write(
        &cross,
        LIBRARY_CONFIG,
        json!({"model_type": "CrossEncoder"}),
    );
    assert_eq!(found(&cross).unwrap(), ModelKind::Texts);
    let prompts = json!({"model_type": "CrossEncoder", "default_prompt_name": "q",
        "prompts": {"q": "query: "}});
    write(&cross, LIBRARY_CONFIG, prompts);
    assert!(
        found(&cross)
            .unwrap_err()
            .to_string()
            .contains("default_prompt_name")
    );
    write(
        &cross,
        LIBRARY_CONFIG,
        json!({"model_type": "SparseEncoder"}),
    );
    assert!(
        found(&cross)
            .unwrap_err()
            .to_string()
            .contains("SparseEncoder")
    );
    write(
        &cross,
        LIBRARY_CONFIG,
        json!({"model_type": "CrossEncoder"}),
    );
    write(
        &cross,
        MODULES,
        json!([transformer(), module("Dense", "1_Dense")]),
    );
    assert!(found(&cross).unwrap_err().to_string().contains("[1].type"));
    write(
        &cross,
        MODULES,
        json!([module("Transformer", "0_Transformer")]),
    );
    assert!(found(&cross).unwrap_err().to_string().contains("[0].path"));

    // The list of an encoder beside a classifier: one of them is left over.
    fs::remove_file(cross.path().join(LIBRARY_CONFIG)).unwrap();
    write(
        &cross,
        MODULES,
        json!([transformer(), module("Pooling", "1_Pooling")]),
    );
    let message = found(&cross).unwrap_err().to_string();
    for needle in [MODULES, "`type`", "models.Pooling", "--task"] {
        assert!(message.contains(needle), "{message}");
    }
    let task = json!({"transformer_task": "sequence-classification"});
    write(&cross, MODULES, json!([transformer()]));
    write(&cross, TRANSFORMER_CONFIG, task);
    edit_config(&cross, |config| config["architectures"] = json!(["Own"]));
    assert_eq!(found(&cross).unwrap(), ModelKind::Texts);

    let sentences = stating(json!(["BertModel"]));
    write(
        &sentences,
        MODULES,
        json!([transformer(), module("Pooling", "1_Pooling")]),
    );
    assert_eq!(found(&sentences).unwrap(), ModelKind::Sentences);
}
