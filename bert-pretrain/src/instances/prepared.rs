//! Prepared instances: any of them by number, without loading the others.

use std::fs;
use std::path::{Path, PathBuf};

use bert_core::Error as CoreError;
use bert_core::files::write_atomically;
use bert_core::tokenizer::BertTokenizer;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::shard::{Header, Shard, VERSION};
use super::{Instance, InstanceStatistics, PrepareOptions, VocabularyIdentity};
use crate::{Error, Result};

const MANIFEST: &str = "instances.json";
const FORMAT: &str = "instance manifest";

/// The list of shards; where it is, they all are.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Manifest {
    version: u32,
    /// Over all shards.
    pub(super) instances: u64,
    pub(super) shards: Vec<ShardEntry>,
}

/// One shard in the list.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ShardEntry {
    pub(super) file: String,
    pub(super) instances: u64,
    /// Ties the list to the files: no shard of another run passes.
    pub(super) header_crc32: u32,
}

impl Default for Manifest {
    fn default() -> Self {
        Self {
            version: VERSION,
            instances: 0,
            shards: Vec::new(),
        }
    }
}

impl Manifest {
    pub(super) fn push(&mut self, shard: ShardEntry) {
        self.instances += shard.instances;
        self.shards.push(shard);
    }

    pub(super) fn write(&self, dir: &Path) -> Result<()> {
        let mut json = serde_json::to_string_pretty(self).expect("plain JSON values");
        json.push('\n');
        Ok(write_atomically(dir.join(MANIFEST), json.as_bytes())?)
    }

    pub(super) fn remove(dir: &Path) -> Result<()> {
        let path = dir.join(MANIFEST);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(CoreError::io("remove", path, error).into())
            }
            _ => Ok(()),
        }
    }

    fn read(dir: &Path) -> Result<Self> {
        let path = dir.join(MANIFEST);
        let json = fs::read(&path).map_err(|source| match source.kind() {
            std::io::ErrorKind::NotFound => CoreError::FileMissing {
                dir: dir.to_owned(),
                looked_for: vec![MANIFEST.to_owned()],
                remedy: "prepare instances there; a run that was interrupted leaves none"
                    .to_owned(),
            },
            _ => CoreError::io("read", &path, source),
        })?;
        let manifest: Self = serde_json::from_slice(&json)
            .map_err(|error| CoreError::malformed(&path, FORMAT, error))?;
        if manifest.version != VERSION {
            let reason = format!(
                "its version is {}, and this build reads {VERSION}: prepare the instances again with this build",
                manifest.version
            );
            return Err(CoreError::malformed(&path, FORMAT, reason).into());
        }
        Ok(manifest)
    }
}

/// The name of a shard's file.
pub(super) fn shard_file(shard: usize, shards: usize) -> String {
    format!("instances-{shard:05}-of-{shards:05}.bin")
}

/// True if a path has a name as [`shard_file`] gives.
pub(super) fn is_shard_file(path: &Path) -> bool {
    let name = path.file_name().and_then(|name| name.to_str());
    name.and_then(|name| name.strip_prefix("instances-")?.strip_suffix(".bin"))
        .and_then(|numbers| numbers.split_once("-of-"))
        .is_some_and(|(shard, shards)| {
            shard.parse::<u32>().is_ok() && shards.parse::<u32>().is_ok()
        })
}

/// A directory of prepared instances, open for reading from any thread.
#[derive(Debug)]
pub struct PreparedInstances {
    dir: PathBuf,
    shards: Vec<Shard>,
    /// The number of the first instance of each shard.
    starts: Vec<u64>,
    len: usize,
    statistics: InstanceStatistics,
}

