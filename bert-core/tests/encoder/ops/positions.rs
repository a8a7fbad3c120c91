//! Attention with relative positions against its definition, by a gather of the product with every distance.

use super::{BATCH, HEADS, assert_close, gaps, numbers, of_projections, split, values};
use bert_core::batch::pack_sequences;
use bert_core::device::{Device, test_devices};
use bert_core::ops::{self, AttentionForm, AttentionTerm, ProjectedPositions};
use burn::tensor::{Int, Tensor, TensorData};

const HEAD_SIZE: usize = 5;
const WIDTH: usize = HEADS * HEAD_SIZE;
/// Tokens that positions reach across, more than there are.
const LONGEST: usize = 90;
const SEQ: usize = 70;
/// Positions of keys and of queries.
const KINDS: [[bool; 2]; 3] = [[true, true], [true, false], [false, true]];

/// `[2 · LONGEST - 1, width]`, of keys and of queries.
type Positions = [Option<Tensor<2>>; 2];

fn form() -> AttentionForm {
    AttentionForm {
        scale: 0.3,
        ..AttentionForm::new(HEADS, HEAD_SIZE)
    }
}

fn term([keys, queries]: Positions) -> AttentionTerm {
    ProjectedPositions { keys, queries }.into()
}

/// Products of contents with the position that is `j - i` after the one of no distance: `[batch, heads, i, j]`.
fn products(contents: &Tensor<3>, rows: Tensor<2>) -> Tensor<4> {
    let contents = split(contents.clone());
    let [batch, heads, seq, _] = contents.dims();
    let rows = split(rows.unsqueeze()); // [1, heads, distances, head_size]
    let products = contents.matmul(rows.transpose());
    let distances: Vec<i32> = (0..seq * seq)
        .map(|at| (LONGEST - 1 + at % seq - at / seq) as i32)
        .collect();
    let distances = TensorData::new(distances, [1, 1, seq, seq]);
    let distances = Tensor::<4, Int>::from_data(distances, &products.device());
    products.gather(3, distances.expand([batch, heads, seq, seq]))
}

/// The scores with positions as a bias.
fn bias(inputs: &[Tensor<3>; 3], [keys, queries]: Positions) -> Tensor<4> {
    let of_query = keys.map(|rows| products(&inputs[0], rows));
    let of_key = queries.map(|rows| products(&inputs[1], rows).transpose());
    let sum = of_query.into_iter().chain(of_key).reduce(|sum, x| sum + x);
    sum.expect("positions of a kind") * form().scale
}

/// The context, and the gradients of its weighted sum with respect to query, key, value and positions.
fn with_gradients(
    kinds: [bool; 2],
    shape: [usize; 3],
    device: &Device,
    attention: impl Fn([Tensor<3>; 3], Positions) -> Tensor<3>,
) -> Vec<Vec<f32>> {
    let inputs = [1, 2, 3].map(|seed| numbers(shape, seed, device).require_grad());
    let positions = [(kinds[0], 7), (kinds[1], 8)].map(|(is_there, seed)| {
        is_there.then(|| numbers([2 * LONGEST - 1, WIDTH], seed, device).require_grad())
    });
    let context = attention(inputs.clone(), positions.clone());
    let weights = numbers(shape, 5, device);
    let gradients = (context.clone() * weights).sum().backward();
    let of_inputs = inputs.map(|leaf| values(leaf.grad(&gradients).unwrap()));
    let of_positions = positions.into_iter().flatten();
    let of_positions = of_positions.map(|leaf| values(leaf.grad(&gradients).unwrap()));
    let context = [values(context)].into_iter();
    context.chain(of_inputs).chain(of_positions).collect()
}

fn plain(kinds: [bool; 2], shape: [usize; 3], device: &Device) -> ([Tensor<3>; 3], Positions) {
    let inputs = [1, 2, 3].map(|seed| numbers(shape, seed, device));
    let positions = [(kinds[0], 7), (kinds[1], 8)]
        .map(|(is_there, seed)| is_there.then(|| numbers([2 * LONGEST - 1, WIDTH], seed, device)));
    (inputs, positions)
}

