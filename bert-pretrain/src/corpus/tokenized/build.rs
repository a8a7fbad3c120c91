//! Texts to shards, on all cores.

use std::fs;
use std::io;
use std::path::Path;
use std::sync::Mutex;

use bert_core::tokenizer::{BertTokenizer, PieceCache, PieceEncoder};

use super::block::Block;
use super::manifest::{Manifest, ShardEntry, Sources};
use super::shard::ShardWriter;
use crate::Result;
use crate::corpus::batches::for_each_batch;
use crate::corpus::inputs::Input;
use crate::corpus::{CorpusCounts, CorpusOptions, CorpusReader, RawDocument};

const SHARD_PREFIX: &str = "shard-";
const SHARD_SUFFIX: &str = ".ids";

/// Makes the corpus; counts of no document mean that none was made.
pub(super) fn build(
    dir: &Path,
    inputs: Vec<Input>,
    tokenizer: &BertTokenizer,
    options: &CorpusOptions,
    sources: Sources,
    progress: &mut dyn FnMut(CorpusCounts),
) -> Result<CorpusCounts> {
    fs::create_dir_all(dir).map_err(|source| bert_core::Error::io("create", dir, source))?;
    // In this order: shards without a manifest are no corpus, the reverse would be a broken one.
    Manifest::remove(dir)?;
    remove_shards(dir)?;

    let id_bytes = if tokenizer.vocab_size() <= 1 << 16 {
        2
    } else {
        4
    };
    let work = Work {
        encoder: tokenizer.piece_encoder(),
        caches: Mutex::default(),
        id_bytes,
    };
    let mut counts = CorpusCounts::default();
    let mut shards = Vec::new();
    let mut writer: Option<ShardWriter> = None;
    let reader = CorpusReader::over(inputs, options.clone());
    for_each_batch(
        reader,
        |documents| work.encode(documents),
        |chunks, files| {
            for document in chunks.into_iter().flatten() {
                let (sentences, tokens) = (document.sentences, document.tokens);
                counts.add_document(sentences, document.text_bytes, tokens);
                let shard = match &mut writer {
                    Some(shard) => shard,
                    None => {
                        let name = format!("{SHARD_PREFIX}{:05}{SHARD_SUFFIX}", shards.len());
                        writer.insert(ShardWriter::create(dir.join(name), id_bytes)?)
                    }
                };
                shard.push(&document.block, sentences, tokens)?;
                if shard.bytes() >= options.shard_bytes {
                    finish(&mut writer, &mut shards)?;
                }
            }
            counts.files = files;
            progress(counts);
            Ok(())
        },
    )?;
    finish(&mut writer, &mut shards)?;
    if counts.documents > 0 {
        Manifest::new(counts, sources, shards).write(dir)?;
    }
    Ok(counts)
}

fn finish(writer: &mut Option<ShardWriter>, shards: &mut Vec<ShardEntry>) -> Result<()> {
    if let Some(shard) = writer.take() {
        shards.push(ShardEntry {
            file: format!("{SHARD_PREFIX}{:05}{SHARD_SUFFIX}", shards.len()),
            header_crc: shard.finish()?.crc(),
        });
    }
    Ok(())
}

/// Removes what an earlier corpus left; nothing but shards.
fn remove_shards(dir: &Path) -> Result<()> {
    let listed = || -> io::Result<()> {
        for entry in fs::read_dir(dir)? {
            let entry = entry?;
            let name = entry.file_name();
            let name = name.to_string_lossy();
            if name.starts_with(SHARD_PREFIX) && name.ends_with(SHARD_SUFFIX) {
                fs::remove_file(entry.path())?;
            }
        }
        Ok(())
    };
    listed().map_err(|source| bert_core::Error::io("clear", dir, source).into())
}

/// A document ready to be written.
struct Encoded {
    block: Vec<u8>,
    sentences: u64,
    tokens: u64,
    /// Bytes of the sentences as text.
    text_bytes: u64,
}

struct Work {
    encoder: PieceEncoder,
    /// Those not in use; there are never more than there are threads.
    caches: Mutex<Vec<PieceCache>>,
    id_bytes: u32,
}

impl Work {
    fn encode(&self, documents: &[RawDocument]) -> Result<Vec<Encoded>> {
        let idle = || {
            self.caches
                .lock()
                .unwrap_or_else(|poisoned| poisoned.into_inner())
        };
        let mut cache = idle().pop().unwrap_or_default();
        let encoded = documents
            .iter()
            .map(|document| self.encode_one(document, &mut cache))
            .filter(|encoded| !matches!(encoded, Ok(encoded) if encoded.sentences == 0))
            .collect();
        idle().push(cache);
        encoded
    }

    fn encode_one(&self, document: &RawDocument, cache: &mut PieceCache) -> Result<Encoded> {
        let mut block = Block::default();
        let mut text_bytes = 0;
        for sentence in document.sentences() {
            let before = block.ids.len();
            self.encoder.encode(sentence, cache, &mut block.ids)?;
            // Control characters alone give nothing, and an empty sentence is none.
            if block.ids.len() > before {
                block.lengths.push((block.ids.len() - before) as u32);
                text_bytes += sentence.len() as u64;
            }
        }
        Ok(Encoded {
            block: block.to_bytes(self.id_bytes),
            sentences: block.lengths.len() as u64,
            tokens: block.ids.len() as u64,
            text_bytes,
        })
    }
}
