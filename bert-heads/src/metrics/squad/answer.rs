//! How two answers compare.

use std::collections::HashMap;
use std::sync::LazyLock;

use regex::{Captures, Regex};

/// The words of Python's `\b`: letters and numbers, and no combining marks. Punctuation is gone by
/// the time it is used, the underscore too.
static WORD: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"[\p{L}\p{N}]+").expect("it is a valid pattern"));

/// Lower case, without ASCII punctuation, without the words a, an and the, and single spaces
/// between the words that are left. Punctuation beyond ASCII stays.
pub fn normalize_answer(answer: &str) -> String {
    let lower = answer.to_lowercase();
    let kept = lower.chars().filter(|c| !c.is_ascii_punctuation());
    let kept: String = kept.collect();
    let no_articles = WORD.replace_all(&kept, |word: &Captures<'_>| match &word[0] {
        "a" | "an" | "the" => " ".to_owned(),
        word => word.to_owned(),
    });
    let words: Vec<&str> = words(&no_articles).collect();
    words.join(" ")
}

/// Python's `split()`, which takes the separators U+001C to U+001F for white space; Rust does not.
fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| c.is_whitespace() || ('\u{1c}'..='\u{1f}').contains(&c))
        .filter(|word| !word.is_empty())
}

/// Whether two answers are the same but for [`normalize_answer`].
pub fn exact_match(gold: &str, predicted: &str) -> bool {
    normalize_answer(gold) == normalize_answer(predicted)
}

/// F1 of the words that two answers share, 0 to 1, however they are ordered; two answers without
/// words agree, and their F1 is 1, as in `evaluate-v2.0.py`. [`V1Scorer`](super::V1Scorer) gives 0.
pub fn token_f1(gold: &str, predicted: &str) -> f64 {
    NormalAnswer::new(gold).token_f1(&NormalAnswer::new(predicted))
}

/// A normalised answer, to be compared with several others.
pub(super) struct NormalAnswer(String);

impl NormalAnswer {
    pub(super) fn new(answer: &str) -> Self {
        Self(normalize_answer(answer))
    }

    /// Without words.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn exact_match(&self, predicted: &Self) -> bool {
        self.0 == predicted.0
    }

    pub(super) fn token_f1(&self, predicted: &Self) -> f64 {
        let (gold_count, predicted_count) = (words(&self.0).count(), words(&predicted.0).count());
        if gold_count == 0 || predicted_count == 0 {
            return f64::from(u8::from(gold_count == predicted_count));
        }
        let mut left: HashMap<&str, usize> = HashMap::new();
        for word in words(&self.0) {
            *left.entry(word).or_default() += 1;
        }
        let shared = words(&predicted.0)
            .filter(|word| match left.get_mut(word) {
                Some(count) if *count > 0 => {
                    *count -= 1;
                    true
                }
                _ => false,
            })
            .count();
        if shared == 0 {
            return 0.0;
        }
        // In the order of the scripts, so that thresholds compare the same numbers.
        let precision = shared as f64 / predicted_count as f64;
        let recall = shared as f64 / gold_count as f64;
        (2.0 * precision * recall) / (precision + recall)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_normalised_in_the_order_of_the_scripts() {
        for (answer, normal) in [
            ("The  Quick, brown-fox!", "quick brownfox"),
            ("A an THE theatre", "theatre"),
            // Punctuation goes first, and may make an article, or glue one to a word.
            ("t.h.e end", "end"),
            ("the_end", "theend"),
            (
                "a\u{2019}b \u{201c}x\u{201d}",
                "\u{2019}b \u{201c}x\u{201d}",
            ),
            ("one\u{1c}two\u{a0}three", "one two three"),
            ("", ""),
        ] {
            assert_eq!(normalize_answer(answer), normal, "{answer}");
        }
    }

    #[test]
    fn words_count_as_often_as_they_stand_there() {
        assert_eq!(token_f1("b b c", "b"), 0.5);
        assert_eq!(token_f1("b", "b b b"), 0.5);
        assert_eq!(token_f1("c b", "b c"), 1.0);
        assert!(!exact_match("c b", "b c"));
        assert_eq!(token_f1("the", ""), 1.0);
        assert_eq!(token_f1("x", "the"), 0.0);
        assert_eq!(token_f1("x", "y"), 0.0);
    }
}
