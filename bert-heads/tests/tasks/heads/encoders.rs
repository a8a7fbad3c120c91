//! Models whose head starts fresh.

use std::fs;

use bert_core::checkpoint::{Checkpoint, LoadReport};
use bert_core::config::BertConfig;
use bert_core::device::test_devices;
use bert_core::nn::{BertInit, BertModel};
use bert_heads::tasks::multiple_choice::BertForMultipleChoice;
use bert_heads::tasks::next_sentence::BertForNextSentencePrediction;
use bert_heads::tasks::question_answering::BertForQuestionAnswering;
use bert_heads::tasks::sequence_classification::BertForSequenceClassification;
use bert_heads::tasks::token_classification::BertForTokenClassification;
use bert_heads::{Error, Result};
use burn::tensor::Device;
use safetensors::SafeTensors;
use serde_json::json;

use crate::zoo::{self, Fixture};

use super::reference::{config_json, first_device, fixture, open, probe};

#[test]
fn any_encoder_can_be_fine_tuned() {
    let device = first_device();
    let encoders = [
        "tiny-erf",
        "tiny-mlm",
        "tiny-pretraining",
        "heads/single-label",
    ];
    for name in encoders {
        let checkpoint = open(name);
        let init = BertInit::new(checkpoint.config(), 7, &device);
        let (model, report) =
            BertForSequenceClassification::from_encoder(&checkpoint, 5, &init).unwrap();
        let mut fresh = vec!["classifier.bias", "classifier.weight"];
        if !checkpoint.has_pooler() {
            assert_eq!(name, "tiny-mlm");
            let pooler = ["bert.pooler.dense.bias", "bert.pooler.dense.weight"];
            fresh.splice(0..0, pooler);
        }
        check_report(&report, &fresh, &checkpoint);
        assert_eq!(model.forward(probe(&device)).dims(), [2, 5], "{name}");

        // The encoder is the checkpoint's, the head depends on the seed.
        let trained = open(name)
            .load_model(Default::default(), &device)
            .unwrap()
            .0;
        let table = |model: &BertModel| model.embeddings.word_embeddings.weight.val().into_data();
        assert_eq!(table(&model.bert), table(&trained), "{name}");
        let head = |seed| -> Vec<f32> {
            let init = BertInit::new(checkpoint.config(), seed, &device);
            let (model, _) =
                BertForSequenceClassification::from_encoder(&checkpoint, 5, &init).unwrap();
            let pooler = model.bert.pooler.unwrap().dense.weight.val();
            let values = model.classifier.weight.val().into_data();
            let pooler = pooler.into_data();
            values.iter::<f32>().chain(pooler.iter::<f32>()).collect()
        };
        assert_eq!(head(7), head(7), "{name}");
        assert_ne!(head(7), head(8), "{name}");

        let (model, report) = BertForTokenClassification::from_encoder(
            &checkpoint,
            3,
            &BertInit::new(checkpoint.config(), 7, &device),
        )
        .unwrap();
        check_report(
            &report,
            &["classifier.bias", "classifier.weight"],
            &checkpoint,
        );
        assert!(model.bert.pooler.is_none());
        assert_eq!(model.forward(probe(&device)).dims(), [2, 4, 3], "{name}");
    }

    let checkpoint = open("tiny-erf");
    let init = BertInit::new(checkpoint.config(), 7, &device);
    let (model, report) = BertForQuestionAnswering::from_encoder(&checkpoint, &init).unwrap();
    check_report(
        &report,
        &["qa_outputs.bias", "qa_outputs.weight"],
        &checkpoint,
    );
    assert_eq!(model.forward(probe(&device)).end.dims(), [2, 4]);
    let (model, _) = BertForMultipleChoice::from_encoder(&checkpoint, &init).unwrap();
    assert_eq!(model.forward(probe(&device), 2).dims(), [1, 2]);
    let (model, _) = BertForNextSentencePrediction::from_encoder(&checkpoint, &init).unwrap();
    assert_eq!(model.forward(probe(&device)).dims(), [2, 2]);

    let none = BertForTokenClassification::from_encoder(&checkpoint, 0, &init);
    assert!(matches!(none, Err(Error::Labels { .. })));
}

