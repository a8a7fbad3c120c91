//! The kernels over the tensors of each backend, whichever that backend prefers on this processor, against its own operations.

use std::sync::Arc;

use burn::backend::ops::{ActivationOps, BoolTensorOps, FloatTensorOps, IntTensorOps, ModuleOps};
use burn::backend::tensor::{BoolTensor, IntTensor};
use burn::tensor::{DType, Shape, TensorData};

use super::tensor::HostTensor;
use super::tensor::tests::{filled, for_each_backend};
use crate::ops::attention::composed;
use crate::ops::backends::host::HostBackend;
use crate::ops::products::with_products;
use crate::ops::{
    Activation, AttentionBias, AttentionForm, AttentionInputs, AttentionLayout, AttentionOutput,
    AttentionState, AttentionWeights, GradientOps, PackedTokens, PackedWeight, Products,
    ResidualForm, activation, cross_entropy, linear, norm, scale, softmax,
};

/// A product as one of [`Products`] rounds its operands.
type Product<'a, T> = (&'a str, Box<dyn Fn() -> T + 'a>);

fn products_in_bf16<T: HostTensor>(like: &T) {
    for (rows, depth, width) in [(3, 5, 7), (70, 130, 65)] {
        for is_exact in [true, false] {
            // Eighths are numbers of bf16, and sums of their products are exact in f32.
            let operand = |shape: [usize; 2], step: usize| {
                let numbers = numbers(like, shape, step).into_contiguous();
                let values = numbers.as_slice().iter();
                let eighths = values.map(|&value| match is_exact {
                    true => (value * 8.0).round() / 8.0,
                    false => value,
                });
                filled(like, shape, &eighths.collect::<Vec<_>>())
            };
            let input = || operand([rows, depth], 7);
            let weight = || operand([depth, width], 11);
            let table = || operand([width, depth], 5);
            let grad = || operand([rows, width], 17);
            let bias = || numbers(like, [width], 13);
            let products: [Product<'_, T>; 6] = [
                (
                    "project",
                    Box::new(|| super::project(input(), weight(), bias())),
                ),
                (
                    "project_unbiased",
                    Box::new(|| super::project_unbiased(input(), weight())),
                ),
                (
                    "project_table",
                    Box::new(|| super::project_table(input(), table(), bias())),
                ),
                (
                    "table_backward",
                    Box::new(|| super::project_table_backward(table(), grad())),
                ),
                (
                    "input_backward",
                    Box::new(|| super::project_input_backward(weight(), grad())),
                ),
                (
                    "weight_backward",
                    Box::new(|| super::project_weight_backward(input(), grad())),
                ),
            ];
            for (name, product) in products {
                let floats = product();
                let rounded = with_products(Products::BFloat16, &product).into_contiguous();
                if is_exact {
                    assert_close(rounded, floats, name);
                    continue;
                }
                let floats = floats.into_contiguous();
                let both = rounded.as_slice().iter().zip(floats.as_slice());
                let difference = both.map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
                let is_rounded = T::Backend::prefers_host_kernels();
                assert_eq!(difference > 1e-5, is_rounded, "{name}: {difference}");
                assert!(difference < 0.1, "{name}: {difference}");
            }
        }
    }
}

/// Numbers between -1 and 1 in no order.
fn numbers<T: HostTensor, const D: usize>(like: &T, shape: [usize; D], step: usize) -> T {
    let count = shape.iter().product();
    let values: Vec<f32> = (0..count)
        .map(|at| (at * step % 997) as f32 / 498.0 - 1.0)
        .collect();
    filled(like, shape, &values)
}

fn integers<T: HostTensor>(like: &T, values: Vec<i32>) -> IntTensor<T::Backend> {
    let shape = [values.len()];
    T::Backend::int_from_data(
        TensorData::new(values, shape).convert_dtype(DType::I64),
        &like.device(),
    )
}

fn truths<T: HostTensor, const D: usize>(
    like: &T,
    shape: [usize; D],
    values: &[bool],
) -> BoolTensor<T::Backend> {
    let data = TensorData::new(values.to_vec(), shape);
    T::Backend::bool_from_data(data, &like.device())
}

fn assert_close<T: HostTensor>(found: T, expected: T, what: &str) {
    assert_eq!(found.shape(), expected.shape(), "{what}");
    let (found, expected) = (found.into_contiguous(), expected.into_contiguous());
    for (at, (found, expected)) in found.as_slice().iter().zip(expected.as_slice()).enumerate() {
        assert!(
            (found - expected).abs() < 1e-5,
            "{what}: {found} is not {expected} at {at}"
        );
    }
}

