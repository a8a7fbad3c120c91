//! Batches without their padding, and passes for the sake of some tokens, on every device: the same vectors and gradients as
//! with all of it.

use std::path::PathBuf;

use bert_core::agreement::{Golden, without_dropout};
use bert_core::batch::{BertBatcher, BertInput, Packing, Padding};
use bert_core::checkpoint::Loading;
use bert_core::device::{Device, test_devices};
use bert_core::nn::{BertModel, OutputOptions};
use burn::module::Module;
use burn::tensor::{Int, Tensor, TensorData};

/// One beginning for all, and ends of their own.
const ROWS: [&[u32]; 5] = [
    &[2, 5, 6, 7, 3],
    &[2, 9, 3],
    &[2, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 3],
    &[2, 3],
    &[2, 9, 8, 3],
];

fn model(device: &Device) -> BertModel {
    let dir = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("fixtures/tiny-erf");
    let checkpoint = Golden::open(dir).unwrap();
    let loaded = checkpoint.checkpoint().load_model(Loading::Strict, device);
    loaded.unwrap().0
}

fn batch(rows: &[&[u32]], device: &Device) -> BertInput {
    batcher().batch_rows(&pairs(rows), device).unwrap()
}

fn batcher() -> BertBatcher {
    BertBatcher {
        pad_id: 0,
        padding: Padding::Longest,
        max_length: None,
        vocab_size: None,
        segments: None,
    }
}

/// With segments of zeros.
fn pairs<'a>(rows: &[&'a [u32]]) -> Vec<(&'a [u32], &'a [u32])> {
    rows.iter()
        .map(|&row| (row, &[0; 16][..row.len()]))
        .collect()
}

fn values<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    tensor.into_data().iter::<f32>().collect()
}

fn assert_close(label: &str, found: &[f32], expected: &[f32], bar: f32) {
    assert_eq!(found.len(), expected.len(), "{label}");
    for (found, expected) in found.iter().zip(expected) {
        let distance = (found - expected).abs();
        assert!(distance <= bar, "{label}: {found} instead of {expected}");
    }
}

#[test]
fn a_row_of_a_packed_batch_equals_the_row_alone() {
    for (label, device) in test_devices() {
        let model = model(&device);
        let input = batch(&ROWS, &device);
        assert!(input.packing.is_some(), "more than a quarter is padding");
        let [_, seq] = input.dims();
        let output = model.forward(input);
        let vectors = output.sequence_output;
        let [_, _, hidden] = vectors.dims();
        let pooled = values(output.pooled_output.unwrap());
        for (at, row) in ROWS.iter().enumerate() {
            let alone = batch(&[row], &device);
            assert!(alone.packing.is_none());
            let alone = model.forward(alone);
            let found = values(vectors.clone().narrow(0, at, 1));
            let (found, rest) = found.split_at(row.len() * hidden);
            assert_close(&label, found, &values(alone.sequence_output), 5e-6);
            assert_eq!(rest, vec![0.0; (seq - row.len()) * hidden], "{label}");
            let alone = values(alone.pooled_output.unwrap());
            assert_close(&label, &pooled[at * hidden..][..hidden], &alone, 5e-6);
        }
    }
}

#[test]
fn what_is_kept_is_that_of_the_padded_batch() {
    for (label, device) in test_devices() {
        let model = model(&device);
        let input = batch(&ROWS, &device);
        let returning = |hidden_states, attentions| OutputOptions {
            hidden_states,
            attentions,
        };
        let packed = model.forward_with(input.clone(), returning(true, false));
        let whole = model.forward_with(input.clone().padded(), returning(true, false));
        let states = packed.hidden_states.unwrap();
        assert_eq!(states.len(), model.encoder.layer.len() + 1);
        for (found, expected) in states.into_iter().zip(whole.hidden_states.unwrap()) {
            let shape = expected.dims();
            let outside = input.mask_pad.clone().unsqueeze_dim::<3>(2).expand(shape);
            let expected = expected.mask_fill(outside, 0.0);
            assert_close(&label, &values(found), &values(expected), 5e-6);
        }
        let [batch, seq] = input.dims();
        let attentions = model.forward_with(input, returning(false, true)).attentions;
        let first = &attentions.unwrap()[0];
        assert_eq!([first.dims()[0], first.dims()[2]], [batch, seq], "{label}");
    }
}

