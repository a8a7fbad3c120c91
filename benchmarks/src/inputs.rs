//! Batches of made-up words: the same rows as token ids and as texts, for us and for peers.

use std::path::Path;

use bert_core::tokenizer::{BertTokenizer, EncodeOptions};
use bert_pretrain::instances::stream;
use rand::RngExt;
use rand::seq::index;

use crate::contract::{Inputs, Mode};
use crate::error::{Error, Result};

/// Words that are drawn from; more would change nothing.
const WORDS: usize = 2000;

/// Share of tokens that are predicted in pretraining (BERT §3.1).
const MASKED: f64 = 0.15;

/// Words that are one token each, and the ids around them.
#[derive(Clone, Debug)]
pub(crate) struct Words {
    /// Word and id.
    words: Vec<(String, i64)>,
    cls: i64,
    sep: i64,
    mask: i64,
    pad: i64,
}

impl Words {
    /// Whole lower-case words of the vocabulary, which lies in `dir`.
    ///
    /// # Errors
    /// [`Error::NoWords`] if there is none.
    pub(crate) fn new(tokenizer: &BertTokenizer, dir: &Path) -> Result<Self> {
        let is_word = |token: &String| {
            token.starts_with(|first: char| first.is_ascii_lowercase())
                && token
                    .chars()
                    .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit())
        };
        let ids = 0..u32::try_from(tokenizer.vocab_size()).unwrap_or(u32::MAX);
        let candidates: Vec<(u32, String)> = ids
            .filter_map(|id| Some((id, tokenizer.token(id).filter(is_word)?)))
            .take(WORDS)
            .collect();
        let texts = candidates.iter().map(|(_, word)| word.as_str());
        let encodings = tokenizer.encode_batch(texts, &EncodeOptions::default())?;
        let words: Vec<_> = candidates
            .iter()
            .zip(encodings)
            .filter(|((id, _), encoding)| encoding.ids().get(1..encoding.len() - 1) == Some(&[*id]))
            .map(|((id, word), _)| (word.clone(), i64::from(*id)))
            .collect();
        if words.is_empty() {
            return Err(Error::NoWords {
                dir: dir.to_owned(),
            });
        }
        Ok(Self {
            words,
            cls: i64::from(tokenizer.cls_id()),
            sep: i64::from(tokenizer.sep_id()),
            mask: i64::from(tokenizer.mask_id()),
            pad: i64::from(tokenizer.pad_id()),
        })
    }

    /// A batch of `shape` for `mode`: rows of random words, as long as some of `lengths` and at most `seq`, or all of `seq`
    /// tokens without lengths. Equal arguments give equal batches.
    pub(crate) fn inputs(
        &self,
        mode: Mode,
        shape: [usize; 2],
        lengths: Option<&[usize]>,
        seed: u64,
    ) -> Inputs {
        let [batch, seq] = shape;
        let mut inputs = Inputs {
            shape,
            ..Inputs::default()
        };
        for row in 0..batch {
            let mut random = stream(seed, &[row as u64]);
            let length = match lengths {
                Some(lengths) => lengths[random.random_range(0..lengths.len())],
                None => seq,
            };
            // [CLS], a word at least, [SEP].
            let length = length.min(seq).max(3.min(seq));
            let drawn: Vec<&(String, i64)> = (2..length)
                .map(|_| &self.words[random.random_range(0..self.words.len())])
                .collect();
            let start = inputs.input_ids.len();
            inputs.input_ids.push(self.cls);
            inputs.input_ids.extend(drawn.iter().map(|(_, id)| id));
            inputs.input_ids.push(self.sep);
            inputs.input_ids.resize(start + seq, self.pad);
            inputs.attention_mask.resize(start + length, 1);
            inputs.attention_mask.resize(start + seq, 0);
            let first_segment = if mode == Mode::Pretrain {
                length / 2
            } else {
                length
            };
            inputs.token_type_ids.resize(start + first_segment, 0);
            inputs.token_type_ids.resize(start + length, 1);
            inputs.token_type_ids.resize(start + seq, 0);
            match mode {
                Mode::Train => inputs.classes.push((row % 2) as i64),
                Mode::Pretrain => {
                    inputs.next_sentence.push((row % 2) as i64);
                    let count = ((length as f64 * MASKED).round() as usize).max(1);
                    let places = index::sample(&mut random, length - 2, count.min(length - 2));
                    let mut places = places.into_vec();
                    places.sort_unstable();
                    for place in places.into_iter().map(|place| start + 1 + place) {
                        inputs.positions.push(place as i64);
                        let token = std::mem::replace(&mut inputs.input_ids[place], self.mask);
                        inputs.labels.push(token);
                    }
                }
                Mode::Embed => {
                    let words: Vec<&str> = drawn.iter().map(|(word, _)| word.as_str()).collect();
                    inputs.texts.push(words.join(" "));
                }
                Mode::Forward | Mode::Backward => (),
            }
        }
        inputs
    }
}

