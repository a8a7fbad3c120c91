//! Scores by distance to scores by key (Dai et al. 2019, appendix B).

use burn::tensor::Tensor;

/// Moves every row one place further to the left than the row before it, so that the score of query `i` at distance `j - i`,
/// which is in column `seq - 1 + j - i`, comes to column `j`.
///
/// # Shapes
///
/// - scores: `[batch, heads, seq, 2 · seq - 1]`
/// - output: `[batch, heads, seq, seq]`
pub(super) fn by_key(scores: Tensor<4>) -> Tensor<4> {
    let [batch, heads, seq, width] = scores.dims();
    if seq < 2 {
        return scores;
    }
    // Read in rows that are one shorter, a row begins one place further to the right than the one before it.
    let shorter = width - 1;
    scores
        .reshape([batch, heads, seq * width])
        .narrow(2, seq - 1, seq * shorter)
        .reshape([batch, heads, seq, shorter])
        .narrow(3, 0, seq)
}

#[cfg(test)]
mod tests {
    use burn::tensor::TensorData;

    use super::*;
    use crate::device::test_devices;

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
                let shifted = by_key(scores);
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
