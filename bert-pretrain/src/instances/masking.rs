//! Which tokens are predicted and what stands in their place (BERT §3.1 task 1,
//! `create_masked_lm_predictions` of Google's `create_pretraining_data.py`, and transformers'
//! `DataCollatorForLanguageModeling`).

use bert_core::tokenizer::BertTokenizer;
use rand::{Rng, RngExt};
use serde::{Deserialize, Serialize};

use crate::{Error, Result};

/// Properties of a vocabulary that masking needs.
#[derive(Clone, Debug)]
pub struct MaskVocabulary {
    mask_id: u32,
    size: u32,
    special: Vec<bool>,
    continuation: Vec<bool>,
}

impl MaskVocabulary {
    /// Looks through a tokenizer's vocabulary.
    ///
    /// Special are all tokens that decoding may leave out: the five of BERT and what the tokenizer's
    /// files add to them.
    ///
    /// # Errors
    ///
    /// [`Error::Core`] if the tokenizer cannot decode its own tokens.
    pub fn new(tokenizer: &BertTokenizer) -> Result<Self> {
        let size = tokenizer.vocab_size() as u32;
        let mut special = vec![false; size as usize];
        let mut continuation = vec![false; size as usize];
        for id in 0..size {
            if tokenizer.token(id).is_none() {
                continue;
            }
            continuation[id as usize] = tokenizer.continues_word(id);
            special[id as usize] = tokenizer.decode(&[id], true)?.is_empty()
                && !tokenizer.decode(&[id], false)?.is_empty();
        }
        Ok(Self {
            mask_id: tokenizer.mask_id(),
            size,
            special,
            continuation,
        })
    }

    /// The id of `[MASK]`.
    pub fn mask_id(&self) -> u32 {
        self.mask_id
    }

    /// The highest id plus one.
    pub fn size(&self) -> usize {
        self.size as usize
    }

    /// True if a token is never picked for prediction.
    pub fn is_special(&self, id: u32) -> bool {
        self.special.get(id as usize).copied().unwrap_or(false)
    }

    /// True if a token continues a word: a `##` piece, or one without the space that begins a word.
    pub fn is_continuation(&self, id: u32) -> bool {
        self.continuation.get(id as usize).copied().unwrap_or(false)
    }
}

/// Strategy that decides how many tokens are masked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MaskingStrategy {
    /// The given share of the sequence, `[CLS]` and `[SEP]` counted, rounded half to even as Python
    /// does, but at least one and at most [`max_predictions`](MaskingOptions::max_predictions):
    /// Google's.
    #[default]
    Fixed,
    /// Each token for itself with the given probability, without upper or lower limit:
    /// transformers'.
    PerToken,
}

/// Tokens that stand in the place of picked ones.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Replacement {
    /// `[MASK]` for 80 %, a token drawn from the whole vocabulary for 10 %; 10 % stay (BERT §3.1).
    #[default]
    MaskOrRandom,
    /// `[MASK]` for 85 %; 15 % stay: ELECTRA's generator (`pretrain_helpers.py` of google-research/electra).
    Mask,
}

impl Replacement {
    fn is_default(&self) -> bool {
        *self == Self::default()
    }

    /// The token in place of `id`.
    fn of(self, id: u32, vocabulary: &MaskVocabulary, random: &mut impl Rng) -> u32 {
        match self {
            Self::MaskOrRandom => match random.random_range(0..10) {
                0..8 => vocabulary.mask_id,
                8 => random.random_range(0..vocabulary.size),
                _ => id,
            },
            Self::Mask => match random.random_range(0..20) {
                0..17 => vocabulary.mask_id,
                _ => id,
            },
        }
    }
}

/// Options of the masks that are drawn for prediction.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MaskingOptions {
    /// Share of tokens to pick.
    pub probability: f64,
    /// Most picks of a sequence, under [`MaskingStrategy::Fixed`].
    pub max_predictions: usize,
    /// Pick words as a whole: a token with the `##` pieces behind it. A word that would overflow the
    /// number of picks is passed over.
    pub whole_word: bool,
    /// Strategy that decides how many tokens are masked.
    pub strategy: MaskingStrategy,
    /// Tokens in their place.
    #[serde(default, skip_serializing_if = "Replacement::is_default")]
    pub replacement: Replacement,
}

