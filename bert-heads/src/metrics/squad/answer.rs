//! Comparison of two answers.

use std::collections::HashMap;
use std::sync::LazyLock;

use regex::{Captures, Regex};

use super::language::{AnswerLanguage, is_unspaced};

/// The words of Python's `\b`: letters and numbers, and no combining marks. Punctuation is gone by
/// the time it is used, the underscore too.
static WORD: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"[\p{L}\p{N}]+").expect("it is a valid pattern"));

/// Everything that MLQA's script takes for punctuation.
static PUNCTUATION: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"[\p{P}[:punct:]]").expect("it is a valid pattern"));

/// Lower case, without punctuation, and single spaces around every character of a script that has no
/// spaces and between the words of others (`mixed_segmentation` of MLQA's script for Chinese).
pub fn normalize_characters(answer: &str) -> String {
    let lower = answer.to_lowercase();
    let kept = PUNCTUATION.replace_all(&lower, "");
    let mut parted = String::with_capacity(2 * kept.len());
    for c in kept.chars() {
        match is_unspaced(c) {
            true => parted.extend([' ', c, ' ']),
            false => parted.push(c),
        }
    }
    let words: Vec<&str> = words(&parted).collect();
    words.join(" ")
}

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

/// True if two answers are equal after [`normalize_answer`].
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
        Self::of(answer, AnswerLanguage::English)
    }

    pub(super) fn of(answer: &str, language: AnswerLanguage) -> Self {
        Self(match language.counts_characters() {
            true => normalize_characters(answer),
            false => normalize_answer(answer),
        })
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
        harmonic(shared, predicted_count, gold_count)
    }

    /// F1 of the longest run of characters, or words, that two answers share (CMRC 2018; Cui et al.
    /// 2019), 0 to 1; 0 where either has none.
    pub(super) fn run_f1(&self, predicted: &Self) -> f64 {
        let gold: Vec<&str> = words(&self.0).collect();
        let predicted: Vec<&str> = words(&predicted.0).collect();
        let mut longest = 0;
        // Lengths of the runs that end at the places of `gold` and at one of `predicted`.
        let mut runs = vec![0; gold.len() + 1];
        for word in &predicted {
            for place in (0..gold.len()).rev() {
                runs[place + 1] = match gold[place] == *word {
                    true => runs[place] + 1,
                    false => 0,
                };
                longest = longest.max(runs[place + 1]);
            }
        }
        match longest {
            0 => 0.0,
            _ => harmonic(longest, predicted.len(), gold.len()),
        }
    }
}

/// The harmonic mean of precision and recall, in the order of the scripts, so that thresholds
/// compare the same numbers.
fn harmonic(shared: usize, predicted: usize, gold: usize) -> f64 {
    let precision = shared as f64 / predicted as f64;
    let recall = shared as f64 / gold as f64;
    (2.0 * precision * recall) / (precision + recall)
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
    fn characters_stand_apart_where_words_do_not() {
        for (answer, normal) in [
            (
                "\u{5317}\u{4eac}\u{5927}\u{5b66}",
                "\u{5317} \u{4eac} \u{5927} \u{5b66}",
            ),
            (
                "\u{300a}\u{56f4}\u{57ce}\u{300b}\u{3002}",
                "\u{56f4} \u{57ce}",
            ),
            ("1998\u{5e74}", "1998 \u{5e74}"),
            (
                "The NBA\u{8054}\u{8d5b} 2-0!",
                "the nba \u{8054} \u{8d5b} 20",
            ),
            ("\u{30ab}\u{30fc}", "\u{30ab} \u{30fc}"),
            ("", ""),
        ] {
            assert_eq!(normalize_characters(answer), normal, "{answer}");
        }
        let answer = |text| NormalAnswer::of(text, AnswerLanguage::Chinese);
        let (gold, said) = (
            answer("\u{5317}\u{4eac}\u{5927}\u{5b66}"),
            answer("\u{5317}\u{4eac}"),
        );
        assert!((gold.token_f1(&said) - 2.0 / 3.0).abs() < 1e-15);
        assert!((gold.run_f1(&said) - 2.0 / 3.0).abs() < 1e-15);
        // The other order has all characters, and runs of two.
        let turned = answer("\u{5927}\u{5b66}\u{5317}\u{4eac}");
        assert_eq!((gold.token_f1(&turned), gold.run_f1(&turned)), (1.0, 0.5));
        assert_eq!(gold.run_f1(&answer("x")), 0.0);
        assert_eq!(gold.run_f1(&answer("")), 0.0);
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
