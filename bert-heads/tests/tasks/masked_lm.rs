//! The masked-LM head against float64 of transformers, forward, backward and through files.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use bert_core::agreement::{FORWARD_BAR, GRADIENT_BAR, Trace, push_gradients, without_dropout};
use bert_core::batch::BertInput;
use bert_core::checkpoint::{Checkpoint, Loading, save};
use bert_core::device::test_devices;
use bert_core::inference::{Weights, prepare};
use bert_core::models::BERT;
use bert_heads::Error;
use bert_heads::tasks::masked_lm::{BertForMaskedLm, masked_lm_loss};
use bert_heads::tasks::masked_lm::{Candidate, FillMask};
use burn::tensor::{Device, Int, Tensor, TensorData};
use safetensors::{Dtype, SafeTensors, serialize};

use crate::zoo;

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../bert-core/fixtures")
        .join(name)
}

/// Reference outputs of transformers for a fixture.
struct Reference {
    bytes: Vec<u8>,
}

impl Reference {
    fn of(name: &str) -> Self {
        let path = fixture(name).join("reference.safetensors");
        Self {
            bytes: std::fs::read(path).unwrap(),
        }
    }

    fn integers(&self, name: &str) -> (Vec<i64>, Vec<usize>) {
        let tensors = SafeTensors::deserialize(&self.bytes).unwrap();
        let tensor = tensors.tensor(name).unwrap();
        assert_eq!(tensor.dtype(), Dtype::I64);
        let values = tensor
            .data()
            .as_chunks()
            .0
            .iter()
            .map(|b| i64::from_le_bytes(*b));
        (values.collect(), tensor.shape().to_vec())
    }

    /// Every float under its name.
    fn trace(&self) -> Trace {
        let tensors = SafeTensors::deserialize(&self.bytes).unwrap();
        let mut trace = Trace::default();
        for (name, tensor) in tensors.tensors() {
            if tensor.dtype() == Dtype::F64 {
                let values = tensor
                    .data()
                    .as_chunks()
                    .0
                    .iter()
                    .map(|b| f64::from_le_bytes(*b));
                trace.push(name, values.collect());
            }
        }
        trace
    }

    fn input(&self, device: &Device) -> BertInput {
        let (ids, shape) = self.integers("input_ids");
        let (types, _) = self.integers("token_type_ids");
        let (mask, _) = self.integers("attention_mask");
        BertInput::from_attention_mask(ids, types, mask, [shape[0], shape[1]], device).padded()
    }

    /// The labelled positions of the flattened batch and their labels.
    fn labelled(&self) -> (Vec<i64>, Vec<i64>) {
        let (labels, _) = self.integers("labels");
        (0..)
            .zip(labels)
            .filter(|(_, label)| *label != -100)
            .unzip()
    }
}

fn ints(values: Vec<i64>, device: &Device) -> Tensor<1, Int> {
    let count = values.len();
    Tensor::from_data(TensorData::new(values, [count]), device)
}

fn load(name: &str, device: &Device) -> BertForMaskedLm {
    let checkpoint = Checkpoint::open(fixture(name)).unwrap();
    BertForMaskedLm::from_checkpoint(&checkpoint, device).unwrap()
}

/// The fixtures of every family with the head, the decoder tied and untied; of BERT also those with a second head.
fn names() -> Vec<String> {
    let of_bert = zoo::of_class("ForPreTraining").into_iter();
    let of_bert = of_bert.filter(|fixture| *fixture.family == BERT);
    let all = zoo::of_class("ForMaskedLM").into_iter().chain(of_bert);
    all.map(|fixture| fixture.name).collect()
}

/// The bias of an untied decoder, and its name in transformers; beside it `cls.predictions.bias` plays no part.
const BIASES: [&str; 2] = [
    "grad.cls.predictions.bias",
    "grad.cls.predictions.decoder.bias",
];

#[test]
fn logits_and_loss_agree_with_the_float64_reference() {
    for (label, device) in test_devices() {
        for name in names() {
            let name = name.as_str();
            let reference = Reference::of(name);
            let model = load(name, &device);
            let input = reference.input(&device);
            let [batch, seq] = input.dims();
            let everywhere = ints((0..(batch * seq) as i64).collect(), &device);
            let mut trace = Trace::default();
            trace.push_tensor("logits", model.forward(input.clone(), everywhere));

            let (positions, labels) = reference.labelled();
            assert!(labels.len() > batch && labels.len() < batch * seq);
            let logits = model.forward(input, ints(positions, &device));
            trace.push_tensor("mlm_loss", masked_lm_loss(logits, ints(labels, &device)));

            let differences = trace.differences_where_defined(&reference.trace());
            assert_eq!(differences.len(), 2);
            for difference in differences {
                println!(
                    "{label:12} {name:24} forward {:.1e}, {}",
                    difference.max_abs, difference.name
                );
                assert!(
                    difference.max_abs <= FORWARD_BAR,
                    "{label} {name}: {difference:?}"
                );
            }
        }
    }
}