#[test]
fn gradients_of_a_packed_batch_equal_those_of_the_padded_one() {
    for (label, device) in test_devices() {
        let device = device.autodiff();
        let model = without_dropout(model(&device)).train();
        let gradients = |input: BertInput| {
            let outside = input.mask_pad.clone();
            let output = model.forward(input);
            let shape = output.sequence_output.dims();
            let mask = outside.unsqueeze_dim::<3>(2).expand(shape);
            let size = shape.iter().product();
            let weights = (0..size).map(|at: usize| ((at * 37) % 101) as f32 / 50.0 - 1.0);
            let weights = TensorData::new(weights.collect::<Vec<f32>>(), shape);
            let weights = Tensor::from_data(weights, &device);
            let sum = (output.sequence_output * weights)
                .mask_fill(mask, 0.0)
                .sum();
            let gradients = (sum + output.pooled_output.unwrap().sum()).backward();
            let layer = &model.encoder.layer[0];
            let attention = &layer.attention.self_attention;
            let positions = model.embeddings.position_embeddings.as_ref().unwrap();
            let of = |parameter: &Tensor<2>| values(parameter.grad(&gradients).unwrap());
            [
                of(&model.embeddings.word_embeddings.weight.val()),
                of(&positions.weight.val()),
                of(&attention.key.as_ref().unwrap().weight.val()),
                of(&attention.value.as_ref().unwrap().weight.val()),
                of(&layer.output.dense.weight.val()),
            ]
        };
        let input = batch(&ROWS, &device);
        let expected = gradients(input.clone().padded());
        for (found, expected) in gradients(input).iter().zip(&expected) {
            let largest = expected
                .iter()
                .fold(0.0_f32, |most, value| most.max(value.abs()));
            assert!(largest > 1e-3, "{label}");
            assert_close(&label, found, expected, 1e-5 * largest.max(1.0));
        }
    }
}

#[test]
fn only_batches_with_much_padding_of_their_own_are_packed() {
    for (label, device) in test_devices().into_iter().take(1) {
        let packed = |rows: &[&[u32]], padding: Padding| {
            let batcher = batcher().with_padding(padding);
            let input = batcher.batch_rows(&pairs(rows), &device).unwrap();
            input.packing.is_some()
        };
        assert!(packed(&ROWS, Padding::Longest), "{label}");
        assert!(!packed(&ROWS[..1], Padding::Longest), "{label}");
        for fixed in [Padding::Fixed(16), Padding::MultipleOf(8)] {
            assert!(
                !packed(&ROWS, fixed),
                "{label}: shapes are to stay the same"
            );
        }
        assert!(Packing::new(&[true; 4], [2, 2], &device).is_none());
        // Padding that is not all at the end has vectors that somebody may want.
        for mask in [[1, 0, 0, 0], [0, 0, 0, 1], [0, 1, 0, 0], [0, 0, 0, 0]] {
            let mask = [[1; 4].to_vec(), mask.to_vec()].concat();
            let ends = mask[4..] == [1, 0, 0, 0];
            let input =
                BertInput::from_attention_mask(vec![2; 8], vec![0; 8], mask, [2, 4], &device);
            assert_eq!(input.packing.is_some(), ends, "{label}");
        }
    }
}

#[test]
fn padding_anywhere_is_taken_out_and_put_back() {
    for (label, device) in test_devices() {
        let mask = [false, true, false, true, true, true, true, false, false];
        let packing = Packing::new(&mask, [3, 3], &device).unwrap();
        let numbers: Vec<f32> = (0..18).map(|number| number as f32 + 1.0).collect();
        let padded = Tensor::<3>::from_data(TensorData::new(numbers, [3, 3, 2]), &device);
        let packed = packing.pack(padded);
        assert_eq!(packed.dims(), [1, 4, 2]);
        let tokens = [1.0, 2.0, 5.0, 6.0, 15.0, 16.0, 17.0, 18.0];
        assert_eq!(values(packed.clone()), tokens, "{label}");
        let back = values(packing.unpack(packed));
        for (at, value) in back.into_iter().enumerate() {
            let expected = if mask[at / 2] { 0.0 } else { at as f32 + 1.0 };
            assert_eq!(value, expected, "{label}");
        }
    }
}

