//! The tensors that a model reads.

use burn::tensor::{Bool, Device, Int, Tensor, TensorData};

use super::packing::{Packing, indices_on};

/// Input of a BERT model (`BERT §3`, Figure 2); position ids follow from the shape.
#[derive(Clone, Debug)]
pub struct BertInput {
    /// Token ids: `[batch, seq]`.
    pub input_ids: Tensor<2, Int>,
    /// The segment of each token, 0 or 1: `[batch, seq]`.
    pub token_type_ids: Tensor<2, Int>,
    /// True where a token is padding and must not be attended to: `[batch, seq]`.
    ///
    /// This is Burn's polarity. Hugging Face's `attention_mask` is 1 where a token counts.
    pub mask_pad: Tensor<2, Bool>,
    /// Positions of the tokens, if the blocks of an encoder are to leave out the padding; none lets them compute it.
    ///
    /// The results are the same but for rounding, and zero at padding.
    pub packing: Option<Packing>,
}

impl BertInput {
    /// Takes rows in the layout of Hugging Face's tokenizers, one after the other, and turns the
    /// polarity of the mask: `attention_mask` is 1 where a token counts, 0 where it is padding. Batches with more than a
    /// quarter of padding are packed.
    ///
    /// # Shapes
    /// - each list: `batch * seq` values for `shape` `[batch, seq]`
    ///
    /// # Panics
    /// If a list does not have `batch * seq` values.
    pub fn from_attention_mask(
        input_ids: Vec<i64>,
        token_type_ids: Vec<i64>,
        attention_mask: Vec<i64>,
        shape: [usize; 2],
        device: &Device,
    ) -> Self {
        let mask_pad: Vec<bool> = attention_mask.into_iter().map(|value| value == 0).collect();
        let packing = Packing::if_worthwhile(&mask_pad, shape, device);
        // `from_data` converts to the integer type that is the device's default (i64 or i32).
        Self {
            input_ids: Tensor::from_data(TensorData::new(input_ids, shape), device),
            token_type_ids: Tensor::from_data(TensorData::new(token_type_ids, shape), device),
            mask_pad: Tensor::from_data(TensorData::new(mask_pad, shape), device),
            packing,
        }
    }

    /// Drops the packing, so that blocks compute the padding as well.
    pub fn padded(self) -> Self {
        Self {
            packing: None,
            ..self
        }
    }

    /// `[batch, seq]`
    pub fn dims(&self) -> [usize; 2] {
        self.input_ids.dims()
    }

    /// Positions of every row's first token in the padded batch, `[batch]`, as
    /// [`BertModel::forward_at`](crate::nn::BertModel::forward_at) takes them.
    pub fn first_positions(&self) -> Tensor<1, Int> {
        let [batch, seq] = self.dims();
        let indices = (0..batch).map(|row| (row * seq) as i32).collect();
        indices_on(&self.mask_pad.device(), indices)
    }

    /// The device that holds the tensors.
    pub fn device(&self) -> Device {
        self.input_ids.device()
    }

    /// Number of tokens of each row, without padding.
    ///
    /// Waits for the device and copies the mask to the host.
    pub fn lengths(&self) -> Vec<usize> {
        let [_, seq_length] = self.dims();
        let mask_pad: Vec<bool> = self.mask_pad.to_data().iter::<bool>().collect();
        mask_pad
            .chunks(seq_length.max(1))
            .map(|row| row.iter().filter(|padding| !**padding).count())
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn device() -> Device {
        crate::device::test_devices().swap_remove(0).1
    }

    #[test]
    fn an_attention_mask_is_turned_around() {
        let input = BertInput::from_attention_mask(
            vec![1, 2, 3, 4, 5, 0],
            vec![0, 1, 1, 0, 0, 0],
            vec![1, 1, 1, 1, 1, 0],
            [2, 3],
            &device(),
        );
        assert_eq!(input.dims(), [2, 3]);
        assert_eq!(input.lengths(), [3, 2]);
        assert_eq!(
            input
                .mask_pad
                .into_data()
                .iter::<bool>()
                .collect::<Vec<_>>(),
            [false, false, false, false, false, true]
        );
        assert_eq!(
            input
                .input_ids
                .into_data()
                .iter::<i64>()
                .collect::<Vec<_>>(),
            [1, 2, 3, 4, 5, 0]
        );
    }
}
