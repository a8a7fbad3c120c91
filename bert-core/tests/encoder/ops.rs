//! Overrides of `BertOps` against the default bodies, on every device.

use bert_core::batch::pack_sequences;
use bert_core::device::{Device, test_devices};
use bert_core::ops::{
    self, AttentionForm, GateActivation, GateForm, GateHalf, PackedLayout, RotaryAngles,
    RotaryColumns,
};
use burn::module::Param;
use burn::nn::{DropoutConfig, LayerNormConfig, Linear};
use burn::tensor::{Bool, DType, FloatDType, Int, Tensor, TensorData, activation};

use crate::alone_at_random;

// Enough rows that a kernel which works on pieces has two of them, the border inside a batch row.
const BATCH: usize = 3;
const HEADS: usize = 5;
const SEQ: usize = 37;
const HEAD_SIZE: usize = 7;

/// Numbers without any pattern that an axis swapped by mistake would keep.
fn numbers<const D: usize>(shape: [usize; D], seed: u32, device: &Device) -> Tensor<D> {
    let mut state = seed;
    let values: Vec<f32> = (0..shape.iter().product())
        .map(|_| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 8) as f32 / (1 << 23) as f32 - 1.0
        })
        .collect();
    Tensor::from_data(TensorData::new(values, shape), device)
}

fn values<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    tensor.into_data().iter::<f32>().collect()
}

struct Inputs {
    query: Tensor<4>,
    key: Tensor<4>,
    value: Tensor<4>,
    mask_pad: Tensor<2, Bool>,
}

/// The last row is padded by three tokens.
fn inputs(device: &Device) -> Inputs {
    let shape = [BATCH, HEADS, SEQ, HEAD_SIZE];
    let mask: Vec<bool> = (0..BATCH * SEQ).map(|at| at >= BATCH * SEQ - 3).collect();
    Inputs {
        query: numbers(shape, 1, device),
        key: numbers(shape, 2, device),
        value: numbers(shape, 3, device),
        mask_pad: Tensor::from_data(TensorData::new(mask, [BATCH, SEQ]), device),
    }
}

/// Attention from Burn's own differentiable operations.
fn reference(inputs: Inputs) -> Tensor<4> {
    let form = AttentionForm::new(HEADS, HEAD_SIZE);
    let projections = [inputs.query, inputs.key, inputs.value];
    let mask_pad = Some(inputs.mask_pad);
    composed(projections, None, mask_pad, form, None)
}

fn assert_close(label: &str, found: &[f32], expected: &[f32], bar: f32) {
    assert_eq!(found.len(), expected.len(), "{label}");
    for (found, expected) in found.iter().zip(expected) {
        assert!(
            (found - expected).abs() <= bar,
            "{label}: {found} instead of {expected}"
        );
    }
}

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

/// Padding of three rows: none, nothing else, and at the end with a hole before it.
fn gaps(seq: usize, device: &Device) -> Tensor<2, Bool> {
    let mask: Vec<bool> = (0..BATCH * seq)
        .map(|at| match at / seq {
            0 => false,
            1 => true,
            _ => at % seq == 5 || at % seq >= seq - seq / 4,
        })
        .collect();
    Tensor::from_data(TensorData::new(mask, [BATCH, seq]), device)
}

