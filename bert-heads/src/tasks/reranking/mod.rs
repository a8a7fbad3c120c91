//! Candidates in the order of how well they go with a query, by a cross-encoder (Nogueira & Cho 2019):
//! query and candidate are read as a pair, and the one output is their score.

mod ranking;
mod reranker;

pub use ranking::{RankedText, Ranking};
pub use reranker::Reranker;
