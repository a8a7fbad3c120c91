//! Documents cut into pairs of segments for next-sentence prediction, or into runs of full
//! sentences (BERT §3.1 task 2, `create_instances_from_document` of Google's
//! `create_pretraining_data.py`; RoBERTa §4.2 for full sentences).

use std::ops::Range;
use std::sync::Arc;

use rand::{Rng, RngExt};
use serde::{Deserialize, Serialize};

use crate::corpus::{DocumentSource, TokenizedDocument};
use crate::{Error, Result};

/// Options of the segments that documents are cut into.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PairOptions {
    /// Most tokens of an instance, special tokens included.
    pub max_seq_length: usize,
    /// Share of documents that are cut to a shorter target, drawn uniformly from 2 tokens up.
    pub short_seq_probability: f64,
    /// Pairs for next-sentence prediction; otherwise runs of consecutive sentences without a second
    /// segment.
    pub next_sentence: bool,
}

impl Default for PairOptions {
    fn default() -> Self {
        Self {
            max_seq_length: 128,
            short_seq_probability: 0.1,
            next_sentence: true,
        }
    }
}

impl PairOptions {
    /// Checks that instances can be made, of BERT's tokens at least.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidOption`] naming the field that is out of range.
    pub fn check(&self) -> Result<()> {
        let special_tokens = if self.next_sentence { 3 } else { 2 };
        Cutting::new(self, special_tokens).map(|_| ())
    }
}

/// Options with the tokens of text that fit between special tokens.
#[derive(Clone, Copy)]
pub(super) struct Cutting<'a> {
    options: &'a PairOptions,
    budget: usize,
}

impl<'a> Cutting<'a> {
    /// Options for texts with as many special tokens around them.
    pub(super) fn new(options: &'a PairOptions, special_tokens: usize) -> Result<Self> {
        let budget = options.max_seq_length.saturating_sub(special_tokens);
        if budget < 2 {
            return Err(Error::InvalidOption {
                option: "max_seq_length",
                value: options.max_seq_length.to_string(),
                expected: "large enough for two tokens between the special tokens: at least 5 for [CLS] A [SEP] B [SEP]",
            });
        }
        if !(0.0..=1.0).contains(&options.short_seq_probability) {
            return Err(Error::InvalidOption {
                option: "short_seq_probability",
                value: options.short_seq_probability.to_string(),
                expected: "a share from 0 to 1",
            });
        }
        Ok(Self { options, budget })
    }

    /// The length to aim for in one document; the budget stays the limit.
    fn target(&self, random: &mut impl Rng) -> usize {
        match random.random_bool(self.options.short_seq_probability) {
            true => random.random_range(2..=self.budget),
            false => self.budget,
        }
    }
}

/// Two segments of token ids without special tokens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SegmentPair {
    /// Segment A; never empty.
    pub first: Vec<u32>,
    /// Segment B; empty where instances are made without next-sentence prediction.
    pub second: Vec<u32>,
    /// True if B comes from elsewhere rather than from behind A.
    pub is_random_next: bool,
}

/// Cuts document `index` into segments, around which `special_tokens` are to stand.
///
/// With [`next_sentence`](PairOptions::next_sentence), sentences are gathered until the target
/// length is reached, a random number of them becomes A, and B is either what follows or, half of
/// the time and whenever nothing follows, a stretch of another document; sentences gathered but not
/// used are gathered again. A pair over the budget loses tokens from either end of its longer
/// segment. Google draws the other document up to ten times and takes its own if all fail; here it is
/// drawn among the others, which is the same but for that failure. A single document is its own other
/// one, as with Google, but B never starts right behind A then.
///
/// Without it, consecutive sentences are packed until the next one would not fit, or the target is
/// reached; a sentence longer than the budget is cut into pieces, and no token is lost.
///
/// # Errors
///
/// [`Error::InvalidOption`] as from [`PairOptions::check`], and those of the source.
///
/// # Panics
///
/// If `index` is not below the number of documents.
pub fn pairs_from_document<S: DocumentSource + ?Sized>(
    documents: &S,
    index: usize,
    options: &PairOptions,
    special_tokens: usize,
    random: &mut impl Rng,
) -> Result<Vec<SegmentPair>> {
    let cutting = Cutting::new(options, special_tokens)?;
    let document = documents.document(index)?;
    let read = |other| documents.document(other).map(Arc::new);
    let corpus = Corpus {
        len: documents.len(),
        read: &read,
    };
    cut(&document, index, &corpus, cutting, random)
}

/// Source of random second segments.
pub(super) struct Corpus<'a> {
    /// Number of documents.
    pub(super) len: usize,
    /// Gives the document of a number.
    pub(super) read: &'a dyn Fn(usize) -> Result<Arc<TokenizedDocument>>,
}

