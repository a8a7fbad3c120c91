//! Scores between contents and relative positions (He et al. 2021 §3.1) as separate operations.

use burn::backend::tensor::FloatTensor;
use burn::backend::{Backend, TensorMetadata};
use burn::tensor::{Shape, Slice};

use super::heads::split;
use super::{AttentionForm, AttentionInputs, PositionRows, RelativeProjections};

/// The scaled scores of inputs with relative positions, as a bias.
///
/// # Shapes
///
/// - output: `[batch, heads, seq, seq]`
pub(super) fn bias<B: Backend>(
    inputs: &AttentionInputs<B>,
    positions: RelativeProjections<B>,
    form: AttentionForm,
) -> Option<FloatTensor<B>> {
    let [query, key] =
        [&inputs.query, &inputs.key].map(|tensor| split::<B>(tensor.clone(), form.heads));
    let scores = scores::<B>(query, key, positions)?;
    Some(B::float_mul_scalar(scores, form.scale.into()))
}

/// Products of queries with the positions of keys, and of keys with those of queries, summed; none without either.
///
/// A product depends on a token and a distance: each is computed once for all `2 · seq - 1` distances, and shifted to the token
/// at that distance.
///
/// # Shapes
///
/// - query, key: `[batch, heads, seq, head_size]`
/// - output: `[batch, heads, seq, seq]`
pub(super) fn scores<B: Backend>(
    query: FloatTensor<B>,
    key: FloatTensor<B>,
    positions: RelativeProjections<B>,
) -> Option<FloatTensor<B>> {
    let by_key = |contents, rows| by_key::<B>(compare::<B>(contents, rows));
    let of_query = match positions.keys {
        PositionRows::Present(rows) => Some(by_key(query, rows)),
        PositionRows::Absent => None,
    };
    let of_key = match positions.queries {
        PositionRows::Present(rows) => Some(B::float_transpose(by_key(key, rows))),
        PositionRows::Absent => None,
    };
    match (of_query, of_key) {
        (Some(of_query), Some(of_key)) => Some(B::float_add(of_query, of_key)),
        (of_query, of_key) => of_query.or(of_key),
    }
}

/// Products of contents and positions at the distances between `seq` tokens, head by head.
///
/// # Shapes
///
/// - contents: `[batch, heads, seq, head_size]`
/// - rows: those of [`RelativeProjections`]
/// - output: `[batch, heads, seq, 2 · seq - 1]`
fn compare<B: Backend>(contents: FloatTensor<B>, rows: FloatTensor<B>) -> FloatTensor<B> {
    let [_, heads, seq, _] = contents.shape().dims::<4>();
    let [all, width] = rows.shape().dims();
    // A token has itself in the middle.
    let first = all / 2 + 1 - seq;
    let slices = [
        Slice::from(first..first + 2 * seq - 1),
        Slice::from(0..width),
    ];
    let rows = B::float_slice(rows, &slices);
    let rows = B::float_reshape(rows, Shape::new([1, 2 * seq - 1, width]));
    let rows = split::<B>(rows, heads); // [1, heads, 2 · seq - 1, head_size]
    B::float_matmul(contents, B::float_transpose(rows))
}

/// Moves every row one place further to the left than the row before it (Dai et al. 2019, appendix B), so that the score of
/// query `i` at distance `j - i`, which is in column `seq - 1 + j - i`, comes to column `j`.
///
/// # Shapes
///
/// - scores: `[batch, heads, seq, 2 · seq - 1]`
/// - output: `[batch, heads, seq, seq]`
pub(super) fn by_key<B: Backend>(scores: FloatTensor<B>) -> FloatTensor<B> {
    let [batch, heads, seq, width] = scores.shape().dims::<4>();
    if seq < 2 {
        return scores;
    }
    // Read in rows that are one shorter, a row begins one place further to the right than the one before it.
    let shorter = width - 1;
    let line = B::float_reshape(scores, Shape::new([batch, heads, seq * width]));
    let all = |size: usize| Slice::from(0..size);
    let from_first = Slice::from(seq - 1..seq - 1 + seq * shorter);
    let line = B::float_slice(line, &[all(batch), all(heads), from_first]);
    let rows = B::float_reshape(line, Shape::new([batch, heads, seq, shorter]));
    B::float_slice(rows, &[all(batch), all(heads), all(seq), all(seq)])
}

#[cfg(test)]
mod tests {
    use burn::tensor::{Tensor, TensorData};

    use crate::device::test_devices;
    use crate::ops::scores_by_key;

    #[test]
    fn columns_become_those_of_keys() {
        for (label, device) in test_devices() {
            for seq in [1, 2, 3, 7] {
                let width = 2 * seq - 1;
                let value = |row: usize, distance: usize| (row * 100 + distance) as f32;
                let values: Vec<f32> = (0..3 * seq)
                    .flat_map(|row| (0..width).map(move |column| value(row, column)))
                    .collect();
                let scores =
                    Tensor::from_data(TensorData::new(values, [1, 3, seq, width]), &device);
                let shifted = scores_by_key(scores);
                assert_eq!(shifted.dims(), [1, 3, seq, seq], "{label}");
                let found: Vec<f32> = shifted.into_data().iter().collect();
                for (at, found) in found.into_iter().enumerate() {
                    let (row, key) = (at / seq, at % seq);
                    let expected = value(row, seq - 1 + key - row % seq);
                    assert_eq!(
                        found, expected,
                        "{label}: {seq} tokens, row {row}, key {key}"
                    );
                }
            }
        }
    }
}