impl Inputs {
    /// Tokens of each row, padding left out.
    pub fn lengths(&self) -> Vec<usize> {
        let rows = self.attention_mask.chunks(self.shape[1].max(1));
        rows.map(|row| row.iter().filter(|&&mask| mask == 1).count())
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bert_core::config::BertConfig;

    fn tokenizer() -> BertTokenizer {
        let dir = tempfile::tempdir().unwrap();
        crate::model::save_tokenizer(&BertConfig::new(37, 8, 1, 2, 20), dir.path()).unwrap();
        BertTokenizer::from_dir(dir.path()).unwrap()
    }

    fn words() -> Words {
        Words::new(&tokenizer(), Path::new("vocabulary")).unwrap()
    }

    #[test]
    fn texts_tokenise_to_the_rows() {
        let inputs = words().inputs(Mode::Embed, [5, 13], Some(&[4, 99]), 7);
        let (tokenizer, lengths) = (tokenizer(), inputs.lengths());
        assert!(lengths.contains(&4) && lengths.contains(&13), "{lengths:?}");
        for (row, text) in inputs.texts.iter().enumerate() {
            let encoding = tokenizer.encode(text, &EncodeOptions::default()).unwrap();
            let ids: Vec<i64> = encoding.ids().iter().map(|&id| i64::from(id)).collect();
            assert_eq!(ids, inputs.input_ids[row * 13..][..lengths[row]]);
        }
    }

    #[test]
    fn pretraining_masks_words_and_keeps_them_as_labels() {
        let inputs = words().inputs(Mode::Pretrain, [3, 20], None, 7);
        assert_eq!(inputs.positions.len(), 9, "15 % of 20 tokens in 3 rows");
        assert!(inputs.positions.is_sorted());
        let plain = words().inputs(Mode::Forward, [3, 20], None, 7);
        for (&place, &label) in inputs.positions.iter().zip(&inputs.labels) {
            assert_eq!(plain.input_ids[place as usize], label);
            assert_ne!(inputs.input_ids[place as usize], label);
        }
        assert_eq!(inputs.token_type_ids.iter().sum::<i64>(), 30);
        assert_eq!(inputs.next_sentence, [0, 1, 0]);
    }

    #[test]
    fn a_seed_gives_one_batch_and_rows_are_as_long_as_asked() {
        let make = |seed| words().inputs(Mode::Train, [4, 7], None, seed);
        assert_eq!(make(1), make(1));
        assert_ne!(make(1), make(2));
        assert_eq!(make(1).lengths(), [7; 4]);
        assert_eq!(make(1).classes, [0, 1, 0, 1]);
        let shortest = words().inputs(Mode::Pretrain, [2, 3], Some(&[1]), 1);
        assert_eq!((shortest.lengths(), shortest.labels.len()), (vec![3, 3], 2));
    }
}
