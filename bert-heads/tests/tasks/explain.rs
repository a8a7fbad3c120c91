//! Attributions of a tiny classifier: complete, and the gradients they claim to be.

use std::path::{Path, PathBuf};

use bert_core::agreement::without_dropout;
use bert_core::batch::{BertBatcher, BertInput};
use bert_core::checkpoint::Checkpoint;
use bert_core::device::{Device, test_devices};
use bert_core::nn::{BertInit, OutputOptions};
use bert_core::tokenizer::{BertTokenizer, TextInput};
use bert_heads::Error;
use bert_heads::explain::{
    ExplainOptions, Explainer, Explanation, gradient_times_input, integrated_gradients,
};
use bert_heads::labels::Labels;
use bert_heads::tasks::sequence_classification::{BertForSequenceClassification, ProblemType};
use burn::module::Module;
use burn::tensor::{Int, Tensor, TensorData};
use tempfile::TempDir;

const TEXT: &str = "the quick fox is in Paris , and the cat sat";

fn fixture() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../bert-core/fixtures/tiny-pretraining")
}

/// The tiny encoder with a classifier whose logits are far apart.
fn classifier(device: &Device) -> BertForSequenceClassification {
    let checkpoint = Checkpoint::open(fixture()).unwrap();
    let init = BertInit::new(checkpoint.config(), 7, device);
    let (mut model, _) =
        BertForSequenceClassification::from_encoder(&checkpoint, 3, &init).unwrap();
    model.classifier.weight = model.classifier.weight.map(|weight| weight * 50.0);
    model
}

/// Such a classifier as a model directory.
fn directory() -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    let device = test_devices().swap_remove(0).1;
    let checkpoint = Checkpoint::open(fixture()).unwrap();
    let labels = Labels::new(["bad", "fair", "good"]).unwrap();
    classifier(&device)
        .save(
            dir.path(),
            checkpoint.config(),
            &labels,
            ProblemType::SingleLabel,
        )
        .unwrap();
    BertTokenizer::from_dir(fixture())
        .unwrap()
        .save(dir.path())
        .unwrap();
    dir
}

/// A classifier for gradients, and an input for it.
fn prepared(device: &Device) -> (BertForSequenceClassification, BertInput) {
    let device = device.clone().autodiff();
    let tokenizer = BertTokenizer::from_dir(fixture()).unwrap();
    let encoding = tokenizer.encode(TEXT, &Default::default()).unwrap();
    let input = BertBatcher::new(&tokenizer)
        .batch(&[encoding], &device)
        .unwrap();
    (without_dropout(classifier(&device)).no_grad(), input)
}

fn explain(explainer: &Explainer, label: Option<&str>) -> Explanation {
    let options = ExplainOptions {
        label: label.map(str::to_owned),
        ..ExplainOptions::default()
    };
    explainer
        .explain(TextInput::Single(TEXT), &options)
        .unwrap()
}

#[test]
fn integrated_gradients_are_complete() {
    let dir = directory();
    for (device_label, device) in test_devices() {
        let explainer = Explainer::from_dir(dir.path(), "tiny", &device).unwrap();
        assert!(explainer.attributes());
        for label in ["bad", "fair", "good"] {
            let found = explain(&explainer, Some(label)).attribution.unwrap();
            let difference = found.score - found.baseline_score;
            assert!(
                difference.abs() > 0.05,
                "{device_label}, {label}: {difference}"
            );
            let error = found.relative_error.unwrap();
            assert!(error < 1e-3, "{device_label}, {label}: {error}");
            assert!(
                (found.sum - difference).abs() < 1e-3,
                "{device_label}, {label}"
            );
            // Special tokens are those of the baseline.
            let (first, last) = (
                found.integrated_gradients[0],
                found.integrated_gradients.last(),
            );
            assert_eq!((first, last), (0.0, Some(&0.0)), "{device_label}, {label}");
        }
    }
}

#[test]
fn more_points_come_closer_and_none_are_refused() {
    let (_, device) = test_devices().swap_remove(0);
    let (model, input) = prepared(&device);
    let seq = input.dims()[1];
    let baseline = || Tensor::<2, Int>::zeros([1, seq], &device.clone().autodiff());
    let error = |steps| {
        let found = integrated_gradients(&model, &input, baseline(), 1, steps).unwrap();
        found.relative_error().unwrap()
    };
    assert!(
        error(20) < error(1) && error(20) < 1e-3,
        "{} {}",
        error(1),
        error(20)
    );
    let refused = integrated_gradients(&model, &input, baseline(), 1, 0);
    assert!(matches!(refused, Err(Error::InvalidOption { .. })));
}

