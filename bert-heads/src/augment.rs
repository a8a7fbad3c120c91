//! Altered copies of texts: some words are masked and others put in their place that a masked LM finds
//! likely (contextual augmentation, Kobayashi 2018; Wu et al. 2019).

use std::path::Path;

use bert_core::batch::{BertBatcher, BertInput};
use bert_core::checkpoint::Checkpoint;
use bert_core::tokenizer::{BertTokenizer, EncodeOptions};
use burn::tensor::{Device, FloatDType, Int, Tensor, TensorData, activation};
use rand::rngs::ChaCha8Rng;
use rand::seq::SliceRandom;
use rand::{RngExt, SeedableRng};

use crate::error::{Error, Result};
use crate::runner::{Batches, Row, host_values};
use crate::sentence_embedding::BATCH_TOKENS;
use crate::tasks::masked_lm::{BertForMaskedLm, likeliest};
use crate::tasks::token_classification::{TextWord, words};

/// A masked LM that alters texts.
#[derive(Debug)]
pub struct Augmenter {
    model: BertForMaskedLm,
    tokenizer: BertTokenizer,
    batcher: BertBatcher,
    max_length: usize,
    device: Device,
    /// Replacement words by token id; `None` for tokens that may not replace a word.
    words: Vec<Option<String>>,
}

/// Alterations of texts.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AugmentOptions {
    /// Share of the words of a text that are replaced, at least one; above 0 and at most 1.
    pub share: f64,
    /// The likeliest words from which one is drawn.
    pub top_k: usize,
    /// Below 1 draws the likelier ones more often than the model finds them, above 1 less often.
    pub temperature: f64,
    /// Decides which words are replaced, and by which.
    pub seed: u64,
}

impl Default for AugmentOptions {
    fn default() -> Self {
        Self {
            share: 0.15,
            top_k: 20,
            temperature: 1.0,
            seed: 0,
        }
    }
}

/// A text with gaps.
struct Draft {
    /// Its tokens, special tokens included.
    row: Row,
    gaps: Vec<Gap>,
    random: ChaCha8Rng,
}

/// A word to replace.
struct Gap {
    /// Its place among the ids.
    position: usize,
    /// Its place in the text, in characters.
    start: usize,
    end: usize,
    word: String,
}

impl AugmentOptions {
    fn check(&self) -> Result<()> {
        let refuse = |option, value: String, expected| {
            Err(Error::InvalidOption {
                option,
                value,
                expected,
            })
        };
        if !(self.share > 0.0 && self.share <= 1.0) {
            return refuse("share", self.share.to_string(), "above 0 and at most 1");
        }
        if self.top_k == 0 {
            return refuse("top k", "0".to_owned(), "at least 1");
        }
        match self.temperature > 0.0 && self.temperature.is_finite() {
            true => Ok(()),
            false => refuse("temperature", self.temperature.to_string(), "above 0"),
        }
    }
}

impl Augmenter {
    /// Loads model and tokenizer from a model directory.
    ///
    /// # Errors
    ///
    /// [`Error::NoMaskedLmHead`] for a checkpoint without the head, and [`Error::Core`] for files
    /// that are missing, malformed or do not belong together.
    pub fn from_dir(dir: impl AsRef<Path>, device: &Device) -> Result<Self> {
        let dir = dir.as_ref();
        let checkpoint = Checkpoint::open(dir)?;
        let config = checkpoint.config();
        let tokenizer = BertTokenizer::from_dir(dir)?;
        tokenizer.check_vocab(config.vocab_size)?;
        // Continuations, special tokens and numbers are no words; nor is anything with a separator.
        let word = |id| {
            let token = tokenizer.word_beginning(id);
            token.filter(|token| is_word(token))
        };
        Ok(Self {
            model: BertForMaskedLm::from_checkpoint(&checkpoint, device)?,
            words: (0..config.vocab_size as u32).map(word).collect(),
            max_length: config.max_input_length(),
            batcher: BertBatcher::new(&tokenizer).for_model(config),
            tokenizer,
            device: device.clone(),
        })
    }