#[test]
fn the_encoder_of_every_family_can_be_fine_tuned() {
    let device = first_device();
    for base in zoo::of_class("Model") {
        let checkpoint = open(&base.name);
        let init = BertInit::new(checkpoint.config(), 7, &device);
        let check = |report: LoadReport| {
            let name = &base.name;
            assert!(!report.missing.is_empty(), "{name}: {report}");
            assert!(report.unexpected.is_empty() && report.mismatched.is_empty());
            let unused = report.ignored.len();
            let encoder = checkpoint.tensors().count() - unused;
            assert_eq!(report.loaded.len(), encoder, "{name}: {report}");
        };
        let (model, report) =
            BertForSequenceClassification::from_encoder(&checkpoint, 5, &init).unwrap();
        check(report);
        assert_eq!(model.forward(probe(&device)).dims(), [2, 5]);
        let (model, report) =
            BertForTokenClassification::from_encoder(&checkpoint, 3, &init).unwrap();
        check(report);
        assert_eq!(model.forward(probe(&device)).dims(), [2, 4, 3]);
        let answers = BertForQuestionAnswering::from_encoder(&checkpoint, &init);
        if let Some((model, report)) = in_transformers(answers, &base, "ForQuestionAnswering") {
            check(report);
            assert_eq!(model.forward(probe(&device)).end.dims(), [2, 4]);
        }
        let choices = BertForMultipleChoice::from_encoder(&checkpoint, &init);
        if let Some((model, report)) = in_transformers(choices, &base, "ForMultipleChoice") {
            check(report);
            assert_eq!(model.forward(probe(&device), 2).dims(), [1, 2]);
        }
        let next = BertForNextSentencePrediction::from_encoder(&checkpoint, &init);
        let has_head = checkpoint.config().heads.next_sentence;
        assert_eq!(next.is_ok(), has_head, "{}", base.name);
    }
}

/// A model with a fresh head, if transformers has its class; else the model has been refused with the name of the class.
fn in_transformers<M>(begun: Result<M>, base: &Fixture, class: &str) -> Option<M> {
    if base.family.has_class(class) {
        return Some(begun.unwrap());
    }
    let class = base.family.class(class);
    let Err(error) = begun else {
        panic!("{class} is none of transformers");
    };
    let error = error.to_string();
    assert!(
        error.contains(&class) && error.contains("RoBERTa"),
        "{error}"
    );
    None
}

