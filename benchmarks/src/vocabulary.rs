//! Tokenizers of made-up words, of the kind and with the special tokens of a family.

use std::path::Path;

use bert_core::config::BertConfig;
use bert_core::files::write_atomically;
use bert_core::models::{TokenizerModel, UnigramText};
use bert_core::tokenizer::BertTokenizer;
use serde_json::{Map, Value, json};

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
    let length = config.max_input_length();
    let tokenizer = match family.tokenizer.model {
        TokenizerModel::WordPiece => {
            let tokens = with_special_tokens(config, (0..).map(|n| format!("w{n}")));
            write(dir, "vocab.txt", tokens.join("\n") + "\n")?;
            read(config, dir, length)?
        }
        TokenizerModel::ByteLevelBpe => {
            let (tokens, merges) = byte_pairs(config.vocab_size);
            let tokens = with_special_tokens(config, tokens.into_iter());
            let ids: Map<String, Value> = tokens.into_iter().zip((0..).map(Value::from)).collect();
            write(dir, "vocab.json", Value::Object(ids).to_string())?;
            write(dir, "merges.txt", merges.join("\n") + "\n")?;
            read(config, dir, length)?
        }
        TokenizerModel::Unigram(_) => {
            let words = (0..).map(|n| format!("{UNIGRAM_SPACE}w{n}"));
            let special = family.tokenizer.special_tokens;
            let pieces = with_special_tokens(config, words).into_iter().map(|piece| {
                let is_special = special.contains(&piece.as_str());
                let score = if is_special { 0.0 } else { LOG_PROBABILITY };
                (piece, score)
            });
            BertTokenizer::from_pieces(pieces.collect(), family, Some(length))?
        }
    };
    Ok(tokenizer.save(dir)?)
}

/// The tokenizer of the files that the family has before `tokenizer.json`.
fn read(config: &BertConfig, dir: &Path, length: usize) -> Result<BertTokenizer> {
    let family = &config.family.tokenizer;
    let mut fields = json!({"model_max_length": length});
    if let Some(class) = family.classes.first() {
        fields["tokenizer_class"] = json!(class);
    }
    write(dir, "tokenizer_config.json", fields.to_string())?;
    Ok(BertTokenizer::from_dir(dir)?)
}

fn write(dir: &Path, name: &str, text: String) -> Result<()> {
    Ok(write_atomically(dir.join(name), text.as_bytes())?)
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
fn byte_pairs(vocab_size: usize) -> (Vec<String>, Vec<String>) {
    let mut tokens: Vec<String> = bytes().map(String::from).collect();
    let mut merges = Vec::new();
    let mut join = |left: &str, right: &str| {
        merges.push(format!("{left} {right}"));
        let token = format!("{left}{right}");
        tokens.push(token.clone());
        token
    };
    let letters = |letters: &'static str| letters.chars().map(String::from);
    let pairs = letters(CONSONANTS)
        .flat_map(|first| letters(VOWELS).map(move |second| (first.clone(), second)));
    let syllables: Vec<String> = pairs.map(|(first, second)| join(&first, &second)).collect();
    let room = vocab_size.saturating_sub(bytes().count() + syllables.len()) / 2;
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

/// The characters that stand for the 256 bytes (`bytes_to_unicode` of GPT-2).
fn bytes() -> impl Iterator<Item = char> {
    let stands_for_itself = |byte: &u8| matches!(byte, b'!'..=b'~' | 0xa1..=0xac | 0xae..=0xff);
    let plain = (0..=u8::MAX).filter(stands_for_itself).map(char::from);
    let others = (0..=u8::MAX)
        .filter(move |byte| !stands_for_itself(byte))
        .count() as u32;
    plain.chain((0..others).filter_map(|n| char::from_u32(256 + n)))
}