#[test]
fn padded_rows_attend_by_contents_and_positions() {
    for (label, device) in test_devices() {
        for kinds in KINDS {
            for seq in [SEQ, 7, 1] {
                let shape = [BATCH, seq, WIDTH];
                let mask_pad = || match seq {
                    1 => gaps(7, &device).narrow(1, 0, 1),
                    _ => gaps(seq, &device),
                };
                let (inputs, positions) = plain(kinds, shape, &device);
                let of_positions = Some(bias(&inputs, positions.clone()));
                let expected =
                    of_projections(inputs.clone(), of_positions, Some(mask_pad()), form(), None);
                let term = term(positions);
                let found = ops::biased_attention(inputs.clone(), term.clone(), mask_pad(), form());
                assert_close(&label, &values(found), &values(expected.clone()), 3e-6);
                let (found, probabilities) =
                    ops::attention_with_probabilities(inputs, Some(term), mask_pad(), form());
                assert_close(&label, &values(found), &values(expected), 3e-6);
                let sums = values(probabilities.sum_dim(3));
                assert!(
                    sums.iter()
                        .all(|sum| *sum == 0.0 || (sum - 1.0).abs() < 1e-5)
                );
            }
        }
    }
}

#[test]
fn gradients_reach_contents_and_positions() {
    for (label, device) in test_devices() {
        let device = device.autodiff();
        let shape = [BATCH, 23, WIDTH];
        for kinds in KINDS {
            let found = with_gradients(kinds, shape, &device, |inputs, positions| {
                ops::biased_attention(inputs, term(positions), gaps(23, &device), form())
            });
            let expected = with_gradients(kinds, shape, &device, |inputs, positions| {
                let bias = bias(&inputs, positions);
                of_projections(inputs, Some(bias), Some(gaps(23, &device)), form(), None)
            });
            assert_eq!(found.len(), expected.len());
            for (found, expected) in found.iter().zip(&expected) {
                assert_close(&label, found, expected, 2e-5);
                assert!(expected.iter().any(|value| value.abs() > 1e-3));
            }
        }
    }
}

#[test]
fn packed_sequences_attend_by_contents_and_positions() {
    const LENGTHS: [usize; 6] = [3, SEQ, 0, 4, 61, 1];
    let shape = [1, LENGTHS.iter().sum(), WIDTH];
    let one_by_one = |inputs: [Tensor<3>; 3], positions: Positions| {
        let mut first = 0;
        let mut contexts = Vec::new();
        for length in LENGTHS.into_iter().filter(|&length| length > 0) {
            let rows = inputs.clone().map(|rows| rows.narrow(1, first, length));
            let bias = bias(&rows, positions.clone());
            contexts.push(of_projections(rows, Some(bias), None, form(), None));
            first += length;
        }
        Tensor::cat(contexts, 1)
    };
    for (label, device) in test_devices() {
        for kinds in KINDS {
            let (inputs, positions) = plain(kinds, shape, &device);
            let expected = one_by_one(inputs.clone(), positions.clone());
            let sequences = pack_sequences(&LENGTHS, &device);
            let found = ops::packed_biased_attention(inputs, term(positions), &sequences, form());
            assert_close(&label, &values(found), &values(expected), 3e-6);
        }
        let device = device.autodiff();
        let sequences = pack_sequences(&LENGTHS, &device);
        let found = with_gradients([true; 2], shape, &device, |inputs, positions| {
            ops::packed_biased_attention(inputs, term(positions), &sequences, form())
        });
        let expected = with_gradients([true; 2], shape, &device, one_by_one);
        for (found, expected) in found.iter().zip(&expected) {
            assert_close(&label, found, expected, 5e-5);
        }
    }
}
