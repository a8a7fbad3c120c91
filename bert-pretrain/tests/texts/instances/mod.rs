//! Instances: pairs, masks, and the files that hold them.

mod files;
mod masking;
mod pairs;
mod preparing;

use bert_core::tokenizer::{BertTokenizer, TokenizerOptions};
use bert_pretrain::corpus::TokenizedDocument;

/// Five special tokens, then `words` tokens of which every third is a `##` piece.
fn tokenizer(words: usize) -> BertTokenizer {
    let special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"].map(String::from);
    let words = (0..words).map(|word| match word % 3 {
        2 => format!("##w{word}"),
        _ => format!("w{word}"),
    });
    let vocab = special.into_iter().chain(words);
    BertTokenizer::from_vocab(vocab, &TokenizerOptions::default()).unwrap()
}

const FIRST_WORD: u32 = 5;

/// Documents in which every token is another one, numbered from `first` in reading order.
fn documents(first: u32, sentence_lengths: &[&[usize]]) -> Vec<TokenizedDocument> {
    let mut ids = first..;
    sentence_lengths
        .iter()
        .map(|lengths| {
            let sentence = |&length: &usize| ids.by_ref().take(length).collect();
            lengths.iter().map(sentence).collect()
        })
        .collect()
}

/// Within four standard deviations of what `trials` of this chance give.
fn assert_chance(count: usize, trials: usize, chance: f64, what: &str) {
    let expected = trials as f64 * chance;
    let deviation = (expected * (1.0 - chance)).sqrt();
    let off = (count as f64 - expected).abs();
    assert!(
        off <= 4.0 * deviation,
        "{what}: {count} of {trials} where {expected:.0} ± {deviation:.0} are expected"
    );
}
