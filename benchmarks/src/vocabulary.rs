//! Tokenizers of made-up words, of the kind and with the special tokens of a family.

use std::collections::HashSet;
use std::path::Path;

use bert_core::config::BertConfig;
use bert_core::models::{TokenizerModel, UnigramText};
use bert_core::tokenizer::{BertTokenizer, TokenizerOptions, Vocabulary, byte_alphabet};

use crate::error::Result;

/// Log probability of a made-up Unigram piece; any does, as long as words have one piece.
const LOG_PROBABILITY: f64 = -10.0;

/// Letters of syllables, and the most words of two of them.
const CONSONANTS: &str = "bcdfghjklmnpqrstvwxz";
const VOWELS: &str = "aeiouy";

/// The space before a word, in byte-level tokens and in Unigram pieces.
const BYTE_LEVEL_SPACE: char = '\u{120}';
const UNIGRAM_SPACE: char = '\u{2581}';

/// Writes a tokenizer with a token for every id of `config`, whose `config.json` is in `dir`.
///
/// Words are one token each, whatever stands before them.
///
/// # Errors
/// [`Core`](crate::Error::Core) if the directory cannot be written, or the vocabulary has no room for the tokens that every one has.
pub(crate) fn save_tokenizer(config: &BertConfig, dir: &Path) -> Result<()> {
    let family = config.family;
    let vocabulary = match family.tokenizer.model {
        TokenizerModel::WordPiece => {
            let words = (0..).map(|n| format!("w{n}"));
            Vocabulary::WordPiece(with_special_tokens(config, words))
        }
        TokenizerModel::ByteLevelBpe => {
            let (tokens, mut merges) = byte_pairs(config.vocab_size);
            let tokens = with_special_tokens(config, tokens.into_iter());
            // Special tokens stand in the place of some.
            let there: HashSet<&str> = tokens.iter().map(String::as_str).collect();
            merges.retain(|(left, right)| {
                let joined = format!("{left}{right}");
                [left, right, &joined]
                    .iter()
                    .all(|token| there.contains(token.as_str()))
            });
            Vocabulary::ByteLevelBpe { tokens, merges }
        }
        TokenizerModel::Unigram(_) => {
            let words = (0..).map(|n| format!("{UNIGRAM_SPACE}w{n}"));
            let special = family.tokenizer.special_tokens;
            let pieces = with_special_tokens(config, words).into_iter().map(|piece| {
                let is_special = special.contains(&piece.as_str());
                let score = if is_special { 0.0 } else { LOG_PROBABILITY };
                (piece, score)
            });
            Vocabulary::Unigram(pieces.collect())
        }
    };
    let options = TokenizerOptions {
        model_max_length: Some(config.max_input_length()),
        ..TokenizerOptions::default()
    };
    Ok(BertTokenizer::of_family(family, vocabulary, &options)?.save(dir)?)
}

/// A vocabulary of the size of `config`: special tokens where the classes of transformers expect them, and `others`.
fn with_special_tokens(config: &BertConfig, others: impl Iterator<Item = String>) -> Vec<String> {
    let family = &config.family.tokenizer;
    let [unk, sep, pad, cls, mask] = family.special_tokens;
    let mut special = match family.model {
        TokenizerModel::WordPiece | TokenizerModel::Unigram(UnigramText::Folded) => {
            vec![unk, cls, sep, mask]
        }
        _ => vec![cls, sep, unk, mask],
    };
    // Padding has the id that the configuration says.
    let first = config.pad_token_id.min(special.len());
    if config.pad_token_id == first {
        special.insert(first, pad);
    }
    let mut tokens: Vec<String> = special.into_iter().map(str::to_owned).collect();
    let count = config.vocab_size.saturating_sub(tokens.len());
    tokens.extend(others.take(count));
    if config.pad_token_id > first
        && let Some(token) = tokens.get_mut(config.pad_token_id)
    {
        pad.clone_into(token);
    }
    tokens
}

/// Byte-level tokens and the pairs that make them: bytes, syllables, words of two syllables and the same after a space; then
/// tokens that no text gives.
fn byte_pairs(vocab_size: usize) -> (Vec<String>, Vec<(String, String)>) {
    let mut tokens = byte_alphabet();
    let bytes = tokens.len();
    let mut merges = Vec::new();
    let mut join = |left: &str, right: &str| {
        merges.push((left.to_owned(), right.to_owned()));
        let token = format!("{left}{right}");
        tokens.push(token.clone());
        token
    };
    let letters = |letters: &'static str| letters.chars().map(String::from);
    let pairs = letters(CONSONANTS)
        .flat_map(|first| letters(VOWELS).map(move |second| (first.clone(), second)));
    let syllables: Vec<String> = pairs.map(|(first, second)| join(&first, &second)).collect();
    let room = vocab_size.saturating_sub(bytes + syllables.len()) / 2;
    let pairs = syllables
        .iter()
        .flat_map(|first| syllables.iter().map(move |second| (first, second)));
    let words: Vec<String> = pairs
        .take(room)
        .map(|(first, second)| join(first, second))
        .collect();
    for word in &words {
        join(&String::from(BYTE_LEVEL_SPACE), word);
    }
    let unused = (tokens.len()..vocab_size).map(|n| format!("[unused{n}]"));
    tokens.extend(unused);
    (tokens, merges)
}
