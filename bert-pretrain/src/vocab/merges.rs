//! Which pairs of symbols become symbols of their own.
//!
//! This is the training of the `tokenizers` crate (`BpeTrainer`, which its `WordPieceTrainer` runs):
//! join the commonest pair, ties going to the lower ids, until the vocabulary is full. It is written
//! anew because that crate gives other ids in every run, and from some tens of thousands of tokens
//! on other tokens too: it numbers characters, breaks ties of rare ones, and lists the places of a
//! pair in the order of randomly seeded hash tables. It also counts pairs in 32 bits. Here nothing
//! depends on the order of a hash table; a test compares the outcome with the crate's.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap, HashSet};

/// Two symbols that follow each other.
pub(super) type Pair = (u32, u32);

/// A word in symbols, and how often it occurs.
#[derive(Clone, Debug)]
pub(super) struct Word {
    pub(super) symbols: Vec<u32>,
    pub(super) count: u64,
}

/// The pairs of all words, and the queue of those to join.
#[derive(Default)]
struct Pairs {
    counts: HashMap<Pair, u64>,
    /// Words that hold the pair or held it; a word may be listed twice.
    words: HashMap<Pair, Vec<u32>>,
    /// The count may be out of date, and is compared when it comes up.
    queue: BinaryHeap<(u64, Reverse<Pair>)>,
}

/// Limits of joining, and what joined symbols look like.
#[derive(Clone, Copy, Debug)]
pub(super) struct Joining {
    /// Symbols wanted.
    pub(super) size: usize,
    /// Minimal count of a pair that is joined.
    pub(super) min_frequency: u64,
    /// Prefix of symbols within a word, which the second of a pair loses.
    pub(super) continuing: &'static str,
}

/// Adds symbols to `vocab` until it has enough of them or no pair occurs often enough; gives the pairs that were joined, first
/// come first.
///
/// `vocab` holds the symbols of the words in the order of their ids. `progress` receives its length
/// now and then.
pub(super) fn join(
    words: &mut [Word],
    vocab: &mut Vec<String>,
    options: Joining,
    progress: &mut dyn FnMut(usize),
) -> Vec<Pair> {
    let mut joined_pairs = Vec::new();
    let mut known: HashSet<Pair> = HashSet::new();
    let mut ids: HashMap<String, u32> = vocab.iter().cloned().zip(0..).collect();
    let mut pairs = Pairs::default();
    for (index, word) in words.iter().enumerate() {
        for pair in word.symbols.windows(2) {
            pairs.add((pair[0], pair[1]), word.count, index as u32);
        }
    }
    pairs.queue = pairs
        .counts
        .iter()
        .map(|(pair, count)| (*count, Reverse(*pair)))
        .collect();

    while vocab.len() < options.size
        && let Some((pair, count)) = pairs.pop()
        && count >= options.min_frequency.max(1)
    {
        let (first, second) = (&vocab[pair.0 as usize], &vocab[pair.1 as usize]);
        let token = joined(first, second, options.continuing);
        // Two ways of joining can lead to one token.
        let new = *ids.entry(token).or_insert_with_key(|token| {
            vocab.push(token.clone());
            (vocab.len() - 1) as u32
        });
        pairs.join(words, pair, new);
        // A token that came about in two ways may be half of a pair again.
        if known.insert(pair) {
            joined_pairs.push(pair);
        }
        if vocab.len().is_multiple_of(256) {
            progress(vocab.len());
        }
    }
    progress(vocab.len());
    joined_pairs
}

impl Pairs {
    fn add(&mut self, pair: Pair, count: u64, word: u32) {
        *self.counts.entry(pair).or_default() += count;
        let words = self.words.entry(pair).or_default();
        if words.last() != Some(&word) {
            words.push(word);
        }
    }

    fn remove(&mut self, pair: Pair, count: u64) {
        if let Some(left) = self.counts.get_mut(&pair) {
            *left -= count;
        }
    }