#[test]
fn gradients_agree_with_the_float64_reference() {
    // The loss of the others has a second term that this model does not have.
    for fixture in zoo::of_class("ForMaskedLM") {
        check_gradients(&fixture.name);
    }
}

fn check_gradients(name: &str) {
    let reference = Reference::of(name);
    let mut expected = Trace::default();
    let given = reference.trace();
    let checkpoint = Checkpoint::open(fixture(name)).unwrap();
    let config = checkpoint.config();
    let class = config.extra["architectures"][0].as_str().unwrap();
    for name in given.names() {
        let mut ours = match name.strip_prefix("grad.") {
            Some(parameter) => format!("grad.{}", config.family.our_name_in(parameter, &[class])),
            None => name.to_owned(),
        };
        if ours == BIASES[1] {
            ours = BIASES[0].to_owned();
        }
        expected.push(ours, given.get(name).unwrap().to_vec());
    }
    for (label, device) in test_devices() {
        let device = device.autodiff();
        let model = without_dropout(load(name, &device));
        let (positions, labels) = reference.labelled();
        let logits = model.forward(reference.input(&device), ints(positions, &device));
        let loss = masked_lm_loss(logits, ints(labels, &device));
        let mut trace = Trace::default();
        push_gradients(&mut trace, &model, &loss.backward());

        let differences = trace.differences(&expected);
        let parameters = expected
            .names()
            .filter(|name| name.starts_with("grad."))
            .count();
        assert_eq!(
            differences.len(),
            parameters,
            "{label}: a gradient was not compared"
        );
        let worst = differences.iter().map(|d| d.relative()).fold(0.0, f64::max);
        println!("{label:12} {name:24} gradients {worst:.1e} relative, {parameters} of them");
        for difference in differences {
            assert!(
                difference.relative() <= GRADIENT_BAR,
                "{label}: {difference:?}"
            );
        }
    }
}

#[test]
fn a_saved_model_loads_bit_for_bit() {
    let (_, device) = test_devices().swap_remove(0);
    for name in names() {
        let name = name.as_str();
        let checkpoint = Checkpoint::open(fixture(name)).unwrap();
        let model = BertForMaskedLm::from_checkpoint(&checkpoint, &device).unwrap();
        let dir = tempfile::tempdir().unwrap();
        let class = checkpoint.config().family.class("ForMaskedLM");
        save(dir.path(), &model, checkpoint.config(), &class).unwrap();

        // What transformers writes, less what another head than this one needs.
        let tensors = |dir: &Path| -> BTreeMap<String, Vec<u8>> {
            let bytes = std::fs::read(dir.join("model.safetensors")).unwrap();
            let file = SafeTensors::deserialize(&bytes).unwrap();
            let tensors = file.tensors().into_iter();
            tensors
                .map(|(name, view)| (name, view.data().to_vec()))
                .filter(|(name, _)| !name.contains("pooler") && !name.contains("relationship"))
                .collect()
        };
        let mut expected = tensors(&fixture(name));
        // Beside an untied decoder the other bias plays no part; both are saved as the one that does.
        if let Some(bias) = expected.get("cls.predictions.decoder.bias").cloned() {
            expected.insert("cls.predictions.bias".to_owned(), bias);
        }
        let untied = name.contains("untied");
        let has_decoder = expected.keys().any(|name| name.ends_with("decoder.weight"));
        assert_eq!(has_decoder, untied);
        assert!(tensors(dir.path()) == expected, "{name}");

        let again = Checkpoint::open(dir.path()).unwrap();
        let again = BertForMaskedLm::from_checkpoint(&again, &device).unwrap();
        let logits = |model: &BertForMaskedLm| {
            let reference = Reference::of(name);
            let logits = model.forward(reference.input(&device), ints(vec![0, 3, 13], &device));
            logits.into_data()
        };
        assert_eq!(logits(&again), logits(&model), "{name}");
    }
}

