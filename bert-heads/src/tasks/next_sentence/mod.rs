//! Next-sentence prediction (BERT §3.1, task 2).

mod loss;
mod model;
mod task;

pub use model::{
    BertForNextSentencePrediction, BertNspHead, IS_NEXT, IS_RANDOM, NEXT_SENTENCE_LABELS,
};
pub use task::{NEXT_SENTENCE, NextSentence};

pub(crate) use model::HEAD;