/// Hidden layers of classifiers begin as transformers has them: from a head of another task, if it is called alike there.
#[test]
fn a_hidden_layer_is_taken_from_a_head_that_has_it() {
    let device = first_device();
    let texts = |name: &str| {
        let checkpoint = open(name);
        let init = BertInit::new(checkpoint.config(), 7, &device);
        let (model, report) =
            BertForSequenceClassification::from_encoder(&checkpoint, 5, &init).unwrap();
        (model.pre_classifier, report)
    };
    let choices = |name: &str| {
        let checkpoint = open(name);
        let init = BertInit::new(checkpoint.config(), 7, &device);
        let (model, report) = BertForMultipleChoice::from_encoder(&checkpoint, &init).unwrap();
        (model.pre_classifier, report)
    };
    for ((hidden, report), name, dense) in [
        (
            texts("modernbert/mlm"),
            "modernbert/mlm",
            "head.dense.weight",
        ),
        (
            texts("modernbert/token"),
            "modernbert/token",
            "head.dense.weight",
        ),
        (
            choices("modernbert/mlm"),
            "modernbert/mlm",
            "head.dense.weight",
        ),
        (
            texts("roberta/sequence"),
            "roberta/sequence",
            "classifier.dense.weight",
        ),
        (
            texts("distilbert/multiple-choice"),
            "distilbert/multiple-choice",
            "pre_classifier.weight",
        ),
        (
            choices("distilbert/sequence"),
            "distilbert/sequence",
            "pre_classifier.weight",
        ),
        (
            choices("electra/multiple-choice"),
            "electra/multiple-choice",
            "sequence_summary.summary.weight",
        ),
    ] {
        assert!(
            report.loaded.iter().any(|loaded| loaded == dense),
            "{name}: {report}"
        );
        assert!(
            !report.missing.iter().any(|missing| missing == dense),
            "{name}: {report}"
        );
        assert!(
            report.ignored.iter().all(|ignored| ignored.name != dense),
            "{name}: {report}"
        );
        let found = hidden.unwrap().dense.weight.val().transpose().into_data();
        let bytes = fs::read(fixture(name).join("model.safetensors")).unwrap();
        let file = SafeTensors::deserialize(&bytes).unwrap();
        assert_eq!(
            found.as_bytes(),
            file.tensor(dense).unwrap().data(),
            "{name}"
        );
    }
    // Alike in shape, but not in name.
    for ((_, report), dense) in [
        (
            choices("electra/sequence"),
            "sequence_summary.summary.weight",
        ),
        (texts("electra/multiple-choice"), "classifier.dense.weight"),
        (texts("roberta/mlm"), "classifier.dense.weight"),
        (texts("modernbert/base"), "head.dense.weight"),
    ] {
        assert!(
            report.missing.iter().any(|missing| missing == dense),
            "{report}"
        );
    }
}

fn check_report(report: &LoadReport, fresh: &[&str], checkpoint: &Checkpoint) {
    assert_eq!(report.missing, fresh);
    assert!(report.unexpected.is_empty() && report.mismatched.is_empty());
    assert!(report.loaded.iter().all(|name| name.starts_with("bert.")));
    let encoder = checkpoint.tensors().count() - report.ignored.len();
    assert_eq!(report.loaded.len(), encoder);
}

#[test]
fn an_encoder_with_a_gap_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    for file in ["config.json", "model.safetensors"] {
        fs::copy(fixture("tiny-erf").join(file), dir.path().join(file)).unwrap();
    }
    let mut config = config_json(dir.path());
    config["num_hidden_layers"] = json!(4);
    fs::write(dir.path().join("config.json"), config.to_string()).unwrap();
    let checkpoint = Checkpoint::open(dir.path()).unwrap();
    let init = BertInit::new(checkpoint.config(), 0, &first_device());
    let error = BertForQuestionAnswering::from_encoder(&checkpoint, &init).unwrap_err();
    assert!(error.to_string().contains("missing"), "{error}");
}

#[test]
fn the_classifier_has_a_dropout_of_its_own() {
    for (label, device) in test_devices() {
        let run = |classifier_dropout, device: &Device| {
            let mut config = BertConfig::new(37, 12, 1, 3, 29);
            config.hidden_dropout_prob = 0.0;
            config.attention_probs_dropout_prob = 0.0;
            config.classifier_dropout = classifier_dropout;
            let init = BertInit::new(&config, 3, device);
            let text = BertForSequenceClassification::new(&config, 4, &init).forward(probe(device));
            let tokens = BertForTokenClassification::new(&config, 4, &init).forward(probe(device));
            let choice = BertForMultipleChoice::new(&config, &init).forward(probe(device), 2);
            [text.into_data(), tokens.into_data(), choice.into_data()]
        };
        let training = device.clone().autodiff();
        assert_eq!(run(None, &training), run(None, &training), "{label}");
        assert_eq!(run(Some(0.5), &device), run(Some(0.5), &device), "{label}");
        let (first, second) = (run(Some(0.5), &training), run(Some(0.5), &training));
        for (first, second) in first.iter().zip(&second) {
            assert_ne!(first, second, "{label}: no dropout in training");
        }
    }
}
