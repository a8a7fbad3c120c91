//! Encoders of ModernBERT, NomicBERT and GTE: local and global layers, rotary positions, gates.

use std::path::{Path, PathBuf};

use bert_core::agreement::Golden;
use bert_core::batch::{BertInput, Packing};
use bert_core::checkpoint::{Checkpoint, Loading, save};
use bert_core::device::{Device, test_devices};
use bert_core::inference::{Weights, prepare};
use bert_core::nn::BertModel;
use bert_core::tokenizer::BertTokenizer;
use burn::tensor::{Int, Tensor, TensorData};

use crate::tokenizer_cases::CHECKS;

const FIXTURES: [&str; 5] = [
    "modernbert/base",
    "modernbert/base-biases",
    "nomic_bert/base",
    "gte/base",
    "gte/base-plain",
];

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("fixtures")
        .join(name)
}

fn load(name: &str, device: &Device) -> BertModel {
    BertModel::from_dir(fixture(name), device).unwrap()
}

#[test]
fn every_layer_and_gradient_agrees_with_the_float64_reference() {
    for (label, device) in test_devices() {
        for name in FIXTURES {
            let golden = Golden::open(fixture(name)).unwrap();
            let differences = golden.check(&device).unwrap();
            let layers = golden.checkpoint().config().num_hidden_layers;
            let gradients = differences.iter().filter(|d| d.is_gradient()).count();
            assert_eq!(
                differences.len() - gradients,
                2 * layers + 2,
                "{label} {name}"
            );
            let parameters = golden.reference().names();
            let parameters = parameters.filter(|name| name.starts_with("grad.")).count();
            assert_eq!(gradients, parameters, "{label} {name}");
            for difference in differences {
                assert!(
                    difference.is_within_bars(),
                    "{label} {name}: {difference:?}"
                );
            }
        }
    }
}

#[test]
fn a_saved_encoder_is_the_fixture() {
    for (label, device) in test_devices() {
        for name in FIXTURES {
            let checkpoint = Checkpoint::open(fixture(name)).unwrap();
            let (model, report) = checkpoint.load_model(Loading::Strict, &device).unwrap();
            assert!(report.is_exact() && report.ignored.is_empty(), "{report}");
            let dir = tempfile::tempdir().unwrap();
            let config = checkpoint.config();
            save(dir.path(), &model, config, &config.family.class("Model")).unwrap();
            let bytes = |dir: &Path| {
                let bytes = std::fs::read(dir.join("model.safetensors")).unwrap();
                let file = safetensors::SafeTensors::deserialize(&bytes).unwrap();
                let mut tensors: Vec<_> = (file.tensors().into_iter())
                    .map(|(name, view)| (name, view.shape().to_vec(), view.data().to_vec()))
                    .collect();
                tensors.sort();
                tensors
            };
            assert!(bytes(dir.path()) == bytes(&fixture(name)), "{label} {name}");
            let json = |dir: &Path| -> serde_json::Value {
                let text = std::fs::read_to_string(dir.join("config.json")).unwrap();
                serde_json::from_str(&text).unwrap()
            };
            assert_eq!(json(dir.path()), json(&fixture(name)), "{label} {name}");
        }
    }
}

/// Rows of these lengths, longer and shorter than the windows.
const LENGTHS: [usize; 5] = [13, 2, 9, 1, 5];

fn input(device: &Device, packed: bool) -> BertInput {
    let seq = 13;
    let ids = (0..LENGTHS.len() * seq).map(|at| (at * 7 % 50 + 4) as i64);
    let mask: Vec<i64> = LENGTHS
        .iter()
        .flat_map(|&length| (0..seq).map(move |at| i64::from(at < length)))
        .collect();
    let shape = [LENGTHS.len(), seq];
    let mask_pad: Vec<bool> = mask.iter().map(|&mask| mask == 0).collect();
    let types = vec![0; mask.len()];
    let input = BertInput::from_attention_mask(ids.collect(), types, mask, shape, device);
    let packing = Packing::new(&mask_pad, shape, device).filter(|_| packed);
    BertInput { packing, ..input }
}

/// Vectors of all tokens that are not padding.
fn real(vectors: Tensor<3>) -> Vec<f32> {
    let [_, seq, hidden] = vectors.dims();
    let values: Vec<f32> = vectors.into_data().iter().collect();
    let rows = values.chunks(hidden).enumerate();
    rows.filter(|(at, _)| at % seq < LENGTHS[at / seq])
        .flat_map(|(_, row)| row.to_vec())
        .collect()
}

