//! Texts of any length as rows that fit the model.

use std::ops::Range;

use bert_core::batch::{BertBatcher, Workload};
use bert_core::config::BertConfig;
use bert_core::tokenizer::{BertTokenizer, EncodeOptions, Encoding, TextInput};
use burn::tensor::Device;

use super::{Batches, LongTexts, PredictOptions, Row, windows};
use crate::error::{Error, Result};

/// The rows of some texts.
#[derive(Clone, Debug, Default)]
pub struct TextRows {
    /// The rows of all texts, one text after the other.
    pub rows: Vec<Row>,
    /// Which of them belong to each text; more than one for a text beyond the maximal length.
    pub of_text: Vec<Range<usize>>,
}

/// The rows of some sentences of words.
#[derive(Clone, Debug, Default)]
pub struct WordRows {
    /// The rows of all sentences, one sentence after the other.
    pub rows: Vec<Row>,
    /// For every word of each sentence the row and the position in it to read; `None` for a word
    /// without a token.
    pub of_sentence: Vec<Vec<Option<(usize, usize)>>>,
    /// Number of rows of each sentence.
    pub windows: Vec<usize>,
}

/// Cuts texts into rows of at most a maximal length: one row where it fits, else windows that are
/// spread evenly and overlap.
#[derive(Clone, Debug)]
pub struct Featurizer {
    tokenizer: BertTokenizer,
    max_length: usize,
    overlap: usize,
    long_texts: LongTexts,
    batch_tokens: usize,
    batcher: BertBatcher,
}

impl Featurizer {
    /// Rows for a model of `config`.
    ///
    /// # Errors
    ///
    /// [`Error::MaxLength`] for a maximal length beyond the model's positions,
    /// [`Error::InvalidOption`] for one without room for a text or an overlap that leaves none,
    /// [`Error::Core`] for a vocabulary that is not the model's.
    pub fn new(
        tokenizer: BertTokenizer,
        config: &BertConfig,
        options: &PredictOptions,
    ) -> Result<Self> {
        tokenizer.check_vocab(config.vocab_size)?;
        let max_length = options.max_length_for(config)?;
        let special = tokenizer.special_token_count(true);
        if max_length < special + 2 {
            return Err(Error::InvalidOption {
                option: "maximal length",
                value: max_length.to_string(),
                expected: match special {
                    3 => "at least 5: [CLS], two [SEP] and a token of each text",
                    _ => "room for the special tokens and a token of each text",
                },
            });
        }
        let overlap = options.overlap.unwrap_or(max_length / 4);
        if overlap > max_length / 2 {
            return Err(Error::InvalidOption {
                option: "overlap",
                value: overlap.to_string(),
                expected: "at most half the maximal length, so that windows move on",
            });
        }
        Ok(Self {
            batcher: BertBatcher::new(&tokenizer).for_model(config),
            tokenizer,
            max_length,
            overlap,
            long_texts: options.long_texts,
            batch_tokens: options.batch_tokens.max(1),
        })
    }

    /// The featurizer itself, if `device` can hold the buffers of its batches.
    ///
    /// # Errors
    ///
    /// [`bert_core::Error::BufferTooLarge`] if it cannot.
    pub fn on(self, config: &BertConfig, device: &Device) -> Result<Self> {
        Workload::of_batches(self.batch_tokens, self.max_length).check(config, device)?;
        Ok(self)
    }

    /// The tokenizer.
    pub fn tokenizer(&self) -> &BertTokenizer {
        &self.tokenizer
    }

    /// Most tokens of a row, special tokens included.
    pub fn max_length(&self) -> usize {
        self.max_length
    }

    /// Batches of rows on `device`.
    pub(super) fn batches<'a>(&'a self, device: &'a Device) -> Batches<'a> {
        Batches {
            batcher: &self.batcher,
            tokens: self.batch_tokens,
            device,
        }
    }

    /// Pooling of the outputs of a long text's windows.
    pub(super) fn long_texts(&self) -> LongTexts {
        self.long_texts
    }

