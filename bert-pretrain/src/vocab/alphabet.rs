//! The single characters a vocabulary starts from.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use bert_core::tokenizer::byte_alphabet;

use super::CONTINUING;

/// The characters of a vocabulary, or the bytes; those of WordPiece alone, and with `##` where they occur within words.
#[derive(Debug)]
pub(super) struct Alphabet {
    /// In the order of their ids.
    pub(super) symbols: Vec<String>,
    /// Different characters kept.
    pub(super) kept: usize,
    /// Different characters in the text.
    pub(super) seen: usize,
}

impl Alphabet {
    /// Takes the commonest characters, at most `limit`, whose symbols fit in `room`, for WordPiece.
    pub(super) fn of(words: &[(String, u64)], limit: Option<usize>, room: usize) -> Self {
        let within_words = words.iter().flat_map(|(word, _)| word.chars().skip(1));
        let continuing: BTreeSet<char> = within_words.collect();
        let symbols = |character: char| 1 + usize::from(continuing.contains(&character));
        let (kept, seen) = commonest(words, limit, room, symbols);
        let within = kept
            .iter()
            .filter(|character| continuing.contains(character));
        let within = within.map(|character| format!("{CONTINUING}{character}"));
        let symbols = kept.iter().map(char::to_string).chain(within).collect();
        Self {
            symbols,
            kept: kept.len(),
            seen,
        }
    }

    /// Takes the commonest characters, at most `limit` and at most `room`.
    pub(super) fn of_characters(
        words: &[(String, u64)],
        limit: Option<usize>,
        room: usize,
    ) -> Self {
        let (kept, seen) = commonest(words, limit, room, |_| 1);
        Self {
            symbols: kept.iter().map(char::to_string).collect(),
            kept: kept.len(),
            seen,
        }
    }

    /// All bytes, whether they occur or not, so that no text is unknown.
    pub(super) fn of_bytes(words: &[(String, u64)]) -> Self {
        let seen: BTreeSet<char> = words.iter().flat_map(|(word, _)| word.chars()).collect();
        let symbols = byte_alphabet();
        Self {
            kept: symbols.len(),
            symbols,
            seen: seen.len(),
        }
    }
}

/// The commonest characters, at most `limit`, whose `symbols` fit in `room`, in the order of their code points, and the number of
/// different ones in the text.
///
/// Characters of equal count go by code point, so that the choice does not depend on the order
/// of the words.
fn commonest(
    words: &[(String, u64)],
    limit: Option<usize>,
    room: usize,
    symbols: impl Fn(char) -> usize,
) -> (Vec<char>, usize) {
    let mut counts: BTreeMap<char, u64> = BTreeMap::new();
    for (word, count) in words {
        for character in word.chars() {
            *counts.entry(character).or_default() += count;
        }
    }
    let seen = counts.len();
    let mut by_count: Vec<(char, u64)> = counts.into_iter().collect();
    // A stable sort: equal counts stay in the order of code points.
    by_count.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    by_count.truncate(limit.unwrap_or(seen));

    let mut left = room;
    let mut kept: Vec<char> = by_count
        .into_iter()
        .map(|(character, _)| character)
        .take_while(|character| {
            let needed = symbols(*character);
            let fits = needed <= left;
            left = left.saturating_sub(needed);
            fits
        })
        .collect();
    kept.sort_unstable();
    (kept, seen)
}

/// A word in symbols, given by their ids, those within it with the prefix `continuing`; `None` if a character of it was not
/// kept.
///
/// WordPiece makes such a word `[UNK]` as a whole, so nothing is to be learnt from it.
pub(super) fn spell(word: &str, ids: &HashMap<String, u32>, continuing: &str) -> Option<Vec<u32>> {
    let mut symbol = String::new();
    word.chars()
        .enumerate()
        .map(|(place, character)| {
            symbol.clear();
            if place > 0 {
                symbol.push_str(continuing);
            }
            symbol.push(character);
            ids.get(&symbol).copied()
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words() -> Vec<(String, u64)> {
        [("ab", 5), ("ba", 1), ("c", 3), ("d", 3), ("ae", 1)]
            .map(|(word, count)| (word.to_owned(), count))
            .to_vec()
    }

    #[test]
    fn characters_come_alone_and_within_words() {
        let alphabet = Alphabet::of(&words(), None, 100);
        assert_eq!(
            alphabet.symbols,
            ["a", "b", "c", "d", "e", "##a", "##b", "##e"]
        );
        assert_eq!((alphabet.kept, alphabet.seen), (5, 5));
    }

    #[test]
    fn the_rarest_go_first_and_ties_by_code_point() {
        let limited = Alphabet::of(&words(), Some(3), 100);
        assert_eq!(limited.symbols, ["a", "b", "c", "##a", "##b"]);
        // a and b take two places each, and the last is for c.
        let cramped = Alphabet::of(&words(), None, 5);
        assert_eq!(cramped.symbols, limited.symbols);
        assert_eq!((cramped.kept, cramped.seen), (3, 5));
        assert!(Alphabet::of(&words(), None, 1).symbols.is_empty());
    }

    #[test]
    fn a_word_with_a_lost_character_is_not_spelled() {
        let alphabet = Alphabet::of(&words(), Some(3), 100);
        let ids: HashMap<String, u32> = alphabet.symbols.into_iter().zip(0..).collect();
        assert_eq!(spell("abba", &ids, CONTINUING), Some(vec![0, 4, 4, 3]));
        assert_eq!(spell("ad", &ids, CONTINUING), None);
    }
}
