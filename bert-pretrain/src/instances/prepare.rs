//! Documents to files of instances, on all cores and in bounded memory.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use bert_core::Error as CoreError;
use bert_core::files::TemporaryDirectory;
use bert_core::tokenizer::{BertTokenizer, Frames};
use rand::RngExt;
use rayon::prelude::*;

use super::buckets::{Buckets, Run, sort_runs};
use super::cache::DocumentCache;
use super::pair::{Corpus, Cutting, cut};
use super::prepared::{Manifest, ShardEntry, is_shard_file, shard_file};
use super::record::RecordFormat;
use super::shard::{Header, ShardWriter, data_bytes};
use super::{
    Instance, MaskVocabulary, PrepareOptions, PreparedInstances, VocabularyIdentity, mask_tokens,
    stream,
};
use crate::corpus::{DocumentSource, TokenizedDocument};
use crate::{Error, Result};

/// Files that instances are scattered over, at least.
const MIN_BUCKETS: usize = 64;

/// Progress of preparing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PrepareProgress {
    /// Documents that are cut.
    pub documents: usize,
    /// Documents in all.
    pub total_documents: usize,
    /// Instances made of them.
    pub instances: u64,
    /// Instances in their final order and place; this begins when all documents are cut.
    pub written: u64,
}

/// Makes instances of all documents and writes them, shuffled, into `out_dir`, with the tokenizer
/// beside them.
///
/// Works in the current rayon pool. Every document has random numbers of its own, and the order is
/// that of a random key drawn with each instance, so neither the number of threads nor `buffer` changes
/// a byte; the number of shards only changes where the files end. Instances lie in temporary files in
/// `out_dir` until they are sorted, which takes as much space again as the result. Instances that are in
/// `out_dir` already are replaced at the end; until then, and if anything fails, they stay as they are.
///
/// # Errors
///
/// [`Error::InvalidOption`], [`Error::NoInstances`] if the documents give none,
/// [`Error::OutsideVocabulary`] if they were made with another tokenizer, those of the source, and
/// [`Error::Core`] naming a file that cannot be written.
pub fn prepare<S: DocumentSource + ?Sized>(
    documents: &S,
    tokenizer: &BertTokenizer,
    options: &PrepareOptions,
    out_dir: &Path,
    progress: impl Fn(PrepareProgress) + Sync,
) -> Result<PreparedInstances> {
    options.check()?;
    let special_tokens = tokenizer.special_token_count(options.pair.next_sentence);
    let cutting = Cutting::new(&options.pair, special_tokens)?;
    let identity = VocabularyIdentity::of(tokenizer);
    let vocabulary = MaskVocabulary::new(tokenizer)?;
    fs::create_dir_all(out_dir).map_err(|source| CoreError::io("create", out_dir, source))?;
    let staging = TemporaryDirectory::create_in(out_dir, ".preparing-")?;
    // A multiple of the shards, so that no bucket falls into two.
    let buckets = options.shards * MIN_BUCKETS.div_ceil(options.shards);
    let preparation = Preparation {
        cache: DocumentCache::new(documents, options.buffer / 4),
        vocabulary,
        format: RecordFormat::new(identity.size),
        identity,
        options,
        cutting,
        frames: tokenizer.frames(),
        buckets: Buckets::create(staging.path(), buckets as u64, options.buffer / 4)?,
        documents_done: AtomicUsize::new(0),
        instances_done: AtomicU64::new(0),
        progress: &progress,
    };
    (0..documents.len())
        .into_par_iter()
        .try_for_each(|index| preparation.document(index))?;

    let instances = preparation.instances_done.into_inner();
    if instances == 0 {
        return Err(Error::NoInstances);
    }
    let so_far = |written| {
        progress(PrepareProgress {
            documents: documents.len(),
            total_documents: documents.len(),
            instances,
            written,
        });
    };
    let mut runs = preparation.buckets.finish()?.into_iter();
    let mut manifest = Manifest::default();
    for shard in 0..options.shards {
        let runs: Vec<Run> = runs.by_ref().take(buckets / options.shards).collect();
        let mut header = Header {
            shard,
            documents: documents.len() as u64,
            records: runs.iter().map(|run| run.records).sum(),
            data_bytes: 0,
            options: options.clone(),
            vocabulary: preparation.identity.clone(),
            statistics: Default::default(),
        };
        let record_bytes = runs.iter().map(|run| run.bytes).sum();
        header.data_bytes = data_bytes(header.records, record_bytes);
        for run in &runs {
            header.statistics.merge(&run.statistics);
        }
        let file = shard_file(shard, options.shards);
        let mut writer = ShardWriter::create(&staging.path().join(&file), &header)?;
        let mut written = manifest.instances;
        sort_runs(runs, staging.path(), options.buffer, |sorted| {
            for record in sorted.records() {
                writer.push(record)?;
                written += 1;
            }
            so_far(written);
            Ok(())
        })?;
        manifest.push(ShardEntry {
            file,
            instances: header.records,
            header_crc32: writer.finish()?,
        });
    }
    publish(staging.path(), out_dir, tokenizer, &manifest)?;
    PreparedInstances::open(out_dir)
}

