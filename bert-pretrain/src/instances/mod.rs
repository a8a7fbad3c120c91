//! Training instances out of documents: segment pairs, masking, and the files that hold them.

mod buckets;
mod cache;
mod instance;
mod masking;
mod options;
mod pair;
mod prepare;
mod prepared;
mod random;
mod record;
mod shard;
mod statistics;
mod vocabulary;

pub use instance::{Instance, assemble};
pub use masking::{
    MaskVocabulary, Masked, MaskingOptions, MaskingStrategy, Replacement, mask_tokens,
};
pub use options::PrepareOptions;
pub use pair::{PairOptions, SegmentPair, pairs_from_document};
pub use prepare::{PrepareProgress, prepare};
pub use prepared::PreparedInstances;
pub use random::stream;
pub use statistics::InstanceStatistics;
pub use vocabulary::VocabularyIdentity;
