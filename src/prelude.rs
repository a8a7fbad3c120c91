//! Names for daily use: `use bert::prelude::*;`.

pub use bert_core::batch::{BertBatcher, BertInput};
pub use bert_core::checkpoint::Checkpoint;
pub use bert_core::config::BertConfig;
pub use bert_core::device::{Device, DeviceSpec, Precision};
pub use bert_core::hub::resolve_model;
pub use bert_core::inference::Weights;
pub use bert_core::models::BertModel;
pub use bert_core::nn::BertInit;
pub use bert_core::tokenizer::{BertTokenizer, EncodeOptions, Encoding, TextInput};
pub use bert_heads::fill_mask::{Candidate, FillMask};
pub use bert_heads::finetune::Task;
pub use bert_heads::labels::Labels;
pub use bert_heads::pipeline::{Pipeline, PipelineOptions, Prediction};
pub use bert_heads::predict::{
    Answer, Choice, ChoicePicker, FoundAnswer, FoundEntity, Overrule, PredictOptions,
    QuestionAnswerer, QuestionOptions, TaggedText, TaggedWord, TextClassifier, TextPrediction,
    TokenTagger, WordTag,
};
pub use bert_heads::sentence_embedding::{
    EmbedderOptions, SentenceEmbedder, SentenceEmbedding, cosine_similarity,
};
pub use bert_heads::{Error, Result};
