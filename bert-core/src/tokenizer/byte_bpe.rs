//! Byte-level byte-pair encoding (Radford et al. 2019 §2.2), whose tokens carry the space before a word.

use std::path::Path;

use tokenizers::models::bpe::BPE;
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::{Model, ModelWrapper, PreTokenizerWrapper, Tokenizer};

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
    set_parts(&mut inner, splitter(config))?;
    Ok(inner)
}

/// Splitter with the defaults of transformers.
pub(super) fn plain() -> ByteLevel {
    ByteLevel::new(false, true, true)
}

/// Symbols that stand for bytes, in the order of their code points.
pub(super) fn alphabet() -> Vec<String> {
    let mut symbols: Vec<String> = ByteLevel::alphabet()
        .into_iter()
        .map(String::from)
        .collect();
    symbols.sort_unstable();
    symbols
}

/// Splitter by the settings of `tokenizer_config.json`, with the defaults of transformers.
fn splitter(config: &DirConfig) -> ByteLevel {
    let plain = plain();
    ByteLevel::new(
        config.add_prefix_space.unwrap_or(plain.add_prefix_space),
        config.trim_offsets.unwrap_or(plain.trim_offsets),
        plain.use_regex,
    )
}

/// Puts in the splitter and the decoder of the family's class, and takes out a normalizer and the special tokens' frame,
/// which follows once their ids are known.
pub(super) fn set_parts(inner: &mut Tokenizer, splitter: ByteLevel) -> Result<()> {
    inner
        .with_normalizer(None::<tokenizers::NormalizerWrapper>)
        .map_err(|source| failed("cannot drop the normalizer", source))?;
    inner.with_pre_tokenizer(Some(splitter));
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
    set_parts(inner, wanted)
}

/// `vocab.json` and `merges.txt` of a byte-level tokenizer whose special tokens are all in its vocabulary, as those files
/// know no other; none for another tokenizer.
pub(super) fn files(
    inner: &Tokenizer,
    special_tokens: [&str; 5],
) -> Option<[(&'static str, String); 2]> {
    let ModelWrapper::BPE(model) = inner.get_model() else {
        return None;
    };
    plain_splitter(inner)?;
    if special_tokens
        .iter()
        .any(|token| model.token_to_id(token).is_none())
    {
        return None;
    }
    let model = serde_json::to_value(model).expect("a BPE model is JSON");
    let merges = model["merges"].as_array().into_iter().flatten();
    let lines = merges.map(|pair| {
        let [first, second] = [0, 1].map(|index| pair[index].as_str().unwrap_or_default());
        format!("{first} {second}\n")
    });
    let merges: String = ["#version: 0.2\n".to_owned()]
        .into_iter()
        .chain(lines)
        .collect();
    Some([
        (VOCAB_JSON, model["vocab"].to_string()),
        (MERGES_TXT, merges),
    ])
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
