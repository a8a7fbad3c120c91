//! Training the vocabulary of a family on a corpus: WordPiece, byte-level BPE or Unigram.
//!
//! Google has not published the trainer of its WordPieces; this one joins the commonest pairs as
//! `WordPieceTrainer` of the `tokenizers` crate does. Equal texts and options give equal files,
//! whatever the number of threads.

mod alphabet;
mod merges;
mod unigram;
mod words;

use std::collections::HashMap;
use std::path::PathBuf;

use bert_core::models::{BERT, Family, TokenizerModel};
use bert_core::tokenizer::{BertTokenizer, TokenizerOptions, Vocabulary};
use rayon::prelude::*;
use serde::Serialize;

use self::alphabet::Alphabet;
use self::merges::{Joining, Word};
use self::unigram::Pruning;
use self::words::{WordCounter, WordCounts};
use crate::corpus::batches::for_each_batch;
use crate::corpus::{CorpusCounts, CorpusOptions, CorpusReader};
use crate::{Error, Result};

/// Prefix of a piece that continues a word.
const CONTINUING: &str = "##";
/// Symbols that stand for bytes.
const BYTES: usize = 256;
/// WordPiece makes longer words `[UNK]`, in characters (`max_input_chars_per_word`).
const LONGEST_WORD: usize = 100;

/// Options of the vocabulary to train.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VocabOptions {
    /// The family whose tokenizer it becomes, with its special tokens at its ids for them.
    pub family: &'static Family,
    /// Tokens wanted, special tokens included; a small corpus may give fewer.
    pub size: usize,
    /// Minimal count of a pair of pieces that becomes one; for Unigram, of a piece.
    pub min_frequency: u64,
    /// The most different characters to keep, the commonest; `None` keeps as many as have room.
    /// Words with another character become `[UNK]`. Byte-level BPE has no such limit.
    pub limit_alphabet: Option<usize>,
    /// Splitting of text into words, as in the tokenizer that comes of it ([`BertTokenizer::of_family`]).
    pub tokenizer: TokenizerOptions,
    /// Options of reading the texts.
    pub corpus: CorpusOptions,
}

impl Default for VocabOptions {
    /// Defaults of BERT-base uncased: 30,522 tokens, lower case without accents, and the trainer's usual
    /// minimum of 2 occurrences.
    fn default() -> Self {
        Self {
            family: &BERT,
            size: 30_522,
            min_frequency: 2,
            limit_alphabet: None,
            tokenizer: TokenizerOptions::default(),
            corpus: CorpusOptions::default(),
        }
    }
}

/// Progress of the training.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VocabProgress {
    /// Reading the texts and counting words.
    Counting(CorpusCounts),
    /// Joining pieces: the tokens there are so far.
    Joining(usize),
    /// Pruning pieces of a Unigram model: the pieces that are left.
    Pruning(usize),
}

/// A trained vocabulary.
#[derive(Debug)]
pub struct TrainedVocab {
    /// The tokenizer with it, which can be saved as a directory.
    pub tokenizer: BertTokenizer,
    /// Summary of the training.
    pub summary: VocabSummary,
}

/// Summary of training a vocabulary.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct VocabSummary {
    /// Tokens asked for.
    pub asked: usize,
    /// Tokens in the vocabulary.
    pub size: usize,
    /// Different characters in the vocabulary; bytes of byte-level BPE.
    pub alphabet: usize,
    /// Different characters in the texts, or bytes.
    pub characters_seen: usize,
    /// Words in the texts, and punctuation marks where the tokenizer parts them from words.
    pub words: u64,
    /// Number of different words.
    pub distinct_words: usize,
    /// The share of words in the texts that become `[UNK]`, 0 to 1.
    pub unknown_share: f64,
    /// Tokens a word, unknown ones counting as one.
    pub pieces_per_word: f64,
    /// The texts it was trained on; their tokens are those of this vocabulary.
    pub corpus: CorpusCounts,
}

