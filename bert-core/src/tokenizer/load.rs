//! A tokenizer from the files of a model directory.

use std::collections::HashSet;
use std::fs;
use std::path::Path;

use tokenizers::normalizers::{BertNormalizer, NormalizerWrapper};
use tokenizers::pre_tokenizers::bert::BertPreTokenizer;
use tokenizers::{AddedToken, ModelWrapper, PreTokenizerWrapper, Tokenizer};

use super::config::{DirConfig, FileToken, TOKENIZER_CONFIG};
use super::{
    BertTokenizer, SpecialTokens, TokenizerOptions, byte_bpe, failed, is_out_of_reach, unigram,
};
use crate::models::{Family, TokenizerModel};
use crate::notice::notice;
use crate::{Error, Result};

pub(super) const TOKENIZER_JSON: &str = "tokenizer.json";
pub(super) const VOCAB_TXT: &str = "vocab.txt";

impl BertTokenizer {
    /// Reads the tokenizer of a model directory in the Hugging Face layout.
    ///
    /// `tokenizer.json` is preferred. Truncation and padding stored in it are dropped. How text is lower-cased, stripped of
    /// accents and cut is decided as transformers decides it: by `tokenizer_config.json`, with the defaults of
    /// `BertTokenizer` where it is silent, if that is the class that it names, or `config.json` names or stands for; by
    /// `tokenizer.json` under any other class (`PreTrainedTokenizerFast`) and where neither file is there. Where the two
    /// differ, a note on standard error says so.
    ///
    /// Without `tokenizer.json`, the files of the family are read, `vocab.txt`, or `vocab.json` and `merges.txt`, with
    /// `tokenizer_config.json`, `special_tokens_map.json` and `added_tokens.json`, each optional. The family is that of the
    /// class, or else of the model.
    ///
    /// # Errors
    /// [`Error::FileMissing`] if there is neither `tokenizer.json` nor what the family has instead,
    /// [`Error::Malformed`] or [`Error::Io`] for a file that cannot be read, and
    /// [`Error::Tokenizer`] if special tokens are missing or the files contradict each other.
    pub fn from_dir(dir: impl AsRef<Path>) -> Result<Self> {
        let dir = dir.as_ref();
        let config = DirConfig::read(dir)?;
        let json = dir.join(TOKENIZER_JSON);
        if json.is_file() {
            return from_json(&json, &config);
        }
        let files: &[&str] = match config.family.tokenizer.model {
            TokenizerModel::WordPiece => &[VOCAB_TXT],
            TokenizerModel::ByteLevelBpe => &[byte_bpe::VOCAB_JSON, byte_bpe::MERGES_TXT],
            TokenizerModel::Unigram(_) => &[],
        };
        if files.is_empty() || !files.iter().all(|file| dir.join(file).is_file()) {
            let files = [TOKENIZER_JSON].into_iter().chain(files.iter().copied());
            return Err(Error::FileMissing {
                dir: dir.to_path_buf(),
                looked_for: files.map(str::to_owned).collect(),
                remedy: remedy(dir),
            });
        }
        let origin = dir.join(files[0]).display().to_string();
        let model = match config.family.tokenizer.model {
            TokenizerModel::ByteLevelBpe => byte_bpe::from_files(dir, &config)?,
            _ => {
                let tokens = read_vocab(&dir.join(VOCAB_TXT))?;
                Self::wordpiece(tokens, &config.options(), &config.added)?
            }
        };
        Self::assemble(model, &Parts::of(&config), &origin)
    }