    /// The rows of texts or pairs of texts; of a pair that is too long, the longer text is cut into
    /// windows beside the whole of the shorter, or both if either takes more than half.
    ///
    /// # Errors
    ///
    /// Those of the tokenizer, and [`Error::Core`] for tokens or segments that the model has no embedding for.
    pub fn texts<'a>(&self, texts: impl IntoIterator<Item = TextInput<'a>>) -> Result<TextRows> {
        let encodings = self
            .tokenizer
            .encode_batch(texts, &EncodeOptions::default())?;
        let mut features = TextRows::default();
        for encoding in encodings {
            let start = features.rows.len();
            self.push_text(&encoding, &mut features.rows);
            features.of_text.push(start..features.rows.len());
        }
        self.check(&features.rows)?;
        Ok(features)
    }

    /// Checks that the model has an embedding for every token and segment of some rows.
    ///
    /// # Errors
    ///
    /// [`Error::Core`] naming the first that it has none for: the second text of a pair, for a model of one segment.
    pub(crate) fn check(&self, rows: &[Row]) -> Result<()> {
        for row in rows {
            self.batcher.check_row(&row.ids, &row.type_ids)?;
        }
        Ok(())
    }

    fn push_text(&self, encoding: &Encoding, rows: &mut Vec<Row>) {
        if encoding.len() <= self.max_length {
            rows.push(Row::of(encoding));
            return;
        }
        let mut parts = [Vec::new(), Vec::new()];
        for (id, part) in encoding.ids().iter().zip(encoding.sequence_ids()) {
            if let Some(part) = part {
                parts[part].push(*id);
            }
        }
        let is_pair = encoding.is_pair();
        let budget = self.max_length - self.tokenizer.special_token_count(is_pair);
        let sizes = shares(parts[0].len(), parts[1].len(), budget, is_pair);
        let count = (0..2)
            .map(|i| windows::count(parts[i].len(), sizes[i], self.overlap))
            .max();
        let count = count.unwrap_or(1);
        for number in 0..count {
            let part =
                |i: usize| &parts[i][windows::spread(parts[i].len(), sizes[i], count, number)];
            rows.push(self.frame(part(0), is_pair.then(|| part(1))));
        }
    }

    /// The rows of one sentence of words, appended to `features`: its tokens, and the first token of
    /// each word.
    pub(crate) fn push_words(
        &self,
        ids: &[u32],
        first_tokens: impl IntoIterator<Item = Option<usize>>,
        features: &mut WordRows,
    ) {
        let size = self.max_length - self.tokenizer.special_token_count(false);
        let count = windows::count(ids.len(), size, self.overlap);
        let start = features.rows.len();
        let windows: Vec<Range<usize>> = (0..count)
            .map(|number| windows::spread(ids.len(), size, count, number))
            .collect();
        for window in &windows {
            features.rows.push(self.frame(&ids[window.clone()], None));
        }
        let place = |token: usize| {
            let number = windows::with_most_context(&windows, token)?;
            Some((start + number, token - windows[number].start + 1)) // [CLS] stands before
        };
        let positions = first_tokens
            .into_iter()
            .map(|token| token.and_then(place))
            .collect();
        features.of_sentence.push(positions);
        features.windows.push(count);
    }

    /// The rows of sentences of words.
    ///
    /// # Errors
    ///
    /// Those of [`texts`](Self::texts).
    pub fn words<'a>(&self, sentences: impl IntoIterator<Item = &'a [String]>) -> Result<WordRows> {
        let mut features = WordRows::default();
        for words in sentences {
            let pieces = self.tokenizer.encode_words(words)?;
            self.push_words(pieces.ids(), pieces.first_tokens(), &mut features);
        }
        self.check(&features.rows)?;
        Ok(features)
    }

    /// One text or two with the special tokens around them.
    pub(crate) fn frame(&self, first: &[u32], second: Option<&[u32]>) -> Row {
        let (ids, type_ids) = self.tokenizer.with_special_tokens(first, second);
        Row { ids, type_ids }
    }
}