/// Trains a vocabulary on files, all files below directories, or standard input for `-`.
///
/// Texts are streamed; the distinct words are kept in memory.
///
/// # Errors
/// [`Error::InvalidOption`] for a size without room for more than the special tokens or an alphabet
/// of no characters, [`Error::EmptyCorpus`] for texts without a word, and what can go wrong in
/// reading them.
pub fn train_vocab(
    inputs: &[PathBuf],
    options: &VocabOptions,
    progress: &mut dyn FnMut(VocabProgress),
) -> Result<TrainedVocab> {
    options.check()?;
    let reader = CorpusReader::new(inputs, options.corpus.clone())?;
    let tokenizer =
        |vocabulary| BertTokenizer::of_family(options.family, vocabulary, &options.tokenizer);
    let counter = WordCounter::new(&tokenizer(Vocabulary::empty(options.family))?);
    let (words, mut corpus) = count_words(reader, &counter, progress)?;
    if words.is_empty() {
        return Err(Error::empty(inputs));
    }
    let (vocabulary, alphabet) = options.vocabulary(&words, progress);
    let tokenizer = tokenizer(vocabulary)?;
    let size = tokenizer.vocab_size();
    let usage = Usage::of(&words, &tokenizer)?;
    corpus.tokens = usage.pieces;
    let share = |part: u64| part as f64 / usage.words as f64;
    Ok(TrainedVocab {
        tokenizer,
        summary: VocabSummary {
            asked: options.size,
            size,
            alphabet: alphabet.kept,
            characters_seen: alphabet.seen,
            words: usage.words,
            distinct_words: words.len(),
            unknown_share: share(usage.unknown),
            pieces_per_word: share(usage.pieces),
            corpus,
        },
    })
}

impl VocabOptions {
    fn check(&self) -> Result<()> {
        let invalid = |option, value: String, expected| {
            Err(Error::InvalidOption {
                option,
                value,
                expected,
            })
        };
        let (least, expected) = match self.family.tokenizer.model {
            TokenizerModel::ByteLevelBpe => {
                (BYTES, "more than the special tokens and the 256 bytes")
            }
            _ => (0, "more than the special tokens"),
        };
        if self.size <= self.special_tokens() + least {
            return invalid("size", self.size.to_string(), expected);
        }
        if self.limit_alphabet == Some(0) {
            return invalid("limit-alphabet", "0".into(), "at least 1");
        }
        if let Some(limit) = self.limit_alphabet
            && self.family.tokenizer.model == TokenizerModel::ByteLevelBpe
        {
            let expected = "left out, as all 256 bytes are in a byte-level vocabulary";
            return invalid("limit-alphabet", limit.to_string(), expected);
        }
        Ok(())
    }

    fn special_tokens(&self) -> usize {
        let [first, last] = self.family.tokenizer.special_order;
        first.len() + last.len()
    }

    /// The vocabulary of counted words, and the characters it is made of.
    fn vocabulary(
        &self,
        words: &[(String, u64)],
        progress: &mut dyn FnMut(VocabProgress),
    ) -> (Vocabulary, Alphabet) {
        match self.family.tokenizer.model {
            TokenizerModel::WordPiece => self.wordpieces(words, progress),
            TokenizerModel::ByteLevelBpe => self.merged_bytes(words, progress),
            TokenizerModel::Unigram(_) => self.pieces(words, progress),
        }
    }

    fn wordpieces(
        &self,
        words: &[(String, u64)],
        progress: &mut dyn FnMut(VocabProgress),
    ) -> (Vocabulary, Alphabet) {
        let room = self.size - self.special_tokens();
        let alphabet = Alphabet::of(words, self.limit_alphabet, room);
        let short = |word: &str| word.chars().nth(LONGEST_WORD).is_none();
        let words = words.iter().filter(|(word, _)| short(word));
        let (tokens, _) = self.joined(words, &alphabet, CONTINUING, progress);
        (Vocabulary::WordPiece(tokens), alphabet)
    }

    fn merged_bytes(
        &self,
        words: &[(String, u64)],
        progress: &mut dyn FnMut(VocabProgress),
    ) -> (Vocabulary, Alphabet) {
        let alphabet = Alphabet::of_bytes(words);
        let (tokens, merges) = self.joined(words.iter(), &alphabet, "", progress);
        (Vocabulary::ByteLevelBpe { tokens, merges }, alphabet)
    }