/// Moves complete files to their place; the manifest is away first and comes last, so that a directory
/// with a manifest is whole.
fn publish(
    staging: &Path,
    out_dir: &Path,
    tokenizer: &BertTokenizer,
    manifest: &Manifest,
) -> Result<()> {
    let tokenizer_dir = staging.join("tokenizer");
    tokenizer.save(&tokenizer_dir)?;
    let list = |dir: &Path| -> Result<Vec<PathBuf>> {
        let entries = fs::read_dir(dir).and_then(Iterator::collect::<Result<Vec<_>, _>>);
        let entries = entries.map_err(|source| CoreError::io("read", dir, source))?;
        Ok(entries.into_iter().map(|entry| entry.path()).collect())
    };
    Manifest::remove(out_dir)?;
    for old in list(out_dir)?.iter().filter(|path| is_shard_file(path)) {
        fs::remove_file(old).map_err(|source| CoreError::io("remove", old, source))?;
    }
    let shards = manifest
        .shards
        .iter()
        .map(|shard| staging.join(&shard.file));
    for path in shards.chain(list(&tokenizer_dir)?) {
        let place = out_dir.join(path.file_name().unwrap_or_default());
        fs::rename(&path, &place).map_err(|source| CoreError::io("write", place, source))?;
    }
    manifest.write(out_dir)
}

/// State shared by all threads.
struct Preparation<'a, S: ?Sized, P> {
    cache: DocumentCache<'a, S>,
    vocabulary: MaskVocabulary,
    identity: VocabularyIdentity,
    format: RecordFormat,
    options: &'a PrepareOptions,
    cutting: Cutting<'a>,
    frames: &'a Frames,
    buckets: Buckets,
    documents_done: AtomicUsize,
    instances_done: AtomicU64,
    progress: &'a P,
}

impl<S: DocumentSource + ?Sized, P: Fn(PrepareProgress) + Sync> Preparation<'_, S, P> {
    /// Makes all instances of a document.
    fn document(&self, index: usize) -> Result<()> {
        let document = self.cache.get(index)?;
        let size = self.identity.size;
        if let Some(id) = document.iter().flatten().find(|&&id| id as usize >= size) {
            return Err(Error::OutsideVocabulary {
                document: index,
                id: *id,
                size,
            });
        }
        // Side by side too: a corpus may be a few long documents.
        (0..self.options.duplicates)
            .into_par_iter()
            .try_for_each(|duplicate| self.duplicate(&document, index, duplicate))?;
        (self.progress)(PrepareProgress {
            documents: self.documents_done.fetch_add(1, Ordering::Relaxed) + 1,
            total_documents: self.cache.documents().len(),
            instances: self.instances_done.load(Ordering::Relaxed),
            written: 0,
        });
        Ok(())
    }

    fn duplicate(
        &self,
        document: &TokenizedDocument,
        index: usize,
        duplicate: usize,
    ) -> Result<()> {
        let PrepareOptions { pair, masking, .. } = self.options;
        let mask_id = self.identity.mask_id;
        let read = |other| self.cache.get(other);
        let corpus = Corpus {
            len: self.cache.documents().len(),
            read: &read,
        };
        let mut random = stream(self.options.seed, &[duplicate as u64, index as u64]);
        let pairs = cut(document, index, &corpus, self.cutting, &mut random)?;
        let mut record = Vec::new();
        for segments in &pairs {
            let mask = |ids: &[u32]| mask_tokens(ids, &self.vocabulary, masking, &mut random);
            let instance = Instance::masked(segments, self.frames, pair.next_sentence, mask);
            record.clear();
            self.format.encode(&instance, &mut record);
            self.buckets.push(random.random(), &record, |statistics| {
                statistics.add(&instance, mask_id, masking.max_predictions);
            })?;
        }
        self.instances_done
            .fetch_add(pairs.len() as u64, Ordering::Relaxed);
        Ok(())
    }
}