#[test]
fn an_untied_decoder_stays_what_it_is_in_a_prepared_model() {
    for (label, device) in test_devices() {
        let reference = Reference::of("tiny-untied");
        let logits = |model: &BertForMaskedLm| -> Vec<f32> {
            let positions = ints(vec![0, 3, 13], &device);
            let logits = model.forward(reference.input(&device), positions);
            logits.into_data().iter::<f32>().collect()
        };
        let model = load("tiny-untied", &device);
        let bytes = |model: &BertForMaskedLm| {
            let decoder = model.cls.predictions.decoder.as_ref().unwrap();
            decoder.weight.val().into_data()
        };
        let (expected, decoder) = (logits(&model), bytes(&model));
        let prepared = prepare(model.clone(), Weights::Float).unwrap();
        for (found, expected) in logits(&prepared).iter().zip(&expected) {
            assert!((found - expected).abs() <= 1e-5, "{label}");
        }
        let Ok(prepared) = prepare(model, Weights::Int8) else {
            assert_ne!(label, "flex");
            continue;
        };
        // The layers are rounded, and the decoder only where that is asked for.
        let with_decoder = load("tiny-untied", &device)
            .prepared(Weights::Int8)
            .unwrap();
        let [found, with_decoder] = [prepared, with_decoder].map(|model| {
            assert_eq!(bytes(&model), decoder, "{label}");
            logits(&model)
        });
        let largest = |found: &[f32]| {
            let difference = |at: usize| (found[at] - expected[at]).abs();
            (0..found.len()).map(difference).fold(0.0, f32::max)
        };
        for found in [&found, &with_decoder] {
            let largest = largest(found);
            assert!(largest > 1e-5 && largest < 0.5, "{label}: {largest}");
        }
        assert_ne!(found, with_decoder);
    }
}

#[test]
fn an_untied_head_without_its_decoder_is_refused_and_a_bias_by_the_other_name_read() {
    let (_, device) = test_devices().swap_remove(0);
    let without = |dropped: &str| {
        let dir = tempfile::tempdir().unwrap();
        let from = fixture("tiny-untied");
        std::fs::copy(from.join("config.json"), dir.path().join("config.json")).unwrap();
        let bytes = std::fs::read(from.join("model.safetensors")).unwrap();
        let mut views = SafeTensors::deserialize(&bytes).unwrap().tensors();
        views.retain(|(name, _)| name != dropped);
        let bytes = serialize(views, None).unwrap();
        std::fs::write(dir.path().join("model.safetensors"), bytes).unwrap();
        let checkpoint = Checkpoint::open(dir.path()).unwrap();
        BertForMaskedLm::from_checkpoint(&checkpoint, &device)
    };
    let error = without("cls.predictions.decoder.weight").unwrap_err();
    assert!(matches!(error, Error::NoMaskedLmHead { .. }), "{error}");
    for needle in ["decoder.weight", "tie_word_embeddings"] {
        assert!(error.to_string().contains(needle), "{error}");
    }

    // transformers 4 leaves out the second name of what was one parameter there.
    let bias = |model: &BertForMaskedLm| {
        model
            .cls
            .predictions
            .bias
            .as_ref()
            .unwrap()
            .val()
            .into_data()
    };
    let of_decoder = bias(&load("tiny-untied", &device));
    let either = |dropped: &str| bias(&without(dropped).unwrap());
    assert_eq!(either("cls.predictions.bias"), of_decoder);
    assert_ne!(either("cls.predictions.decoder.bias"), of_decoder);
}

#[test]
fn a_checkpoint_without_the_head_is_refused() {
    let (_, device) = test_devices().swap_remove(0);
    let checkpoint = Checkpoint::open(fixture("tiny-erf")).unwrap();
    let error = BertForMaskedLm::from_checkpoint(&checkpoint, &device).unwrap_err();
    assert!(matches!(error, Error::NoMaskedLmHead { .. }), "{error}");
    let message = error.to_string();
    for needle in [
        "tiny-erf",
        "masked-LM head",
        "cls.predictions.transform.dense.weight",
    ] {
        assert!(message.contains(needle), "{message}");
    }
}

#[test]
fn a_head_of_the_other_generation_is_not_taken() {
    let (_, device) = test_devices().swap_remove(0);
    for (name, legacy, wanted, there) in [
        (
            "deberta-v2/mlm-new",
            true,
            "cls.predictions.bias",
            "lm_predictions.lm_head.bias",
        ),
        (
            "deberta-v2/mlm",
            false,
            "lm_predictions.lm_head.bias",
            "cls.predictions.bias",
        ),
    ] {
        let dir = tempfile::tempdir().unwrap();
        let (from, weights) = (fixture(name), "model.safetensors");
        std::fs::copy(from.join(weights), dir.path().join(weights)).unwrap();
        let mut config = zoo::read_json(&from.join("config.json"));
        config["legacy"] = legacy.into();
        std::fs::write(dir.path().join("config.json"), config.to_string()).unwrap();
        let checkpoint = Checkpoint::open(dir.path()).unwrap();
        let error = BertForMaskedLm::from_checkpoint(&checkpoint, &device).unwrap_err();
        let Error::NoMaskedLmHead { missing, .. } = error else {
            panic!("{error}");
        };
        assert!(missing.iter().any(|name| name == wanted), "{missing:?}");
        // The encoder is read all the same.
        let (_, report) = checkpoint.load_model(Loading::Strict, &device).unwrap();
        assert!(report.is_exact(), "{report}");
        let mut ignored = report.ignored.iter();
        assert!(ignored.any(|tensor| tensor.name == there), "{report}");
    }
}

