//! A tokenizer from the files of a model directory.

use std::fs;
use std::path::Path;

use tokenizers::Tokenizer;
use tokenizers::normalizers::NormalizerWrapper;

use super::config::{DirConfig, FileToken};
use super::{BertTokenizer, TokenizerOptions, failed};
use crate::{Error, Result};

pub(super) const TOKENIZER_JSON: &str = "tokenizer.json";
pub(super) const VOCAB_TXT: &str = "vocab.txt";

impl BertTokenizer {
    /// Reads the tokenizer of a model directory in the Hugging Face layout.
    ///
    /// `tokenizer.json` is preferred. Truncation and padding stored in it are dropped, and where
    /// `tokenizer_config.json` says otherwise about lower-casing, accents or Chinese characters,
    /// the latter is followed, as in transformers. Without it, `vocab.txt` is read with
    /// `tokenizer_config.json`, `special_tokens_map.json` and `added_tokens.json`, each optional.
    ///
    /// # Errors
    /// [`Error::FileMissing`] if there is neither `tokenizer.json` nor `vocab.txt`,
    /// [`Error::Malformed`] or [`Error::Io`] for a file that cannot be read, and
    /// [`Error::Tokenizer`] if special tokens are missing or the files contradict each other.
    pub fn from_dir(dir: impl AsRef<Path>) -> Result<Self> {
        let dir = dir.as_ref();
        let config = DirConfig::read(dir)?;
        let json = dir.join(TOKENIZER_JSON);
        let vocab = dir.join(VOCAB_TXT);
        if json.is_file() {
            from_json(&json, &config)
        } else if vocab.is_file() {
            Self::from_tokens(
                read_vocab(&vocab)?,
                &config.options(),
                &config.added,
                &vocab.display().to_string(),
            )
        } else {
            Err(Error::FileMissing {
                dir: dir.to_path_buf(),
                looked_for: vec![TOKENIZER_JSON.into(), VOCAB_TXT.into()],
                remedy: "copy the tokenizer of the model there".into(),
            })
        }
    }

    /// Reads a vocabulary of one token a line, the line number counted from 0 being the id.
    ///
    /// White space at the end of a line is not part of the token. A token that occurs twice gets
    /// the id of its last occurrence. Both are as in transformers.
    ///
    /// # Errors
    /// [`Error::Io`] if the file cannot be read, [`Error::Malformed`] naming the line that is not
    /// UTF-8, [`Error::Tokenizer`] if one of the five special tokens is missing.
    pub fn from_vocab_file(path: impl AsRef<Path>, options: &TokenizerOptions) -> Result<Self> {
        let path = path.as_ref();
        let origin = path.display().to_string();
        Self::from_tokens(read_vocab(path)?, options, &[], &origin)
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

fn read_vocab(path: &Path) -> Result<Vec<String>> {
    let bytes = fs::read(path).map_err(|source| Error::io("read", path, source))?;
    let bytes = bytes.strip_suffix(b"\n").unwrap_or(&bytes);
    bytes
        .split(|byte| *byte == b'\n')
        .enumerate()
        .map(|(index, line)| {
            std::str::from_utf8(line)
                .map(|line| line.trim_end().to_owned())
                .map_err(|_| {
                    let reason = format!("line {} is not UTF-8", index + 1);
                    Error::malformed(path, VOCAB_TXT, reason)
                })
        })
        .collect()
}

fn from_json(path: &Path, config: &DirConfig) -> Result<BertTokenizer> {
    let bytes = fs::read(path).map_err(|source| Error::io("read", path, source))?;
    let mut inner = Tokenizer::from_bytes(&bytes)
        .map_err(|source| Error::malformed(path, TOKENIZER_JSON, source))?;
    let normalizer = inner.get_normalizer().cloned();
    if let Some(NormalizerWrapper::BertNormalizer(mut normalizer)) = normalizer
        && config.overrides_json()
    {
        normalizer.lowercase = config.do_lower_case.unwrap_or(normalizer.lowercase);
        normalizer.strip_accents = config.strip_accents.unwrap_or(normalizer.strip_accents);
        normalizer.handle_chinese_chars = config
            .tokenize_chinese_chars
            .unwrap_or(normalizer.handle_chinese_chars);
        inner
            .with_normalizer(Some(normalizer))
            .map_err(|source| failed("cannot set the normalizer", source))?;
    }
    BertTokenizer::assemble(
        inner,
        &config.special_tokens,
        &config.added,
        config.model_max_length,
        &path.display().to_string(),
    )
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
        let dir = dir(&[(VOCAB_TXT, VOCAB), ("added_tokens.json", r#"{"new": 37}"#)]);
        let error = BertTokenizer::from_dir(dir.path()).unwrap_err().to_string();
        assert!(error.contains("37") && error.contains("9"), "{error}");
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
