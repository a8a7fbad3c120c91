//! Attention, padded, with windows, biases and scales.

use super::{
    BATCH, HEAD_SIZE, HEADS, Inputs, SEQ, assert_close, biases, forms, gaps, inputs, merge,
    numbers, of_projections, reference, values, with_gradients, with_gradients_and_bias,
};
use bert_core::device::test_devices;
use bert_core::ops::{self, AttentionForm};
use burn::tensor::{Bool, DType, FloatDType, Tensor, TensorData};

#[test]
fn fused_attention_equals_the_default_body() {
    for (label, device) in test_devices() {
        let Inputs {
            query,
            key,
            value,
            mask_pad,
        } = inputs(&device);
        let fused = ops::attention(query.clone(), key.clone(), value.clone(), mask_pad.clone());
        let (composed, probabilities) = ops::attention_with_probabilities(
            [query, key, value].map(merge),
            None,
            mask_pad,
            AttentionForm::new(HEADS, HEAD_SIZE),
        );
        assert_close(&label, &values(merge(fused)), &values(composed), 2e-6);

        let probabilities = values(probabilities);
        for (at, row) in probabilities.chunks(SEQ).enumerate() {
            let padded = at >= (BATCH - 1) * HEADS * SEQ;
            assert!((row.iter().sum::<f32>() - 1.0).abs() < 1e-5, "{label}");
            assert_eq!(row[SEQ - 3..] == [0.0; 3], padded, "{label}: row {at}");
        }
    }
}

#[test]
fn attention_from_projections_equals_that_of_the_heads() {
    // More queries than a thread takes at a time, sizes that fill vectors and sizes that don't, and more tokens than graphics
    // cards hold the scores of.
    for (seq, head_size) in [(1, 7), (53, 7), (100, 32), (67, 64), (515, 8)] {
        for (label, device) in test_devices() {
            let width = HEADS * head_size;
            let projections = [1, 2, 3].map(|seed| numbers([BATCH, seq, width], seed, &device));
            let mask_pad = gaps(seq, &device);
            let form = AttentionForm::new(HEADS, head_size);
            let (expected, _) = ops::attention_with_probabilities(
                projections.clone(),
                None,
                mask_pad.clone(),
                form,
            );
            let found = ops::self_attention(projections, mask_pad, form);
            assert_close(&label, &values(found), &values(expected), 2e-6);
        }
    }
}

#[test]
fn gradients_of_attention_equal_those_of_the_default_body() {
    for (label, device) in test_devices() {
        let device = device.autodiff();
        let gradients = |attention: fn(Inputs) -> Tensor<4>| {
            let mut inputs = inputs(&device);
            inputs.query = inputs.query.require_grad();
            inputs.key = inputs.key.require_grad();
            inputs.value = inputs.value.require_grad();
            let leaves = [&inputs.query, &inputs.key, &inputs.value].map(Tensor::clone);
            let weights = numbers([BATCH, HEADS, SEQ, HEAD_SIZE], 5, &device);
            let gradients = (attention(inputs) * weights).sum().backward();
            leaves.map(|leaf| values(leaf.grad(&gradients).unwrap()))
        };
        let found = gradients(|inputs| {
            ops::attention(inputs.query, inputs.key, inputs.value, inputs.mask_pad)
        });
        let expected = gradients(reference);
        for (found, expected) in found.iter().zip(&expected) {
            assert_close(&label, found, expected, 5e-6);
            assert!(expected.iter().any(|gradient| gradient.abs() > 1e-3));
        }
    }
}

#[test]
fn attention_with_a_window_a_bias_and_a_scale_equals_the_composed_one() {
    // The second has more queries and more keys in reach than a block of either.
    for (seq, head_size) in [(37, 7), (203, 8)] {
        for (label, device) in test_devices() {
            let mask_pad = gaps(seq, &device);
            let shape = [BATCH, seq, HEADS * head_size];
            let inputs = || [1, 2, 3].map(|seed| numbers(shape, seed, &device));
            for form in forms(head_size, seq) {
                for bias in biases(HEADS, seq, &device) {
                    let mask = || mask_pad.clone();
                    let expected = of_projections(inputs(), bias.clone(), Some(mask()), form, None);
                    let expected = values(expected);
                    let found = match bias.clone() {
                        Some(bias) => ops::biased_attention(inputs(), bias, mask(), form),
                        None => ops::self_attention(inputs(), mask(), form),
                    };
                    assert_close(&label, &values(found), &expected, 3e-6);
                    let term = bias.map(Into::into);
                    let (found, probabilities) =
                        ops::attention_with_probabilities(inputs(), term, mask(), form);
                    assert_close(&label, &values(found), &expected, 3e-6);
                    let padded = probabilities.narrow(0, 1, 1);
                    assert!(values(padded).iter().all(|&p| p == 0.0), "{label}");
                }
            }
        }
    }
}