#[test]
fn attention_from_projections_equals_that_of_the_heads() {
    // More queries than a thread takes at a time, sizes that fill vectors and sizes that don't.
    for (seq, head_size) in [(1, 7), (53, 7), (100, 32), (67, 64)] {
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

/// The context and the gradients of its weighted sum with respect to query, key and value.
fn with_gradients(
    shape: [usize; 3],
    device: &Device,
    attention: impl Fn([Tensor<3>; 3]) -> Tensor<3>,
) -> [Vec<f32>; 4] {
    let leaves = [1, 2, 3].map(|seed| numbers(shape, seed, device).require_grad());
    let context = attention(leaves.clone());
    let weights = numbers(shape, 5, device);
    let gradients = (context.clone() * weights).sum().backward();
    let [query, key, value] = leaves.map(|leaf| values(leaf.grad(&gradients).unwrap()));
    [values(context), query, key, value]
}

/// `[batch, seq, width]` to `[batch, HEADS, seq, head_size]`.
fn split(tensor: Tensor<3>) -> Tensor<4> {
    let [batch, seq, width] = tensor.dims();
    tensor
        .reshape([batch, seq, HEADS, width / HEADS])
        .swap_dims(1, 2)
}

/// `[batch, HEADS, seq, head_size]` to `[batch, seq, width]`.
fn merge(tensor: Tensor<4>) -> Tensor<3> {
    let [batch, heads, seq, head_size] = tensor.dims();
    tensor
        .swap_dims(1, 2)
        .reshape([batch, seq, heads * head_size])
}

/// Attention from Burn's own differentiable operations, with what dropout multiplies the probabilities by.
fn composed(
    [query, key, value]: [Tensor<4>; 3],
    bias: Option<Tensor<4>>,
    mask_pad: Option<Tensor<2, Bool>>,
    form: AttentionForm,
    keep: Option<Tensor<4>>,
) -> Tensor<4> {
    let [batch, heads, seq, _] = query.dims();
    let shape = [batch, heads, seq, seq];
    let mut scores = query.matmul(key.transpose()) * form.scale;
    if let Some(bias) = bias {
        scores = scores + bias;
    }
    let device = scores.device();
    let outside: Vec<bool> = (0..seq * seq)
        .map(|at| {
            form.reach
                .is_some_and(|reach| (at / seq).abs_diff(at % seq) > reach)
        })
        .collect();
    let outside = Tensor::<2, Bool>::from_data(TensorData::new(outside, [seq, seq]), &device);
    let mut left_out = outside.reshape([1, 1, seq, seq]).expand(shape);
    if let Some(mask_pad) = mask_pad {
        left_out = left_out.bool_or(mask_pad.reshape([batch, 1, 1, seq]).expand(shape));
    }
    let scores = scores.mask_fill(left_out.clone(), -1e9);
    let mut probabilities = activation::softmax(scores, 3).mask_fill(left_out, 0.0);
    if let Some(keep) = keep {
        probabilities = probabilities * keep;
    }
    probabilities.matmul(value)
}

/// [`composed`] of projections.
fn of_projections(
    inputs: [Tensor<3>; 3],
    bias: Option<Tensor<4>>,
    mask_pad: Option<Tensor<2, Bool>>,
    form: AttentionForm,
    keep: Option<Tensor<4>>,
) -> Tensor<3> {
    merge(composed(inputs.map(split), bias, mask_pad, form, keep))
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

/// The plain form, and forms of which one property each is another: windows of one key, of a few, of more than a block of
/// queries, and as long as a sequence; a scale.
fn forms(head_size: usize, seq: usize) -> Vec<AttentionForm> {
    let plain = AttentionForm::new(HEADS, head_size);
    let with_reach = |reach| AttentionForm { reach, ..plain };
    let mut forms: Vec<_> = [
        None,
        Some(0),
        Some(1),
        Some(19),
        Some(seq - 1),
        Some(usize::MAX),
    ]
    .map(with_reach)
    .into();
    forms.push(AttentionForm {
        scale: 0.2,
        ..plain
    });
    forms
}

/// A bias of each form: none, one that all rows share, one for each row.
fn biases(heads: usize, seq: usize, device: &Device) -> [Option<Tensor<4>>; 3] {
    [0, 1, BATCH].map(|batch| {
        (batch > 0).then(|| (numbers([batch, heads, seq, seq], 9, device) * 3.0).detach())
    })
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
                    let (found, probabilities) =
                        ops::attention_with_probabilities(inputs(), bias, mask(), form);
                    assert_close(&label, &values(found), &expected, 3e-6);
                    let padded = probabilities.narrow(0, 1, 1);
                    assert!(values(padded).iter().all(|&p| p == 0.0), "{label}");
                }
            }
        }
    }
}