fn linear_layers_by_packed_weights<T: HostTensor>(like: &T) {
    // On one thread, by columns and by rows, with and without part of a panel, and deeper than a stretch.
    for (rows, depth, width) in [
        (1, 5, 7),
        (3, 900, 64),
        (10, 560, 200),
        (60, 280, 130),
        (151, 96, 64),
    ] {
        let input = || numbers(like, [2, rows, depth], 7);
        // Sums of many numbers, as near as those of few.
        let scale = 1.0 / depth as f32;
        let weight = numbers(like, [depth, width], 11).into_contiguous();
        let values: Vec<f32> = weight
            .as_slice()
            .iter()
            .map(|value| value * scale)
            .collect();
        let weight = || filled(like, [depth, width], &values);
        let bias = || numbers(like, [width], 13);
        let panels = PackedWeight::panels(&values, width).expect("kernels are compiled in");
        let panels = Arc::new(panels);
        assert_eq!(
            panels.floats(),
            TensorData::new(values.clone(), [depth, width])
        );
        let linear = || T::Backend::linear(input(), weight(), Some(bias()));
        assert_close(
            super::project_packed(input(), bias(), panels.clone(), Activation::Identity),
            linear(),
            "project_packed",
        );
        assert_close(
            super::project_packed(input(), bias(), panels, Activation::Gelu),
            T::Backend::gelu(linear()),
            "project_packed with GELU",
        );
        // Each number of bf16 is off by a 512th of itself at most.
        let bfloat16 = PackedWeight::bfloat16(&values, width).expect("kernels are compiled in");
        let found =
            super::project_packed(input(), bias(), Arc::new(bfloat16), Activation::Identity);
        let (found, expected) = (found.into_contiguous(), linear().into_contiguous());
        for (found, expected) in found.as_slice().iter().zip(expected.as_slice()) {
            assert!((found - expected).abs() < 4e-3, "{found} is not {expected}");
        }
        // Each number of 8 bits is off by half a step at most, so sums are nearly right.
        let int8 = PackedWeight::int8(&values, width).expect("finite values");
        let found = super::project_packed(input(), bias(), Arc::new(int8), Activation::Identity);
        let (found, expected) = (found.into_contiguous(), linear().into_contiguous());
        for (found, expected) in found.as_slice().iter().zip(expected.as_slice()) {
            assert!((found - expected).abs() < 2e-2, "{found} is not {expected}");
        }
    }
    let packed = PackedWeight::panels(&[1.0, 2.0, 3.0, 4.0], 2).expect("kernels are compiled in");
    let (none, bias) = (filled(like, [0, 2], &[]), filled(like, [2], &[0.0; 2]));
    let found = super::project_packed(none, bias, Arc::new(packed), Activation::Identity);
    assert_eq!(found.shape(), Shape::new([0, 2]));
}

fn packed_layers_together_are_those_one_by_one<T: HostTensor>(like: &T) {
    type Pack = fn(&[f32], usize) -> Option<PackedWeight>;
    let packs: [Pack; 3] = [
        PackedWeight::panels,
        PackedWeight::bfloat16,
        PackedWeight::int8,
    ];
    for (rows, depth, width) in [(2, 24, 70), (300, 64, 128)] {
        for pack in packs {
            let weight = |depth: usize, width: usize| {
                let values = numbers(like, [depth, width], 11).into_contiguous();
                let weight = pack(values.as_slice(), width);
                Arc::new(weight.expect("kernels are compiled in"))
            };
            let [wider, narrower] = [weight(depth, width), weight(width, depth)];
            let input = || numbers(like, [rows, depth], 7);
            let bias = |step: usize| numbers(like, [width], step);
            let single = |step| {
                super::project_packed(input(), bias(step), wider.clone(), Activation::Identity)
            };
            let weights = [(); 3].map(|()| wider.clone());
            let (first, second, third) =
                super::project_packed_thrice(input(), bias(3), bias(5), bias(13), weights);
            for (found, step) in [(first, 3), (second, 5), (third, 13)] {
                assert_close(found, single(step), "project_packed_thrice");
            }
            let narrow_bias = || numbers(like, [depth], 13);
            let widened = super::project_packed(input(), bias(3), wider.clone(), Activation::Gelu);
            let expected = super::project_packed(
                widened,
                narrow_bias(),
                narrower.clone(),
                Activation::Identity,
            );
            let weights = [wider.clone(), narrower];
            let found = super::feed_forward_packed(
                input(),
                bias(3),
                narrow_bias(),
                weights,
                Activation::Gelu,
            );
            assert_close(found, expected, "feed_forward_packed");
            let swish = Activation::Swish(1.0);
            let gate = super::project_packed(input(), bias(5), wider.clone(), swish);
            let expected = T::Backend::float_mul(gate, single(3));
            let weights = [(); 2].map(|()| wider.clone());
            let found = super::project_packed_gated(input(), bias(5), bias(3), weights, swish);
            assert_close(found, expected, "project_packed_gated");
        }
    }
}