    /// Reads a vocabulary of one token a line, the line number counted from 0 being the id.
    ///
    /// Lines end as Python's do, in LF, CRLF or CR; all else, white space at the end too, is part of the token. A token
    /// that occurs twice gets the id of its last occurrence. Both are as in transformers' `load_vocab`.
    ///
    /// # Errors
    /// [`Error::Io`] if the file cannot be read, [`Error::Malformed`] naming the line that is not
    /// UTF-8, [`Error::Tokenizer`] if one of the five special tokens is missing.
    pub fn from_vocab_file(path: impl AsRef<Path>, options: &TokenizerOptions) -> Result<Self> {
        let path = path.as_ref();
        let origin = path.display().to_string();
        Self::from_tokens(read_vocab(path)?, options, &origin)
    }
}

/// Remedy for a directory without files of a tokenizer that are read here.
fn remedy(dir: &Path) -> String {
    let is_there = |name: &&str| dir.join(name).is_file();
    match unigram::SENTENCE_PIECE.into_iter().find(is_there) {
        Some(name) => format!(
            "{name} is in a format of SentencePiece, which is not read here: let transformers make {TOKENIZER_JSON} of it, \
             with AutoTokenizer.from_pretrained(DIR).save_pretrained(DIR)"
        ),
        None => "copy the tokenizer of the model there".to_owned(),
    }
}

/// Parts of a tokenizer beside its model, normalizer and splitter.
pub(super) struct Parts<'a> {
    pub(super) family: &'static Family,
    pub(super) special_tokens: &'a SpecialTokens,
    /// Those of the special tokens that a file describes by more than their name.
    pub(super) described: &'a [AddedToken],
    pub(super) added: &'a [FileToken],
    pub(super) model_max_length: Option<usize>,
}

impl<'a> Parts<'a> {
    fn of(config: &'a DirConfig) -> Self {
        Self {
            family: config.family,
            special_tokens: &config.special_tokens,
            described: &config.described,
            added: &config.added,
            model_max_length: config.model_max_length,
        }
    }

    /// A special token as it is added to a vocabulary.
    pub(super) fn special(&self, name: &str) -> AddedToken {
        let described = self.described.iter().find(|token| token.content == name);
        described.cloned().unwrap_or_else(|| {
            let is_mask = name == self.special_tokens.mask;
            AddedToken::from(name, true).lstrip(is_mask && self.family.tokenizer.mask_takes_space)
        })
    }
}

/// Adds tokens in the order given, and checks that they get the ids their file gives them.
pub(super) fn add_file_tokens(
    inner: &mut Tokenizer,
    added: &[FileToken],
    origin: &str,
) -> Result<()> {
    for FileToken { id, token } in added {
        // What tokenizer.json says about a token is more than what the older files say.
        let known = inner.get_added_vocabulary().get_vocab();
        if !known.contains_key(&token.content) {
            inner
                .add_tokens([token.clone()])
                .map_err(|source| failed("cannot add a token to the vocabulary", source))?;
        }
        let got = inner.token_to_id(&token.content);
        if id.is_some() && got != *id {
            return Err(Error::Tokenizer {
                reason: format!(
                    "added token `{}` should have id {} but {origin} gives it {}: the files do \
                     not belong together",
                    token.content,
                    id.unwrap_or_default(),
                    got.map_or("none".into(), |id| id.to_string()),
                ),
                source: None,
            });
        }
    }
    Ok(())
}

/// Lines without a token that may stand before added ones, all taken together.
const MOST_UNUSED: usize = 1 << 16;

/// Tokens in the order of their ids, with added ones at the ids that their file gives them, where these are free and
/// appending would give others: behind blank lines, behind tokens that occur twice, or further on.
pub(super) fn numbered(
    mut tokens: Vec<String>,
    added: &[FileToken],
) -> impl Iterator<Item = String> {
    let within_reach = |token: &String| !is_out_of_reach(token);
    let used = tokens.iter().rposition(within_reach).map_or(0, |at| at + 1);
    let distinct: HashSet<&str> = tokens.iter().map(String::as_str).collect();
    let wanted: Vec<(usize, &str)> = added
        .iter()
        .filter_map(|FileToken { id, token }| Some(((*id)? as usize, token.content.as_str())))
        .filter(|(id, content)| *id >= used && !distinct.contains(content))
        .collect();
    let next = distinct.len();
    let appended = wanted.iter().zip(next..).all(|((id, _), next)| *id == next);
    let mut unused = MOST_UNUSED;
    for (id, content) in wanted.into_iter().filter(|_| !appended) {
        let Some(left) = unused.checked_sub(id.saturating_sub(tokens.len())) else {
            continue;
        };
        unused = left;
        if id >= tokens.len() {
            tokens.resize(id + 1, String::new());
        }
        content.clone_into(&mut tokens[id]);
    }
    tokens.into_iter()
}

