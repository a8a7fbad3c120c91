//! Replaced token detection (ELECTRA: Clark et al. 2020): a probability for each token that another stood in its place.

mod detector;
mod model;

pub use detector::{DetectedTokens, ReplacedTokenDetector};
pub use model::{BertForReplacedTokens, ReplacedTokenHead, ReplacedTokenHeads};
