//! Similarity of texts by their vectors (Reimers & Gurevych 2019 §3); the encoder is that of
//! [`sentence_embedding`](crate::sentence_embedding).

mod features;
mod loss;
mod score;
mod settings;
mod task;
mod training;

pub use features::similarity_rows;
pub use loss::{cosine_similarity_loss, multiple_negatives_ranking_loss, ranking_logits};
pub use settings::{SimilarityLoss, SimilaritySettings};
pub use task::{SIMILARITY, Similarity};
pub use training::{SimilarityTarget, SimilarityTargets};

pub(crate) use score::{row_similarities, score_similarity};