    /// Tokens and pairs that come of joining the symbols of `words`, those within a word with the prefix `continuing`.
    fn joined<'a>(
        &self,
        words: impl Iterator<Item = &'a (String, u64)>,
        alphabet: &Alphabet,
        continuing: &'static str,
        progress: &mut dyn FnMut(VocabProgress),
    ) -> (Vec<String>, Vec<(String, String)>) {
        let [first, last] = self.family.tokenizer.special_order;
        let mut vocab: Vec<String> = first.iter().map(|token| (*token).to_owned()).collect();
        vocab.extend(alphabet.symbols.iter().cloned());
        let ids: HashMap<String, u32> = vocab.iter().cloned().zip(0..).collect();
        let mut spelled: Vec<Word> = words
            .filter_map(|(word, count)| {
                Some(Word {
                    symbols: alphabet::spell(word, &ids, continuing)?,
                    count: *count,
                })
            })
            .collect();
        let options = Joining {
            size: self.size - last.len(),
            min_frequency: self.min_frequency,
            continuing,
        };
        let mut joining = |tokens| progress(VocabProgress::Joining(tokens + last.len()));
        let pairs = merges::join(&mut spelled, &mut vocab, options, &mut joining);
        let token = |id: u32| vocab[id as usize].clone();
        let merges = pairs
            .into_iter()
            .map(|(a, b)| (token(a), token(b)))
            .collect();
        vocab.extend(last.iter().map(|token| (*token).to_owned()));
        (vocab, merges)
    }

    fn pieces(
        &self,
        words: &[(String, u64)],
        progress: &mut dyn FnMut(VocabProgress),
    ) -> (Vocabulary, Alphabet) {
        let size = self.size - self.special_tokens();
        let alphabet = Alphabet::of_characters(words, self.limit_alphabet, size);
        let options = Pruning {
            size,
            min_frequency: self.min_frequency,
        };
        let mut pruning = |pieces| progress(VocabProgress::Pruning(pieces));
        let mut pieces = unigram::train(words, &alphabet.symbols, options, &mut pruning);
        let [first, last] = self.family.tokenizer.special_order;
        // Texts may spell out a special token.
        pieces.retain(|(piece, _)| !first.iter().chain(last).any(|token| token == piece));
        let special = |tokens: &[&str]| -> Vec<(String, f64)> {
            tokens
                .iter()
                .map(|token| ((*token).to_owned(), 0.0))
                .collect()
        };
        let vocabulary = [special(first), pieces, special(last)].concat();
        (Vocabulary::Unigram(vocabulary), alphabet)
    }
}

/// The distinct words in sorted order, on which nothing of the order they were counted in is left.
fn count_words(
    reader: CorpusReader,
    counter: &WordCounter,
    progress: &mut dyn FnMut(VocabProgress),
) -> Result<(Vec<(String, u64)>, CorpusCounts)> {
    let mut words = WordCounts::new();
    let mut counts = CorpusCounts::default();
    for_each_batch(
        reader,
        |documents| words::count_documents(counter, documents),
        |chunks, files| {
            for (chunk, more) in chunks {
                chunk
                    .iter()
                    .for_each(|(word, count)| words::add(&mut words, word, *count));
                counts += more;
            }
            counts.files = files;
            progress(VocabProgress::Counting(counts));
            Ok(())
        },
    )?;
    let mut words: Vec<(String, u64)> = words.into_iter().collect();
    words.par_sort_unstable();
    Ok((words, counts))
}

/// Counts of words, unknown words and pieces of a tokenizer, weighted by occurrence.
#[derive(Clone, Copy, Default)]
struct Usage {
    words: u64,
    unknown: u64,
    pieces: u64,
}

impl Usage {
    fn of(words: &[(String, u64)], tokenizer: &BertTokenizer) -> Result<Self> {
        let encoder = tokenizer.piece_encoder();
        let unknown = tokenizer.unk_id();
        let sum = |a: Self, b: Self| Self {
            words: a.words + b.words,
            unknown: a.unknown + b.unknown,
            pieces: a.pieces + b.pieces,
        };
        let chunk_usage = |chunk: &[(String, u64)]| -> Result<Self> {
            let mut ids = Vec::new();
            let mut usage = Self::default();
            for (word, count) in chunk {
                ids.clear();
                encoder.encode_word(word, &mut ids)?;
                usage.words += count;
                usage.pieces += count * ids.len() as u64;
                usage.unknown += count * u64::from(ids.contains(&unknown));
            }
            Ok(usage)
        };
        let chunks = words.par_chunks(4096).map(chunk_usage);
        chunks.try_reduce(Self::default, |a, b| Ok(sum(a, b)))
    }
}