impl PreparedInstances {
    /// Opens what [`prepare`](super::prepare) wrote into `dir`.
    ///
    /// Checks that all files are there, belong together and have their full length; an instance's own
    /// checksum is compared when it is read.
    ///
    /// # Errors
    ///
    /// [`Error::Core`] naming the file that is missing, cut short, damaged or of another kind.
    pub fn open(dir: impl AsRef<Path>) -> Result<Self> {
        let dir = dir.as_ref();
        let manifest = Manifest::read(dir)?;
        let shards = manifest
            .shards
            .iter()
            .map(|entry| Shard::open(&dir.join(&entry.file)))
            .collect::<Result<Vec<_>>>()?;
        let path = dir.join(MANIFEST);
        let Some(first) = shards.first() else {
            return Err(CoreError::malformed(path, FORMAT, "it names no shard").into());
        };
        let mut statistics = InstanceStatistics::default();
        let mut starts = Vec::with_capacity(shards.len());
        let mut len = 0u64;
        for (number, (shard, entry)) in shards.iter().zip(&manifest.shards).enumerate() {
            let fits = shard.header_crc32 == entry.header_crc32
                && shard.header.shard == number
                && shard.header.records == entry.instances
                && shard.header.options == first.header.options
                && shard.header.vocabulary == first.header.vocabulary;
            if !fits {
                let reason = format!(
                    "{} is from another run than it says: put back the files of one run, or prepare the instances again",
                    entry.file
                );
                return Err(CoreError::malformed(path, FORMAT, reason).into());
            }
            starts.push(len);
            len = len.saturating_add(shard.header.records);
            statistics.merge(&shard.header.statistics);
        }
        let whole = len == manifest.instances && shards.len() == first.header.options.shards;
        let Some(len) = usize::try_from(len).ok().filter(|_| whole) else {
            let reason = "its numbers do not fit its shards: prepare the instances again";
            return Err(CoreError::malformed(path, FORMAT, reason).into());
        };
        Ok(Self {
            dir: dir.to_owned(),
            shards,
            starts,
            len,
            statistics,
        })
    }

    /// Number of instances.
    pub fn len(&self) -> usize {
        self.len
    }

    /// True if there is no instance.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Instance `index`, from 0, in the shuffled order.
    ///
    /// # Errors
    ///
    /// [`Error::Core`] naming the file if it cannot be read or the instance is damaged.
    ///
    /// # Panics
    ///
    /// If `index` is not below [`len`](Self::len).
    pub fn get(&self, index: usize) -> Result<Instance> {
        assert!(index < self.len, "instance {index} of {}", self.len);
        let index = index as u64;
        let shard = self.starts.partition_point(|&start| start <= index) - 1;
        self.shards[shard].get(index - self.starts[shard])
    }

    /// Options that the instances were made with.
    pub fn options(&self) -> &PrepareOptions {
        &self.header().options
    }

    /// Documents that the instances were made of.
    pub fn documents(&self) -> u64 {
        self.header().documents
    }

    /// The vocabulary that the ids belong to.
    pub fn vocabulary(&self) -> &VocabularyIdentity {
        &self.header().vocabulary
    }

    /// Counts over all instances.
    pub fn statistics(&self) -> &InstanceStatistics {
        &self.statistics
    }

    /// The tokenizer that lies beside the instances.
    ///
    /// # Errors
    ///
    /// [`Error::Core`] if its files cannot be read, and those of
    /// [`check_vocabulary`](Self::check_vocabulary).
    pub fn tokenizer(&self) -> Result<BertTokenizer> {
        let tokenizer = BertTokenizer::from_dir(&self.dir)?;
        self.check_vocabulary(&tokenizer)?;
        Ok(tokenizer)
    }

    /// Checks that the ids mean the same to `tokenizer`.
    ///
    /// # Errors
    ///
    /// [`Error::OtherVocabulary`] if they do not.
    pub fn check_vocabulary(&self, tokenizer: &BertTokenizer) -> Result<()> {
        let found = VocabularyIdentity::of(tokenizer);
        if found == *self.vocabulary() {
            return Ok(());
        }
        Err(Error::OtherVocabulary {
            dir: self.dir.clone(),
            expected: self.vocabulary().size,
            found: found.size,
        })
    }

    /// Reads everything once, on all cores, and compares checksums, index and statistics.
    ///
    /// # Errors
    ///
    /// [`Error::Core`] naming the first file found damaged.
    pub fn verify(&self) -> Result<()> {
        self.shards.par_iter().try_for_each(|shard| {
            let Header {
                options,
                vocabulary,
                statistics,
                ..
            } = &shard.header;
            let mut counted = InstanceStatistics::default();
            let max_predictions = options.masking.max_predictions;
            shard.for_each(|instance| {
                counted.add(instance, vocabulary.mask_id, max_predictions);
            })?;
            match counted == *statistics {
                true => Ok(()),
                false => Err(shard.differs_from_statistics()),
            }
        })
    }

    fn header(&self) -> &Header {
        // `open` refuses a manifest without shards.
        &self.shards[0].header
    }
}