fn read_vocab(path: &Path) -> Result<Vec<String>> {
    let bytes = fs::read(path).map_err(|source| Error::io("read", path, source))?;
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&bytes);
    match std::str::from_utf8(bytes) {
        Ok(text) => Ok(lines(text)),
        Err(error) => {
            let before = String::from_utf8_lossy(&bytes[..error.valid_up_to()]);
            let line = line_feeds(&before).matches('\n').count() + 1;
            let reason = format!("line {line} is not UTF-8");
            Err(Error::malformed(path, VOCAB_TXT, reason))
        }
    }
}

fn line_feeds(text: &str) -> String {
    text.replace("\r\n", "\n").replace('\r', "\n")
}

fn lines(text: &str) -> Vec<String> {
    let text = line_feeds(text);
    let mut lines: Vec<String> = text.split('\n').map(str::to_owned).collect();
    // The last line end ends a line and begins none.
    lines.pop_if(|last| last.is_empty());
    lines
}

fn from_json(path: &Path, config: &DirConfig) -> Result<BertTokenizer> {
    let bytes = fs::read(path).map_err(|source| Error::io("read", path, source))?;
    let mut inner = Tokenizer::from_bytes(&bytes)
        .map_err(|source| Error::malformed(path, TOKENIZER_JSON, source))?;
    if config.rebuilds_json() {
        match (config.family.tokenizer.model, inner.get_model()) {
            (TokenizerModel::WordPiece, ModelWrapper::WordPiece(_)) => {
                rebuild(&mut inner, path, config)?;
            }
            (TokenizerModel::ByteLevelBpe, ModelWrapper::BPE(_)) => {
                byte_bpe::rebuild(&mut inner, path, config)?;
            }
            (TokenizerModel::Unigram(text), ModelWrapper::Unigram(_)) => {
                unigram::rebuild(&mut inner, path, config, text)?;
            }
            _ => {}
        }
    }
    BertTokenizer::assemble(inner, &Parts::of(config), &path.display().to_string())
}

/// Puts normalizer and splitter of transformers' `BertTokenizer` in place of those of `tokenizer.json`, as that class does.
fn rebuild(inner: &mut Tokenizer, path: &Path, config: &DirConfig) -> Result<()> {
    let options = config.options();
    let normalizer = options.normalizer();
    let said = match inner.get_normalizer() {
        Some(NormalizerWrapper::BertNormalizer(normalizer)) => differences(normalizer, &options),
        _ => vec!["another normalizer".to_owned()],
    };
    let splitter = match inner.get_pre_tokenizer() {
        Some(PreTokenizerWrapper::BertPreTokenizer(_)) => None,
        _ => Some("another splitter".to_owned()),
    };
    let said: Vec<String> = said.into_iter().chain(splitter).collect();
    if !said.is_empty() {
        notice(format!(
            "{} says {}, but {TOKENIZER_CONFIG} beside it do_lower_case {}, strip_accents {} and tokenize_chinese_chars {} \
             (true, null and true unless it states them): the latter is followed, as in transformers; with tokenizer_class \
             PreTrainedTokenizerFast it would be the former",
            path.display(),
            said.join(", "),
            options.do_lower_case,
            options
                .strip_accents
                .map_or("null".to_owned(), |strip| strip.to_string()),
            options.tokenize_chinese_chars,
        ));
    }
    inner
        .with_normalizer(Some(normalizer))
        .map_err(|source| failed("cannot set the normalizer", source))?;
    inner.with_pre_tokenizer(Some(BertPreTokenizer));
    Ok(())
}

