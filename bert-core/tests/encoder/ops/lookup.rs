//! Rows of a table, by number and in order.

use super::{assert_close, numbers, values};
use bert_core::device::test_devices;
use bert_core::ops;
use burn::tensor::{Int, Tensor, TensorData};

/// A result of `rows` of a table, then the gradient of the table.
fn with_gradient<const D: usize>(
    table: Tensor<2>,
    rows: impl Fn(Tensor<2>) -> Tensor<D>,
    weights: Tensor<D>,
) -> [Vec<f32>; 2] {
    let table = table.require_grad();
    let output = rows(table.clone());
    let gradients = (output.clone() * weights).sum().backward();
    [values(output), values(table.grad(&gradients).unwrap())]
}

#[test]
fn rows_by_number_and_their_gradient_equal_the_selected_ones() {
    // Tables of few rows and of many; more tokens and more columns than a cube has units.
    for (rows, width, [batch, seq]) in [
        (2, 21, [3, 5]),
        (3, 70, [3, 111]),
        (67, 21, [1, 4]),
        (131, 300, [5, 103]),
    ] {
        // Every third row belongs to no token, and some to several.
        let row = |token: usize| {
            let row = (token * 7 + token / 5) % rows;
            if row % 3 == 2 { row - 1 } else { row }
        };
        let ids: Vec<i64> = (0..batch * seq).map(|token| row(token) as i64).collect();
        for (label, device) in test_devices() {
            let device = device.autodiff();
            let ids = TensorData::new(ids.clone(), [batch, seq]);
            let ids = Tensor::<2, Int>::from_data(ids, &device);
            let results = |own: bool| {
                with_gradient(
                    numbers([rows, width], 1, &device),
                    |table| match own {
                        true => ops::lookup(table, ids.clone()),
                        false => {
                            let selected = table.select(0, ids.clone().reshape([batch * seq]));
                            selected.reshape([batch, seq, width])
                        }
                    },
                    numbers([batch, seq, width], 2, &device),
                )
            };
            for (found, expected) in results(true).iter().zip(&results(false)) {
                assert_close(&label, found, expected, 2e-5);
                assert!(expected.iter().any(|value| value.abs() > 1e-3));
            }
        }
    }
}

#[test]
fn rows_in_order_and_their_gradient_equal_the_narrowed_ones() {
    for (rows, width, first, count) in [(9, 5, 0, 9), (40, 21, 2, 7), (11, 300, 10, 1)] {
        for (label, device) in test_devices() {
            let device = device.autodiff();
            let results = |own: bool| {
                with_gradient(
                    numbers([rows, width], 1, &device),
                    |table| match own {
                        true => ops::rows_in_order(table, first, count),
                        false => table.narrow(0, first, count),
                    },
                    numbers([count, width], 2, &device),
                )
            };
            for (found, expected) in results(true).iter().zip(&results(false)) {
                assert_close(&label, found, expected, 2e-6);
                assert!(expected.iter().any(|value| value.abs() > 1e-3));
            }
        }
    }
}

#[test]
fn embeddings_and_their_gradients_equal_the_sums_of_rows() {
    const ROWS: [usize; 3] = [23, 2, 19];
    const WIDTH: usize = 37;
    const BATCH: usize = 3;
    const SEQ: usize = 11;
    const FIRST: usize = 2;
    let ids = |rows: usize| {
        let ids = (0..BATCH * SEQ).map(|token| ((token * 5 + token / 7) % rows) as i64);
        TensorData::new(ids.collect::<Vec<_>>(), [BATCH, SEQ])
    };
    for (label, device) in test_devices() {
        let device = device.autodiff();
        let ids = [ROWS[0], ROWS[1]].map(|rows| Tensor::<2, Int>::from_data(ids(rows), &device));
        let results = |own: bool| {
            let seeds = [(ROWS[0], 1), (ROWS[1], 2), (ROWS[2], 3)];
            let tables =
                seeds.map(|(rows, seed)| numbers([rows, WIDTH], seed, &device).require_grad());
            let ([words, segments, positions], [ids, segment_ids]) = (tables.clone(), ids.clone());
            let output = match own {
                true => ops::embed((words, ids), (segments, segment_ids), positions, FIRST),
                false => {
                    let rows = |table: Tensor<2>, ids: Tensor<2, Int>| {
                        let rows = table.select(0, ids.reshape([BATCH * SEQ]));
                        rows.reshape([BATCH, SEQ, WIDTH])
                    };
                    let positions = positions.narrow(0, FIRST, SEQ).unsqueeze::<3>();
                    rows(words, ids) + rows(segments, segment_ids) + positions
                }
            };
            let weights = numbers([BATCH, SEQ, WIDTH], 4, &device);
            let gradients = (output.clone() * weights).sum().backward();
            let [words, segments, positions] =
                tables.map(|table| values(table.grad(&gradients).unwrap()));
            [values(output), words, segments, positions]
        };
        for (found, expected) in results(true).iter().zip(&results(false)) {
            assert_close(&label, found, expected, 1e-5);
            assert!(expected.iter().any(|value| value.abs() > 1e-3));
        }
    }
}