/// Places of tokens in [`ROWS`], as wide as the longest of them: first and last ones, and one twice.
const POSITIONS: [i32; 7] = [0, 12, 24, 35, 25, 48, 25];

#[test]
fn the_vectors_of_some_tokens_are_those_of_all() {
    for (label, device) in test_devices() {
        let model = model(&device);
        let packed = batch(&ROWS, &device);
        assert_eq!(packed.dims(), [5, 12]);
        for input in [packed.clone().padded(), packed] {
            let positions = Tensor::<1, Int>::from_data(POSITIONS, &device);
            let all = model.forward(input.clone());
            let [batch, seq, hidden] = all.sequence_output.dims();
            let all_rows = all.sequence_output.clone().reshape([batch * seq, hidden]);
            let expected = values(all_rows.select(0, positions.clone()));
            let found = values(model.forward_at(input.clone(), positions));
            assert_close(&label, &found, &expected, 5e-6);

            let expected = values(all.sequence_output.narrow(1, 0, 1));
            let found = values(model.forward_first(input.clone()));
            assert_close(&label, &found, &expected, 5e-6);
            let expected = values(all.pooled_output.unwrap());
            let found = values(model.forward_pooled(input).unwrap());
            assert_close(&label, &found, &expected, 5e-6);
        }
        let mut bare = model;
        bare.pooler = None;
        assert!(bare.forward_pooled(batch(&ROWS, &device)).is_none());
        // Without a block, what is left are embeddings.
        bare.encoder.layer.clear();
        let input = batch(&ROWS, &device);
        let expected = values(bare.forward(input.clone()).sequence_output.narrow(1, 0, 1));
        let found = values(bare.forward_first(input));
        assert_close(&label, &found, &expected, 0.0);
    }
}

#[test]
fn gradients_from_some_tokens_are_those_of_a_pass_over_all() {
    for (label, device) in test_devices() {
        let device = device.autodiff();
        let model = without_dropout(model(&device)).train();
        let packed = batch(&ROWS, &device);
        for input in [packed.clone().padded(), packed] {
            let gradients = |some: bool| {
                let positions = Tensor::<1, Int>::from_data(POSITIONS, &device);
                let vectors = match some {
                    true => model.forward_at(input.clone(), positions),
                    false => {
                        let all = model.forward(input.clone()).sequence_output;
                        let [batch, seq, hidden] = all.dims();
                        all.reshape([batch * seq, hidden]).select(0, positions)
                    }
                };
                let shape = vectors.dims();
                let size = shape.iter().product();
                let weights = (0..size).map(|at: usize| ((at * 37) % 101) as f32 / 50.0 - 1.0);
                let weights = TensorData::new(weights.collect::<Vec<f32>>(), shape);
                let weights = Tensor::from_data(weights, &device);
                let gradients = (vectors * weights).sum().backward();
                let blocks = model.encoder.layer.iter().flat_map(|layer| {
                    let attention = &layer.attention.self_attention;
                    [
                        attention.query.weight.val(),
                        attention.value.as_ref().unwrap().weight.val(),
                        layer.attention.output.dense.weight.val(),
                        layer.intermediate.dense.weight.val(),
                        layer.output.dense.weight.val(),
                    ]
                });
                blocks
                    .chain([model.embeddings.word_embeddings.weight.val()])
                    .map(|parameter| values(parameter.grad(&gradients).unwrap()))
                    .collect::<Vec<_>>()
            };
            for (found, expected) in gradients(true).iter().zip(&gradients(false)) {
                let most = |most: f32, value: &f32| most.max(value.abs());
                let largest = expected.iter().fold(0.0, most);
                assert!(largest > 1e-3, "{label}");
                assert_close(&label, found, expected, 1e-5 * largest.max(1.0));
            }
        }
    }
}
