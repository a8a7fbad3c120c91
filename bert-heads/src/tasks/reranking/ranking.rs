//! The best of a stream of scored texts in bounded memory.

use std::cmp::Ordering;
use std::collections::BinaryHeap;

use serde::Serialize;

/// A candidate and its score.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RankedText {
    /// Position of the candidate in the input, counted from 0.
    pub index: usize,
    /// Score of the pair of query and candidate; higher is better.
    pub score: f32,
    /// The candidate.
    pub text: String,
}

/// Scored texts, of which at most a number of the best are kept.
#[derive(Debug)]
pub struct Ranking {
    top_k: usize,
    /// The worst of them on top.
    kept: BinaryHeap<ByRank>,
}

/// A text that compares as greater than those that rank before it.
#[derive(Debug)]
struct ByRank(RankedText);

impl Ranking {
    /// An empty ranking of at most `top_k` texts, of all without a number.
    pub fn new(top_k: Option<usize>) -> Self {
        Self {
            top_k: top_k.unwrap_or(usize::MAX),
            kept: BinaryHeap::new(),
        }
    }

    /// Adds a text, and drops the worst where there are too many.
    pub fn add(&mut self, text: RankedText) {
        self.kept.push(ByRank(text));
        if self.kept.len() > self.top_k {
            self.kept.pop();
        }
    }

    /// The texts by falling score; of equals the one with the lower index comes first.
    pub fn into_sorted(self) -> Vec<RankedText> {
        let sorted = self.kept.into_sorted_vec().into_iter();
        sorted.map(|ByRank(text)| text).collect()
    }
}

impl Ord for ByRank {
    fn cmp(&self, other: &Self) -> Ordering {
        let by_score = other.0.score.total_cmp(&self.0.score);
        by_score.then(self.0.index.cmp(&other.0.index))
    }
}

impl PartialOrd for ByRank {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for ByRank {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for ByRank {}

#[cfg(test)]
mod tests {
    use super::*;

    fn ranked(top_k: Option<usize>) -> Vec<usize> {
        let mut ranking = Ranking::new(top_k);
        for (index, score) in [0.5, -1.0, 0.75, 0.5, 0.75, 0.0].into_iter().enumerate() {
            let text = String::new();
            ranking.add(RankedText { index, score, text });
        }
        let sorted = ranking.into_sorted().into_iter();
        sorted.map(|text| text.index).collect()
    }

    #[test]
    fn the_best_come_first_and_equals_by_their_index() {
        assert_eq!(ranked(None), [2, 4, 0, 3, 5, 1]);
        assert_eq!(ranked(Some(9)), [2, 4, 0, 3, 5, 1]);
        assert_eq!(ranked(Some(3)), [2, 4, 0]);
        assert_eq!(ranked(Some(1)), [2]);
        assert!(ranked(Some(0)).is_empty());
    }
}
