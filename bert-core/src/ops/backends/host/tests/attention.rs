//! Attention.

use burn::backend::ops::FloatTensorOps;
use burn::tensor::Shape;

use super::super as host;
use super::{assert_close, integers, numbers, truths};
use crate::ops::attention::composed;
use crate::ops::{
    AttentionBias, AttentionForm, AttentionInputs, AttentionLayout, AttentionOutput,
    AttentionState, AttentionWeights, PackedTokens,
};
use host::tensor::HostTensor;
use host::tensor::tests::{filled, for_each_backend};

/// The usual form, and one with a window and a scale of its own.
fn forms(heads: usize, head_size: usize) -> [AttentionForm; 2] {
    let plain = AttentionForm::new(heads, head_size);
    let local = AttentionForm {
        scale: 0.4,
        reach: Some(7),
        ..plain
    };
    [plain, local]
}

/// No bias, one that all sequences share, and one for each of `batch`.
fn biases<T: HostTensor>(
    like: &T,
    [batch, heads, size]: [usize; 3],
) -> [AttentionBias<T::Backend>; 3] {
    let present = |batch| AttentionBias::Present(numbers(like, [batch, heads, size, size], 19));
    [AttentionBias::Absent, present(1), present(batch)]
}

/// Sequences side by side, by the groups in which they are padded.
fn packed_tokens<T: HostTensor>(like: &T, groups: &[&[usize]]) -> PackedTokens<T::Backend> {
    let (mut places, mut slots, mut padding) = (Vec::new(), Vec::new(), Vec::new());
    let mut shapes = Vec::new();
    for group in groups {
        let seq = group.iter().copied().max().unwrap();
        shapes.push([group.len(), seq]);
        for &length in *group {
            let first = slots.len();
            for at in 0..seq {
                padding.push(at >= length);
                places.push(if at < length { (first + at) as i32 } else { 0 });
            }
            slots.extend((0..length).map(|at| (places.len() - seq + at) as i32));
        }
    }
    PackedTokens {
        lengths: groups.concat().into(),
        groups: shapes.into(),
        padding: truths(like, [padding.len()], &padding),
        places: integers(like, places),
        slots: integers(like, slots),
    }
}

/// Queries, keys and values of `shape`.
fn attention_inputs<T: HostTensor>(
    like: &T,
    shape: [usize; 3],
    bias: &AttentionBias<T::Backend>,
) -> AttentionInputs<T::Backend> {
    let [query, key, value] = [7, 11, 13].map(|step| numbers(like, shape, step));
    AttentionInputs {
        query,
        key,
        value,
        bias: bias.clone(),
    }
}

fn attention_of_rows_and_packed<T: HostTensor>(like: &T) {
    let (seq, width, heads) = (70, 32, 4);
    let inputs = |batch: usize, bias: &AttentionBias<T::Backend>| {
        attention_inputs(like, [batch, seq, width], bias)
    };
    let padding: Vec<bool> = (0..2 * seq).map(|at| at >= seq + 50).collect();
    let mask = || truths(like, [2, 1, 1, seq], &padding);
    let tokens = || packed_tokens(like, &[&[40, 30]]);
    for form in forms(heads, width / heads) {
        for bias in biases(like, [2, heads, seq]) {
            let found = host::self_attention(inputs(2, &bias), mask(), form);
            let expected = composed::padded(inputs(2, &bias), mask(), form);
            assert_close(found, expected, "self_attention");
        }
        let [absent, shared, _] = biases(like, [2, heads, 40]);
        for bias in [absent, shared] {
            let found = host::packed_attention(inputs(1, &bias), tokens(), form);
            let layout = AttentionLayout::Packed(tokens());
            let expected = composed::packed(inputs(1, &bias), &layout, form);
            assert_close::<T>(found, expected, "packed_attention");
        }
    }
}