#[test]
fn gradients_with_a_window_a_bias_and_a_scale_equal_the_composed_ones() {
    for (seq, head_size) in [(37, 7), (131, 8)] {
        let shape = [BATCH, seq, HEADS * head_size];
        for (label, device) in test_devices() {
            let device = device.autodiff();
            let mask_pad = gaps(seq, &device);
            let mask = || mask_pad.clone();
            for form in forms(head_size, seq) {
                for bias in biases(HEADS, seq, &device) {
                    let [found, expected] = match bias {
                        None => [true, false].map(|fused| {
                            let results = with_gradients(shape, &device, |inputs| match fused {
                                true => ops::self_attention(inputs, mask(), form),
                                false => of_projections(inputs, None, Some(mask()), form, None),
                            });
                            results.to_vec()
                        }),
                        Some(bias) => [true, false].map(|fused| {
                            let bias = bias.clone();
                            let results =
                                with_gradients_and_bias(shape, bias, &device, |inputs, bias| {
                                    match fused {
                                        true => ops::biased_attention(inputs, bias, mask(), form),
                                        false => of_projections(
                                            inputs,
                                            Some(bias),
                                            Some(mask()),
                                            form,
                                            None,
                                        ),
                                    }
                                });
                            results.to_vec()
                        }),
                    };
                    for (found, expected) in found.iter().zip(&expected) {
                        assert_close(&label, found, expected, 1e-5);
                    }
                }
            }
        }
    }
}

#[test]
fn a_bias_without_gradients_gets_none() {
    for (label, device) in test_devices() {
        let device = device.autodiff();
        let shape = [BATCH, SEQ, HEADS * HEAD_SIZE];
        let form = AttentionForm::new(HEADS, HEAD_SIZE);
        let [_, shared, _] = biases(HEADS, SEQ, &device);
        let mask_pad = inputs(&device).mask_pad;
        let bias = || shared.clone().unwrap();
        let found = with_gradients(shape, &device, |inputs| {
            ops::biased_attention(inputs, bias(), mask_pad.clone(), form)
        });
        let expected = with_gradients(shape, &device, |inputs| {
            of_projections(inputs, Some(bias()), Some(mask_pad.clone()), form, None)
        });
        for (found, expected) in found.iter().zip(&expected) {
            assert_close(&label, found, expected, 5e-6);
        }
    }
}

#[test]
fn a_row_without_keys_is_zero_and_not_nan() {
    for (label, device) in test_devices() {
        let Inputs {
            query, key, value, ..
        } = inputs(&device);
        let nothing = Tensor::<2, Bool>::from_data(
            TensorData::new(vec![true; BATCH * SEQ], [BATCH, SEQ]),
            &device,
        );
        let zeros = vec![0.0; BATCH * HEADS * SEQ * HEAD_SIZE];
        let projections = [&query, &key, &value].map(|tensor| merge(tensor.clone()));
        let fused = values(ops::attention(query, key, value, nothing.clone()));
        assert_close(&label, &fused, &zeros, 0.0);
        for form in forms(HEAD_SIZE, SEQ) {
            for bias in biases(HEADS, SEQ, &device) {
                let (context, _) = ops::attention_with_probabilities(
                    projections.clone(),
                    bias.map(Into::into),
                    nothing.clone(),
                    form,
                );
                assert_close(&label, &values(context), &zeros, 0.0);
            }
        }
    }
}

#[test]
fn attention_in_half_precision_is_near_that_in_f32_and_never_nan() {
    for (label, device) in test_devices() {
        if !device.supports_dtype(FloatDType::F16) {
            continue;
        }
        let shape = [BATCH, SEQ, HEADS * HEAD_SIZE];
        let inputs = [1, 2, 3].map(|seed| numbers(shape, seed, &device));
        for form in forms(HEAD_SIZE, SEQ) {
            for bias in biases(HEADS, SEQ, &device) {
                let attend = |dtype| {
                    let inputs = inputs.clone().map(|tensor| tensor.cast(dtype));
                    let mask_pad = gaps(SEQ, &device);
                    values(match bias.clone() {
                        Some(bias) => {
                            ops::biased_attention(inputs, bias.cast(dtype), mask_pad, form)
                        }
                        None => ops::self_attention(inputs, mask_pad, form),
                    })
                };
                let (found, expected) = (attend(DType::F16), attend(DType::F32));
                assert_close(&label, &found, &expected, 5e-3);
            }
        }
    }
}
