//! Identity of the vocabulary that prepared files were made with.

use bert_core::tokenizer::BertTokenizer;
use serde::{Deserialize, Serialize};

/// A vocabulary told from others: same identity, same meaning of every id.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VocabularyIdentity {
    /// The highest id plus one.
    pub size: usize,
    /// BLAKE3 over all tokens in the order of their ids, in hexadecimal.
    pub hash: String,
    /// The id of `[CLS]`.
    pub cls_id: u32,
    /// The id of `[SEP]`.
    pub sep_id: u32,
    /// The id of `[MASK]`.
    pub mask_id: u32,
}

impl VocabularyIdentity {
    /// The identity of a tokenizer's vocabulary.
    pub fn of(tokenizer: &BertTokenizer) -> Self {
        let size = tokenizer.vocab_size();
        let mut hasher = blake3::Hasher::new();
        for id in 0..size as u32 {
            // The length in front keeps apart what joining would make equal.
            let token = tokenizer.token(id).unwrap_or_default();
            hasher.update(&(token.len() as u64).to_le_bytes());
            hasher.update(token.as_bytes());
        }
        Self {
            size,
            hash: hasher.finalize().to_hex().to_string(),
            cls_id: tokenizer.cls_id(),
            sep_id: tokenizer.sep_id(),
            mask_id: tokenizer.mask_id(),
        }
    }
}

#[cfg(test)]
mod tests {
    use bert_core::tokenizer::TokenizerOptions;

    use super::*;

    fn identity(words: &str) -> VocabularyIdentity {
        let vocab = format!("[PAD] [UNK] [CLS] [SEP] [MASK] {words}");
        let vocab = vocab.split(' ').map(String::from);
        let tokenizer = BertTokenizer::from_vocab(vocab, &TokenizerOptions::default()).unwrap();
        VocabularyIdentity::of(&tokenizer)
    }

    #[test]
    fn order_and_borders_of_tokens_count() {
        assert_eq!(identity("ab c"), identity("ab c"));
        for other in ["c ab", "a bc", "ab", "ab d"] {
            assert_ne!(identity("ab c").hash, identity(other).hash, "{other}");
        }
    }
}
