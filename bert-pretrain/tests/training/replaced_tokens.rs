//! The loss of replaced token detection, and where its gradients go.

use std::collections::BTreeMap;

use bert_core::config::BertConfig;
use bert_core::device::test_devices;
use bert_core::models::family;
use bert_core::training::TrainableModel;
use bert_heads::tasks::masked_lm::masked_lm_loss;
use bert_pretrain::instances::Instance;
use bert_pretrain::objective::PreTrainingBatch;
use bert_pretrain::replaced_tokens::{
    DISCRIMINATOR_WEIGHT, ReplacedTokenDetection, generator_config,
};
use bert_pretrain::run::ReplacedTokenOptions;
use burn::tensor::{Device, Int, Tensor, TensorData};

const MASK: u32 = 4;
const VOCABULARY: usize = 31;

fn config() -> BertConfig {
    let sizes = BertConfig::new(VOCABULARY, 20, 2, 4, 36);
    let mut config = sizes.in_family(family("electra").unwrap(), 0).unwrap();
    config.embedding_size = Some(14);
    // Large weights: a fresh generator would guess as if it knew nothing.
    config.initializer_range = 0.3;
    config.hidden_dropout_prob = 0.0;
    config.attention_probs_dropout_prob = 0.0;
    config
}

fn model(device: &Device) -> ReplacedTokenDetection {
    let options = ReplacedTokenOptions {
        generator_size: 0.5,
    };
    ReplacedTokenDetection::new(&config(), options, 3, device).unwrap()
}

/// Three rows of 11, 7 and 9 tokens.
fn batch() -> PreTrainingBatch {
    let instance = |length: u32, masked: &[u32]| {
        let mut ids: Vec<u32> = (0..length)
            .map(|place| 5 + (place * 7 + length) % 26)
            .collect();
        let labels = masked.iter().map(|&place| ids[place as usize]).collect();
        for &place in masked {
            ids[place as usize] = MASK;
        }
        Instance {
            segment_a_length: ids.len(),
            ids,
            positions: masked.to_vec(),
            labels,
            is_random_next: None,
        }
    };
    let instances = [
        instance(11, &[1, 4, 8]),
        instance(7, &[2]),
        instance(9, &[3, 5]),
    ];
    PreTrainingBatch::new(&instances, 0, None)
}

fn values(model: &ReplacedTokenDetection, seed: u64) -> BTreeMap<&'static str, f64> {
    let (_, sums) = model.loss(&batch(), seed);
    let values = ReplacedTokenDetection::values(&sums.to_host(), 1);
    values.into_iter().collect()
}

#[test]
fn the_loss_is_that_of_both_models_and_tokens_without_padding_count() {
    for (label, device) in test_devices() {
        let model = model(&device);
        let mut recalls = Vec::new();
        for seed in 0..20 {
            let values = values(&model, seed);
            let expected = values["mlm_loss"] + DISCRIMINATOR_WEIGHT * values["rtd_loss"];
            let loss = values["loss"];
            assert!(
                (loss - expected).abs() <= 1e-5 * expected,
                "{label}: {loss} {expected}"
            );
            // At most the 6 masked of 27 tokens are replaced.
            let replaced = values["replaced"] * 27.0;
            assert!(
                (replaced - replaced.round()).abs() < 1e-4,
                "{label}: {replaced}"
            );
            assert!((0.0..=6.001).contains(&replaced), "{label}: {replaced}");
            recalls.push(replaced.round() as usize);
        }
        let first = recalls[0];
        assert!(
            recalls.iter().any(|&count| count != first),
            "{label}: {recalls:?}"
        );
        assert_eq!(values(&model, 7), values(&model, 7), "{label}");
    }
}

