//! Rows of the position table for the tokens of a batch.

use burn::tensor::{Int, Tensor};

use crate::config::BertConfig;
use crate::models::Positions;

/// Assignment of position embeddings to tokens.
#[derive(Clone, Copy, Debug)]
pub(super) struct PositionIds {
    first: usize,
    /// The padding token, where positions are counted without it.
    uncounted: Option<usize>,
}

impl PositionIds {
    /// The assignment of `config`.
    pub(super) fn new(config: &BertConfig) -> Self {
        Self {
            first: config.first_position(),
            uncounted: match config.positions {
                Positions::FromZero | Positions::None => None,
                Positions::AfterPadding => Some(config.pad_token_id),
                Positions::AfterToken(id) => Some(id),
            },
        }
    }

    /// The row of the first token.
    pub(super) fn first(self) -> usize {
        self.first
    }

    /// The row of every token; `None` where they are [`first`](Self::first) and those after it in every row of the batch.
    ///
    /// # Shapes
    ///
    /// - input_ids, output: `[batch, seq]`
    pub(super) fn of(self, input_ids: Tensor<2, Int>) -> Option<Tensor<2, Int>> {
        let padding = self.uncounted? as i64;
        let counted = input_ids.not_equal_elem(padding).int(); // [batch, seq]
        Some(counted.clone().cumsum(1) * counted + padding)
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::TensorData;

    use super::*;
    use crate::device::test_devices;

    #[test]
    fn positions_are_counted_without_padding() {
        let mut config = BertConfig::new(11, 12, 1, 2, 13);
        assert_eq!(PositionIds::new(&config).first(), 0);
        config.positions = Positions::AfterPadding;
        config.pad_token_id = 3;
        let positions = PositionIds::new(&config);
        assert_eq!(positions.first(), 4);
        for (label, device) in test_devices() {
            let ids = TensorData::new(vec![7, 8, 9, 2, 5, 3, 5, 3], [2, 4]);
            let ids = positions.of(Tensor::from_data(ids, &device)).unwrap();
            let found: Vec<i64> = ids.into_data().iter().collect();
            assert_eq!(found, [4, 5, 6, 7, 4, 3, 5, 3], "{label}");
        }
    }
}