/// [`pairs_from_document`] for a document at hand and options that were checked.
pub(super) fn cut(
    document: &TokenizedDocument,
    index: usize,
    corpus: &Corpus,
    cutting: Cutting<'_>,
    random: &mut impl Rng,
) -> Result<Vec<SegmentPair>> {
    match cutting.options.next_sentence {
        true => sentence_pairs(document, index, corpus, cutting, random),
        false => Ok(full_sentences(document, cutting, random)),
    }
}

fn sentence_pairs(
    document: &TokenizedDocument,
    index: usize,
    corpus: &Corpus,
    cutting: Cutting<'_>,
    random: &mut impl Rng,
) -> Result<Vec<SegmentPair>> {
    let target = cutting.target(random);
    let mut pairs = Vec::new();
    let (mut start, mut length) = (0, 0);
    let mut position = 0;
    while let Some(sentence) = document.get(position) {
        position += 1;
        length += sentence.len();
        if length < target && position < document.len() {
            continue;
        }
        let chunk = &document[start..position];
        let a_end = match chunk.len() {
            1 => 1,
            sentences => random.random_range(1..sentences),
        };
        let mut first = chunk[..a_end].concat();
        let is_random_next = chunk.len() == 1 || random.random_bool(0.5);
        let mut second = if is_random_next {
            // Sentences behind A go back to be gathered again.
            position = start + a_end;
            let wanted = target.saturating_sub(first.len());
            random_segment(document, index, position, corpus, wanted, random)?
        } else {
            chunk[a_end..].concat()
        };
        truncate(&mut first, &mut second, cutting.budget, random);
        if !first.is_empty() && !second.is_empty() {
            pairs.push(SegmentPair {
                first,
                second,
                is_random_next,
            });
        }
        (start, length) = (position, 0);
    }
    Ok(pairs)
}

/// Whole sentences from a random place up to at least `wanted` tokens, or to the document's end.
///
/// `next` is the sentence of `document` that truly follows.
fn random_segment(
    document: &TokenizedDocument,
    index: usize,
    next: usize,
    corpus: &Corpus,
    wanted: usize,
    random: &mut impl Rng,
) -> Result<Vec<u32>> {
    let elsewhere;
    let (source, start) = if corpus.len > 1 {
        elsewhere = (corpus.read)(skipping(index, corpus.len, random))?;
        if elsewhere.is_empty() {
            return Ok(Vec::new());
        }
        (&*elsewhere, random.random_range(0..elsewhere.len()))
    } else if next < document.len() {
        // A has a sentence too, so that there are at least two to choose from.
        (document, skipping(next, document.len(), random))
    } else {
        (document, random.random_range(0..document.len()))
    };
    let mut segment = Vec::new();
    for sentence in &source[start..] {
        segment.extend_from_slice(sentence);
        if segment.len() >= wanted {
            break;
        }
    }
    Ok(segment)
}

/// A number below `len` other than `skipped`, which is one of at least two.
fn skipping(skipped: usize, len: usize, random: &mut impl Rng) -> usize {
    let drawn = random.random_range(0..len - 1);
    drawn + usize::from(drawn >= skipped)
}

/// Takes tokens from the longer segment, from its front or back by chance, until both fit.
fn truncate(first: &mut Vec<u32>, second: &mut Vec<u32>, budget: usize, random: &mut impl Rng) {
    let (mut a, mut b) = (0..first.len(), 0..second.len());
    while a.len() + b.len() > budget {
        let longer = if a.len() > b.len() { &mut a } else { &mut b };
        match random.random() {
            true => longer.start += 1,
            false => longer.end -= 1,
        }
    }
    let keep = |segment: &mut Vec<u32>, Range { start, end }| {
        segment.truncate(end);
        segment.drain(..start);
    };
    keep(first, a);
    keep(second, b);
}

fn full_sentences(
    document: &TokenizedDocument,
    cutting: Cutting<'_>,
    random: &mut impl Rng,
) -> Vec<SegmentPair> {
    let (target, budget) = (cutting.target(random), cutting.budget);
    let mut runs: Vec<Vec<u32>> = Vec::new();
    let mut run: Vec<u32> = Vec::new();
    for piece in document.iter().flat_map(|sentence| sentence.chunks(budget)) {
        if run.len() >= target || run.len() + piece.len() > budget {
            runs.push(std::mem::take(&mut run));
        }
        run.extend_from_slice(piece);
    }
    runs.push(run);
    let pair = |first| SegmentPair {
        first,
        second: Vec::new(),
        is_random_next: false,
    };
    let runs = runs.into_iter().filter(|run| !run.is_empty());
    runs.map(pair).collect()
}
