//! Attention of packed sequences.

use super::{
    BATCH, HEAD_SIZE, HEADS, assert_close, numbers, of_projections, values, with_gradients,
    with_gradients_and_bias,
};
use crate::alone_at_random;
use bert_core::batch::pack_sequences;
use bert_core::device::{Device, test_devices};
use bert_core::ops::{self, AttentionForm, PackedLayout};
use burn::tensor::Tensor;

/// Lengths of packed sequences: of several groups, an empty one among them, and more queries than a thread takes at a time.
const LENGTHS: [usize; 7] = [3, 130, 0, 4, 61, 3, 1];

/// The composed attention of every packed sequence by itself.
fn one_by_one(inputs: [Tensor<3>; 3], bias: Option<&Tensor<4>>, form: AttentionForm) -> Tensor<3> {
    let mut first = 0;
    let mut contexts = Vec::new();
    for length in LENGTHS.into_iter().filter(|&length| length > 0) {
        let rows = inputs
            .each_ref()
            .map(|tensor| tensor.clone().narrow(1, first, length));
        let bias = bias.map(|bias| bias.clone().narrow(2, 0, length).narrow(3, 0, length));
        contexts.push(of_projections(rows, bias, None, form, None));
        first += length;
    }
    Tensor::cat(contexts, 1)
}

#[test]
fn packed_sequences_attend_to_themselves_alone() {
    let shape = [1, LENGTHS.iter().sum(), HEADS * HEAD_SIZE];
    for (label, device) in test_devices() {
        for reach in [None, Some(0), Some(5), Some(60)] {
            let form = AttentionForm {
                reach,
                ..AttentionForm::new(HEADS, HEAD_SIZE)
            };
            let plain = [1, 2, 3].map(|seed| numbers(shape, seed, &device));
            let sequences = pack_sequences(&LENGTHS, &device);
            let found = ops::packed_attention(plain.clone(), &sequences, form);
            let expected = one_by_one(plain, None, form);
            assert_close(&label, &values(found), &values(expected), 2e-6);

            let device = device.clone().autodiff();
            let sequences = pack_sequences(&LENGTHS, &device);
            let found = with_gradients(shape, &device, |inputs| {
                ops::packed_attention(inputs, &sequences, form)
            });
            let expected = with_gradients(shape, &device, |inputs| one_by_one(inputs, None, form));
            for (found, expected) in found.iter().zip(&expected) {
                assert_close(&label, found, expected, 5e-6);
                assert!(expected.iter().any(|value| value.abs() > 1e-3) || reach == Some(0));
            }
        }
    }
}

#[test]
fn packed_sequences_share_a_bias_and_its_gradient() {
    let shape = [1, LENGTHS.iter().sum(), HEADS * HEAD_SIZE];
    for (label, device) in test_devices() {
        for reach in [None, Some(5)] {
            let form = AttentionForm {
                reach,
                scale: 0.3,
                ..AttentionForm::new(HEADS, HEAD_SIZE)
            };
            let bias = |device: &Device| (numbers([1, HEADS, 130, 130], 9, device) * 3.0).detach();
            let plain = [1, 2, 3].map(|seed| numbers(shape, seed, &device));
            let sequences = pack_sequences(&LENGTHS, &device);
            let found =
                ops::packed_biased_attention(plain.clone(), bias(&device), &sequences, form);
            let expected = one_by_one(plain, Some(&bias(&device)), form);
            assert_close(&label, &values(found), &values(expected), 3e-6);

            let device = device.clone().autodiff();
            let sequences: PackedLayout = pack_sequences(&LENGTHS, &device);
            let found = with_gradients_and_bias(shape, bias(&device), &device, |inputs, bias| {
                ops::packed_biased_attention(inputs, bias, &sequences, form)
            });
            let expected =
                with_gradients_and_bias(shape, bias(&device), &device, |inputs, bias| {
                    one_by_one(inputs, Some(&bias), form)
                });
            for (found, expected) in found.iter().zip(&expected) {
                assert_close(&label, found, expected, 1e-5);
                assert!(expected.iter().any(|value| value.abs() > 1e-3));
            }
        }
    }
}

#[test]
#[should_panic(expected = "packed sequences share one bias")]
fn a_bias_for_each_packed_sequence_is_refused() {
    let (_, device) = test_devices().swap_remove(0);
    let lengths = [3, 2];
    let inputs = [1, 2, 3].map(|seed| numbers([1, 5, HEADS * HEAD_SIZE], seed, &device));
    let bias = numbers([2, HEADS, 3, 3], 9, &device);
    let form = AttentionForm::new(HEADS, HEAD_SIZE);
    ops::packed_biased_attention(inputs, bias, &pack_sequences(&lengths, &device), form);
}

#[test]
fn dropout_of_packed_sequences_is_that_of_padded_rows() {
    // Sequences of one length are a group in their order, and draw what the rows of a batch would.
    const LENGTH: usize = 11;
    let width = HEADS * HEAD_SIZE;
    let form = AttentionForm {
        dropout: 0.25,
        ..AttentionForm::new(HEADS, HEAD_SIZE)
    };
    let _alone = alone_at_random();
    for (label, device) in test_devices() {
        let device = device.autodiff();
        let found = with_gradients([1, BATCH * LENGTH, width], &device, |inputs| {
            device.seed(7);
            let sequences = pack_sequences(&[LENGTH; BATCH], &device);
            ops::packed_attention(inputs, &sequences, form)
        });
        let expected = with_gradients([BATCH, LENGTH, width], &device, |inputs| {
            device.seed(7);
            let keep = ops::dropout_mask(&inputs[0], [BATCH, HEADS, LENGTH, LENGTH], 0.25);
            of_projections(inputs, None, None, form, Some(keep))
        });
        for (found, expected) in found.iter().zip(&expected) {
            assert_close(&label, found, expected, 5e-6);
        }
    }
}