/// The settings of `normalizer` that give other text than `options`.
fn differences(normalizer: &BertNormalizer, options: &TokenizerOptions) -> Vec<String> {
    let strips = |strip: Option<bool>, lower: bool| strip.unwrap_or(lower);
    let settings = [
        ("lowercase", normalizer.lowercase, options.do_lower_case),
        (
            "strip_accents",
            strips(normalizer.strip_accents, normalizer.lowercase),
            strips(options.strip_accents, options.do_lower_case),
        ),
        (
            "handle_chinese_chars",
            normalizer.handle_chinese_chars,
            options.tokenize_chinese_chars,
        ),
        ("clean_text", normalizer.clean_text, true),
    ];
    let different = settings
        .into_iter()
        .filter(|(_, json, config)| json != config);
    different
        .map(|(name, json, _)| format!("{name} {json}"))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tokenizer::EncodeOptions;

    const VOCAB: &str = "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\nthe\nThe\ncafe\ncafé\n";

    fn dir(files: &[(&str, &str)]) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        for (name, text) in files {
            fs::write(dir.path().join(name), text).unwrap();
        }
        dir
    }

    fn ids(tokenizer: &BertTokenizer, text: &str) -> Vec<u32> {
        let encoding = tokenizer.encode(text, &EncodeOptions::default()).unwrap();
        encoding.ids()[1..encoding.len() - 1].to_vec()
    }

    #[test]
    fn without_a_config_the_text_is_lower_cased() {
        let dir = dir(&[(VOCAB_TXT, VOCAB)]);
        let tokenizer = BertTokenizer::from_dir(dir.path()).unwrap();
        assert_eq!(ids(&tokenizer, "The Café"), [5, 7]);
        assert_eq!(tokenizer.model_max_length(), None);
    }

    #[test]
    fn the_config_beside_the_vocabulary_is_followed() {
        let config = r#"{"do_lower_case": false, "model_max_length": 512}"#;
        let dir = dir(&[(VOCAB_TXT, VOCAB), ("tokenizer_config.json", config)]);
        let tokenizer = BertTokenizer::from_dir(dir.path()).unwrap();
        assert_eq!(ids(&tokenizer, "The café"), [6, 8]);
        assert_eq!(tokenizer.model_max_length(), Some(512));
    }

    #[test]
    fn the_config_overrides_tokenizer_json_and_stored_truncation_is_dropped() {
        let saved = dir(&[(VOCAB_TXT, VOCAB)]);
        BertTokenizer::from_dir(saved.path())
            .unwrap()
            .save(saved.path())
            .unwrap();
        let json = fs::read_to_string(saved.path().join(TOKENIZER_JSON)).unwrap();
        let mut json: serde_json::Value = serde_json::from_str(&json).unwrap();
        json["truncation"] = serde_json::json!({
            "direction": "Right", "max_length": 3, "strategy": "LongestFirst", "stride": 0
        });
        json["padding"] = serde_json::json!({
            "strategy": {"Fixed": 37}, "direction": "Right", "pad_to_multiple_of": null,
            "pad_id": 0, "pad_type_id": 0, "pad_token": "[PAD]"
        });
        let json = json.to_string();
        let text = "The café the the";

        let alone = dir(&[(TOKENIZER_JSON, json.as_str())]);
        let tokenizer = BertTokenizer::from_dir(alone.path()).unwrap();
        assert_eq!(ids(&tokenizer, text), [5, 7, 5, 5]);

        let config = r#"{"do_lower_case": false, "tokenizer_class": "BertTokenizer"}"#;
        let cased = dir(&[(TOKENIZER_JSON, &json), ("tokenizer_config.json", config)]);
        let tokenizer = BertTokenizer::from_dir(cased.path()).unwrap();
        assert_eq!(ids(&tokenizer, text), [6, 8, 5, 5]);

        let config = r#"{"do_lower_case": false, "tokenizer_class": "PreTrainedTokenizerFast"}"#;
        let as_is = dir(&[(TOKENIZER_JSON, &json), ("tokenizer_config.json", config)]);
        let tokenizer = BertTokenizer::from_dir(as_is.path()).unwrap();
        assert_eq!(ids(&tokenizer, text), [5, 7, 5, 5]);
    }

    #[test]
    fn renamed_and_added_tokens_are_found() {
        let vocab = "<pad>\n<unk>\n<s>\n</s>\n<mask>\nthe\n";
        let map = r#"{"unk_token": "<unk>", "sep_token": "</s>", "pad_token": "<pad>",
            "cls_token": {"content": "<s>", "lstrip": false}, "mask_token": "<mask>",
            "additional_special_tokens": ["<extra>"]}"#;
        let added = r#"{"New": 6}"#;
        let dir = dir(&[
            (VOCAB_TXT, vocab),
            ("special_tokens_map.json", map),
            ("added_tokens.json", added),
        ]);
        let tokenizer = BertTokenizer::from_dir(dir.path()).unwrap();
        assert_eq!(tokenizer.mask_id(), 4);
        assert_eq!(tokenizer.vocab_size(), 8);
        assert_eq!(ids(&tokenizer, "the new <extra> <mask>"), [5, 6, 7, 4]);
    }

    #[test]
    fn contradicting_added_ids_are_refused() {
        for id in ["3", "4000000000"] {
            let added = format!(r#"{{"new": {id}}}"#);
            let dir = dir(&[(VOCAB_TXT, VOCAB), ("added_tokens.json", &added)]);
            let error = BertTokenizer::from_dir(dir.path()).unwrap_err().to_string();
            assert!(error.contains(id) && error.contains("9"), "{error}");
        }
    }

    #[test]
    fn many_added_ids_far_apart_make_few_lines() {
        let added: Vec<FileToken> = (1..=100)
            .map(|n| FileToken {
                id: Some(n * MOST_UNUSED as u32),
                token: AddedToken::from(format!("new{n}"), false),
            })
            .collect();
        let count = numbered(vec!["the".to_owned()], &added).count();
        assert!(count <= 1 + MOST_UNUSED + added.len(), "{count}");
    }

    #[test]
    fn bad_files_are_named() {
        let empty = dir(&[]);
        let error = BertTokenizer::from_dir(empty.path()).unwrap_err();
        assert!(matches!(error, Error::FileMissing { .. }), "{error}");

        for (files, needle) in [
            (&[(VOCAB_TXT, "[PAD]\n[UNK]\n")][..], "[SEP], [CLS], [MASK]"),
            (&[(TOKENIZER_JSON, "{")], TOKENIZER_JSON),
            (
                &[(VOCAB_TXT, VOCAB), ("tokenizer_config.json", "[]")],
                "tokenizer_config.json",
            ),
            (
                &[
                    (VOCAB_TXT, VOCAB),
                    ("tokenizer_config.json", r#"{"do_lower_case": "yes"}"#),
                ],
                "do_lower_case",
            ),
        ] {
            let dir = dir(files);
            let error = BertTokenizer::from_dir(dir.path()).unwrap_err().to_string();
            assert!(error.contains(needle), "{error}");
        }

        let latin1 = dir(&[]);
        let path = latin1.path().join(VOCAB_TXT);
        fs::write(&path, b"[PAD]\n[UNK]\ncaf\xe9\n").unwrap();
        let error = BertTokenizer::from_vocab_file(&path, &TokenizerOptions::default());
        let error = error.unwrap_err().to_string();
        assert!(error.contains("line 3"), "{error}");
    }
}
