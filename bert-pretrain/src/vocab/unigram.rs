//! Pieces of a Unigram language model and their probabilities (Kudo 2018 §3.2).
//!
//! This is SentencePiece's training: frequent substrings of words as seeds, expectation maximisation of their probabilities,
//! and pruning of those that cost the least likelihood, by turns. It is written anew because the trainer of the
//! `tokenizers` crate adds floats in the order in which threads finish and characters in the order of a randomly seeded hash
//! table. Here parts of the words are fixed and added up in their order, whatever the number of threads.

use std::cmp::Reverse;
use std::collections::{HashMap, HashSet};

use rayon::prelude::*;

/// Characters of the longest piece.
const LONGEST_PIECE: usize = 16;
/// Seeds at most.
const MOST_SEEDS: usize = 1_000_000;
/// Parts that the words are divided into for the threads.
const PARTS: usize = 16;
/// Rounds of expectation and maximisation before each pruning.
const ROUNDS: usize = 2;
/// Share of the pieces that a pruning leaves, at least.
const SHRINKING: f64 = 0.75;
/// Expected occurrences below which a piece is dropped.
const FEWEST_EXPECTED: f64 = 0.5;
/// Pieces that pruning leaves for each wanted.
const SURPLUS: f64 = 1.1;

/// Limits of a training.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pruning {
    /// Pieces wanted, characters included; at least as many as there are characters.
    pub(super) size: usize,
    /// Minimal count of a substring that is a piece.
    pub(super) min_frequency: u64,
}

/// A stretch of known characters, and how often it occurs.
struct Stretch<'a> {
    text: &'a str,
    count: f64,
}

/// Pieces with the logarithms of their probabilities; characters come first.
struct Model<'a> {
    pieces: Vec<(&'a str, f64)>,
    ids: HashMap<&'a str, usize>,
    characters: usize,
}

/// A piece between two places of a text, in bytes.
#[derive(Clone, Copy)]
struct Edge {
    start: usize,
    end: usize,
    id: usize,
}

/// The pieces of `words`, the most probable first, each with the logarithm of its probability.
///
/// `characters` are all pieces of their own; words are cut at others. `progress` receives the number of pieces now and then.
pub(super) fn train(
    words: &[(String, u64)],
    characters: &[String],
    options: Pruning,
    progress: &mut dyn FnMut(usize),
) -> Vec<(String, f64)> {
    let stretches = stretches(words, characters);
    let mut model = Model::seeded(&stretches, options.min_frequency.max(2));
    let wanted = (options.size as f64 * SURPLUS) as usize;
    loop {
        for _ in 0..ROUNDS {
            model = model.maximized(model.expectation(&stretches));
        }
        progress(model.pieces.len());
        if model.pieces.len() <= wanted {
            break;
        }
        let left = (model.pieces.len() as f64 * SHRINKING) as usize;
        model = model.pruned(&stretches, left.max(wanted));
    }
    model.best(options.size)
}

/// Words cut at characters that are not in the vocabulary.
fn stretches<'a>(words: &'a [(String, u64)], characters: &[String]) -> Vec<Stretch<'a>> {
    let known: HashSet<char> = characters
        .iter()
        .flat_map(|symbol| symbol.chars())
        .collect();
    let is_unknown = |character: char| !known.contains(&character);
    let stretches = words.iter().flat_map(|(word, count)| {
        let parts = word.split(is_unknown).filter(|part| !part.is_empty());
        parts.map(|text| Stretch {
            text,
            count: *count as f64,
        })
    });
    stretches.collect()
}

/// Places in a text where a character begins, and its end.
fn borders(text: &str) -> Vec<usize> {
    let begins = text.char_indices().map(|(place, _)| place);
    begins.chain([text.len()]).collect()
}

/// Substrings of `length` characters with how often they occur, of those whose first characters are in `shorter`.
fn substrings<'a>(
    stretches: &[Stretch<'a>],
    length: usize,
    shorter: &HashMap<&'a str, u64>,
) -> HashMap<&'a str, u64> {
    let mut counts: HashMap<&str, u64> = HashMap::new();
    for Stretch { text, count } in stretches {
        for borders in borders(text).windows(length + 1) {
            let (start, end) = (borders[0], borders[length]);
            if length == 1 || shorter.contains_key(&text[start..borders[length - 1]]) {
                *counts.entry(&text[start..end]).or_default() += *count as u64;
            }
        }
    }
    counts
}

