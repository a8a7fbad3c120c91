//! burn#5626: tuned kernels that were wrong for odd sizes.

use bert_core::device::{Device, test_devices};
use burn::tensor::Tensor;

use crate::{assert_near, numbers, product, tensor, values};

/// Rows, common dimension and columns.
const PRODUCTS: [[usize; 3]; 9] = [
    [1, 1, 1],
    [1, 257, 3],
    [7, 31, 33],
    [31, 33, 1],
    [33, 127, 31],
    [63, 65, 129],
    [127, 3, 255],
    [129, 129, 127],
    [257, 255, 3],
];
const BATCHED: [[usize; 4]; 4] = [
    [3, 1, 33, 7],
    [5, 7, 3, 31],
    [3, 33, 65, 129],
    [2, 129, 31, 1],
];

/// `[a, b]` from `[b, a]`.
fn turned(values: &[f32], [a, b]: [usize; 2]) -> Vec<f32> {
    (0..a * b).map(|at| values[at % b * a + at / b]).collect()
}

/// A matrix whose memory has the order of its transpose.
fn as_transpose(values: &[f32], [rows, columns]: [usize; 2], device: &Device) -> Tensor<2> {
    let transposed = turned(values, [columns, rows]);
    tensor(&transposed, [columns, rows], device).transpose()
}

#[test]
fn products_of_odd_sizes_are_right() {
    for (label, device) in test_devices() {
        for shape in PRODUCTS {
            let [m, k, n] = shape;
            let (left, right) = (numbers(m * k, 31 * m + k), numbers(k * n, 31 * n + k));
            let expected = product(&left, &right, shape);
            for (left_turned, right_turned) in
                [(false, false), (true, false), (false, true), (true, true)]
            {
                let operand = |values: &[f32], shape, turned| match turned {
                    false => tensor(values, shape, &device),
                    true => as_transpose(values, shape, &device),
                };
                let found = operand(&left, [m, k], left_turned).matmul(operand(
                    &right,
                    [k, n],
                    right_turned,
                ));
                let case = (shape, left_turned, right_turned);
                assert_near(&label, case, &values(found), &expected);
            }
        }
    }
}

#[test]
fn batched_products_of_odd_sizes_are_right() {
    for (label, device) in test_devices() {
        for [batch, m, k, n] in BATCHED {
            let left = numbers(batch * m * k, m);
            let right = numbers(batch * k * n, n + 1);
            let whole: Vec<f64> = (0..batch)
                .flat_map(|at| {
                    let (left, right) =
                        (&left[at * m * k..][..m * k], &right[at * k * n..][..k * n]);
                    product(left, right, [m, k, n])
                })
                .collect();
            let a = tensor(&left, [batch, m, k], &device);
            let b = tensor(&right, [batch, k, n], &device);
            let case = [batch, m, k, n];
            assert_near(&label, case, &values(a.clone().matmul(b)), &whole);

            // As keys of attention come.
            let keys: Vec<f32> = right
                .chunks(k * n)
                .flat_map(|part| turned(part, [n, k]))
                .collect();
            let keys = tensor(&keys, [batch, n, k], &device).swap_dims(1, 2);
            assert_near(
                &label,
                (case, "turned"),
                &values(a.clone().matmul(keys)),
                &whole,
            );

            // One matrix for the whole batch.
            let one = tensor(&right[..k * n], [1, k, n], &device);
            let expected = product(&left, &right[..k * n], [batch * m, k, n]);
            assert_near(&label, (case, "shared"), &values(a.matmul(one)), &expected);
        }
    }
}

#[test]
fn reductions_of_odd_sizes_are_right() {
    for (label, device) in test_devices() {
        for shape in [
            [1, 1],
            [1, 4097],
            [3, 257],
            [7, 33],
            [129, 127],
            [255, 31],
            [257, 3],
            [1025, 1],
        ] {
            let [rows, columns] = shape;
            let numbers = numbers(rows * columns, rows + columns);
            let whole: Vec<f64> = numbers.iter().map(|&value| f64::from(value)).collect();
            let input = || tensor(&numbers, shape, &device);

            let total = values(input().sum());
            assert_near(&label, (shape, "sum"), &total, &[whole.iter().sum()]);

            let sums: Vec<f64> = whole.chunks(columns).map(|row| row.iter().sum()).collect();
            assert_near(
                &label,
                (shape, "sums of rows"),
                &values(input().sum_dim(1)),
                &sums,
            );
            let means: Vec<f64> = sums.iter().map(|sum| sum / columns as f64).collect();
            assert_near(
                &label,
                (shape, "means of rows"),
                &values(input().mean_dim(1)),
                &means,
            );

            let column = |at: usize| whole.iter().skip(at).step_by(columns);
            let sums: Vec<f64> = (0..columns).map(|at| column(at).sum()).collect();
            assert_near(
                &label,
                (shape, "sums of columns"),
                &values(input().sum_dim(0)),
                &sums,
            );

            let most = whole
                .chunks(columns)
                .map(|row| row.iter().copied().fold(f64::MIN, f64::max));
            let most: Vec<f64> = most.collect();
            assert_near(
                &label,
                (shape, "maxima"),
                &values(input().max_dim(1)),
                &most,
            );

            let places: Vec<i64> = input().argmax(1).into_data().iter::<i64>().collect();
            let expected: Vec<i64> = (numbers.chunks(columns))
                .map(|row| {
                    (0..columns)
                        .max_by(|&a, &b| row[a].total_cmp(&row[b]))
                        .unwrap() as i64
                })
                .collect();
            assert_eq!(places, expected, "{label}, {shape:?}: places of the maxima");
        }
    }
}
