//! Relative position bias (Raffel et al. 2020 §2.1, as MPNet has it).

use burn::module::{Module, Param};
use burn::tensor::{Int, Tensor, TensorData};

use super::BertInit;
use crate::config::BertConfig;
use crate::models::RelativePositions;
use crate::ops;

/// Buckets of one direction.
const ONE_SIDE: usize = RelativePositions::BUCKETS / 2;
/// Distances with a bucket each, in one direction.
const EXACT: usize = ONE_SIDE / 2;
/// Distance up to which buckets grow; all beyond share the last.
const FARTHEST: usize = 128;

/// A number for each head and bucket of distances, added to the scores of all layers.
#[derive(Module, Debug)]
pub struct RelativeBias {
    /// `[buckets, heads]`
    pub weight: Param<Tensor<2>>,
}

impl RelativeBias {
    /// A table of `buckets` rows for `config`.
    pub fn new(buckets: usize, config: &BertConfig, init: &BertInit) -> Self {
        Self {
            weight: init.embedding(buckets, config.num_attention_heads).weight,
        }
    }

    /// Bias of the scores of a row of `seq` tokens.
    ///
    /// # Shapes
    ///
    /// - output: `[1, heads, seq, seq]`
    pub fn forward(&self, seq: usize) -> Tensor<4> {
        let table = self.weight.val();
        let [_, heads] = table.dims();
        // From the key furthest before the query to the one furthest after it.
        let before = (0..seq).rev().map(|distance| bucket(distance, false));
        let after = (1..seq).map(|distance| bucket(distance, true));
        let buckets: Vec<i32> = before.chain(after).collect();
        let width = buckets.len();
        let buckets = TensorData::new(buckets, [1, width]);
        let buckets = Tensor::<2, Int>::from_data(buckets, &table.device());
        let by_distance = ops::lookup(table, buckets); // [1, 2 · seq - 1, heads]
        let by_distance = by_distance.swap_dims(1, 2).unsqueeze_dim::<4>(2); // [1, heads, 1, 2 · seq - 1]
        ops::scores_by_key(by_distance.expand([1, heads, seq, width]))
    }
}

/// Bucket of a distance between query and key, in the arithmetic of f32 that models are trained with.
fn bucket(distance: usize, key_is_after: bool) -> i32 {
    let within = match distance < EXACT {
        true => distance,
        false => {
            let ratio = logarithm(distance as f32 / EXACT as f32)
                / logarithm(FARTHEST as f32 / EXACT as f32);
            let grown = EXACT + (ratio * (ONE_SIDE - EXACT) as f32) as usize;
            grown.min(ONE_SIDE - 1)
        }
    };
    (within + usize::from(key_is_after) * ONE_SIDE) as i32
}

/// Logarithm rounded to f32, which is that of no platform in particular.
pub(super) fn logarithm(value: f32) -> f32 {
    f64::from(value).ln() as f32
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::device::test_devices;

    /// Distances at which buckets 8 to 15 begin, as transformers computes them with torch.
    const BEGINNINGS: [usize; 8] = [8, 12, 16, 23, 32, 46, 64, 91];

    #[test]
    fn buckets_are_those_of_transformers_at_every_distance() {
        for distance in 0..=512 {
            let growing = BEGINNINGS.iter().filter(|&&first| first <= distance);
            let expected = distance.min(EXACT - 1) + growing.count();
            assert_eq!(bucket(distance, false), expected as i32, "{distance}");
            let after = expected + ONE_SIDE;
            assert_eq!(bucket(distance, true), after as i32, "{distance}");
        }
    }

    #[test]
    fn a_score_has_the_bias_of_its_distance() {
        let config = BertConfig::new(11, 12, 1, 3, 13);
        for (label, device) in test_devices() {
            let init = BertInit::new(&config, 5, &device);
            let layer = RelativeBias::new(RelativePositions::BUCKETS, &config, &init);
            let table: Vec<f32> = layer.weight.val().into_data().iter().collect();
            for seq in [1, 2, 21] {
                let bias = layer.forward(seq);
                assert_eq!(bias.dims(), [1, 3, seq, seq], "{label}");
                let bias: Vec<f32> = bias.into_data().iter().collect();
                for (at, found) in bias.into_iter().enumerate() {
                    let (head, query, key) = (at / (seq * seq), at / seq % seq, at % seq);
                    let row = bucket(query.abs_diff(key), key > query) as usize;
                    assert_eq!(found, table[3 * row + head], "{label}: {query} {key}");
                }
            }
        }
    }
}
