//! A corpus tokenised once, on disk, for any number of passes over it.

mod block;
mod build;
mod header;
mod manifest;
mod shard;

use std::path::{Path, PathBuf};

use bert_core::tokenizer::BertTokenizer;

use self::manifest::{Manifest, Sources};
use self::shard::Shard;
use super::inputs::{self, Input};
use super::{CorpusCounts, CorpusOptions, DocumentSource, TokenizedDocument};
use crate::{Error, Result};

/// Documents as WordPieces in a directory of shards, without `[CLS]` and `[SEP]`.
///
/// Ids take 2 bytes where the vocabulary has no more than 65,536 of them, else 4. In memory there
/// are 8 bytes a document; documents are read when asked for, from any number of threads, and
/// compared with their checksums.
#[derive(Debug)]
pub struct TokenizedCorpus {
    shards: Vec<Shard>,
    /// The number of the first document of each shard, and the number of all.
    firsts: Vec<usize>,
    counts: CorpusCounts,
    fingerprint: String,
}

impl TokenizedCorpus {
    /// Opens the corpus in `dir` if it was made of the same inputs, with the same tokenizer and the
    /// same options; otherwise makes it, in place of what may be there.
    ///
    /// Inputs are the same if they have the same names, lengths and contents, for which they are
    /// read through. Making uses all cores (`RAYON_NUM_THREADS` limits them) and some 100 MB
    /// whatever the size; the files are the same whatever the number of cores. The manifest is
    /// written last, so that a directory left by an interrupted run counts as empty. `progress`
    /// receives the counts so far, and is not called if nothing is to be made.
    ///
    /// # Errors
    /// If an input cannot be read or is standard input (which can be read only once), if no input
    /// holds a sentence, if `dir` cannot be written, or if a shard of a corpus that is there is cut
    /// short or altered.
    pub fn open_or_build(
        dir: &Path,
        inputs: &[PathBuf],
        tokenizer: &BertTokenizer,
        options: &CorpusOptions,
        progress: &mut dyn FnMut(CorpusCounts),
    ) -> Result<Self> {
        let found = inputs::find(inputs)?;
        if let Some(input) = found.iter().find(|input| Input::is_stdin(input)) {
            return Err(Error::Input {
                path: input.path.clone(),
                reason: "standard input cannot be compared with what a corpus was made of: write it to a file first",
            });
        }
        let sources = Sources::of(&found, tokenizer, options)?;
        match Manifest::find(dir)? {
            Some(manifest) if manifest.sources == sources => Self::over(dir, &manifest),
            _ => {
                let counts = build::build(dir, found, tokenizer, options, sources, progress)?;
                if counts.documents == 0 {
                    return Err(Error::empty(inputs));
                }
                Self::open(dir)
            }
        }
    }

    /// Opens the corpus in `dir`, whatever it was made of.
    ///
    /// # Errors
    /// If there is none, or a shard is cut short or altered.
    pub fn open(dir: &Path) -> Result<Self> {
        Self::over(dir, &Manifest::read(dir)?)
    }

    fn over(dir: &Path, manifest: &Manifest) -> Result<Self> {
        let shards = manifest.shards.iter();
        let shards = shards.map(|shard| Shard::open(&dir.join(&shard.file), shard.header_crc));
        let shards: Vec<Shard> = shards.collect::<Result<_>>()?;
        let mut firsts = vec![0];
        for shard in &shards {
            firsts.push(firsts[firsts.len() - 1] + shard.len());
        }
        Ok(Self {
            shards,
            firsts,
            counts: manifest.counts,
            fingerprint: manifest.sources.fingerprint(),
        })
    }

    /// Number of WordPieces.
    pub fn token_count(&self) -> u64 {
        self.counts.tokens
    }

    /// Counts of the corpus.
    pub fn counts(&self) -> CorpusCounts {
        self.counts
    }

    /// Equal for corpora of the same contents: 64 hexadecimal digits made of inputs, tokenizer and
    /// options.
    pub fn fingerprint(&self) -> &str {
        &self.fingerprint
    }
}

impl DocumentSource for TokenizedCorpus {
    fn len(&self) -> usize {
        self.firsts[self.shards.len()]
    }

    fn document(&self, index: usize) -> Result<TokenizedDocument> {
        let len = self.len();
        assert!(index < len, "document {index} of {len}");
        let shard = self.firsts.partition_point(|first| *first <= index) - 1;
        self.shards[shard].document(index - self.firsts[shard])
    }
}