#[test]
fn gradient_times_input_is_what_scaling_a_word_does() {
    const STEP: f32 = 0.05;
    for (label, device) in test_devices() {
        let (model, input) = prepared(&device);
        let [_, seq] = input.dims();
        let words = model
            .bert
            .embeddings
            .word_embeddings
            .forward(input.input_ids.clone());
        // Row by row one word vector is scaled.
        let scaled = |factor: f32| -> Vec<f64> {
            let factors: Vec<f32> = (0..seq * seq)
                .map(|place| {
                    if place / seq == place % seq {
                        factor
                    } else {
                        1.0
                    }
                })
                .collect();
            let factors = TensorData::new(factors, [seq, seq, 1]);
            let factors = Tensor::<3>::from_data(factors, &input.device());
            let hidden = words.dims()[2];
            let rows = words.clone().expand([seq, seq, hidden]) * factors;
            let types = input.token_type_ids.clone().expand([seq, seq]);
            let mask = input.mask_pad.clone().expand([seq, seq]);
            let encoded =
                model
                    .bert
                    .forward_words(rows, types, mask.clone(), OutputOptions::default());
            let logits = model.classify(encoded, mask).narrow(1, 2, 1);
            logits.into_data().iter::<f64>().collect()
        };
        let (above, below) = (scaled(1.0 + STEP), scaled(1.0 - STEP));
        let found = gradient_times_input(&model, &input, 2).unwrap();
        assert_eq!(found.len(), seq);
        let strongest = found
            .iter()
            .fold(0.0_f32, |most, value| most.max(value.abs()));
        assert!(strongest > 0.01, "{label}: {found:?}");
        for ((found, above), below) in found.iter().zip(above).zip(below) {
            let expected = (above - below) / (2.0 * f64::from(STEP));
            let error = (f64::from(*found) - expected).abs();
            assert!(
                error < 0.01 * f64::from(strongest),
                "{label}: {found} against {expected}"
            );
        }
    }
}

#[test]
fn the_predicted_label_is_explained_and_attention_is_complete() {
    let dir = directory();
    let (_, device) = test_devices().swap_remove(0);
    let explainer = Explainer::from_dir(dir.path(), "tiny", &device).unwrap();
    let explanation = explain(&explainer, None);
    let attribution = explanation.attribution.as_ref().unwrap();
    let best = attribution
        .outputs
        .iter()
        .max_by(|a, b| a.logit.total_cmp(&b.logit));
    assert_eq!(attribution.label, best.unwrap().label);
    assert!((f64::from(best.unwrap().logit) - attribution.score).abs() < 1e-4);
    let sum: f32 = attribution
        .outputs
        .iter()
        .filter_map(|output| output.probability)
        .sum();
    assert!((sum - 1.0).abs() < 1e-5);

    let config = Checkpoint::open(dir.path()).unwrap().config().clone();
    let (layers, heads) = (config.num_hidden_layers, config.num_attention_heads);
    assert_eq!(explanation.attentions.len(), layers);
    for row in explanation.attentions.iter().flatten().flatten() {
        assert_eq!(row.len(), explanation.tokens.len());
        assert!((row.iter().sum::<f32>() - 1.0).abs() < 1e-4);
    }
    assert!(
        explanation
            .attentions
            .iter()
            .all(|layer| layer.len() == heads)
    );
    assert!(explanation.page().contains("Paris"));

    let unknown = ExplainOptions {
        label: Some("great".to_owned()),
        ..ExplainOptions::default()
    };
    let error = explainer
        .explain(TextInput::Single(TEXT), &unknown)
        .unwrap_err();
    assert!(error.to_string().contains("bad, fair, good"), "{error}");
    let long = TEXT.repeat(60);
    let error = explainer.explain(TextInput::Single(&long), &ExplainOptions::default());
    assert!(matches!(error, Err(Error::Core(_))), "{error:?}");
}

#[test]
fn without_a_classifier_attention_is_shown_alone() {
    let (_, device) = test_devices().swap_remove(0);
    let explainer = Explainer::from_dir(fixture(), "tiny", &device).unwrap();
    assert!(!explainer.attributes());
    let explanation = explain(&explainer, None);
    assert!(explanation.attribution.is_none() && !explanation.attentions.is_empty());
    let label = ExplainOptions {
        label: Some("good".to_owned()),
        ..ExplainOptions::default()
    };
    let error = explainer.explain(TextInput::Single(TEXT), &label);
    assert!(matches!(error, Err(Error::InvalidOption { .. })));
}
