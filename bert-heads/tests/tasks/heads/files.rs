//! Labels through files, and checkpoints that are refused.

use std::fs;

use bert_core::checkpoint::Checkpoint;
use bert_core::config::BertConfig;
use bert_core::nn::BertInit;
use bert_heads::labels::Labels;
use bert_heads::tasks::multiple_choice::BertForMultipleChoice;
use bert_heads::tasks::next_sentence::BertForNextSentencePrediction;
use bert_heads::tasks::question_answering::BertForQuestionAnswering;
use bert_heads::tasks::sequence_classification::{BertForSequenceClassification, ProblemType};
use bert_heads::tasks::token_classification::BertForTokenClassification;
use bert_heads::{Error, Result};
use serde_json::json;

use super::reference::{config_json, first_device, fixture, open, save_sequence};

#[test]
fn labels_are_kept_and_problem_types_named() {
    let device = first_device();
    for (name, expected) in [
        (
            "heads/single-label",
            json!({
                "id2label": {"0": "contradiction", "1": "entailment", "2": "neutral"},
                "label2id": {"contradiction": 0, "entailment": 1, "neutral": 2},
                "problem_type": "single_label_classification",
                "classifier_dropout": 0.25,
            }),
        ),
        (
            "heads/regression",
            json!({
                "id2label": {"0": "similarity"},
                "label2id": {"similarity": 0},
                "problem_type": "regression",
                "classifier_dropout": null,
            }),
        ),
    ] {
        let checkpoint = open(name);
        let model = BertForSequenceClassification::from_checkpoint(&checkpoint, &device).unwrap();
        let dir = tempfile::tempdir().unwrap();
        save_sequence(&model, dir.path(), checkpoint.config()).unwrap();
        let saved = config_json(dir.path());
        for (field, value) in expected.as_object().unwrap() {
            assert_eq!(&saved[field], value, "{name} {field}");
        }
        let again = Checkpoint::open(dir.path()).unwrap();
        let labels = Labels::of(checkpoint.config()).unwrap();
        assert_eq!(Labels::of(again.config()).unwrap(), labels);

        let wrong = Labels::numbered(labels.count() + 1).unwrap();
        let config = checkpoint.config();
        let error = model.save(dir.path(), config, &wrong, ProblemType::MultiLabel);
        assert!(matches!(error, Err(Error::LabelNames { .. })), "{error:?}");
    }
    let config = BertConfig::new(37, 12, 2, 3, 29);
    let model = BertForSequenceClassification::new(&config, 1, &BertInit::new(&config, 0, &device));
    let labels = Labels::numbered(1).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let error = model.save(dir.path(), &config, &labels, ProblemType::SingleLabel);
    let message = error.unwrap_err().to_string();
    assert!(message.contains("problem_type"), "{message}");
}

#[test]
fn heads_that_are_not_there_or_another_tasks_are_refused() {
    let device = first_device();
    let message = |error: Option<Error>| error.expect("it was accepted").to_string();
    let sequence =
        |name| message(BertForSequenceClassification::from_checkpoint(&open(name), &device).err());
    let token =
        |name| message(BertForTokenClassification::from_checkpoint(&open(name), &device).err());
    let choice = |name| message(BertForMultipleChoice::from_checkpoint(&open(name), &device).err());
    for (found, needles) in [
        (
            sequence("tiny-erf"),
            [
                "tiny-erf",
                "classifier.weight",
                "BertForSequenceClassification",
            ],
        ),
        (
            sequence("heads/token"),
            ["heads/token", "config.json", "BertForTokenClassification"],
        ),
        (
            token("heads/multi-label"),
            [
                "heads/multi-label",
                "architectures",
                "BertForSequenceClassification",
            ],
        ),
        (
            choice("heads/regression"),
            ["heads/regression", "BertForMultipleChoice", "load it as"],
        ),
        (
            message(BertForQuestionAnswering::from_checkpoint(&open("heads/token"), &device).err()),
            ["qa_outputs.weight", "qa_outputs.bias", "fine-tune"],
        ),
        (
            message(
                BertForNextSentencePrediction::from_checkpoint(&open("tiny-mlm"), &device).err(),
            ),
            ["cls.seq_relationship.weight", "tiny-mlm", "no head"],
        ),
    ] {
        for needle in needles {
            assert!(found.contains(needle), "`{needle}` is not in: {found}");
        }
    }
}

#[test]
fn labels_and_weights_that_disagree_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    for file in ["config.json", "model.safetensors"] {
        fs::copy(fixture("heads/token").join(file), dir.path().join(file)).unwrap();
    }
    let mut config = config_json(dir.path());
    config["id2label"] = json!({"0": "O", "1": "B-PER"});
    fs::write(dir.path().join("config.json"), config.to_string()).unwrap();
    let checkpoint = Checkpoint::open(dir.path()).unwrap();
    let error = BertForTokenClassification::from_checkpoint(&checkpoint, &first_device());
    let message = error.unwrap_err().to_string();
    assert!(message.contains("classifier.weight"), "{message}");
    assert!(message.contains("config.json"), "{message}");
}

#[test]
fn heads_of_fixed_width_do_not_inherit_labels() {
    // transformers takes the number of outputs of a question-answering head from the labels.
    let device = first_device();
    let checkpoint = open("heads/multi-label");
    let config = checkpoint.config();
    let init = BertInit::new(config, 0, &device);
    let dir = tempfile::tempdir().unwrap();
    let check = |saved: Result<()>| {
        saved.unwrap();
        let saved = config_json(dir.path());
        for field in ["id2label", "label2id", "problem_type"] {
            assert!(saved.get(field).is_none(), "{field}");
        }
    };
    let (model, _) = BertForQuestionAnswering::from_encoder(&checkpoint, &init).unwrap();
    check(model.save(dir.path(), config));
    let (model, _) = BertForMultipleChoice::from_encoder(&checkpoint, &init).unwrap();
    check(model.save(dir.path(), config));
    let (model, _) = BertForNextSentencePrediction::from_encoder(&checkpoint, &init).unwrap();
    check(model.save(dir.path(), config));
    // And one of tokens has no problem type.
    let (model, _) = BertForTokenClassification::from_encoder(&checkpoint, 2, &init).unwrap();
    let labels = Labels::new(["O", "I"]).unwrap();
    model.save(dir.path(), config, &labels).unwrap();
    let saved = config_json(dir.path());
    assert_eq!(saved["id2label"], json!({"0": "O", "1": "I"}));
    assert!(saved.get("problem_type").is_none());
}