#[test]
fn gaps_are_filled_as_transformers_fills_them() {
    let mut names = names();
    names.retain(|name| fixture(name).join("text_reference.json").is_file());
    assert!(names.len() > 1);
    for name in names {
        check_fillings(&name);
    }
}

fn check_fillings(name: &str) {
    let dir = fixture(name);
    let text = std::fs::read_to_string(dir.join("text_reference.json")).unwrap();
    let reference: serde_json::Value = serde_json::from_str(&text).unwrap();
    let expected = reference["fill_mask"].as_array().unwrap();
    for (label, device) in test_devices() {
        let filler = FillMask::from_dir(&dir, &device, Weights::Float).unwrap();
        let mut filled = Vec::new();
        let texts = expected.iter().map(|fill| fill["text"].as_str().unwrap());
        let texts: BTreeSet<&str> = texts.collect();
        let mut order = Vec::new();
        for text in texts {
            order.extend(expected.iter().filter(|fill| fill["text"] == text));
            filled.extend(filler.fill(text, 5).unwrap());
        }
        let expected = order;
        assert_eq!(filled.len(), expected.len());
        for (candidates, expected) in filled.iter().zip(expected) {
            let tokens: Vec<&str> = candidates.iter().map(|c| c.token.as_str()).collect();
            let expected_tokens: Vec<_> = expected["tokens"].as_array().unwrap().iter().collect();
            assert_eq!(tokens, expected_tokens, "{label}");
            for (candidate, expected) in candidates
                .iter()
                .zip(expected["probabilities"].as_array().unwrap())
            {
                let difference = f64::from(candidate.probability) - expected.as_f64().unwrap();
                assert!(
                    difference.abs() < 1e-6,
                    "{label}: {candidate:?}, {expected}"
                );
                let id = filler.tokenizer().id(&candidate.token);
                assert_eq!(id, Some(candidate.token_id));
            }
        }
        let mask = &filler.tokenizer().special_tokens().mask;
        let all = filler.fill(mask, usize::MAX).unwrap();
        assert_eq!(all[0].len(), filler.tokenizer().vocab_size());
        let sum: f32 = all[0].iter().map(|candidate| candidate.probability).sum();
        assert!((sum - 1.0).abs() < 1e-5, "{label}: {sum}");
        assert!(filler.fill(mask, 0).unwrap()[0].is_empty());
    }
}

#[test]
fn gaps_are_filled_by_weights_that_are_held_otherwise() {
    let dir = fixture("tiny-pretraining");
    for (label, device) in test_devices() {
        let fill = |weights| {
            let filler = FillMask::from_dir(&dir, &device, weights)?;
            filler.fill("the old [MASK] bank", usize::MAX)
        };
        let expected = fill(Weights::Float).unwrap();
        for weights in [Weights::BFloat16, Weights::Int8] {
            let Ok(found) = fill(weights) else {
                assert!(label != "flex" || weights == Weights::BFloat16);
                continue;
            };
            let probabilities = |filled: &[Vec<Candidate>]| {
                let mut of_ids: Vec<_> = filled[0]
                    .iter()
                    .map(|c| (c.token_id, c.probability))
                    .collect();
                of_ids.sort_by_key(|&(id, _)| id);
                of_ids
            };
            let pairs = probabilities(&found)
                .into_iter()
                .zip(probabilities(&expected));
            let largest = pairs.map(|((_, found), (_, expected))| (found - expected).abs());
            let largest = largest.fold(0.0, f32::max);
            assert!(
                largest > 0.0 && largest < 0.05,
                "{label}, {weights:?}: {largest}"
            );
        }
    }
}

#[test]
fn a_text_that_cannot_be_filled_is_an_error() {
    let (_, device) = test_devices().swap_remove(0);
    let filler = FillMask::from_dir(fixture("tiny-pretraining"), &device, Weights::Float).unwrap();
    let error = filler.fill("nothing to do", 5).unwrap_err();
    assert!(error.to_string().contains("[MASK]"), "{error}");
    assert!(filler.fill("", 5).is_err());
    let long = "the old river bank ".repeat(15) + "[MASK]";
    let error = filler.fill(&long, 5).unwrap_err().to_string();
    assert!(error.contains("48 positions"), "{error}");
}