impl Default for MaskingOptions {
    fn default() -> Self {
        Self {
            probability: 0.15,
            max_predictions: 20,
            whole_word: false,
            strategy: MaskingStrategy::Fixed,
            replacement: Replacement::default(),
        }
    }
}

impl MaskingOptions {
    /// Checks that every field is in its range.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidOption`] naming the field that is not.
    pub fn check(&self) -> Result<()> {
        if !(0.0..=1.0).contains(&self.probability) {
            return Err(Error::InvalidOption {
                option: "masking probability",
                value: self.probability.to_string(),
                expected: "a share from 0 to 1",
            });
        }
        if self.max_predictions == 0 {
            return Err(Error::InvalidOption {
                option: "max_predictions",
                value: self.max_predictions.to_string(),
                expected: "at least 1, or nothing would be learned",
            });
        }
        Ok(())
    }

    /// Picks of a sequence of `length` tokens under [`MaskingStrategy::Fixed`].
    fn picks(&self, length: usize) -> usize {
        let share = (length as f64 * self.probability).round_ties_even() as usize;
        self.max_predictions.min(share.max(1))
    }
}

/// A sequence with some tokens hidden, and what they were.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Masked {
    /// The sequence as the model sees it.
    pub input_ids: Vec<u32>,
    /// Places of the tokens to predict, ascending.
    pub positions: Vec<u32>,
    /// The original ids at these places.
    pub labels: Vec<u32>,
}

/// Picks tokens of a whole sequence, special tokens included, and [replaces](Replacement) them.
///
/// Special tokens are never picked. A `##` piece without its head in front, as truncation leaves
/// it, begins a word of its own.
pub fn mask_tokens(
    ids: &[u32],
    vocabulary: &MaskVocabulary,
    options: &MaskingOptions,
    random: &mut impl Rng,
) -> Masked {
    let mut words = words(ids, vocabulary, options.whole_word);
    let mut positions = Vec::new();
    match options.strategy {
        MaskingStrategy::Fixed => {
            let picks = options.picks(ids.len());
            for drawn in 0..words.len() {
                if positions.len() >= picks {
                    break;
                }
                // A shuffle that goes only as far as it is needed.
                let other = random.random_range(drawn..words.len());
                words.swap(drawn, other);
                let word = words[drawn];
                if positions.len() + word.len as usize <= picks {
                    positions.extend(word.positions());
                }
            }
            positions.sort_unstable();
        }
        MaskingStrategy::PerToken => {
            words.retain(|_| random.random::<f64>() < options.probability);
            positions.extend(words.iter().flat_map(|word| word.positions()));
        }
    }
    let mut input_ids = ids.to_vec();
    let mut labels = Vec::with_capacity(positions.len());
    for &position in &positions {
        let id = &mut input_ids[position as usize];
        labels.push(*id);
        *id = options.replacement.of(*id, vocabulary, random);
    }
    Masked {
        input_ids,
        positions,
        labels,
    }
}

/// Tokens that are picked together.
#[derive(Clone, Copy)]
struct Word {
    start: u32,
    len: u32,
}

impl Word {
    fn end(self) -> u32 {
        self.start + self.len
    }

    fn positions(self) -> impl Iterator<Item = u32> {
        self.start..self.end()
    }
}

fn words(ids: &[u32], vocabulary: &MaskVocabulary, whole: bool) -> Vec<Word> {
    let mut words: Vec<Word> = Vec::with_capacity(ids.len());
    for (&id, position) in ids.iter().zip(0..) {
        if vocabulary.is_special(id) {
            continue;
        }
        match words.last_mut() {
            Some(word) if whole && word.end() == position && vocabulary.is_continuation(id) => {
                word.len += 1;
            }
            _ => words.push(Word {
                start: position,
                len: 1,
            }),
        }
    }
    words
}
