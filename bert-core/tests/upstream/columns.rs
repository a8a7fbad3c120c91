//! burn#5122: products of a matrix and a column, with what is fused to them, were wrong on CUDA and Vulkan.
//!
//! Regression, rerankers and multiple choice end in such a product.

use bert_core::device::{Device, test_devices};
use bert_core::ops;
use burn::module::Param;
use burn::nn::Linear;
use burn::tensor::{Int, Tensor, TensorData, activation};

use crate::{assert_near, numbers, product, tensor, values};

/// Rows and columns of the matrix.
const SHAPES: [[usize; 2]; 20] = [
    [1, 1],
    [1, 7],
    [1, 768],
    [2, 3],
    [3, 129],
    [5, 64],
    [7, 1],
    [8, 767],
    [13, 31],
    [16, 33],
    [17, 257],
    [31, 127],
    [33, 65],
    [63, 5],
    [64, 255],
    [65, 312],
    [100, 17],
    [129, 128],
    [255, 2],
    [300, 768],
];

/// Rows are a multiple of the three choices.
const TRAINED_SHAPES: [[usize; 2]; 5] = [[3, 7], [6, 768], [33, 65], [63, 1], [300, 127]];
const CHOICES: usize = 3;

struct Case {
    shape: [usize; 2],
    matrix: Vec<f32>,
    column: Vec<f32>,
    bias: f32,
    targets: Vec<f32>,
    /// Product and bias in float64, `[n]`.
    scores: Vec<f64>,
}

impl Case {
    fn new([n, k]: [usize; 2]) -> Self {
        let seed = 1000 * n + k;
        let (matrix, column) = (numbers(n * k, seed), numbers(k, seed + 1));
        let bias = numbers(1, seed + 2)[0];
        let scores = product(&matrix, &column, [n, k, 1]);
        Self {
            shape: [n, k],
            matrix,
            column,
            bias,
            targets: numbers(n, seed + 3),
            scores: scores.iter().map(|s| s + f64::from(bias)).collect(),
        }
    }

    fn matrix(&self, device: &Device) -> Tensor<2> {
        tensor(&self.matrix, self.shape, device)
    }

    fn targets(&self, device: &Device) -> Tensor<2> {
        tensor(&self.targets, [self.shape[0], 1], device)
    }

    /// `matrix · column + bias` by plain tensor operations, which fusion sees one by one.
    fn scores(&self, device: &Device) -> Tensor<2> {
        let column = tensor(&self.column, [self.shape[1], 1], device);
        let bias = tensor(&[self.bias], [1, 1], device);
        self.matrix(device).matmul(column) + bias
    }

    fn layer(&self, device: &Device) -> Linear {
        Linear {
            weight: Param::from_tensor(tensor(&self.column, [self.shape[1], 1], device)),
            bias: Some(Param::from_tensor(tensor(&[self.bias], [1], device))),
        }
    }
}

#[test]
fn a_matrix_times_a_column_is_right_with_what_is_fused_to_it() {
    for (label, device) in test_devices() {
        for case in SHAPES.map(Case::new) {
            let found = values(case.scores(&device));
            assert_near(&label, (case.shape, "bias"), &found, &case.scores);

            let found = values(activation::relu(case.scores(&device)));
            let expected: Vec<_> = case.scores.iter().map(|score| score.max(0.0)).collect();
            assert_near(&label, (case.shape, "relu"), &found, &expected);

            let difference = case.scores(&device).tanh() - case.targets(&device);
            let found = values((difference.clone() * difference).sum());
            let expected = case.scores.iter().zip(&case.targets);
            let expected =
                expected.map(|(score, &target)| (score.tanh() - f64::from(target)).powi(2));
            assert_near(&label, (case.shape, "loss"), &found, &[expected.sum()]);
        }
    }
}

/// A loss of the scores, `[n]`, and its derivative by each of them.
struct Objective {
    name: &'static str,
    loss: fn(Tensor<2>, &Case) -> Tensor<1>,
    reference: fn(&Case) -> (f64, Vec<f64>),
}

fn targets_of(case: &Case) -> impl Iterator<Item = f64> {
    case.targets.iter().map(|&target| f64::from(target))
}

