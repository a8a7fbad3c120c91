//! Labels of words: named entities, parts of speech, word boundaries (BERT §5.3).

mod crf;
mod features;
mod loss;
mod model;
mod score;
mod tagger;
mod task;

pub use crf::{Crf, CrfChain, CrfSettings};
pub use features::token_rows;
pub use loss::TokenTargets;
pub use model::{BertForTokenClassification, token_classification_loss};
pub use tagger::{FoundEntity, TaggedText, TaggedWord, TokenTagger, WordTag};
pub use task::{TOKENS, TokenClassification};

pub(crate) use model::{HEAD, has_crf};
pub(crate) use score::{gold_tags, score_tokens, tag_metrics};
pub(crate) use tagger::{TextWord, word_logits, words};
