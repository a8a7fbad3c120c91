//! The file that makes a directory of shards a corpus, and says what it was made of.

use std::fs::{self, File};
use std::io;
use std::path::Path;

use bert_core::files::write_atomically;
use bert_core::tokenizer::BertTokenizer;
use serde::{Deserialize, Serialize};

use crate::corpus::inputs::Input;
use crate::corpus::{CorpusCounts, CorpusOptions, Layout};
use crate::{Error, Result};

const NAME: &str = "corpus.json";
/// Raised when texts are read, split or cut differently, so that what was made before is made anew.
const VERSION: u32 = 1;

/// Written last: a directory without one is no corpus.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Manifest {
    version: u32,
    pub(super) counts: CorpusCounts,
    pub(super) sources: Sources,
    pub(super) shards: Vec<ShardEntry>,
}

/// All that the contents of a corpus depend on.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Sources {
    inputs: Vec<Source>,
    /// BLAKE3 of the tokenizer as `tokenizer.json`, in hexadecimal digits.
    tokenizer: String,
    layout: Layout,
    language: String,
}

#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Source {
    name: String,
    bytes: u64,
    /// In hexadecimal digits, of the file as it is, compressed or not.
    blake3: String,
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct ShardEntry {
    pub(super) file: String,
    pub(super) header_crc: u32,
}

impl Manifest {
    pub(super) fn new(counts: CorpusCounts, sources: Sources, shards: Vec<ShardEntry>) -> Self {
        Self {
            version: VERSION,
            counts,
            sources,
            shards,
        }
    }

    /// The manifest of `dir`; `None` if there is none, or none that this version could have written.
    pub(super) fn find(dir: &Path) -> Result<Option<Self>> {
        let path = dir.join(NAME);
        let text = match fs::read(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(bert_core::Error::io("read", path, source).into()),
        };
        let manifest = serde_json::from_slice::<Self>(&text).ok();
        Ok(manifest.filter(|manifest| manifest.version == VERSION))
    }

    /// The manifest of a directory that should have one.
    pub(super) fn read(dir: &Path) -> Result<Self> {
        Self::find(dir)?.ok_or_else(|| Error::CorpusFile {
            path: dir.join(NAME),
            reason: "it is absent, or of another version".into(),
        })
    }

    pub(super) fn write(&self, dir: &Path) -> Result<()> {
        let mut text = serde_json::to_string_pretty(self).expect("plain JSON values");
        text.push('\n');
        Ok(write_atomically(dir.join(NAME), text.as_bytes())?)
    }

    /// Makes the directory no corpus.
    pub(super) fn remove(dir: &Path) -> Result<()> {
        let path = dir.join(NAME);
        match fs::remove_file(&path) {
            Err(source) if source.kind() != io::ErrorKind::NotFound => {
                Err(bert_core::Error::io("remove", path, source).into())
            }
            _ => Ok(()),
        }
    }
}

impl Sources {
    /// Reads all inputs through, to tell whether they are what they were.
    pub(super) fn of(
        inputs: &[Input],
        tokenizer: &BertTokenizer,
        options: &CorpusOptions,
    ) -> Result<Self> {
        let source = |input: &Input| -> Result<Source> {
            let mut hasher = blake3::Hasher::new();
            let bytes = File::open(&input.path)
                .and_then(|mut file| io::copy(&mut file, &mut hasher))
                .map_err(|source| bert_core::Error::io("read", &input.path, source))?;
            Ok(Source {
                name: input.name.clone(),
                bytes,
                blake3: hasher.finalize().to_hex().to_string(),
            })
        };
        Ok(Self {
            inputs: inputs.iter().map(source).collect::<Result<_>>()?,
            tokenizer: blake3::hash(tokenizer.to_json()?.as_bytes())
                .to_hex()
                .to_string(),
            layout: options.layout,
            language: options.language.clone(),
        })
    }

    /// A name for the contents, in hexadecimal digits.
    pub(super) fn fingerprint(&self) -> String {
        let text = serde_json::to_vec(&(VERSION, self)).expect("plain JSON values");
        blake3::hash(&text).to_hex().to_string()
    }
}