/// The context of attention with a bias, and the gradients of its weighted sum with respect to query, key, value and bias.
fn with_gradients_and_bias(
    shape: [usize; 3],
    bias: Tensor<4>,
    device: &Device,
    attention: impl Fn([Tensor<3>; 3], Tensor<4>) -> Tensor<3>,
) -> [Vec<f32>; 5] {
    let bias = bias.require_grad();
    let leaves = [1, 2, 3].map(|seed| numbers(shape, seed, device).require_grad());
    let context = attention(leaves.clone(), bias.clone());
    let weights = numbers(shape, 5, device);
    let gradients = (context.clone() * weights).sum().backward();
    let [query, key, value] = leaves.map(|leaf| values(leaf.grad(&gradients).unwrap()));
    let bias = values(bias.grad(&gradients).unwrap());
    [values(context), query, key, value, bias]
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
            Some(bias.clone()),
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
                    bias,
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

#[test]
fn layer_norm_and_its_gradients_equal_the_composed_ones() {
    const ROWS: usize = 1009;
    const WIDTH: usize = 21;
    const EPSILON: f64 = 1e-3;
    for (label, device) in test_devices() {
        let device = device.autodiff();
        let results = |fused: bool| {
            let input = (numbers([ROWS, WIDTH], 1, &device) * 3.0 + 5.0).detach();
            let input = input.require_grad();
            let mut layer = LayerNormConfig::new(WIDTH).init(&device);
            layer.gamma = Param::from_tensor(numbers([WIDTH], 2, &device));
            layer.beta = Some(Param::from_tensor(numbers([WIDTH], 3, &device)));
            let (gamma, beta) = (layer.gamma.val(), layer.beta.as_ref().unwrap().val());
            let output = if fused {
                ops::layer_norm(input.clone(), &layer, EPSILON)
            } else {
                let centred = input.clone() - input.clone().mean_dim(1);
                let variance = (centred.clone() * centred.clone()).mean_dim(1);
                centred / (variance + EPSILON).sqrt() * gamma.clone().unsqueeze::<2>()
                    + beta.clone().unsqueeze::<2>()
            };
            let weights = numbers([ROWS, WIDTH], 4, &device) * (1.0 / ROWS as f64);
            let gradients = (output.clone() * weights).sum().backward();
            [
                values(output),
                values(input.grad(&gradients).unwrap() * ROWS as f64),
                values(gamma.grad(&gradients).unwrap()),
                values(beta.grad(&gradients).unwrap()),
            ]
        };
        for (found, expected) in results(true).iter().zip(&results(false)) {
            assert_close(&label, found, expected, 5e-6);
            assert!(expected.iter().any(|value| value.abs() > 1e-3));
        }
    }
}

#[test]
fn a_linear_layer_and_its_gradients_equal_the_composed_ones() {
    // The second is large enough for kernels of their own.
    for (rows, depth, width) in [(5, 13, 7), (70, 80, 96)] {
        for (label, device) in test_devices() {
            let device = device.autodiff();
            let results = |by_table: bool, fused: bool| {
                let input = numbers([rows, depth], 1, &device).require_grad();
                let weight = match by_table {
                    true => numbers([width, depth], 2, &device),
                    false => numbers([depth, width], 2, &device),
                };
                let layer = Linear {
                    weight: Param::from_tensor(weight),
                    bias: Some(Param::from_tensor(numbers([width], 3, &device))),
                };
                let (weight, bias) = (layer.weight.val(), layer.bias.as_ref().unwrap().val());
                let output = match (by_table, fused) {
                    (false, true) => ops::linear(input.clone(), &layer),
                    (true, true) => ops::linear_table(input.clone(), weight.clone(), bias.clone()),
                    (false, false) => {
                        input.clone().matmul(weight.clone()) + bias.clone().unsqueeze()
                    }
                    (true, false) => {
                        input.clone().matmul(weight.clone().transpose()) + bias.clone().unsqueeze()
                    }
                };
                let weights = numbers([rows, width], 4, &device);
                let gradients = (output.clone() * weights).sum().backward();
                [
                    values(output),
                    values(input.grad(&gradients).unwrap()),
                    values(weight.grad(&gradients).unwrap()),
                    values(bias.grad(&gradients).unwrap()),
                ]
            };
            for by_table in [false, true] {
                let (found, expected) = (results(by_table, true), results(by_table, false));
                for (found, expected) in found.iter().zip(&expected) {
                    assert_close(&label, found, expected, 5e-6);
                }
            }
        }
    }
}

#[test]
fn what_follows_a_product_equals_the_composed_operations() {
    const ROWS: usize = 1009;
    const WIDTH: usize = 21;
    const EPSILON: f64 = 1e-3;
    for (label, device) in test_devices() {
        let input = numbers([ROWS, 13], 1, &device);
        let layer = Linear {
            weight: Param::from_tensor(numbers([13, WIDTH], 2, &device)),
            bias: Some(Param::from_tensor(numbers([WIDTH], 3, &device))),
        };
        let projected = input.clone().matmul(layer.weight.val())
            + layer.bias.as_ref().unwrap().val().unsqueeze::<2>();
        let found = ops::linear_gelu_erf(input, &layer);
        let expected = ops::gelu_erf(projected.clone());
        assert_close(&label, &values(found), &values(expected), 2e-6);

        let residual = numbers([ROWS, WIDTH], 4, &device);
        let mut norm = LayerNormConfig::new(WIDTH).init(&device);
        norm.gamma = Param::from_tensor(numbers([WIDTH], 5, &device));
        norm.beta = Some(Param::from_tensor(numbers([WIDTH], 6, &device)));
        let expected = ops::layer_norm(projected.clone() + residual.clone(), &norm, EPSILON);
        let untouched = (projected.clone(), residual.clone());
        let found = ops::add_layer_norm(projected.clone(), residual.clone(), &norm, EPSILON);
        assert_close(&label, &values(found), &values(expected), 5e-6);
        // The operands that others hold are left alone.
        assert_eq!(values(projected), values(untouched.0), "{label}");
        assert_eq!(values(residual), values(untouched.1), "{label}");
    }
}

#[test]
fn both_ends_of_a_block_and_their_gradients_equal_the_composed_ones() {
    const EPSILON: f64 = 1e-3;
    let _alone = alone_at_random();
    // Fewer rows than a kernel has groups and fewer columns than a cube has units, and more.
    for (rows, depth, width) in [(7, 13, 21), (301, 5, 777)] {
        for (label, device) in test_devices() {
            let device = device.autodiff();
            let results = |dropout: f64, fused: bool| {
                let input = numbers([rows, depth], 1, &device).require_grad();
                let residual = numbers([rows, width], 2, &device).require_grad();
                let layer = Linear {
                    weight: Param::from_tensor(numbers([depth, width], 3, &device)),
                    bias: Some(Param::from_tensor(numbers([width], 4, &device))),
                };
                let mut norm = LayerNormConfig::new(width).init(&device);
                norm.gamma = Param::from_tensor(numbers([width], 5, &device));
                norm.beta = Some(Param::from_tensor(numbers([width], 6, &device)));
                let parameters = [
                    layer.bias.as_ref().unwrap().val(),
                    norm.gamma.val(),
                    norm.beta.as_ref().unwrap().val(),
                ];
                let drops = DropoutConfig::new(dropout).init();
                device.seed(7);
                let output = if fused {
                    ops::linear_add_layer_norm(
                        input.clone(),
                        &layer,
                        &drops,
                        residual.clone(),
                        &norm,
                        EPSILON,
                    )
                } else {
                    let projected = input.clone().matmul(layer.weight.val())
                        + parameters[0].clone().unsqueeze::<2>();
                    let dropped = match dropout > 0.0 {
                        true => {
                            let keep = ops::dropout_mask(&projected, projected.dims(), dropout);
                            projected * keep
                        }
                        false => projected,
                    };
                    let sum = dropped + residual.clone();
                    let centred = sum.clone() - sum.mean_dim(1);
                    let variance = (centred.clone() * centred.clone()).mean_dim(1);
                    centred / (variance + EPSILON).sqrt() * parameters[1].clone().unsqueeze::<2>()
                        + parameters[2].clone().unsqueeze::<2>()
                };
                let widened = if fused {
                    ops::linear_gelu_erf(input.clone(), &layer)
                } else {
                    let projected = input.clone().matmul(layer.weight.val())
                        + parameters[0].clone().unsqueeze::<2>();
                    let half = projected.clone() * 0.5;
                    half * ((projected * std::f64::consts::FRAC_1_SQRT_2).erf() + 1.0)
                };
                // Sums over rows and columns that stay near one.
                let weights =
                    |seed, size: usize| numbers([rows, width], seed, &device) * (1.0 / size as f64);
                let loss = (output.clone() * weights(8, rows)).sum()
                    + (widened.clone() * weights(9, rows)).sum();
                let gradients = loss.backward();
                let of_rows = |tensor: &Tensor<2>| {
                    values(tensor.grad(&gradients).unwrap() * rows as f64 / depth as f64)
                };
                let mut results = vec![values(output), values(widened)];
                results.extend([of_rows(&input), of_rows(&residual)]);
                results.push(values(layer.weight.val().grad(&gradients).unwrap()));
                let of_parameters = parameters.map(|of| values(of.grad(&gradients).unwrap()));
                results.extend(of_parameters);
                results
            };
            for dropout in [0.0, 0.25] {
                let (found, expected) = (results(dropout, true), results(dropout, false));
                for (at, (found, expected)) in found.iter().zip(&expected).enumerate() {
                    let largest = expected.iter().fold(1.0_f32, |most, of| most.max(of.abs()));
                    assert_close(&format!("{label} {at}"), found, expected, 5e-6 * largest);
                    assert!(expected.iter().any(|value| value.abs() > 1e-3));
                }
            }
        }
    }
}

#[test]
fn layers_without_a_bias_and_their_gradients_equal_the_composed_ones() {
    const ROWS: usize = 1009;
    const DEPTH: usize = 13;
    const WIDTH: usize = 21;
    const EPSILON: f64 = 1e-3;
    for (label, device) in test_devices() {
        let device = device.autodiff();
        let mut norm = LayerNormConfig::new(WIDTH)
            .with_epsilon(EPSILON)
            .with_bias(false)
            .init(&device);
        norm.gamma = Param::from_tensor(numbers([WIDTH], 5, &device));
        let results = |fused: bool| {
            let input = numbers([ROWS, DEPTH], 1, &device).require_grad();
            let layer = Linear {
                weight: Param::from_tensor(numbers([DEPTH, WIDTH], 2, &device)),
                bias: None,
            };
            let (weight, gamma) = (layer.weight.val(), norm.gamma.val());
            let projected = match fused {
                true => ops::linear(input.clone(), &layer),
                false => input.clone().matmul(weight.clone()),
            };
            let gelu = match fused {
                true => ops::linear_gelu_erf(input.clone(), &layer),
                false => ops::gelu_erf(projected.clone()),
            };
            let normal = match fused {
                true => ops::layer_norm(projected.clone(), &norm, EPSILON),
                false => norm.forward(projected.clone()),
            };
            let sum = match fused {
                true => ops::add_layer_norm(projected.clone(), gelu.clone(), &norm, EPSILON),
                false => norm.forward(projected.clone() + gelu.clone()),
            };
            let weights = numbers([ROWS, WIDTH], 4, &device);
            let loss = (normal.clone() * weights + gelu + sum.clone() * sum.clone()).sum();
            let gradients = loss.backward();
            [
                values(projected),
                values(normal),
                values(sum),
                values(input.grad(&gradients).unwrap()),
                values(weight.grad(&gradients).unwrap()),
                values(gamma.grad(&gradients).unwrap()),
            ]
        };
        for (found, expected) in results(true).iter().zip(&results(false)) {
            let largest = expected.iter().fold(1.0_f32, |most, x| most.max(x.abs()));
            assert_close(&label, found, expected, 1e-5 * largest);
        }
    }
}

#[test]
fn rotary_positions_and_their_gradient_equal_their_definition() {
    const HALF: usize = 3;
    const WIDTH: usize = HEADS * 2 * HALF;
    for (label, device) in test_devices() {
        let device = device.autodiff();
        // A whole row, and the second of three parts.
        for (first, row) in [(0, WIDTH), (WIDTH, 3 * WIDTH)] {
            let turns: Vec<f64> = (0..SEQ * HALF).map(|at| at as f64 * 0.37).collect();
            let table = |of: fn(f64) -> f64| {
                let values: Vec<f32> = turns.iter().map(|&turn| of(turn) as f32).collect();
                Tensor::from_data(TensorData::new(values, [SEQ, HALF]), &device)
            };
            let angles = RotaryAngles {
                cos: table(f64::cos),
                sin: table(f64::sin),
            };
            let columns = RotaryColumns {
                first,
                heads: HEADS,
                row,
            };
            let results = |fused: bool| {
                let input = numbers([BATCH, SEQ, row], 1, &device).require_grad();
                let output = match fused {
                    true => ops::rotate(input.clone(), &angles, columns),
                    false => {
                        let part = input.clone().narrow(2, first, WIDTH);
                        let heads = part.reshape([BATCH, SEQ, HEADS, 2 * HALF]);
                        let [left, right] = [0, HALF].map(|at| heads.clone().narrow(3, at, HALF));
                        let [cos, sin] = [&angles.cos, &angles.sin]
                            .map(|table| table.clone().reshape([1, SEQ, 1, HALF]));
                        let new_left = left.clone() * cos.clone() - right.clone() * sin.clone();
                        let new_right = right * cos + left * sin;
                        Tensor::cat(vec![new_left, new_right], 3).reshape([BATCH, SEQ, WIDTH])
                    }
                };
                let weights = numbers([BATCH, SEQ, WIDTH], 4, &device);
                let gradients = (output.clone() * weights).sum().backward();
                [values(output), values(input.grad(&gradients).unwrap())]
            };
            for (found, expected) in results(true).iter().zip(&results(false)) {
                assert_close(&label, found, expected, 2e-6);
            }
        }
    }
}

#[test]
fn a_gate_and_its_gradient_equal_the_composed_ones() {
    const WIDTH: usize = 403;
    for (label, device) in test_devices() {
        let device = device.autodiff();
        let activations = [GateActivation::Gelu, GateActivation::Silu];
        let forms = activations.into_iter().flat_map(|activation| {
            [GateHalf::First, GateHalf::Second].map(|activated| GateForm {
                activation,
                activated,
            })
        });
        for form in forms {
            let results = |fused: bool| {
                let input = numbers([BATCH, SEQ, 2 * WIDTH], 1, &device) * 5.0;
                let input = input.detach().require_grad();
                let output = match fused {
                    true => ops::gate(input.clone(), form),
                    false => {
                        let first = match form.activated {
                            GateHalf::First => [0, WIDTH],
                            GateHalf::Second => [WIDTH, 0],
                        };
                        let [a, b] = first.map(|at| input.clone().narrow(2, at, WIDTH));
                        b * match form.activation {
                            GateActivation::Gelu => ops::gelu_erf(a),
                            GateActivation::Silu => {
                                a.clone() * burn::tensor::activation::sigmoid(a)
                            }
                        }
                    }
                };
                let weights = numbers([BATCH, SEQ, WIDTH], 4, &device);
                let gradients = (output.clone() * weights).sum().backward();
                [values(output), values(input.grad(&gradients).unwrap())]
            };
            for (found, expected) in results(true).iter().zip(&results(false)) {
                assert_close(&label, found, expected, 2e-5);
            }
        }
    }
}

#[test]
fn cross_entropy_and_its_gradient_equal_the_composed_ones() {
    const ROWS: usize = 13;
    const CLASSES: usize = 37;
    for (label, device) in test_devices() {
        let device = device.autodiff();
        let results = |fused: bool| {
            let logits = numbers([ROWS, CLASSES], 1, &device) * 20.0;
            let logits = logits.detach().require_grad();
            let labels: Vec<i64> = (0..ROWS as i64)
                .map(|row| row * 11 % CLASSES as i64)
                .collect();
            let labels = Tensor::<1, Int>::from_data(TensorData::new(labels, [ROWS]), &device);
            let losses = if fused {
                ops::cross_entropy(logits.clone(), labels)
            } else {
                activation::log_softmax(logits.clone(), 1)
                    .gather(1, labels.unsqueeze_dim(1))
                    .neg()
                    .squeeze_dim::<1>(1)
            };
            let gradients = (losses.clone() * numbers([ROWS], 2, &device))
                .sum()
                .backward();
            [values(losses), values(logits.grad(&gradients).unwrap())]
        };
        for (found, expected) in results(true).iter().zip(&results(false)) {
            assert_close(&label, found, expected, 5e-6);
        }
    }
}

#[test]
fn gelu_and_its_gradient_equal_the_composed_ones() {
    for (label, device) in test_devices() {
        let device = device.autodiff();
        let results = |fused: bool| {
            let input = (numbers([131, 137], 1, &device) * 6.0)
                .detach()
                .require_grad();
            let output = if fused {
                ops::gelu_erf(input.clone())
            } else {
                let half = input.clone() * 0.5;
                half * ((input.clone() * std::f64::consts::FRAC_1_SQRT_2).erf() + 1.0)
            };
            let gradients = output.clone().sum().backward();
            [values(output), values(input.grad(&gradients).unwrap())]
        };
        for (found, expected) in results(true).iter().zip(&results(false)) {
            assert_close(&label, found, expected, 2e-6);
        }
    }
}

#[test]
fn swish_and_its_gradient_are_right_far_from_zero_too() {
    const INPUTS: [f32; 11] = [
        -1e30, -1e4, -100.0, -20.0, -1.5, 0.0, 0.7, 12.0, 100.0, 1e4, 1e30,
    ];
    for (label, device) in test_devices() {
        let device = device.autodiff();
        for slope in [1.0, 1.702] {
            let input = Tensor::<1>::from_floats(INPUTS, &device).require_grad();
            let output = ops::swish(input.clone(), slope);
            let gradients = output.clone().sum().backward();
            let (found, gradient) = (values(output), values(input.grad(&gradients).unwrap()));
            for (index, x) in INPUTS.into_iter().map(f64::from).enumerate() {
                let gate = 1.0 / (1.0 + (-slope * x).exp());
                let expected = x * gate;
                let tolerance = 1e-6 * expected.abs().max(1.0);
                let difference = (f64::from(found[index]) - expected).abs();
                assert!(
                    difference <= tolerance,
                    "{label} {slope} {x}: {}",
                    found[index]
                );
                let steep = slope * x * gate * (1.0 - gate);
                let difference = (f64::from(gradient[index]) - gate - steep).abs();
                assert!(
                    difference <= 2e-6,
                    "{label} {slope} {x}: {}",
                    gradient[index]
                );
            }
        }
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
