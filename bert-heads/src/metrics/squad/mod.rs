//! Answers to the questions of SQuAD, scored as its scripts do (`evaluate-v1.1.py`,
//! `evaluate-v2.0.py`; Rajpurkar et al. 2016 and 2018; BERT §4.2 and §4.3).
//!
//! Scores are 0 to 100, the names in [`Scores`](super::Scores) those of the scripts.
//!
//! Answers in a language without spaces between words are scored by characters, as MLQA's script and
//! CMRC's have it: by words their F1 would be no more than exact match ([`AnswerLanguage`]).

mod answer;
mod language;
mod v1;
mod v2;

pub use answer::{exact_match, normalize_answer, normalize_characters, token_f1};
pub use language::AnswerLanguage;
pub(crate) use language::is_unspaced;
pub use v1::V1Scorer;
pub use v2::{Prediction, V2Scorer};

/// `100 * sum / count`, and 0 where there is nothing.
fn percent(sum: f64, count: u64) -> f64 {
    match count {
        0 => 0.0,
        _ => 100.0 * sum / count as f64,
    }
}
