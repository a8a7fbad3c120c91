//! burn#5257, burn#5079: with fusion and autotune on, the second length that one graph meets came out wrong.

use std::path::PathBuf;

use bert_core::agreement::{Golden, without_dropout};
use bert_core::batch::BertInput;
use bert_core::checkpoint::Loading;
use bert_core::device::{Device, DeviceSpec, TorchDevice, test_devices};
use bert_core::nn::BertModel;
use burn::module::Module;
use burn::tensor::{Tensor, activation};

use crate::{assert_near, numbers, tensor, values};

/// Lengths in an order in which each neighbour differs, and most come back.
const LENGTHS: [usize; 16] = [5, 12, 5, 1, 31, 12, 2, 17, 31, 7, 5, 16, 3, 17, 32, 12];

fn model(device: &Device) -> BertModel {
    let dir = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("fixtures/tiny-erf");
    let golden = Golden::open(dir).unwrap();
    let loaded = golden.checkpoint().load_model(Loading::Strict, device);
    loaded.unwrap().0
}

/// Two texts of one length, the second shorter by a token where it can be.
fn input(length: usize, device: &Device) -> BertInput {
    let ids = (0..2 * length).map(|at| 4 + (at * 29 + length * 7) as i64 % 90);
    let mut mask = vec![1; 2 * length];
    if length > 1 {
        mask[2 * length - 1] = 0;
    }
    let segments = vec![0; 2 * length];
    BertInput::from_attention_mask(ids.collect(), segments, mask, [2, length], device)
}

/// The pooled vectors of two texts, and with gradients those of three weights.
fn results(model: &BertModel, length: usize, device: &Device) -> Vec<Vec<f32>> {
    let output = model.forward(input(length, device));
    let pooled = output.pooled_output.unwrap();
    if !device.is_autodiff() {
        return vec![values(pooled)];
    }
    let [rows, width] = pooled.dims();
    let weights = tensor(&numbers(rows * width, length), [rows, width], device);
    let gradients = (pooled.clone() * weights).sum().backward();
    let layer = &model.encoder.layer[0];
    let of = |parameter: &Tensor<2>| values(parameter.grad(&gradients).unwrap());
    vec![
        values(pooled.inner()),
        of(&model.embeddings.word_embeddings.weight.val()),
        of(&layer.attention.self_attention.query.weight.val()),
        of(&layer.output.dense.weight.val()),
    ]
}

/// A processor, without fusion and without a choice of kernels.
fn reference() -> Device {
    let torch = DeviceSpec::LibTorch(TorchDevice::Cpu);
    let mut processors = [DeviceSpec::Flex, DeviceSpec::NdArray, torch].into_iter();
    let compiled = processors.find(DeviceSpec::is_compiled);
    compiled.expect("a processor backend").open().unwrap()
}

fn check(label: &str, device: &Device, reference: &Device) {
    let prepare = |device: &Device| without_dropout(model(device)).train();
    let (tested, right) = (prepare(device), prepare(reference));
    for (turn, length) in LENGTHS.into_iter().enumerate() {
        let found = results(&tested, length, device);
        let expected = results(&right, length, reference);
        for (part, (found, expected)) in found.iter().zip(&expected).enumerate() {
            // Both are float32, and sums that nearly cancel are as far off as their largest term.
            let largest = expected.iter().fold(1.0_f32, |most, x| most.max(x.abs()));
            let scaled = |values: &[f32]| values.iter().map(|value| value / largest).collect();
            let (found, expected): (Vec<f32>, Vec<f32>) = (scaled(found), scaled(expected));
            let expected: Vec<f64> = expected.iter().map(|&value| f64::from(value)).collect();
            assert_near(label, (turn, length, part), &found, &expected);
        }
    }
}

#[test]
fn a_model_is_right_at_the_second_length_and_all_that_follow() {
    let reference = reference();
    for (label, device) in test_devices() {
        check(&label, &device, &reference);
    }
}

#[test]
fn gradients_are_right_at_the_second_length_and_all_that_follow() {
    let reference = reference().autodiff();
    for (label, device) in test_devices() {
        check(&label, &device.autodiff(), &reference);
    }
}

/// A graph as short as those of the reports, against float64.
#[test]
fn a_short_graph_is_right_at_the_second_length_and_all_that_follow() {
    for (label, device) in test_devices() {
        for (turn, length) in [3, 7, 129, 33, 3, 500, 129, 1, 64, 7]
            .into_iter()
            .enumerate()
        {
            let numbers = numbers(2 * length, length);
            let shifted = tensor(&numbers, [2, length], &device) * 2.0 + 1.0;
            let found = values(activation::softmax(shifted, 1).powi_scalar(2).sum_dim(1));
            let expected: Vec<f64> = (numbers.chunks(length))
                .map(|row| {
                    let powers = row.iter().map(|&x| (f64::from(x) * 2.0 + 1.0).exp());
                    let sum: f64 = powers.clone().sum();
                    powers.map(|power| (power / sum).powi(2)).sum()
                })
                .collect();
            assert_near(&label, (turn, length), &found, &expected);
        }
    }
}