    /// The commonest pair and how often it occurs.
    fn pop(&mut self) -> Option<(Pair, u64)> {
        while let Some((count, Reverse(pair))) = self.queue.pop() {
            let now = self.counts.get(&pair).copied().unwrap_or(0);
            if now == count {
                return (now > 0).then_some((pair, now));
            }
            // What has grown is in the queue a second time, with what it has grown to.
            if 0 < now && now < count {
                self.queue.push((now, Reverse(pair)));
            }
        }
        None
    }

    /// Replaces a pair by a symbol in all words.
    fn join(&mut self, words: &mut [Word], pair: Pair, new: u32) {
        let mut grown: HashSet<Pair> = HashSet::new();
        let mut indices = self.words.remove(&pair).unwrap_or_default();
        indices.sort_unstable();
        indices.dedup();
        for index in indices {
            let word = &mut words[index as usize];
            let before = std::mem::take(&mut word.symbols);
            let after = replace(&before, pair, new);
            if after.len() < before.len() {
                for gone in before.windows(2) {
                    self.remove((gone[0], gone[1]), word.count);
                }
                for come in after.windows(2) {
                    let come = (come[0], come[1]);
                    *self.counts.entry(come).or_default() += word.count;
                    // The word is listed already for pairs that it had before.
                    if come.0 == new || come.1 == new {
                        self.add(come, 0, index);
                        grown.insert(come);
                    }
                }
            }
            words[index as usize].symbols = after;
        }
        self.counts.remove(&pair);
        let queue = grown
            .into_iter()
            .map(|pair| (self.counts[&pair], Reverse(pair)));
        self.queue.extend(queue);
    }
}

fn replace(symbols: &[u32], pair: Pair, new: u32) -> Vec<u32> {
    let mut replaced = Vec::with_capacity(symbols.len());
    let mut rest = symbols;
    while let [first, tail @ ..] = rest {
        match tail {
            [second, tail @ ..] if (*first, *second) == pair => {
                replaced.push(new);
                rest = tail;
            }
            _ => {
                replaced.push(*first);
                rest = tail;
            }
        }
    }
    replaced
}