fn largest_difference(found: &[f32], expected: &[f32]) -> f32 {
    assert_eq!(found.len(), expected.len());
    let pairs = found.iter().zip(expected);
    pairs.fold(0.0, |most, (a, b)| most.max((a - b).abs()))
}

#[test]
fn packed_rows_and_some_tokens_alone_are_those_of_padded_rows() {
    for (label, device) in test_devices() {
        for name in FIXTURES {
            let model = load(name, &device);
            let padded = real(model.forward(input(&device, false)).sequence_output);
            let packed = real(model.forward(input(&device, true)).sequence_output);
            let difference = largest_difference(&packed, &padded);
            assert!(difference < 1e-5, "{label} {name}: {difference}");

            let hidden = padded.len() / LENGTHS.iter().sum::<usize>();
            let positions = [0, 12, 14, 31, 39, 56];
            // Of the tokens without padding, in order.
            let expected = [0, 12, 14, 20, 24, 29];
            let expected = expected
                .iter()
                .flat_map(|at| &padded[at * hidden..][..hidden]);
            let expected: Vec<f32> = expected.copied().collect();
            for is_packed in [false, true] {
                let positions = TensorData::new(positions.to_vec(), [positions.len()]);
                let positions = Tensor::<1, Int>::from_data(positions, &device);
                let vectors = model.forward_at(input(&device, is_packed), positions);
                let found: Vec<f32> = vectors.into_data().iter().collect();
                let difference = largest_difference(&found, &expected);
                assert!(difference < 1e-5, "{label} {name}: {difference}");
            }
        }
    }
}

#[test]
fn prepared_weights_give_the_vectors_of_the_others() {
    for (label, device) in test_devices() {
        for name in FIXTURES {
            let plain = real(
                load(name, &device)
                    .forward(input(&device, false))
                    .sequence_output,
            );
            let floats = prepare(load(name, &device), Weights::Float).unwrap();
            let floats = real(floats.forward(input(&device, false)).sequence_output);
            assert!(largest_difference(&floats, &plain) < 1e-5, "{label} {name}");
            let Ok(int8) = prepare(load(name, &device), Weights::Int8) else {
                continue;
            };
            let int8 = real(int8.forward(input(&device, false)).sequence_output);
            let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f32>();
            let cosine = dot(&int8, &plain) / (dot(&int8, &int8) * dot(&plain, &plain)).sqrt();
            println!("{label} {name}: cosine in 8 bits {cosine}");
            assert!(int8 != plain && cosine > 0.995, "{label} {name}: {cosine}");
        }
    }
}

/// Puts every token into segment 0: the tokenizer says where the second text is, the model does not take it.
fn without_segments(value: &mut serde_json::Value) {
    match value {
        serde_json::Value::Object(fields) => {
            for (name, value) in fields {
                match name.as_str() {
                    "type_ids" | "token_type_ids" => zero(value),
                    _ => without_segments(value),
                }
            }
        }
        serde_json::Value::Array(values) => values.iter_mut().for_each(without_segments),
        _ => {}
    }
}

fn zero(value: &mut serde_json::Value) {
    match value {
        serde_json::Value::Array(values) => values.iter_mut().for_each(zero),
        number => *number = serde_json::json!(0),
    }
}

#[test]
fn its_tokenizer_gives_what_transformers_gives() {
    let dir = fixture("modernbert/mlm");
    let text = std::fs::read_to_string(dir.join("tokenizer_reference.json")).unwrap();
    let mut reference: serde_json::Value = serde_json::from_str(&text).unwrap();
    without_segments(&mut reference);
    let tokenizer = BertTokenizer::from_dir(&dir).unwrap();
    let saved = tempfile::tempdir().unwrap();
    tokenizer.save(saved.path()).unwrap();
    std::fs::copy(dir.join("config.json"), saved.path().join("config.json")).unwrap();
    let again = BertTokenizer::from_dir(saved.path()).unwrap();
    let mut cases = 0;
    for tokenizer in [&tokenizer, &again] {
        for (list, check) in CHECKS {
            match check(&reference, "plain", tokenizer) {
                Ok(count) => cases += count,
                Err(message) => panic!("{list}: {message}"),
            }
        }
    }
    assert!(cases > 100, "{cases}");
}