    /// An altered copy of each text; `None` where no word could be replaced.
    ///
    /// Each text comes with a number, which decides its copy together with the seed: the same text
    /// under another number gives another copy, and what else is altered beside it does not matter.
    /// All characters but those of the words replaced stay as they are. Words are of letters alone,
    /// and get a capital where the word before had one. A text longer than the model reads is altered
    /// at its beginning.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidOption`] for options that make no sense, those of the tokenizer,
    /// [`Error::Core`], and [`Error::NotFinite`] for outputs that are no numbers.
    pub fn augment(
        &self,
        texts: &[(&str, u64)],
        options: &AugmentOptions,
    ) -> Result<Vec<Option<String>>> {
        options.check()?;
        let drafts = texts
            .iter()
            .map(|(text, number)| self.draft(text, *number, options));
        let mut drafts: Vec<Draft> = drafts.collect::<Result<_>>()?;
        let mut copies: Vec<Option<String>> = vec![None; texts.len()];
        let filled: Vec<usize> = (0..drafts.len())
            .filter(|&i| !drafts[i].gaps.is_empty())
            .collect();
        let rows: Vec<Row> = filled.iter().map(|&i| drafts[i].row.clone()).collect();
        let batches = Batches {
            batcher: &self.batcher,
            tokens: BATCH_TOKENS,
            device: &self.device,
        };
        batches.run(&rows, &|| false, |input, batch| {
            let batch: Vec<usize> = batch.iter().map(|&place| filled[place]).collect();
            let probabilities = self.probabilities(input, &batch, &drafts)?;
            let mut rows = probabilities.chunks(self.words.len());
            for &index in &batch {
                let draft = &mut drafts[index];
                let mut chosen = Vec::with_capacity(draft.gaps.len());
                for (gap, row) in draft.gaps.iter().zip(&mut rows) {
                    if row.iter().any(|probability| !probability.is_finite()) {
                        return Err(Error::NotFinite { index });
                    }
                    chosen.push(self.draw(row, &gap.word, options, &mut draft.random));
                }
                copies[index] = replaced(texts[index].0, &draft.gaps, &chosen);
            }
            Ok(vec![(); batch.len()])
        })?;
        Ok(copies)
    }

    fn draft(&self, text: &str, number: u64, options: &AugmentOptions) -> Result<Draft> {
        let plain = EncodeOptions {
            add_special_tokens: false,
            ..EncodeOptions::default()
        };
        let encoding = self.tokenizer.encode(text, &plain)?;
        let special = self.tokenizer.special_token_count(false);
        let room = self.max_length.saturating_sub(special);
        let all = words(&encoding);
        let ends = all
            .iter()
            .skip(1)
            .map(|word| word.token)
            .chain([encoding.len()]);
        let read: Vec<(&TextWord, usize)> = all
            .iter()
            .zip(ends)
            .take_while(|(_, end)| *end <= room)
            .collect();

        let letters: Vec<char> = text.chars().collect();
        let spelled =
            |word: &TextWord| -> String { letters[word.start..word.end].iter().collect() };
        let mut random = ChaCha8Rng::seed_from_u64(options.seed);
        random.set_stream(number);
        let mut chosen: Vec<usize> = (0..read.len())
            .filter(|&i| is_word(&spelled(read[i].0)))
            .collect();
        let count = (options.share * chosen.len() as f64).round().max(1.0) as usize;
        chosen.shuffle(&mut random);
        chosen.truncate(count);

        let mut ids = vec![self.tokenizer.cls_id()];
        let mut gaps = Vec::with_capacity(chosen.len());
        for (index, (word, end)) in read.into_iter().enumerate() {
            if chosen.contains(&index) {
                gaps.push(Gap {
                    position: ids.len(),
                    start: word.start,
                    end: word.end,
                    word: spelled(word),
                });
                ids.push(self.tokenizer.mask_id());
            } else {
                ids.extend_from_slice(&encoding.ids()[word.token..end]);
            }
        }
        ids.push(self.tokenizer.sep_id());
        let row = Row {
            type_ids: vec![0; ids.len()],
            ids,
        };
        Ok(Draft { row, gaps, random })
    }

