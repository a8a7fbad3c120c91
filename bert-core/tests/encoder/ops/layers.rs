//! Products and what stands around them: norms, activations, gates, positions, losses.

use super::{BATCH, HEADS, SEQ, assert_close, numbers, values};
use crate::alone_at_random;
use bert_core::device::test_devices;
use bert_core::ops::{self, Activation, GateForm, GateHalf, RotaryAngles, RotaryColumns};
use burn::module::Param;
use burn::nn::{DropoutConfig, LayerNormConfig, Linear};
use burn::tensor::{Int, Tensor, TensorData, activation};

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
        let found = ops::linear_activated(input, &layer, Activation::Gelu);
        let expected = ops::activate(projected.clone(), Activation::Gelu);
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
                    ops::linear_activated(input.clone(), &layer, Activation::Gelu)
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
                true => ops::linear_activated(input.clone(), &layer, Activation::Gelu),
                false => ops::activate(projected.clone(), Activation::Gelu),
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

/// An activation as Burn computes it, by operations with gradients of their own.
fn composed_activation<const D: usize>(x: Tensor<D>, activation: Activation) -> Tensor<D> {
    use std::f64::consts::{FRAC_1_SQRT_2, FRAC_2_SQRT_PI};

    match activation {
        Activation::Identity => x,
        Activation::Gelu => x.clone() * 0.5 * ((x * FRAC_1_SQRT_2).erf() + 1.0),
        Activation::GeluTanh => {
            let cube = x.clone() * x.clone() * x.clone();
            let inner = (x.clone() + cube * 0.044715) * (FRAC_2_SQRT_PI * FRAC_1_SQRT_2);
            x * 0.5 * (inner.tanh() + 1.0)
        }
        Activation::Swish(slope) => x.clone() * activation::sigmoid(x * slope),
    }
}

const ACTIVATIONS: [Activation; 4] = [
    Activation::Identity,
    Activation::Gelu,
    Activation::GeluTanh,
    Activation::Swish(1.702),
];

#[test]
fn gates_and_their_gradients_equal_the_composed_ones() {
    const WIDTH: usize = 403;
    for (label, device) in test_devices() {
        let device = device.autodiff();
        let forms = ACTIVATIONS.into_iter().flat_map(|activation| {
            [GateHalf::First, GateHalf::Second].map(|activated| GateForm {
                activation,
                activated,
            })
        });
        for form in forms {
            let results = |gate: &dyn Fn(Tensor<3>, [Tensor<3>; 2]) -> Tensor<3>| {
                let input = numbers([BATCH, SEQ, 2 * WIDTH], 1, &device) * 5.0;
                let input = input.detach().require_grad();
                let first = match form.activated {
                    GateHalf::First => [0, WIDTH],
                    GateHalf::Second => [WIDTH, 0],
                };
                let halves = first.map(|at| input.clone().narrow(2, at, WIDTH));
                let output = gate(input.clone(), halves);
                let weights = numbers([BATCH, SEQ, WIDTH], 4, &device);
                let gradients = (output.clone() * weights).sum().backward();
                [values(output), values(input.grad(&gradients).unwrap())]
            };
            let expected =
                results(&|_, [gate, other]| other * composed_activation(gate, form.activation));
            let together = results(&|input, _| ops::gate(input, form));
            let apart = results(&|_, [gate, other]| ops::gate_apart(gate, other, form.activation));
            for found in [together, apart] {
                for (found, expected) in found.iter().zip(&expected) {
                    assert_close(&label, found, expected, 2e-5);
                }
            }
        }
    }
}

#[test]
fn cross_entropy_and_its_gradient_equal_the_composed_ones() {
    // The first row counts nothing and holds no numbers; of the highest logits of the second the label is the last.
    const ROWS: usize = 13;
    const CLASSES: usize = 37;
    for (label, device) in test_devices() {
        let device = device.autodiff();
        let mut logits = values(numbers([ROWS, CLASSES], 1, &device) * 20.0);
        logits[..CLASSES].fill(f32::NAN);
        logits[CLASSES..2 * CLASSES].fill(1.5);
        let mut labels: Vec<i64> = (0..ROWS).map(|row| (row * 11 % CLASSES) as i64).collect();
        (labels[0], labels[1]) = (-100, CLASSES as i64 - 1);
        // Two rows are right.
        for row in [3, 7] {
            logits[row * CLASSES + labels[row] as usize] = 100.0;
        }
        let is_hit = |row: usize| {
            let logits = &logits[row * CLASSES..][..CLASSES];
            let highest = logits.iter().copied().fold(f32::MIN, f32::max);
            let first = logits.iter().position(|&logit| logit == highest);
            first == Some(labels[row] as usize)
        };
        let hits = (1..ROWS).filter(|&row| is_hit(row)).count() as f32;
        assert!(hits >= 2.0);
        let by_class = numbers([CLASSES], 2, &device).abs();
        for weights in [None, Some(by_class)] {
            let logits =
                Tensor::<2>::from_data(TensorData::new(logits.clone(), [ROWS, CLASSES]), &device)
                    .require_grad();
            let targets = TensorData::new(labels.clone(), [ROWS]);
            let targets = Tensor::<1, Int>::from_data(targets, &device);
            let found = ops::cross_entropy(logits.clone(), targets.clone(), weights.clone());
            let gradients = (found.sum.clone() * 0.75).backward();
            let gradient = values(logits.grad(&gradients).unwrap());
            assert_eq!(gradient[..CLASSES], [0.0; CLASSES], "{label}");

            let counting = logits.clone().narrow(0, 1, ROWS - 1);
            let counting = counting.detach().require_grad();
            let targets = targets.narrow(0, 1, ROWS - 1);
            let of_rows = match weights {
                Some(weights) => weights.select(0, targets.clone()),
                None => Tensor::ones([ROWS - 1], &device),
            };
            let losses = activation::log_softmax(counting.clone(), 1)
                .gather(1, targets.unsqueeze_dim(1))
                .neg()
                .squeeze_dim::<1>(1);
            let sum = (losses * of_rows.clone()).sum();
            let gradients = (sum.clone() * 0.75).backward();
            let expected = values(counting.grad(&gradients).unwrap());
            assert_close(&label, &gradient[CLASSES..], &expected, 5e-6);

            let sum = values(sum)[0];
            let totals = [sum, values(of_rows.sum())[0], hits, ROWS as f32 - 1.0];
            for (found, expected) in [
                (values(found.sum), &totals[..1]),
                (values(found.totals), &totals),
            ] {
                assert_close(&label, &found, expected, 1e-6 * sum.max(1.0));
            }
        }
    }
}

#[test]
fn activations_and_their_gradients_equal_the_composed_ones() {
    for (label, device) in test_devices() {
        let device = device.autodiff();
        for activation in ACTIVATIONS {
            let results = |fused: bool| {
                let input = (numbers([131, 137], 1, &device) * 6.0)
                    .detach()
                    .require_grad();
                let output = match fused {
                    true => ops::activate(input.clone(), activation),
                    false => composed_activation(input.clone(), activation),
                };
                let gradients = output.clone().sum().backward();
                [values(output), values(input.grad(&gradients).unwrap())]
            };
            for (found, expected) in results(true).iter().zip(&results(false)) {
                // `1 - tanh²`, by which Burn differentiates, has lost digits where it is small.
                let bar = match activation {
                    Activation::GeluTanh => 5e-6,
                    _ => 2e-6,
                };
                assert_close(&format!("{label} {activation:?}"), found, expected, bar);
            }
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
            let output = ops::activate(input.clone(), Activation::Swish(slope));
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
