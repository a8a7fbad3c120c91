//! Batches of made-up words: the same rows as token ids and as texts, for us and for peers.

use std::path::Path;

use bert_core::config::BertConfig;
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
    words: Vec<Word>,
    /// True if rows of [`Mode::Pretrain`] are pairs of sentences.
    next_sentence: bool,
    cls: i64,
    sep: i64,
    mask: i64,
    pad: i64,
}

/// A word with its ids: tokens may carry the space before a word.
#[derive(Clone, Debug)]
struct Word {
    text: String,
    /// At the beginning of a text.
    first: i64,
    /// After another word.
    next: i64,
}

impl Words {
    /// Lower-case words that are each one token of the vocabulary in `dir`, for a model of `config`.
    ///
    /// # Errors
    /// [`Error::NoWords`] if there is none.
    pub(crate) fn new(tokenizer: &BertTokenizer, config: &BertConfig, dir: &Path) -> Result<Self> {
        let is_word = |token: &String| {
            token.starts_with(|first: char| first.is_ascii_lowercase())
                && token
                    .chars()
                    .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit())
        };
        let ids = 0..u32::try_from(tokenizer.vocab_size()).unwrap_or(u32::MAX);
        let candidates = ids.filter_map(|id| tokenizer.word_beginning(id).filter(is_word));
        let twice = candidates.take(WORDS).map(|word| format!("{word} {word}"));
        let twice: Vec<String> = twice.collect();
        let texts = twice.iter().map(String::as_str);
        let encodings = tokenizer.encode_batch(texts, &EncodeOptions::default())?;
        let words = twice.iter().zip(encodings).filter_map(|(text, encoding)| {
            let &[_, first, next, _] = encoding.ids() else {
                return None;
            };
            let (word, _) = text.split_once(' ')?;
            Some(Word {
                text: word.to_owned(),
                first: first.into(),
                next: next.into(),
            })
        });
        let words: Vec<_> = words.collect();
        if words.is_empty() {
            return Err(Error::NoWords {
                dir: dir.to_owned(),
            });
        }
        Ok(Self {
            words,
            next_sentence: config.heads.next_sentence,
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
            let drawn: Vec<&Word> = (2..length)
                .map(|_| &self.words[random.random_range(0..self.words.len())])
                .collect();
            let start = inputs.input_ids.len();
            inputs.input_ids.push(self.cls);
            let (first, rest) = drawn.split_at(drawn.len().min(1));
            let ids = first.iter().map(|word| word.first);
            let ids = ids.chain(rest.iter().map(|word| word.next));
            inputs.input_ids.extend(ids);
            inputs.input_ids.push(self.sep);
            inputs.input_ids.resize(start + seq, self.pad);
            inputs.attention_mask.resize(start + length, 1);
            inputs.attention_mask.resize(start + seq, 0);
            let first_segment = if mode == Mode::Pretrain && self.next_sentence {
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
                    if self.next_sentence {
                        inputs.next_sentence.push((row % 2) as i64);
                    }
                    let count = ((length as f64 * MASKED).round() as usize).max(1);
                    let positions = index::sample(&mut random, length - 2, count.min(length - 2));
                    let mut positions = positions.into_vec();
                    positions.sort_unstable();
                    for position in positions.into_iter().map(|position| start + 1 + position) {
                        inputs.positions.push(position as i64);
                        let token = std::mem::replace(&mut inputs.input_ids[position], self.mask);
                        inputs.labels.push(token);
                    }
                }
                Mode::Embed => {
                    let words: Vec<&str> = drawn.iter().map(|word| word.text.as_str()).collect();
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
    use bert_core::models::FAMILIES;

    fn config() -> BertConfig {
        BertConfig::new(37, 8, 1, 2, 20)
    }

    fn tokenizer(config: &BertConfig) -> BertTokenizer {
        let dir = tempfile::tempdir().unwrap();
        let fields = serde_json::Value::Object(config.to_json());
        std::fs::write(dir.path().join("config.json"), fields.to_string()).unwrap();
        crate::vocabulary::save_tokenizer(config, dir.path()).unwrap();
        BertTokenizer::from_dir(dir.path()).unwrap()
    }

    fn words() -> Words {
        let config = config();
        Words::new(&tokenizer(&config), &config, Path::new("vocabulary")).unwrap()
    }

    #[test]
    fn texts_tokenise_to_the_rows_in_every_family() {
        for family in FAMILIES {
            let mut config = BertConfig::preset_in_family("base", family).unwrap();
            if config.pad_token_id < 3000 {
                config.vocab_size = 3000;
            }
            let tokenizer = tokenizer(&config);
            let name = family.name;
            assert_eq!(tokenizer.vocab_size(), config.vocab_size, "{name}");
            assert_eq!(tokenizer.pad_id() as usize, config.pad_token_id, "{name}");
            let words = Words::new(&tokenizer, &config, Path::new("vocabulary")).unwrap();
            assert!(words.words.len() > 500, "{name}: {}", words.words.len());
            let inputs = words.inputs(Mode::Embed, [5, 13], Some(&[4, 99]), 7);
            let lengths = inputs.lengths();
            assert!(lengths.contains(&4) && lengths.contains(&13), "{lengths:?}");
            for (row, text) in inputs.texts.iter().enumerate() {
                let encoding = tokenizer.encode(text, &EncodeOptions::default()).unwrap();
                let ids: Vec<i64> = encoding.ids().iter().map(|&id| i64::from(id)).collect();
                assert_eq!(ids, inputs.input_ids[row * 13..][..lengths[row]], "{name}");
            }
        }
    }

    #[test]
    fn families_without_next_sentences_have_rows_of_one_segment() {
        for family in FAMILIES {
            let mut config = config();
            config.heads = family.heads;
            let words = Words::new(&tokenizer(&config), &config, Path::new("vocabulary"));
            let inputs = words.unwrap().inputs(Mode::Pretrain, [3, 20], None, 7);
            let pairs = family.heads.next_sentence;
            assert_eq!(inputs.next_sentence.len(), if pairs { 3 } else { 0 });
            assert_eq!(inputs.token_type_ids.contains(&1), pairs, "{}", family.name);
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
