//! Dropout, alone and in attention.

use super::{
    BATCH, HEAD_SIZE, HEADS, SEQ, assert_close, inputs, merge, numbers, of_projections, split,
    values, with_gradients,
};
use crate::alone_at_random;
use bert_core::device::test_devices;
use bert_core::ops::{self, AttentionForm};
use burn::nn::DropoutConfig;
use burn::tensor::{Bool, Tensor};

#[test]
fn dropout_multiplies_the_probabilities_after_the_softmax() {
    const SHAPE: [usize; 3] = [BATCH, SEQ, HEADS * HEAD_SIZE];
    let _alone = alone_at_random();
    for (label, device) in test_devices() {
        let mask_pad = inputs(&device).mask_pad;
        let projections = [1, 2, 3].map(|seed| numbers(SHAPE, seed, &device));
        for reach in [None, Some(4)] {
            let form = AttentionForm {
                reach,
                ..AttentionForm::new(HEADS, HEAD_SIZE)
            };
            device.seed(7);
            let keep = ops::dropout_mask(&projections[0], [BATCH, HEADS, SEQ, SEQ], 0.25);
            let (_, probabilities) = ops::attention_with_probabilities(
                projections.clone(),
                None,
                mask_pad.clone(),
                form,
            );
            let value = split(projections[2].clone());
            let expected = values(merge((probabilities * keep).matmul(value)));
            let form = AttentionForm {
                dropout: 0.25,
                ..form
            };
            device.seed(7);
            let found = ops::self_attention(projections.clone(), mask_pad.clone(), form);
            assert_close(&label, &values(found), &expected, 2e-6);
            device.seed(7);
            let (found, _) = ops::attention_with_probabilities(
                projections.clone(),
                None,
                mask_pad.clone(),
                form,
            );
            assert_close(&label, &values(found), &expected, 2e-6);
        }
    }
}

#[test]
fn gradients_of_attention_with_dropout_equal_the_composed_ones() {
    const SHAPE: [usize; 3] = [BATCH, SEQ, HEADS * HEAD_SIZE];
    let _alone = alone_at_random();
    for (label, device) in test_devices() {
        let mask_pad = inputs(&device).mask_pad;
        let device = device.autodiff();
        for (dropout, reach) in [(0.0, None), (0.25, None), (0.25, Some(4))] {
            let form = AttentionForm {
                dropout,
                reach,
                ..AttentionForm::new(HEADS, HEAD_SIZE)
            };
            let found = with_gradients(SHAPE, &device, |inputs| {
                device.seed(7);
                ops::self_attention(inputs, mask_pad.clone(), form)
            });
            let expected = with_gradients(SHAPE, &device, |inputs| {
                device.seed(7);
                let shape = [BATCH, HEADS, SEQ, SEQ];
                let keep = (dropout > 0.0).then(|| ops::dropout_mask(&inputs[0], shape, dropout));
                of_projections(inputs, None, Some(mask_pad.clone()), form, keep)
            });
            for (found, expected) in found.iter().zip(&expected) {
                assert_close(&label, found, expected, 5e-6);
                assert!(expected.iter().any(|value| value.abs() > 1e-3));
            }
        }
    }
}

#[test]
fn dropout_with_a_window_and_a_bias_drops_its_share_and_the_gradient_knows_which() {
    // Values that tell the keys apart: one column of a head for each, so that the context is the probabilities after dropout.
    const LENGTH: usize = 101;
    const REACH: usize = 9;
    let shape = [1, LENGTH, LENGTH];
    let form = AttentionForm {
        heads: 1,
        scale: 0.1,
        reach: Some(REACH),
        dropout: 0.25,
    };
    let _alone = alone_at_random();
    for (label, device) in test_devices() {
        let device = device.autodiff();
        let identity = Tensor::<2>::eye(LENGTH, &device)
            .reshape(shape)
            .require_grad();
        let [query, key] = [1, 2].map(|seed| numbers(shape, seed, &device));
        let bias = numbers([1, 1, LENGTH, LENGTH], 9, &device);
        let mask_pad = Tensor::<2, Bool>::full([1, LENGTH], false, &device);
        let inputs = [query, key, identity.clone()];
        let (_, probabilities) = ops::attention_with_probabilities(
            inputs.clone(),
            Some(bias.clone().into()),
            mask_pad.clone(),
            AttentionForm {
                dropout: 0.0,
                ..form
            },
        );
        let context = ops::biased_attention(inputs, bias, mask_pad, form);
        let weights = numbers(shape, 5, &device);
        let gradients = (context.clone() * weights.clone()).sum().backward();
        let (kept, probabilities) = (values(context.clone()), values(probabilities));
        let (mut inside, mut dropped) = (0, 0);
        for (at, (&kept, &p)) in kept.iter().zip(&probabilities).enumerate() {
            if (at / LENGTH).abs_diff(at % LENGTH) > REACH {
                assert_eq!((kept, p), (0.0, 0.0), "{label}");
                continue;
            }
            inside += 1;
            dropped += usize::from(kept == 0.0);
            assert!(kept == 0.0 || (kept - p / 0.75).abs() < 1e-6, "{label}");
        }
        let share = dropped as f64 / f64::from(inside);
        assert!((share - 0.25).abs() < 0.05, "{label}: {share}");
        // The gradient of the values is the product of the same probabilities, transposed, and the weights.
        let expected = context.detach().swap_dims(1, 2).matmul(weights);
        let found = values(identity.grad(&gradients).unwrap());
        assert_close(&label, &found, &values(expected), 5e-6);
    }
}

#[test]
fn dropout_scales_what_it_keeps_and_follows_the_seed() {
    const SIZE: usize = 40_000;
    let _alone = alone_at_random();
    for (label, device) in test_devices() {
        let layer = DropoutConfig::new(0.1).init();
        let plain = Tensor::<1>::ones([SIZE], &device);
        let untouched = values(ops::dropout(plain, &layer));
        assert!(untouched.iter().all(|&value| value == 1.0), "{label}");

        let device = device.autodiff();
        let draw = |seed: u64| {
            device.seed(seed);
            let input = Tensor::<1>::ones([SIZE], &device).require_grad();
            let output = ops::dropout(input.clone(), &layer);
            let gradients = output.clone().sum().backward();
            let gradient = values(input.grad(&gradients).unwrap());
            let output = values(output);
            assert_eq!(output, gradient, "{label}");
            output
        };
        let first = draw(1);
        let dropped = first.iter().filter(|&&value| value == 0.0).count();
        assert!((3_700..4_300).contains(&dropped), "{label}: {dropped}");
        assert!(
            first
                .iter()
                .all(|&value| value == 0.0 || (value - 1.0 / 0.9).abs() < 1e-6),
            "{label}"
        );
        // Neither do neighbours hang together: a pair is dropped with probability 0.01.
        let pairs = first.windows(2).filter(|pair| pair == &[0.0, 0.0]).count();
        assert!((300..500).contains(&pairs), "{label}: {pairs}");
        assert_eq!(first, draw(1), "{label}");
        assert_ne!(first, draw(2), "{label}");
    }
}
