//! Byte-level byte-pair encoding (Radford et al. 2019 §2.2), whose tokens carry the space before a word.

use std::path::Path;

use tokenizers::models::bpe::BPE;
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::{ModelWrapper, PreTokenizerWrapper, Tokenizer};

use super::config::{DirConfig, TOKENIZER_CONFIG};
use super::failed;
use crate::notice::notice;
use crate::{Error, Result};

pub(super) const VOCAB_JSON: &str = "vocab.json";
pub(super) const MERGES_TXT: &str = "merges.txt";

/// Reads `vocab.json` and `merges.txt`.
pub(super) fn from_files(dir: &Path, config: &DirConfig) -> Result<Tokenizer> {
    let (vocab, merges) = (dir.join(VOCAB_JSON), dir.join(MERGES_TXT));
    let model = BPE::from_file(&vocab.to_string_lossy(), &merges.to_string_lossy())
        .build()
        .map_err(|source| Error::malformed(dir, "vocab.json and merges.txt", source))?;
    let mut inner = Tokenizer::new(model);
    set_parts(&mut inner, config)?;
    Ok(inner)
}

/// Splitter by the settings of `tokenizer_config.json`, with the defaults of transformers.
fn splitter(config: &DirConfig) -> ByteLevel {
    ByteLevel::new(
        config.add_prefix_space.unwrap_or(false),
        config.trim_offsets.unwrap_or(true),
        true,
    )
}

/// Puts in the splitter and the decoder of the family's class, and takes out a normalizer and the special tokens' frame,
/// which follows once their ids are known.
fn set_parts(inner: &mut Tokenizer, config: &DirConfig) -> Result<()> {
    inner
        .with_normalizer(None::<tokenizers::NormalizerWrapper>)
        .map_err(|source| failed("cannot drop the normalizer", source))?;
    inner.with_pre_tokenizer(Some(splitter(config)));
    inner.with_decoder(Some(ByteLevel::default()));
    inner.with_post_processor(None::<tokenizers::PostProcessorWrapper>);
    Ok(())
}

/// Puts the parts that the class of transformers makes in place of those of `tokenizer.json`, as that class does.
pub(super) fn rebuild(inner: &mut Tokenizer, path: &Path, config: &DirConfig) -> Result<()> {
    let wanted = splitter(config);
    let mut said = Vec::new();
    match byte_level(inner).map(|found| found.add_prefix_space) {
        Some(found) if found == wanted.add_prefix_space => {}
        Some(found) => said.push(format!("add_prefix_space {found}")),
        None => said.push("another splitter".to_owned()),
    }
    if inner.get_normalizer().is_some() {
        said.push("a normalizer".to_owned());
    }
    if !said.is_empty() {
        notice(format!(
            "{} says {}, but {TOKENIZER_CONFIG} beside it add_prefix_space {} (false unless it states it) and no \
             normalizer: the latter is followed, as in transformers; with tokenizer_class PreTrainedTokenizerFast it \
             would be the former",
            path.display(),
            said.join(", "),
            wanted.add_prefix_space,
        ));
    }
    set_parts(inner, config)
}

/// The splitter for words that stand alone, each of which follows a space in running text.
pub(super) fn word_splitter(inner: &Tokenizer) -> Option<PreTokenizerWrapper> {
    byte_level(inner).map(|splitter| splitter.add_prefix_space(true).into())
}

/// The splitter of a tokenizer, if it and the other parts are as the class of transformers makes them.
pub(super) fn plain_splitter(inner: &Tokenizer) -> Option<ByteLevel> {
    let is_bpe = matches!(inner.get_model(), ModelWrapper::BPE(_));
    byte_level(inner)
        .filter(|splitter| is_bpe && splitter.use_regex && inner.get_normalizer().is_none())
}

/// The byte-level splitter of a tokenizer, if that is what it has.
pub(super) fn byte_level(inner: &Tokenizer) -> Option<ByteLevel> {
    match inner.get_pre_tokenizer() {
        Some(PreTokenizerWrapper::ByteLevel(splitter)) => Some(*splitter),
        _ => None,
    }
}
