//! Training a WordPiece vocabulary on a corpus.
//!
//! Google has not published the trainer of its vocabularies; this one joins the commonest pairs as
//! `WordPieceTrainer` of the `tokenizers` crate does. Equal texts and options give equal files,
//! whatever the number of threads.

mod alphabet;
mod merges;
mod words;

use std::collections::HashMap;
use std::path::PathBuf;

use bert_core::tokenizer::{BertTokenizer, PieceCache, TokenizerOptions};
use rayon::prelude::*;
use serde::Serialize;

use self::alphabet::Alphabet;
use self::merges::Word;
use self::words::{WordCounts, WordSplitter};
use crate::corpus::batches::for_each_batch;
use crate::corpus::{CorpusCounts, CorpusOptions, CorpusReader};
use crate::{Error, Result};

/// The special tokens, which get the ids 0 to 4 in this order.
pub const SPECIAL_TOKENS: [&str; 5] = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"];

/// Prefix of a piece that continues a word.
const CONTINUING: &str = "##";
/// WordPiece makes longer words `[UNK]`, in characters (`max_input_chars_per_word`).
const LONGEST_WORD: usize = 100;

/// Options of the vocabulary to train.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VocabOptions {
    /// Tokens wanted, special tokens included; a small corpus may give fewer.
    pub size: usize,
    /// How often a pair of pieces must occur to become one.
    pub min_frequency: u64,
    /// The most different characters to keep, the commonest; `None` keeps as many as have room.
    /// Words with another character become `[UNK]`.
    pub limit_alphabet: Option<usize>,
    /// How text becomes words, as in the tokenizer that comes of it. Its special tokens must be
    /// [`SPECIAL_TOKENS`], which are the default.
    pub tokenizer: TokenizerOptions,
    /// How the texts are read.
    pub corpus: CorpusOptions,
}

impl Default for VocabOptions {
    /// Defaults of BERT-base uncased: 30,522 tokens, lower case without accents, and the trainer's usual
    /// minimum of 2 occurrences.
    fn default() -> Self {
        Self {
            size: 30_522,
            min_frequency: 2,
            limit_alphabet: None,
            tokenizer: TokenizerOptions::default(),
            corpus: CorpusOptions::default(),
        }
    }
}

/// How far training has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VocabProgress {
    /// Reading the texts and counting words.
    Counting(CorpusCounts),
    /// Joining pieces: the tokens there are so far.
    Joining(usize),
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
    /// Different characters in the vocabulary.
    pub alphabet: usize,
    /// Different characters in the texts.
    pub characters_seen: usize,
    /// Words and punctuation marks in the texts.
    pub words: u64,
    /// How many of them are different.
    pub distinct_words: usize,
    /// The share of words in the texts that become `[UNK]`, 0 to 1.
    pub unknown_share: f64,
    /// WordPieces a word, `[UNK]` counting as one.
    pub pieces_per_word: f64,
    /// The texts it was trained on; their tokens are WordPieces of this vocabulary.
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
    let (words, mut corpus) = count_words(reader, &options.tokenizer, progress)?;
    if words.is_empty() {
        return Err(Error::empty(inputs));
    }
    let (vocab, alphabet) = vocabulary(&words, options, progress);
    let size = vocab.len();
    let tokenizer = BertTokenizer::from_vocab(vocab, &options.tokenizer)?;
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
        if self.size <= SPECIAL_TOKENS.len() {
            return invalid(
                "size",
                self.size.to_string(),
                "more than the 5 special tokens",
            );
        }
        if self.limit_alphabet == Some(0) {
            return invalid("limit-alphabet", "0".into(), "at least 1");
        }
        Ok(())
    }
}

/// The distinct words in sorted order, on which nothing of the order they were counted in is left.
fn count_words(
    reader: CorpusReader,
    options: &TokenizerOptions,
    progress: &mut dyn FnMut(VocabProgress),
) -> Result<(Vec<(String, u64)>, CorpusCounts)> {
    let splitter = WordSplitter::new(options);
    let mut words = WordCounts::new();
    let mut counts = CorpusCounts::default();
    for_each_batch(
        reader,
        |documents| words::count_documents(&splitter, documents),
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

fn vocabulary(
    words: &[(String, u64)],
    options: &VocabOptions,
    progress: &mut dyn FnMut(VocabProgress),
) -> (Vec<String>, Alphabet) {
    let mut vocab: Vec<String> = SPECIAL_TOKENS.map(String::from).to_vec();
    let room = options.size - vocab.len();
    let alphabet = Alphabet::of(words, options.limit_alphabet, room);
    vocab.extend(alphabet.symbols.iter().cloned());
    let ids: HashMap<String, u32> = vocab.iter().cloned().zip(0..).collect();
    let mut spelled: Vec<Word> = words
        .iter()
        .filter(|(word, _)| word.chars().nth(LONGEST_WORD).is_none())
        .filter_map(|(word, count)| {
            Some(Word {
                symbols: alphabet::spell(word, &ids)?,
                count: *count,
            })
        })
        .collect();
    let mut joining = |tokens| progress(VocabProgress::Joining(tokens));
    merges::join(
        &mut spelled,
        &mut vocab,
        options.size,
        options.min_frequency,
        &mut joining,
    );
    (vocab, alphabet)
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
            let (mut ids, mut cache) = (Vec::new(), PieceCache::default());
            let mut usage = Self::default();
            for (word, count) in chunk {
                ids.clear();
                encoder.encode(word, &mut cache, &mut ids)?;
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