fn linear_layers<T: HostTensor>(like: &T) {
    // Few rows with and without a panel of their own, many, and enough for a matrix unit.
    for (rows, depth, width) in [(3, 24, 64), (3, 24, 40), (70, 24, 40), (70, 80, 96)] {
        let input = || numbers(like, [2, rows, depth], 7);
        let weight = || numbers(like, [depth, width], 11);
        let bias = || numbers(like, [width], 13);
        let grad = || numbers(like, [2, rows, width], 17);
        let linear = || T::Backend::linear(input(), weight(), Some(bias()));
        assert_close(
            super::project(input(), weight(), bias()),
            linear(),
            "project",
        );
        assert_close(
            super::project_gelu(input(), weight(), bias()),
            T::Backend::gelu(linear()),
            "project_gelu",
        );
        assert_close(
            super::project_input_backward(weight(), grad()),
            T::Backend::linear_x_backward(weight(), grad()),
            "project_input_backward",
        );
        assert_close(
            super::project_weight_backward(input(), grad()),
            T::Backend::linear_weight_backward(input(), grad()),
            "project_weight_backward",
        );
        assert_close(
            super::project_bias_backward(grad()),
            T::Backend::linear_bias_backward(grad()),
            "project_bias_backward",
        );
        // A weight that is the view of another.
        let turned = T::Backend::float_transpose(numbers(like, [width, depth], 11));
        assert_close(
            super::project(input(), turned.clone(), bias()),
            T::Backend::linear(input(), turned, Some(bias())),
            "project with a view",
        );
        let rows_of = || numbers(like, [2 * rows, depth], 7);
        let table = || numbers(like, [width, depth], 11);
        assert_close(
            super::project_table(rows_of(), table(), bias()),
            linear::table::<T::Backend>(rows_of(), table(), bias()),
            "project_table",
        );
        let grad = || numbers(like, [2 * rows, width], 17);
        assert_close(
            super::project_table_backward(table(), grad()),
            T::Backend::float_matmul(grad(), table()),
            "project_table_backward",
        );
    }
}

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
            let found = super::self_attention(inputs(2, &bias), mask(), form);
            let expected = composed::padded(inputs(2, &bias), mask(), form);
            assert_close(found, expected, "self_attention");
        }
        let [absent, shared, _] = biases(like, [2, heads, 40]);
        for bias in [absent, shared] {
            let found = super::packed_attention(inputs(1, &bias), tokens(), form);
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
            super::attention_with_state::<T>(inputs(), layout(), form);
        assert!(
            matches!(&state, AttentionState::Statistics(of) if of.seed.is_some() == (dropout > 0.0))
        );
        let backward = |grad| {
            super::attention_backward(inputs(), state.clone(), layout(), grad, form, false).inputs
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
                let found = super::attention_with_state::<T>(inputs(), layout.clone(), form);
                let expected = composed::tracked(inputs(), &layout, form);
                assert_close(found.context, expected.context, "context");
                let AttentionState::Probabilities(weights) = expected.state else {
                    panic!("composed attention keeps probabilities");
                };
                for with_bias in [false, true] {
                    let found = super::attention_backward::<T>(
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

fn softmax_and_its_gradient<T: HostTensor>(like: &T) {
    let shape = [2, 3, 5, 9];
    let scores = || numbers(like, shape, 7);
    let grad = || numbers(like, shape, 11);
    let padding: Vec<bool> = (0..18).map(|at| at >= 13).collect();
    let mask = || truths(like, [2, 1, 1, 9], &padding);
    // A mask of its own for every query is the backend's.
    let every_query = || T::Backend::bool_expand(mask(), Shape::new([2, 1, 5, 9]));
    assert_close(
        super::masked_softmax(scores(), every_query(), 0.5),
        softmax::masked::<T::Backend>(scores(), mask(), 0.5),
        "masked_softmax by query",
    );
    let found = super::masked_softmax(scores(), mask(), 0.5);
    let expected = softmax::masked::<T::Backend>(scores(), mask(), 0.5);
    assert_close(found.clone(), expected, "masked_softmax");
    assert_close(
        super::softmax_backward(found.clone(), grad(), 0.5),
        softmax::backward::<T::Backend>(found, grad(), 0.5),
        "softmax_backward",
    );
}

fn layer_norm_and_its_gradients<T: HostTensor>(like: &T) {
    let (rows, width) = (50, 36);
    let input = || numbers(like, [2, rows, width], 7);
    let residual = || numbers(like, [2, rows, width], 11);
    let [gamma, beta] = [13, 17].map(|step| move || numbers(like, [width], step));
    let layer_norm = |input| T::Backend::layer_norm(input, gamma(), Some(beta()), 1e-6);
    assert_close(
        super::normalize(input(), gamma(), beta(), 1e-6),
        layer_norm(input()),
        "normalize",
    );
    assert_close(
        super::add_normalize(input(), residual(), gamma(), beta(), 1e-6),
        layer_norm(T::Backend::float_add(input(), residual())),
        "add_normalize",
    );
    let found = super::normalize_backward(input(), gamma(), residual(), 1e-6);
    let expected = norm::backward::<T::Backend>(input(), gamma(), residual(), 1e-6);
    assert_close(found.0, expected.0, "gradient of the input");
    assert_close(found.1, expected.1, "gradient of gamma");
    assert_close(found.2, expected.2, "gradient of beta");
}

/// Bodies that no backend in this process overrides.
fn what_follows_a_product<T: HostTensor>(like: &T) {
    let tensor = |step| move || numbers(like, [2, 9, 36], step);
    let [product, residual, grad] = [tensor(7), tensor(11), tensor(5)];
    let [bias, gamma, beta] = [3, 13, 17].map(|step| move || numbers(like, [36], step));
    let biased = || linear::add_bias::<T::Backend>(product(), bias());
    assert_close(
        T::Backend::bias_gelu(product(), bias()),
        T::Backend::gelu(biased()),
        "bias_gelu",
    );
    let [of_product, of_bias] = T::Backend::bias_gelu_backward(product(), bias(), grad());
    let expected = activation::backward::<T::Backend>(biased(), grad(), Activation::Gelu);
    assert_close(of_product, expected.clone(), "gradient of the product");
    let of_rows = |tensor| {
        let rows = T::Backend::float_reshape(tensor, Shape::new([18, 36]));
        T::Backend::float_reshape(T::Backend::float_sum_dim(rows, 0), Shape::new([36]))
    };
    assert_close(of_bias, of_rows(expected), "gradient of the bias");

    for dropout in [0.0, 0.25] {
        let form = ResidualForm {
            epsilon: 1e-6,
            dropout,
        };
        let [sum, output, factors] =
            T::Backend::drop_add_normalize(product(), bias(), residual(), gamma(), beta(), form);
        let drop = |tensor: T| match dropout > 0.0 {
            true => T::Backend::float_mul(tensor, factors.clone()),
            false => tensor,
        };
        let expected = || T::Backend::float_add(drop(biased()), residual());
        assert_close(sum.clone(), expected(), "sum");
        let normal = T::Backend::layer_norm(expected(), gamma(), Some(beta()), 1e-6);
        assert_close(output, normal, "LayerNorm of the sum");
        let found =
            T::Backend::drop_add_normalize_backward(sum, gamma(), grad(), factors.clone(), form);
        let (of_sum, of_gamma, of_beta) =
            norm::backward::<T::Backend>(expected(), gamma(), grad(), 1e-6);
        let of_projected = drop(of_sum.clone());
        let of_bias = of_rows(of_projected.clone());
        let expected = [of_projected, of_bias, of_sum, of_gamma, of_beta];
        for (found, expected) in found.into_iter().zip(expected) {
            assert_close(found, expected, "gradients of the end of a block");
        }
    }
}

fn activations_and_gates<T: HostTensor>(like: &T) {
    let input = || T::Backend::float_mul_scalar(numbers(like, [3, 100], 7), 4.0.into());
    let other = || numbers(like, [3, 100], 13);
    let grad = || numbers(like, [3, 100], 11);
    for kind in [
        Activation::Identity,
        Activation::Gelu,
        Activation::GeluTanh,
        Activation::Swish(1.702),
    ] {
        let expected = || activation::forward::<T::Backend>(input(), kind);
        let alone = super::activate(input(), kind);
        assert_close(alone.clone(), expected(), "activate");
        let held = input();
        let found = super::activate(held.clone(), kind);
        assert_close(found, alone, "activate what others hold");
        assert_close(held, input(), "what others hold");
        let of_input = |grad| activation::backward::<T::Backend>(input(), grad, kind);
        assert_close(
            super::activate_backward(input(), grad(), kind),
            of_input(grad()),
            "activate_backward",
        );
        assert_close(
            super::gate_apart(input(), other(), kind),
            T::Backend::float_mul(expected(), other()),
            "gate_apart",
        );
        let (of_gate, of_other) = super::gate_apart_backward(input(), other(), grad(), kind);
        let of_value = T::Backend::float_mul(grad(), other());
        assert_close(of_gate, of_input(of_value), "gradient of a gate");
        let expected = T::Backend::float_mul(grad(), expected());
        assert_close(of_other, expected, "gradient of the other half");
    }
}

fn cross_entropy_and_its_gradient<T: HostTensor>(like: &T) {
    let logits = || numbers(like, [6, 50], 7);
    let labels = || integers(like, vec![0, 49, 3, 3, 20, 7]);
    let grad = || numbers(like, [6], 11);
    assert_close(
        super::cross_entropy(logits(), labels()),
        cross_entropy::losses::<T::Backend>(logits(), labels()),
        "cross_entropy",
    );
    assert_close(
        super::cross_entropy_backward(logits(), labels(), grad()),
        cross_entropy::backward::<T::Backend>(logits(), labels(), grad()),
        "cross_entropy_backward",
    );
}

fn rows_of_a_table<T: HostTensor>(like: &T) {
    let table = || numbers(like, [9, 20], 7);
    let grad = || numbers(like, [2, 4, 20], 11);
    // One row three times, others never.
    let ids = || integers(like, vec![3, 0, 3, 8, 1, 3, 0, 7]);
    let ids = || T::Backend::int_reshape(ids(), Shape::new([2, 4]));
    assert_close(
        super::lookup(table(), ids()),
        T::Backend::embedding(table(), ids()),
        "lookup",
    );
    // Several pieces.
    let many: Vec<i32> = (0..2000).map(|at| at * 7 % 9).collect();
    let many = || T::Backend::int_reshape(integers(like, many.clone()), Shape::new([4, 500]));
    assert_close(
        super::lookup(table(), many()),
        T::Backend::embedding(table(), many()),
        "lookup of many",
    );
    assert_close(
        super::lookup_backward(table(), ids(), grad()),
        T::Backend::embedding_backward(table(), grad(), ids()),
        "lookup_backward",
    );
}

fn size_and_multiplication_by_one_number<T: HostTensor>(like: &T) {
    let input = || numbers(like, [21], 7);
    assert_close(
        super::sum_of_squares(input()),
        scale::sum_of_squares::<T::Backend>(input()),
        "sum_of_squares",
    );
    // Several pieces, whose exact sum is known: a third of them is 1, a third -2, the rest 0.
    let count = 3 * 30_000;
    let values: Vec<f32> = (0..count).map(|at| [1.0, -2.0, 0.0][at % 3]).collect();
    let large = filled(like, [count], &values);
    assert_eq!(super::sum_of_squares(large.clone()).as_slice(), [150_000.0]);
    for factor in [0.25, 1.0] {
        let factor = || filled(like, [1], &[factor]);
        assert_close(
            super::scale_by(large.clone(), factor()),
            T::Backend::float_mul(large.clone(), factor()),
            "scale_by",
        );
    }
    assert_eq!(large.as_slice(), values, "what others hold stays");
}

for_each_backend!(
    rows_of_a_table,
    size_and_multiplication_by_one_number,
    linear_layers,
    products_in_bf16,
    linear_layers_by_packed_weights,
    packed_layers_together_are_those_one_by_one,
    attention_of_rows_and_packed,
    attention_and_its_gradients,
    gradients_of_attention_with_a_window_and_a_bias,
    softmax_and_its_gradient,
    layer_norm_and_its_gradients,
    what_follows_a_product,
    activations_and_gates,
    cross_entropy_and_its_gradient
);
