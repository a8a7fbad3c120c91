//! The tasks of fine-tuned models, a folder each: model, features, loss, decoding and score.

pub(crate) mod head;
pub(crate) mod logits;
pub mod masked_lm;
pub mod multiple_choice;
pub mod next_sentence;
pub mod question_answering;
pub mod reranking;
pub mod sequence_classification;
pub mod similarity;
pub mod token_classification;