#[test]
fn a_generator_that_knows_the_text_replaces_nothing() {
    let (_, device) = test_devices().swap_remove(0);
    let model = model(&device);
    let mut batch = batch();
    // Labels in place of masks, and a bias that is sure of one token.
    let sure = batch.labels[0];
    let mut bias = vec![-1e4_f32; VOCABULARY];
    bias[sure as usize] = 1e4;
    let mut model = model;
    let parameter = model.generator.cls.predictions.bias.take().unwrap();
    let bias = Tensor::from_data(TensorData::new(bias, [VOCABULARY]), &device);
    model.generator.cls.predictions.bias = Some(parameter.map(|_| bias));
    let numbers = |batch: &PreTrainingBatch| -> BTreeMap<&str, f64> {
        let (_, sums) = model.loss(batch, 1);
        let values = ReplacedTokenDetection::values(&sums.to_host(), 1);
        values.into_iter().collect()
    };
    let replaced = numbers(&batch)["replaced"] * 27.0;
    let others = batch.labels.iter().filter(|&&label| label != sure).count();
    assert!(
        others > 0 && (replaced - others as f64).abs() < 1e-4,
        "{replaced}"
    );
    // The token that is drawn is that of the text everywhere.
    batch.labels.fill(sure);
    let values = numbers(&batch);
    assert_eq!(values["replaced"], 0.0);
    assert_eq!(values["mlm_accuracy"], 1.0);
    assert!(!values.contains_key("rtd_recall"));
}

#[test]
fn the_generator_learns_from_the_masked_lm_alone() {
    for (label, device) in test_devices() {
        let device = device.autodiff();
        let model = model(&device);
        let batch = batch();
        let (loss, _) = model.loss(&batch, 11);
        let both = loss.backward();
        let ints = |values: &[i64]| -> Tensor<1, Int> {
            Tensor::from_data(TensorData::new(values.to_vec(), [values.len()]), &device)
        };
        let input = bert_core::batch::BertInput::from_attention_mask(
            batch.input_ids.clone(),
            batch.token_type_ids.clone(),
            batch.attention_mask.clone(),
            batch.shape,
            &device,
        );
        let logits = model.masked_lm().forward(input, ints(&batch.positions));
        let alone = masked_lm_loss(logits, ints(&batch.labels)).backward();

        let values = |tensor: Tensor<2>| -> Vec<f64> { tensor.into_data().iter().collect() };
        let of_generator = &model.generator.encoder.layer[1]
            .intermediate
            .dense
            .weight
            .val();
        let [found, expected] =
            [&both, &alone].map(|gradients| values(of_generator.grad(gradients).unwrap()));
        let largest = expected
            .iter()
            .fold(0.0_f64, |largest, value| largest.max(value.abs()));
        assert!(largest > 1e-4, "{label}: {largest}");
        for (found, expected) in found.iter().zip(&expected) {
            assert!(
                (found - expected).abs() <= 1e-5 * largest,
                "{label}: {found} {expected}"
            );
        }
        // The embeddings learn from both.
        let table = model
            .discriminator
            .bert
            .embeddings
            .word_embeddings
            .weight
            .val();
        let [found, expected] =
            [&both, &alone].map(|gradients| values(table.grad(gradients).unwrap()));
        assert_ne!(found, expected, "{label}");
        let head = model.discriminator.cls.discriminator.dense.weight.val();
        assert!(
            head.grad(&both).is_some() && head.grad(&alone).is_none(),
            "{label}"
        );
    }
}

#[test]
fn generators_have_the_published_sizes() {
    let base = BertConfig::preset_by_name("base").unwrap();
    let mut base = base.in_family(family("electra").unwrap(), 0).unwrap();
    base.embedding_size = None;
    for (size, expected) in [
        (0.25, [192, 3, 768]),
        (1.0 / 3.0, [256, 4, 1024]),
        (1.0, [768, 12, 3072]),
    ] {
        let generator = generator_config(&base, size);
        let found = [
            generator.hidden_size,
            generator.num_attention_heads,
            generator.intermediate_size,
        ];
        assert_eq!(found, expected);
        assert_eq!(generator.embedding_width(), 768);
        assert_eq!(generator.num_hidden_layers, 12);
        generator.validate().unwrap();
    }
    // Heads of another width where theirs do not divide.
    let generator = generator_config(&config(), 0.35);
    assert_eq!(
        (generator.hidden_size, generator.num_attention_heads),
        (7, 1)
    );
    generator.validate().unwrap();
}