/// Numbers of tokens of two texts that a window holds.
fn shares(first: usize, second: usize, budget: usize, is_pair: bool) -> [usize; 2] {
    let half = budget / 2;
    match (first <= half, second <= half) {
        _ if !is_pair => [budget, 0],
        (true, _) => [first, budget - first],
        (_, true) => [budget - second, second],
        _ => [budget - half, half],
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bert_core::tokenizer::TokenizerOptions;

    fn featurizer(max_length: usize, overlap: usize) -> Featurizer {
        let vocab = "[PAD] [UNK] [CLS] [SEP] [MASK] a b c d e f g h i j k l m n o p q r s t u v w";
        let options = TokenizerOptions::default();
        let tokenizer = BertTokenizer::from_vocab(vocab.split(' ').map(String::from), &options);
        let mut config = BertConfig::new(28, 12, 1, 2, 13);
        config.max_position_embeddings = 64;
        let options = PredictOptions {
            max_length: Some(max_length),
            overlap: Some(overlap),
            ..PredictOptions::default()
        };
        Featurizer::new(tokenizer.unwrap(), &config, &options).unwrap()
    }

    const LETTERS: &str = "a b c d e f g h i j k l m n o p q r s t u v w";

    #[test]
    fn a_long_text_is_covered_by_windows_that_overlap() {
        let featurizer = featurizer(9, 3);
        let features = featurizer
            .texts([TextInput::Single("a b"), TextInput::Single(LETTERS)])
            .unwrap();
        assert_eq!(features.of_text, [0..1, 1..6]);
        assert_eq!(features.rows[0].ids, [2, 5, 6, 3]);
        let mut covered = 5; // the id of `a`
        for row in &features.rows[1..] {
            assert_eq!((row.ids.len(), row.ids[0], row.ids[8]), (9, 2, 3));
            assert!(
                row.ids[1] == 5 || row.ids[1] + 3 <= covered,
                "{row:?} after {covered}"
            );
            covered = row.ids[7] + 1;
        }
        assert_eq!(covered, 28);
    }

    #[test]
    fn of_a_long_pair_the_shorter_stays_whole_and_two_long_ones_move_together() {
        let featurizer = featurizer(13, 2);
        let features = featurizer
            .texts([
                TextInput::Pair("a b", LETTERS),
                TextInput::Pair(LETTERS, "v w"),
                TextInput::Pair(LETTERS, LETTERS),
            ])
            .unwrap();
        let rows = |text: usize| &features.rows[features.of_text[text].clone()];
        assert!(rows(0).len() > 1 && rows(0).iter().all(|row| row.ids[..4] == [2, 5, 6, 3]));
        assert!(
            rows(1)
                .iter()
                .all(|row| row.ids[row.ids.len() - 3..] == [26, 27, 3])
        );
        for row in &features.rows {
            assert!(row.ids.len() <= 13);
            let second = row.type_ids.iter().filter(|&&segment| segment == 1).count();
            assert_eq!(row.type_ids[row.ids.len() - second..], vec![1; second]);
        }
        for (text, part) in [(0, 1), (1, 0), (2, 0), (2, 1)] {
            let seen: std::collections::BTreeSet<u32> = rows(text)
                .iter()
                .flat_map(|row| row.ids.iter().zip(&row.type_ids))
                .filter(|(id, segment)| **segment == part && **id > 4)
                .map(|(id, _)| *id)
                .collect();
            assert_eq!(seen.len(), 23, "text {text}, part {part}");
        }
    }

    #[test]
    fn a_word_is_read_where_it_has_most_context() {
        let featurizer = featurizer(9, 3);
        let words: Vec<String> = LETTERS
            .split(' ')
            .chain(["\u{ad}"])
            .map(String::from)
            .collect();
        let features = featurizer.words([words.as_slice()]).unwrap();
        let positions = &features.of_sentence[0];
        assert_eq!(
            (positions.len(), features.windows[0]),
            (24, features.rows.len())
        );
        assert_eq!(positions[23], None);
        for (word, place) in positions[..23].iter().enumerate() {
            let (row, position) = place.unwrap();
            assert_eq!(features.rows[row].ids[position], word as u32 + 5);
            let context = (position - 1).min(7 - position);
            assert!(
                context >= 1 || word == 0 || word == 22,
                "{word} at {position}"
            );
        }
    }

    #[test]
    fn lengths_without_room_are_refused() {
        let featurizer = featurizer(9, 3);
        let config = BertConfig::new(28, 12, 1, 2, 13);
        let make = |max_length, overlap| {
            let options = PredictOptions {
                max_length: Some(max_length),
                overlap,
                ..PredictOptions::default()
            };
            Featurizer::new(featurizer.tokenizer().clone(), &config, &options)
        };
        assert!(matches!(
            make(513, None),
            Err(Error::MaxLength { requested: 513, .. })
        ));
        assert!(matches!(make(4, None), Err(Error::InvalidOption { .. })));
        assert!(matches!(make(8, Some(5)), Err(Error::InvalidOption { .. })));
    }
}
