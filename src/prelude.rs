//! Names for daily use: `use bert::prelude::*;`.

pub use bert_core::batch::{BertBatcher, BertInput};
pub use bert_core::checkpoint::Checkpoint;
pub use bert_core::config::BertConfig;
pub use bert_core::device::{Device, DeviceSpec, Precision};
pub use bert_core::hub::resolve_model;
pub use bert_core::inference::Weights;
pub use bert_core::nn::{BertInit, BertModel};
pub use bert_core::tokenizer::{BertTokenizer, EncodeOptions, Encoding, TextInput};
pub use bert_heads::labels::Labels;
pub use bert_heads::pipeline::{Pipeline, PipelineOptions, Prediction};
pub use bert_heads::runner::PredictOptions;
pub use bert_heads::sentence_embedding::{
    EmbedderOptions, SentenceEmbedder, SentenceEmbedding, cosine_similarity,
};
pub use bert_heads::task::Overrule;
pub use bert_heads::tasks::masked_lm::{Candidate, FillMask};
pub use bert_heads::tasks::multiple_choice::{Choice, ChoicePicker};
pub use bert_heads::tasks::question_answering::{FoundAnswer, QuestionAnswerer, QuestionOptions};
pub use bert_heads::tasks::reranking::{RankedText, Ranking, Reranker};
pub use bert_heads::tasks::sequence_classification::{Answer, TextClassifier, TextPrediction};
pub use bert_heads::tasks::token_classification::{
    FoundEntity, TaggedText, TaggedWord, TokenTagger, WordTag,
};
pub use bert_heads::{Error, Result};