/// True if a reranker's candidate is relevant.
fn relevant(target: f32) -> f32 {
    f32::from(target > 0.0)
}

fn right_choice(question: usize) -> usize {
    (question * 7 + 1) % CHOICES
}

const OBJECTIVES: [Objective; 3] = [
    Objective {
        name: "regression",
        loss: |scores, case| {
            let difference = scores.clone() - case.targets(&scores.device());
            (difference.clone() * difference).sum()
        },
        reference: |case| {
            let differences = case.scores.iter().zip(targets_of(case));
            let differences: Vec<f64> = differences.map(|(score, target)| score - target).collect();
            let loss = differences.iter().map(|difference| difference * difference);
            (loss.sum(), differences.iter().map(|d| 2.0 * d).collect())
        },
    },
    Objective {
        name: "reranker",
        loss: |scores, case| {
            let flags: Vec<f32> = case
                .targets
                .iter()
                .map(|&target| relevant(target))
                .collect();
            let flags = tensor(&flags, scores.dims(), &scores.device());
            let softplus = (scores.clone().abs().neg().exp() + 1.0).log();
            (activation::relu(scores.clone()) - scores * flags + softplus).sum()
        },
        reference: |case| {
            let flags = case
                .targets
                .iter()
                .map(|&target| f64::from(relevant(target)));
            let (losses, slopes): (Vec<f64>, Vec<f64>) = (case.scores.iter().zip(flags))
                .map(|(&score, flag)| {
                    let loss = score.max(0.0) - score * flag + (-score.abs()).exp().ln_1p();
                    (loss, 1.0 / (1.0 + (-score).exp()) - flag)
                })
                .unzip();
            (losses.iter().sum(), slopes)
        },
    },
    Objective {
        name: "multiple choice",
        loss: |scores, case| {
            let questions = case.shape[0] / CHOICES;
            let labels: Vec<i64> = (0..questions).map(|at| right_choice(at) as i64).collect();
            let labels = TensorData::new(labels, [questions]);
            let labels = Tensor::<1, Int>::from_data(labels, &scores.device());
            ops::cross_entropy(scores.reshape([questions, CHOICES]), labels, None).sum
        },
        reference: |case| {
            let (mut loss, mut slopes) = (0.0, Vec::new());
            for (question, scores) in case.scores.chunks(CHOICES).enumerate() {
                let sum: f64 = scores.iter().map(|score| score.exp()).sum();
                loss += sum.ln() - scores[right_choice(question)];
                slopes.extend(scores.iter().enumerate().map(|(choice, score)| {
                    score.exp() / sum - f64::from(u8::from(choice == right_choice(question)))
                }));
            }
            (loss, slopes)
        },
    },
];

#[test]
fn a_layer_with_one_output_is_right_forward_and_backward() {
    for (label, device) in test_devices() {
        let device = device.autodiff();
        for case in TRAINED_SHAPES.map(Case::new) {
            for Objective {
                name,
                loss,
                reference,
            } in OBJECTIVES
            {
                let (expected, slopes) = reference(&case);
                let layer = case.layer(&device);
                let input = case.matrix(&device).require_grad();
                let found = loss(ops::linear(input.clone(), &layer), &case);
                let gradients = found.backward();
                let what = |part: &'static str| (case.shape, name, part);
                assert_near(&label, what("loss"), &values(found), &[expected]);

                let [n, k] = case.shape;
                let weight = values(layer.weight.val().grad(&gradients).unwrap());
                let transposed: Vec<f32> = (0..n * k)
                    .map(|at| case.matrix[at % n * k + at / n])
                    .collect();
                let single: Vec<f32> = slopes.iter().map(|&slope| slope as f32).collect();
                let expected = product(&transposed, &single, [k, n, 1]);
                assert_near(&label, what("weight"), &weight, &expected);

                let bias = values(layer.bias.unwrap().val().grad(&gradients).unwrap());
                assert_near(&label, what("bias"), &bias, &[slopes.iter().sum()]);

                let input = values(input.grad(&gradients).unwrap());
                let expected = product(&single, &case.column, [n, 1, k]);
                assert_near(&label, what("input"), &input, &expected);
            }
        }
    }
}