fn attention_and_its_gradients<T: HostTensor>(like: &T) {
    // More rows than a block of queries has; heads as wide as a sequence is long, for the identity below.
    let (batch, seq, heads) = (2, 70, 3);
    let width = heads * seq;
    let part = |step: usize| numbers(like, [batch, seq, width], step);
    let padding: Vec<bool> = (0..batch * seq).map(|at| at >= seq + 30).collect();
    let mask = || truths(like, [batch, 1, 1, seq], &padding);
    let [query, key, value, grad] = [7, 11, 13, 17].map(|step| move || part(step));
    let inputs = || attention_inputs(like, [batch, seq, width], &AttentionBias::Absent);
    let layout = || -> AttentionLayout<T::Backend> { AttentionLayout::Padded { mask_pad: mask() } };
    for dropout in [0.0, 0.25] {
        let plain = AttentionForm::new(heads, seq);
        let form = AttentionForm { dropout, ..plain };
        let AttentionOutput { context, state } =
            host::attention_with_state::<T>(inputs(), layout(), form);
        assert!(
            matches!(&state, AttentionState::Statistics(of) if of.seed.is_some() == (dropout > 0.0))
        );
        let backward = |grad| {
            host::attention_backward(inputs(), state.clone(), layout(), grad, form, false).inputs
        };
        let (without_dropout, weights) =
            composed::with_weights::<T::Backend>(inputs(), mask(), plain);
        let probabilities = weights.probabilities;

        // The gradient of the values, from the identity: every head's probabilities after dropout, turned.
        let identity: Vec<f32> = (0..batch * seq * width)
            .map(|at| f32::from(u8::from(at / width % seq == at % seq)))
            .collect();
        let [_, _, turned] = backward(filled(like, [batch, seq, width], &identity));
        let turned = turned.as_slice();
        let mut factors = Vec::new();
        for (at, &p) in probabilities
            .clone()
            .into_contiguous()
            .as_slice()
            .iter()
            .enumerate()
        {
            let (row, column) = (at / seq % seq, at % seq);
            let (sequence, head) = (at / (seq * seq * heads), at / (seq * seq) % heads);
            let kept = turned[(sequence * seq + column) * width + head * seq + row];
            factors.push(if p == 0.0 { 0.0 } else { kept / p });
        }
        let mask_of_dropout = filled(like, [batch, heads, seq, seq], &factors);
        if dropout > 0.0 {
            let attended = heads * seq * (seq + 30);
            let dropped = factors.iter().filter(|&&factor| factor == 0.0).count();
            let dropped = dropped - (factors.len() - attended);
            let share = dropped as f64 / attended as f64;
            assert!((share - dropout).abs() < 0.03, "{share}");
            let right = |&factor: &f32| factor == 0.0 || (factor - 4.0 / 3.0).abs() < 1e-5;
            assert!(factors.iter().all(right));
        } else {
            assert_close(context.clone(), without_dropout, "attention_with_state");
        }

        let after_dropout = T::Backend::float_mul(probabilities.clone(), mask_of_dropout.clone());
        let by_head = |tensor| {
            let tensor = T::Backend::float_reshape(tensor, Shape::new([batch, seq, heads, seq]));
            T::Backend::float_swap_dims(tensor, 1, 2)
        };
        let expected = T::Backend::float_matmul(after_dropout, by_head(value()));
        assert_close(by_head(context), expected, "context");
        let weights = AttentionWeights {
            probabilities,
            keep: Some(mask_of_dropout),
        };
        let inputs = [query(), key(), value()];
        let expected =
            composed::backward_of_group::<T::Backend>(inputs, weights, grad(), form, None);
        for (found, expected) in backward(grad()).into_iter().zip(expected.inputs) {
            assert_close(found, expected, "gradients of attention");
        }
    }
}

fn gradients_of_attention_with_a_window_and_a_bias<T: HostTensor>(like: &T) {
    let (heads, head_size) = (2, 6);
    let padded = |batch: usize, seq: usize| -> AttentionLayout<T::Backend> {
        let padding: Vec<bool> = (0..batch * seq).map(|at| at >= seq + 30).collect();
        AttentionLayout::Padded {
            mask_pad: truths(like, [batch, 1, 1, seq], &padding),
        }
    };
    let packed = |groups: &[&[usize]]| AttentionLayout::Packed(packed_tokens(like, groups));
    let cases = [
        ([2, 150], 150, padded(2, 150)),
        ([1, 181], 100, packed(&[&[100], &[30, 29], &[1, 1, 20]])),
    ];
    for ([batch, seq], longest, layout) in cases {
        let shape = [batch, seq, heads * head_size];
        for form in forms(heads, head_size) {
            for bias in biases(like, [batch, heads, longest + 1]) {
                let inputs = || attention_inputs(like, shape, &bias);
                let grad = || numbers(like, shape, 17);
                let found = host::attention_with_state::<T>(inputs(), layout.clone(), form);
                let expected = composed::tracked(inputs(), &layout, form);
                assert_close(found.context, expected.context, "context");
                let AttentionState::Probabilities(weights) = expected.state else {
                    panic!("composed attention keeps probabilities");
                };
                for with_bias in [false, true] {
                    let found = host::attention_backward::<T>(
                        inputs(),
                        found.state.clone(),
                        layout.clone(),
                        grad(),
                        form,
                        with_bias,
                    );
                    let weights = weights.clone();
                    let expected =
                        composed::backward(inputs(), weights, &layout, grad(), form, with_bias);
                    for (found, expected) in found.inputs.into_iter().zip(expected.inputs) {
                        assert_close(found, expected, "gradients of attention");
                    }
                    assert_eq!(found.bias.is_some(), expected.bias.is_some());
                    if let (Some(found), Some(expected)) = (found.bias, expected.bias) {
                        assert_close(found, expected, "gradient of the bias");
                    }
                }
            }
        }
    }
}

for_each_backend!(
    attention_of_rows_and_packed,
    attention_and_its_gradients,
    gradients_of_attention_with_a_window_and_a_bias
);