impl<'a> Model<'a> {
    /// Characters, and substrings that occur `min_frequency` times and are followed by more than one character or the end
    /// of a word, those first that cover most of the text.
    fn seeded(stretches: &[Stretch<'a>], min_frequency: u64) -> Self {
        let mut characters: Vec<(&str, u64)> = Vec::new();
        let mut seeds: Vec<(&str, u64)> = Vec::new();
        let mut shorter: HashMap<&str, u64> = HashMap::new();
        for length in 1..=LONGEST_PIECE + 1 {
            let mut counts = substrings(stretches, length, &shorter);
            if length > 1 {
                counts.retain(|_, count| *count >= min_frequency);
            }
            for (longer, count) in &counts {
                let last = longer.chars().next_back().map_or(0, char::len_utf8);
                let first = &longer[..longer.len() - last];
                // A substring that always goes on in one way is no piece of its own.
                if length > 2 && shorter.get(first) == Some(count) {
                    shorter.remove(first);
                }
            }
            let covered = |(piece, count): (&'a str, u64)| (piece, count * (length as u64 - 1));
            match length {
                1 => {
                    characters = counts
                        .iter()
                        .map(|(piece, count)| (*piece, *count))
                        .collect()
                }
                2 => {}
                _ => seeds.extend(shorter.into_iter().map(covered)),
            }
            shorter = counts;
        }
        let by_size = |list: &mut Vec<(&str, u64)>| {
            list.sort_unstable_by(|a, b| (Reverse(a.1), a.0).cmp(&(Reverse(b.1), b.0)));
        };
        by_size(&mut characters);
        by_size(&mut seeds);
        seeds.truncate(MOST_SEEDS);
        let count = characters.len();
        let all: Vec<(&str, u64)> = characters.into_iter().chain(seeds).collect();
        let total: f64 = all.iter().map(|(_, size)| *size as f64).sum();
        let scored = all
            .into_iter()
            .map(|(piece, size)| (piece, (size as f64).ln() - total.ln()));
        Self::new(scored.collect(), count)
    }

    fn new(pieces: Vec<(&'a str, f64)>, characters: usize) -> Self {
        let ids = pieces.iter().map(|(piece, _)| *piece).zip(0..).collect();
        Self {
            pieces,
            ids,
            characters,
        }
    }

    /// Every piece in `text`, by the byte where it begins.
    fn edges(&self, text: &str) -> Vec<Edge> {
        let borders = borders(text);
        let mut edges = Vec::new();
        for (index, &start) in borders.iter().enumerate() {
            for &end in borders[index + 1..].iter().take(LONGEST_PIECE) {
                if let Some(&id) = self.ids.get(&text[start..end]) {
                    edges.push(Edge { start, end, id });
                }
            }
        }
        edges
    }

    /// Expected occurrences of the pieces in all segmentations of the text, by their probability (the E step).
    fn expectation(&self, stretches: &[Stretch<'_>]) -> Vec<f64> {
        self.summed(stretches, |stretch, expected| {
            let (text, edges) = (stretch.text, self.edges(stretch.text));
            let mut before = vec![f64::NEG_INFINITY; text.len() + 1];
            let mut behind = before.clone();
            (before[0], behind[text.len()]) = (0.0, 0.0);
            for edge in &edges {
                let score = before[edge.start] + self.pieces[edge.id].1;
                before[edge.end] = log_add(before[edge.end], score);
            }
            for edge in edges.iter().rev() {
                let score = behind[edge.end] + self.pieces[edge.id].1;
                behind[edge.start] = log_add(behind[edge.start], score);
            }
            for edge in &edges {
                let share =
                    before[edge.start] + self.pieces[edge.id].1 + behind[edge.end] - behind[0];
                expected[edge.id] += stretch.count * share.exp();
            }
        })
    }

    /// Numbers per piece, added up over the stretches: in parts of their own and then in the order of these, so that
    /// rounding does not depend on the threads.
    fn summed(
        &self,
        stretches: &[Stretch<'_>],
        add: impl Fn(&Stretch<'_>, &mut [f64]) + Sync,
    ) -> Vec<f64> {
        let part = stretches.len().div_ceil(PARTS).max(1);
        let parts: Vec<Vec<f64>> = stretches
            .par_chunks(part)
            .map(|part| {
                let mut sums = vec![0.0; self.pieces.len()];
                part.iter().for_each(|stretch| add(stretch, &mut sums));
                sums
            })
            .collect();
        let mut total = vec![0.0; self.pieces.len()];
        for part in parts {
            for (total, sum) in total.iter_mut().zip(part) {
                *total += sum;
            }
        }
        total
    }

    /// The probabilities that the expected occurrences give, under a prior that favours few pieces (the M step); pieces that
    /// hardly occur are dropped, characters stay.
    fn maximized(&self, expected: Vec<f64>) -> Self {
        let kept: Vec<(&str, f64)> = self
            .pieces
            .iter()
            .zip(expected)
            .enumerate()
            .filter(|(id, (_, expected))| *id < self.characters || *expected >= FEWEST_EXPECTED)
            .map(|(_, ((piece, _), expected))| (*piece, expected.max(FEWEST_EXPECTED)))
            .collect();
        let total: f64 = kept.iter().map(|(_, expected)| expected).sum();
        let scored = kept
            .into_iter()
            .map(|(piece, expected)| (piece, digamma(expected) - digamma(total)));
        Self::new(scored.collect(), self.characters)
    }

    /// The most probable pieces of `text`, without the one that is all of it if `parted`.
    fn segmentation(&self, text: &str, parted: bool) -> Vec<usize> {
        let mut best: Vec<(f64, Option<Edge>)> = vec![(f64::NEG_INFINITY, None); text.len() + 1];
        best[0].0 = 0.0;
        for edge in self.edges(text) {
            let score = best[edge.start].0 + self.pieces[edge.id].1;
            let is_whole = edge.end - edge.start == text.len();
            if score > best[edge.end].0 && !(parted && is_whole) {
                best[edge.end] = (score, Some(edge));
            }
        }
        let mut pieces = Vec::new();
        let mut place = text.len();
        while let Some(edge) = best[place].1 {
            pieces.push(edge.id);
            place = edge.start;
        }
        pieces.reverse();
        pieces
    }

    /// Drops pieces until `size` are left: those first whose loss costs the likelihood of the text least.
    fn pruned(&self, stretches: &[Stretch<'_>], size: usize) -> Self {
        let occurrences = self.summed(stretches, |stretch, occurrences| {
            for id in self.segmentation(stretch.text, false) {
                occurrences[id] += stretch.count;
            }
        });
        let sum: f64 = occurrences.iter().sum();
        let losses: Vec<f64> = (self.characters..self.pieces.len())
            .into_par_iter()
            .map(|id| self.loss(id, &occurrences, sum))
            .collect();
        let mut candidates: Vec<(f64, usize)> = losses.into_iter().zip(self.characters..).collect();
        candidates.sort_unstable_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
        candidates.truncate(size.saturating_sub(self.characters));
        let mut kept: Vec<usize> = candidates.into_iter().map(|(_, id)| id).collect();
        kept.sort_unstable();
        let kept = (0..self.characters).chain(kept).map(|id| self.pieces[id]);
        Self::new(kept.collect(), self.characters)
    }

    /// Logarithm of the likelihood that the text loses per occurrence of a piece where its parts stand in its place, times
    /// its share of the occurrences; 0 for a piece that does not occur, or whose parts are as probable.
    fn loss(&self, id: usize, occurrences: &[f64], sum: f64) -> f64 {
        let (piece, score) = self.pieces[id];
        let own = occurrences[id];
        let parts = self.segmentation(piece, true);
        let score_of_parts: f64 = parts.iter().map(|&part| self.pieces[part].1).sum();
        if own == 0.0 || score_of_parts >= score {
            return 0.0;
        }
        let with_parts = (sum + own * (parts.len() as f64 - 1.0)).ln();
        let parts = parts
            .iter()
            .map(|&part| (occurrences[part] + own).ln() - with_parts);
        own / sum * (own.ln() - sum.ln() - parts.sum::<f64>())
    }

    /// All characters and the most probable of the other pieces, `size` in all.
    fn best(self, size: usize) -> Vec<(String, f64)> {
        let by_score = |a: &(&str, f64), b: &(&str, f64)| b.1.total_cmp(&a.1).then(a.0.cmp(b.0));
        let (characters, others) = self.pieces.split_at(self.characters);
        let mut others = others.to_vec();
        others.sort_unstable_by(by_score);
        others.truncate(size.saturating_sub(characters.len()));
        let mut all = [characters, &others].concat();
        all.sort_unstable_by(by_score);
        all.into_iter()
            .map(|(piece, score)| (piece.to_owned(), score))
            .collect()
    }
}

/// `ln(exp(a) + exp(b))`.
fn log_add(a: f64, b: f64) -> f64 {
    let (less, more) = (a.min(b), a.max(b));
    match less == f64::NEG_INFINITY {
        true => more,
        false => more + (less - more).exp().ln_1p(),
    }
}

/// The derivative of the logarithm of the gamma function, for positive numbers.
fn digamma(mut x: f64) -> f64 {
    let mut shifted = 0.0;
    while x < 7.0 {
        shifted -= 1.0 / x;
        x += 1.0;
    }
    let x = x - 0.5;
    let inverse = 1.0 / (x * x);
    // The asymptotic series at the middle of an interval.
    let series = [1.0 / 24.0, -7.0 / 960.0, 31.0 / 8064.0, -127.0 / 30720.0];
    let series = series
        .iter()
        .rev()
        .fold(0.0, |sum, term| (sum + term) * inverse);
    shifted + x.ln() + series
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vocab::alphabet::Alphabet;

    fn words(list: &[(&str, u64)]) -> Vec<(String, u64)> {
        list.iter()
            .map(|(word, count)| ((*word).to_owned(), *count))
            .collect()
    }

    fn characters(words: &[(String, u64)]) -> Vec<String> {
        Alphabet::of_characters(words, None, usize::MAX).symbols
    }

    #[test]
    fn digamma_is_that_of_the_tables() {
        // Euler's constant, and the recurrence above 7.
        for (x, expected) in [
            (1.0, -0.577_215_664_901_532_9),
            (0.5, -1.963_510_026_021_423_5),
            (2.0, 0.422_784_335_098_467_1),
            (10.0, 2.251_752_589_066_721),
            (1e6, 13.815_510_057_964_19),
        ] {
            let found = digamma(x);
            assert!((found - expected).abs() < 1e-9, "{x}: {found}");
        }
    }

    #[test]
    fn seeds_are_substrings_that_go_on_in_several_ways() {
        let words = words(&[("abcd", 2), ("abce", 3), ("xbc", 1)]);
        let characters = characters(&words);
        let stretches = stretches(&words, &characters);
        let model = Model::seeded(&stretches, 2);
        let mut seeds: Vec<&str> = model.pieces[model.characters..]
            .iter()
            .map(|(piece, _)| *piece)
            .collect();
        seeds.sort_unstable();
        // "ab" is always followed by c; "bc" ends a word once. The rare x begins nothing.
        assert_eq!(
            seeds,
            ["abc", "abcd", "abce", "bc", "bcd", "bce", "cd", "ce"]
        );
        assert_eq!(model.characters, 6);
    }

    #[test]
    fn expectations_are_those_of_all_segmentations() {
        let words = words(&[("aab", 3)]);
        let characters = characters(&words);
        let stretches = stretches(&words, &characters);
        let chances = [("a", 0.5_f64), ("b", 0.25), ("aa", 0.2), ("ab", 0.05)];
        let pieces = chances.map(|(piece, chance)| (piece, chance.ln()));
        let model = Model::new(pieces.to_vec(), 2);
        // a·a·b, aa·b, a·ab.
        let ways = [0.5 * 0.5 * 0.25, 0.2 * 0.25, 0.5 * 0.05];
        let all: f64 = ways.iter().sum();
        let expected = [
            (2.0 * ways[0] + ways[2]) / all,
            (ways[0] + ways[1]) / all,
            ways[1] / all,
            ways[2] / all,
        ];
        for (found, expected) in model.expectation(&stretches).iter().zip(expected) {
            assert!((found - 3.0 * expected).abs() < 1e-12, "{found}");
        }
        assert_eq!(model.segmentation("aab", false), [0, 0, 1]);
        assert_eq!(model.segmentation("ab", true), [0, 1]);
    }

    #[test]
    fn words_that_are_made_of_parts_are_cut_into_them() {
        let stems = ["▁walk", "▁sing", "▁read", "▁jump", "▁paint", "▁count"];
        let ends = ["", "ing", "ed", "er", "s"];
        // Each too rarely to be a piece as a whole.
        let all: Vec<(String, u64)> = stems
            .iter()
            .flat_map(|stem| ends.map(|end| (format!("{stem}{end}"), 3)))
            .collect();
        let known = characters(&all).len();
        let options = Pruning {
            size: known + 12,
            min_frequency: 4,
        };
        let pieces = train(&all, &characters(&all), options, &mut |_| {});
        // Stems and ends are all that is worth a piece; the others occur in no segmentation to speak of.
        assert_eq!(pieces.len(), known + stems.len() + 3);
        for piece in stems.iter().chain(&ends[1..4]) {
            assert!(
                pieces.iter().any(|(known, _)| known == piece),
                "{piece}: {pieces:?}"
            );
        }
        let total: f64 = pieces.iter().map(|(_, score)| score.exp()).sum();
        assert!(total < 1.0 && total > 0.5, "{total}");
        assert!(pieces.is_sorted_by(|a, b| a.1 >= b.1));
    }

    #[test]
    fn unknown_characters_part_words_and_all_known_are_kept() {
        let words = words(&[("▁abxab", 9), ("▁b", 1)]);
        let options = Pruning {
            size: 3,
            min_frequency: 2,
        };
        let pieces = train(
            &words,
            &["a", "b", "▁"].map(String::from),
            options,
            &mut |_| {},
        );
        let mut names: Vec<&str> = pieces.iter().map(|(piece, _)| piece.as_str()).collect();
        names.sort_unstable();
        assert_eq!(names, ["a", "b", "▁"]);
        assert!(pieces.iter().all(|(_, score)| score.is_finite()));
    }
}