fn joined(first: &str, second: &str, continuing: &str) -> String {
    let second = second.strip_prefix(continuing).unwrap_or(second);
    format!("{first}{second}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vocab::CONTINUING;
    use crate::vocab::alphabet::{Alphabet, spell};
    use bert_core::tokenizer::byte_alphabet;

    fn train(words: &[(String, u64)], size: usize, min_frequency: u64) -> Vec<String> {
        let mut vocab = Alphabet::of(words, None, size).symbols;
        let ids = vocab.iter().cloned().zip(0..).collect();
        let spelled = words.iter().filter_map(|(word, count)| {
            Some(Word {
                symbols: spell(word, &ids, CONTINUING)?,
                count: *count,
            })
        });
        let mut words: Vec<Word> = spelled.collect();
        let options = Joining {
            size,
            min_frequency,
            continuing: CONTINUING,
        };
        join(&mut words, &mut vocab, options, &mut |_| {});
        vocab
    }

    fn words(list: &[(&str, u64)]) -> Vec<(String, u64)> {
        list.iter()
            .map(|(word, count)| ((*word).to_owned(), *count))
            .collect()
    }

    #[test]
    fn the_commonest_pair_is_joined_first() {
        let words = words(&[("low", 5), ("lower", 2), ("newest", 6), ("widest", 3)]);
        let vocab = train(&words, 100, 3);
        // Behind 18 characters. ##e ##s and ##s ##t both occur 9 times, and the lower ids win.
        let joined = [
            "##es", "##est", "lo", "low", "ne", "##west", "newest", "wi", "##dest", "widest",
        ];
        assert_eq!(vocab[18..], joined);
    }

    /// Words of a few syllables, of which the first are by far the commonest.
    fn text() -> Vec<String> {
        let parts = ["ba", "ke", "lo", "mi", "nu", "ro", "ti", "es", "ing", "a"];
        let mut state = 37_u64;
        let mut next = |below: u64| {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            (state >> 33) % below
        };
        (0..3_000)
            .map(|_| {
                (0..=next(4))
                    .map(|_| parts[(next(10) * next(10) / 10) as usize])
                    .collect()
            })
            .collect()
    }

    fn counted(text: &[String]) -> Vec<(String, u64)> {
        let mut counts: HashMap<&str, u64> = HashMap::new();
        text.iter()
            .for_each(|word| *counts.entry(word).or_default() += 1);
        let mut words: Vec<(String, u64)> = counts
            .into_iter()
            .map(|(word, count)| (word.to_owned(), count))
            .collect();
        words.sort();
        words
    }

    #[test]
    fn merges_are_those_of_the_tokenizers_crate() {
        use tokenizers::models::bpe::{BPE, BpeTrainer};
        use tokenizers::{Model, Trainer};

        let text: Vec<String> = text().into_iter().map(|word| format!("Ġ{word}")).collect();
        let words = counted(&text);
        let mut vocab = Alphabet::of_bytes(&words).symbols;
        let ids = vocab.iter().cloned().zip(0..).collect();
        let mut spelled: Vec<Word> = words
            .iter()
            .map(|(word, count)| Word {
                symbols: spell(word, &ids, "").unwrap(),
                count: *count,
            })
            .collect();
        let options = Joining {
            size: 600,
            min_frequency: 2,
            continuing: "",
        };
        let pairs = join(&mut spelled, &mut vocab, options, &mut |_| {});
        let ours: Vec<[&str; 2]> = pairs
            .iter()
            .map(|(a, b)| [vocab[*a as usize].as_str(), vocab[*b as usize].as_str()])
            .collect();

        let bytes = byte_alphabet()
            .iter()
            .flat_map(|symbol| symbol.chars())
            .collect();
        let mut trainer = BpeTrainer::builder()
            .vocab_size(600)
            .min_frequency(2)
            .show_progress(false)
            .initial_alphabet(bytes)
            .build();
        trainer
            .feed(text.iter(), |word| Ok(vec![word.to_owned()]))
            .unwrap();
        let mut model = BPE::default();
        trainer.train(&mut model).unwrap();
        for (id, token) in vocab.iter().enumerate() {
            assert_eq!(model.token_to_id(token), Some(id as u32), "{token}");
        }
        let theirs = serde_json::to_value(&model).unwrap();
        assert_eq!(vocab.len(), 600);
        assert_eq!(serde_json::to_value(ours).unwrap(), theirs["merges"]);
    }

    #[test]
    fn the_outcome_is_that_of_the_tokenizers_crate() {
        use tokenizers::models::wordpiece::{WordPiece, WordPieceTrainer};
        use tokenizers::{AddedToken, Model, Trainer};

        let text = text();
        let words = counted(&text);
        let ours = train(&words, 300, 2);

        // Given the characters in our order, it numbers them so.
        let characters = Alphabet::of(&words, None, 300).symbols;
        let seed = characters
            .iter()
            .map(|symbol| AddedToken::from(symbol.as_str(), false));
        let mut trainer = WordPieceTrainer::builder()
            .vocab_size(300)
            .min_frequency(2)
            .show_progress(false)
            .special_tokens(seed.collect())
            .build();
        trainer
            .feed(text.iter(), |word| Ok(vec![word.to_owned()]))
            .unwrap();
        let mut model = WordPiece::default();
        trainer.train(&mut model).unwrap();
        let mut theirs: Vec<(u32, String)> = model
            .get_vocab()
            .into_iter()
            .map(|(token, id)| (id, token))
            .collect();
        theirs.sort();
        let theirs: Vec<String> = theirs.into_iter().map(|(_, token)| token).collect();
        assert_eq!(ours.len(), 300);
        assert_eq!(ours, theirs);
    }

    #[test]
    fn overlapping_pairs_are_counted_as_they_are_replaced() {
        let vocab = train(&words(&[("aaaaa", 7)]), 100, 1);
        assert_eq!(vocab, ["a", "##a", "##aa", "aaa", "aaaaa"]);
    }

    #[test]
    fn size_and_frequency_are_kept() {
        let words = words(&[("abab", 2), ("abc", 3)]);
        assert_eq!(train(&words, 7, 1).len(), 7);
        let frequent = train(&words, 100, 4);
        assert_eq!(frequent, ["a", "b", "c", "##a", "##b", "##c", "ab"]);
        assert_eq!(train(&words, 3, 1).len(), 2);
    }
}
