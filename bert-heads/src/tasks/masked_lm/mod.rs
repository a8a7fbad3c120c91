//! Masked-token prediction (BERT §3.1, task 1).

mod fill_mask;
mod model;

pub use fill_mask::{Candidate, FillMask};
pub use model::{
    BertForMaskedLm, BertLmDecoder, BertLmPrediction, BertMlmHead, BertPredictionTransform,
    masked_lm_loss,
};

pub(crate) use fill_mask::likeliest;