    /// For each gap of the drafts in `batch`, whose rows are `input`, the probability of every token,
    /// one after the other.
    fn probabilities(
        &self,
        input: BertInput,
        batch: &[usize],
        drafts: &[Draft],
    ) -> Result<Vec<f32>> {
        let [_, seq] = input.dims();
        let positions: Vec<i64> = batch
            .iter()
            .enumerate()
            .flat_map(|(row, &i)| {
                drafts[i]
                    .gaps
                    .iter()
                    .map(move |gap| (row * seq + gap.position) as i64)
            })
            .collect();
        let count = positions.len();
        let positions =
            Tensor::<1, Int>::from_data(TensorData::new(positions, [count]), &self.device);
        let logits = self.model.forward(input, positions); // [gaps, vocab]
        host_values(activation::softmax(logits.cast(FloatDType::F32), 1))
    }

    /// A word drawn in place of `original`, which it is not; none where the vocabulary has no other.
    fn draw(
        &self,
        probabilities: &[f32],
        original: &str,
        options: &AugmentOptions,
        random: &mut ChaCha8Rng,
    ) -> Option<String> {
        let lower = original.to_lowercase();
        let words = self.words.iter().enumerate();
        let others = words.filter(|(_, word)| {
            word.as_ref()
                .is_some_and(|word| word.to_lowercase() != lower)
        });
        let best = likeliest(
            probabilities,
            others.map(|(id, _)| id).collect(),
            options.top_k,
        );
        let weights: Vec<f64> = best
            .iter()
            .map(|&id| f64::from(probabilities[id]).powf(1.0 / options.temperature))
            .collect();
        let mut left = random.random_range(0.0..1.0) * weights.iter().sum::<f64>();
        let mut drawn = *best.first()?;
        for (&id, weight) in best.iter().zip(weights) {
            drawn = id;
            left -= weight;
            if left < 0.0 {
                break;
            }
        }
        self.words[drawn]
            .as_deref()
            .map(|word| cased(word, original))
    }
}

/// Letters, and nothing else.
fn is_word(text: &str) -> bool {
    !text.is_empty() && text.chars().all(char::is_alphabetic)
}

/// `word` with the capitals that `original` has: all of several, or the first.
fn cased(word: &str, original: &str) -> String {
    let mut letters = original.chars();
    let first = letters.next().is_some_and(char::is_uppercase);
    match (first, letters.next().is_some_and(char::is_uppercase)) {
        (true, true) => word.to_uppercase(),
        (true, false) => {
            let mut letters = word.chars();
            let first = letters.next().into_iter().flat_map(char::to_uppercase);
            first.chain(letters).collect()
        }
        _ => word.to_owned(),
    }
}

/// The text with its gaps filled; `None` where nothing was found for any.
fn replaced(text: &str, gaps: &[Gap], chosen: &[Option<String>]) -> Option<String> {
    chosen.iter().flatten().next()?;
    let letters: Vec<char> = text.chars().collect();
    let mut copy = String::with_capacity(text.len());
    let mut done = 0;
    for (gap, word) in gaps.iter().zip(chosen) {
        copy.extend(&letters[done..gap.start]);
        match word {
            Some(word) => copy.push_str(word),
            None => copy.extend(&letters[gap.start..gap.end]),
        }
        done = gap.end;
    }
    copy.extend(&letters[done..]);
    Some(copy)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn capitals_stay_where_they_were() {
        for (original, expected) in [("cat", "dog"), ("Cat", "Dog"), ("CAT", "DOG"), ("I", "Dog")] {
            assert_eq!(cased("dog", original), expected);
        }
        assert_eq!(cased("", "Cat"), "");
        assert!(is_word("été") && is_word("字"));
        assert!(!is_word("##ing") && !is_word("[MASK]") && !is_word("3rd") && !is_word(""));
    }

    #[test]
    fn what_is_between_the_gaps_stays() {
        let gap = |start, end| Gap {
            position: 1,
            start,
            end,
            word: String::new(),
        };
        let gaps = [gap(0, 1), gap(3, 7)];
        let words = |words: [Option<&str>; 2]| words.map(|word| word.map(str::to_owned));
        let fill = |filled| replaced("é, café !", &gaps, &words(filled));
        assert_eq!(fill([Some("a"), Some("tea")]).unwrap(), "a, tea !");
        assert_eq!(fill([None, Some("tea")]).unwrap(), "é, tea !");
        assert_eq!(fill([None, None]), None);
    }
}
