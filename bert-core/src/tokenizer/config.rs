//! The small JSON files beside a vocabulary, in the layouts transformers has written over the years
//! (`_from_pretrained` in `tokenization_utils_base.py` reads them in the same order).

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value};
use tokenizers::AddedToken;

use super::{SpecialTokens, TokenizerOptions};
use crate::models::{BERT, Family, family_of_file, family_of_tokenizer};
use crate::{Error, Result};

pub(super) const TOKENIZER_CONFIG: &str = "tokenizer_config.json";
const SPECIAL_TOKENS_MAP: &str = "special_tokens_map.json";
const ADDED_TOKENS: &str = "added_tokens.json";

/// Above this, `model_max_length` means "no limit": transformers writes 1e30 where none is known.
const LARGE_INTEGER: f64 = 1e20;

/// A token that a file adds to the vocabulary, with the id it must get where the file gives one.
#[derive(Debug)]
pub(super) struct FileToken {
    pub(super) id: Option<u32>,
    pub(super) token: AddedToken,
}

/// Settings in the files of a directory; `None` where they are silent.
pub(super) struct DirConfig {
    /// The class of transformers that reads the directory, as far as its files say.
    class: Option<String>,
    /// The family of that class, or else of the model in the directory.
    pub(super) family: &'static Family,
    pub(super) do_lower_case: Option<bool>,
    /// The inner `None` is an explicit null: follow lower-casing.
    pub(super) strip_accents: Option<Option<bool>>,
    pub(super) tokenize_chinese_chars: Option<bool>,
    pub(super) add_prefix_space: Option<bool>,
    pub(super) trim_offsets: Option<bool>,
    pub(super) keep_accents: Option<bool>,
    pub(super) split_by_punct: Option<bool>,
    pub(super) model_max_length: Option<usize>,
    pub(super) special_tokens: SpecialTokens,
    /// Those of the special tokens that a file describes by more than their name.
    pub(super) described: Vec<AddedToken>,
    pub(super) added: Vec<FileToken>,
}

impl DirConfig {
    pub(super) fn read(dir: &Path) -> Result<Self> {
        let mut config = JsonFile::read(dir, TOKENIZER_CONFIG)?;
        let model = Model::read(dir);
        let class = match config.get("tokenizer_class", |v| v.as_str().map(String::from))? {
            Some(class) => Some(class),
            None => model.class,
        };
        let of_class = class.as_deref().and_then(family_of_tokenizer);
        let family = of_class.or(model.family).unwrap_or(&BERT);
        if class.as_deref() == Some("BertJapaneseTokenizer") {
            return Err(config.malformed(
                "it asks for BertJapaneseTokenizer, which needs MeCab; use a model with a plain \
                 WordPiece tokenizer",
            ));
        }
        let strip_accents = match config.object.contains_key("strip_accents") {
            true => Some(config.get("strip_accents", Value::as_bool)?),
            false => None,
        };
        let max_length = match config.get("model_max_length", Value::as_f64)? {
            Some(length) => Some(length),
            None => config.get("max_len", Value::as_f64)?,
        };

        let mut added = config.added_tokens_decoder()?;
        // The two older files count only where the newer key is absent.
        let old_layout = added.is_none();
        if old_layout {
            let map = JsonFile::read(dir, SPECIAL_TOKENS_MAP)?.object;
            config
                .object
                .extend(map.into_iter().filter(|(_, value)| !value.is_null()));
        }
        let (special_tokens, described) = config.special_tokens(family)?;
        // From whichever file names them; transformers 5 overlooks the first key in the older map.
        let mut extra = config.special_list("additional_special_tokens")?;
        extra.extend(config.special_list("extra_special_tokens")?);
        let names_none = |key: &str| config.object.get(key).is_none_or(Value::is_object);
        if of_class.is_some()
            && ["additional_special_tokens", "extra_special_tokens"]
                .into_iter()
                .all(names_none)
        {
            let of_class = family.tokenizer.extra_special_tokens.iter();
            extra.extend(of_class.map(|token| AddedToken::from(*token, true)));
        }
        if old_layout {
            let special = |name: &str| {
                special_tokens.names().contains(&name) || extra.iter().any(|t| t.content == name)
            };
            added = Some(JsonFile::read(dir, ADDED_TOKENS)?.added_tokens(special)?);
        }
        let mut added = added.unwrap_or_default();
        added.sort_by_key(|token| token.id);
        added.extend(extra.into_iter().map(|token| FileToken { id: None, token }));

        Ok(Self {
            do_lower_case: config.get("do_lower_case", Value::as_bool)?,
            strip_accents,
            tokenize_chinese_chars: config.get("tokenize_chinese_chars", Value::as_bool)?,
            add_prefix_space: config.get("add_prefix_space", Value::as_bool)?,
            trim_offsets: config.get("trim_offsets", Value::as_bool)?,
            keep_accents: config.get("keep_accents", Value::as_bool)?,
            split_by_punct: config.get("split_by_punct", Value::as_bool)?,
            model_max_length: max_length
                .filter(|length| (1.0..=LARGE_INTEGER).contains(length))
                .map(|length| length as usize),
            class,
            family,
            special_tokens,
            described,
            added,
        })
    }

    /// True if the class is one that makes its normalizer and splitter from `tokenizer_config.json` rather than taking
    /// those of `tokenizer.json`.
    pub(super) fn rebuilds_json(&self) -> bool {
        let class = self.class.as_deref();
        class.is_some_and(|class| family_of_tokenizer(class).is_some())
    }

    pub(super) fn options(&self) -> TokenizerOptions {
        let default = TokenizerOptions::default();
        TokenizerOptions {
            do_lower_case: self.do_lower_case.unwrap_or(default.do_lower_case),
            strip_accents: self.strip_accents.unwrap_or(default.strip_accents),
            tokenize_chinese_chars: self
                .tokenize_chinese_chars
                .unwrap_or(default.tokenize_chinese_chars),
            model_max_length: self.model_max_length,
            special_tokens: self.special_tokens.clone(),
        }
    }
}

/// The tokenizer that the `config.json` of a directory names or implies.
struct Model {
    /// The class that it names, or that goes with its `model_type`.
    class: Option<String>,
    family: Option<&'static Family>,
}

impl Model {
    /// Reads the file; neither class nor family where it is absent or malformed, which the loader of the model reports.
    fn read(dir: &Path) -> Self {
        let text = fs::read(dir.join("config.json")).ok();
        let config: Option<Map<String, Value>> =
            text.and_then(|text| serde_json::from_slice(&text).ok());
        let Some(config) = config else {
            return Self {
                class: None,
                family: None,
            };
        };
        let text = |key: &str| config.get(key).and_then(Value::as_str);
        let family = match text("model_type") {
            Some(model_type) => family_of_file(model_type),
            None => Some(&BERT),
        };
        let usual = family.and_then(|family| family.tokenizer.classes.first());
        let class = text("tokenizer_class").or(usual.copied());
        Self {
            class: class.map(str::to_owned),
            family,
        }
    }
}

/// A JSON object in a file; empty if there is no such file.
struct JsonFile {
    path: PathBuf,
    name: &'static str,
    object: Map<String, Value>,
}

impl JsonFile {
    fn read(dir: &Path, name: &'static str) -> Result<Self> {
        let path = dir.join(name);
        let object = match fs::read(&path) {
            Ok(bytes) => serde_json::from_slice(&bytes)
                .map_err(|source| Error::malformed(&path, name, source))?,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Map::new(),
            Err(source) => return Err(Error::io("read", path, source)),
        };
        Ok(Self { path, name, object })
    }

    fn malformed(&self, reason: impl std::fmt::Display) -> Error {
        Error::malformed(&self.path, self.name, reason)
    }

    /// The value of a key; `None` if absent or null, an error if `read` cannot take it.
    fn get<T>(&self, key: &str, read: impl Fn(&Value) -> Option<T>) -> Result<Option<T>> {
        match self.object.get(key) {
            None | Some(Value::Null) => Ok(None),
            Some(value) => match read(value) {
                Some(value) => Ok(Some(value)),
                None => Err(self.malformed(format!("`{key}` cannot be {value}"))),
            },
        }
    }

    /// The special tokens, and those of them that are described by more than their name.
    fn special_tokens(&self, family: &Family) -> Result<(SpecialTokens, Vec<AddedToken>)> {
        let mut names = SpecialTokens::of(family);
        let mut described = Vec::new();
        for (key, name) in [
            ("unk_token", &mut names.unk),
            ("sep_token", &mut names.sep),
            ("pad_token", &mut names.pad),
            ("cls_token", &mut names.cls),
            ("mask_token", &mut names.mask),
        ] {
            if let Some(token) = self.get(key, |value| added_token(value, true))? {
                name.clone_from(&token.content);
                if self.object[key].is_object() {
                    described.push(token);
                }
            }
        }
        Ok((names, described))
    }

    /// Special tokens beyond the five: a list, or an object from role to token.
    fn special_list(&self, key: &str) -> Result<Vec<AddedToken>> {
        let tokens = self.get(key, |value| {
            let token = |value| added_token(value, true);
            match value {
                Value::Array(list) => list.iter().map(token).collect::<Option<Vec<_>>>(),
                Value::Object(roles) => roles.values().map(token).collect(),
                _ => None,
            }
        })?;
        Ok(tokens.unwrap_or_default())
    }

    fn added_tokens_decoder(&self) -> Result<Option<Vec<FileToken>>> {
        self.get("added_tokens_decoder", |value| {
            let token = |(id, value): (&String, &Value)| {
                Some(FileToken {
                    id: Some(id.parse().ok()?),
                    token: added_token(value, false)?,
                })
            };
            value.as_object()?.iter().map(token).collect()
        })
    }

    /// The file as a whole: an object from token to id.
    fn added_tokens(&self, special: impl Fn(&str) -> bool) -> Result<Vec<FileToken>> {
        let token = |(name, id): (&String, &Value)| {
            let id = id.as_u64().and_then(|id| u32::try_from(id).ok());
            let Some(id) = id else {
                return Err(self.malformed(format!("the id of `{name}` is not a number")));
            };
            Ok(FileToken {
                id: Some(id),
                token: AddedToken::from(name.as_str(), special(name)),
            })
        };
        self.object.iter().map(token).collect()
    }
}

/// A token as a plain string or as the fields of Python's `AddedToken`, with its defaults.
fn added_token(value: &Value, special: bool) -> Option<AddedToken> {
    if let Some(content) = value.as_str() {
        return Some(AddedToken::from(content, special));
    }
    let fields = value.as_object()?;
    let flag = |key: &str| fields.get(key).and_then(Value::as_bool);
    let special = special || flag("special").unwrap_or(false);
    Some(
        AddedToken::from(fields.get("content")?.as_str()?, special)
            .lstrip(flag("lstrip").unwrap_or(false))
            .rstrip(flag("rstrip").unwrap_or(false))
            .single_word(flag("single_word").unwrap_or(false))
            .normalized(flag("normalized").unwrap_or(!special)),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(files: &[(&str, &str)]) -> Result<DirConfig> {
        let dir = tempfile::tempdir().unwrap();
        for (name, text) in files {
            fs::write(dir.path().join(name), text).unwrap();
        }
        DirConfig::read(dir.path())
    }

    #[test]
    fn no_limit_is_written_in_many_ways() {
        for (length, expected) in [
            ("512", Some(512)),
            ("512.0", Some(512)),
            ("null", None),
            ("1e30", None),
            ("1000000000000000019884624838656", None),
            ("0", None),
        ] {
            let text = format!(r#"{{"model_max_length": {length}}}"#);
            let config = read(&[(TOKENIZER_CONFIG, &text)]).unwrap();
            assert_eq!(config.model_max_length, expected, "{length}");
        }
        let config = read(&[(TOKENIZER_CONFIG, r#"{"max_len": 37}"#)]).unwrap();
        assert_eq!(config.model_max_length, Some(37));
    }

    #[test]
    fn a_null_for_accents_is_not_silence() {
        let silent = read(&[]).unwrap();
        assert_eq!(silent.strip_accents, None);
        let null = read(&[(TOKENIZER_CONFIG, r#"{"strip_accents": null}"#)]).unwrap();
        assert_eq!(null.strip_accents, Some(None));
    }

    #[test]
    fn the_old_files_count_only_without_added_tokens_decoder() {
        let map = (SPECIAL_TOKENS_MAP, r#"{"mask_token": "<mask>"}"#);
        let added = (ADDED_TOKENS, r#"{"new": 12, "<mask>": 7}"#);
        let old = read(&[map, added]).unwrap();
        assert_eq!(old.special_tokens.mask, "<mask>");
        let tokens: Vec<_> = old
            .added
            .iter()
            .map(|t| (t.id, t.token.content.as_str(), t.token.special))
            .collect();
        assert_eq!(
            tokens,
            [(Some(7), "<mask>", true), (Some(12), "new", false)]
        );

        let decoder = r#"{"added_tokens_decoder": {"4": {"content": "[MASK]", "special": true}}}"#;
        let new = read(&[(TOKENIZER_CONFIG, decoder), map, added]).unwrap();
        assert_eq!(new.special_tokens.mask, "[MASK]");
        assert_eq!(new.added.len(), 1);
        assert!(!new.added[0].token.normalized);
    }

    #[test]
    fn a_japanese_tokenizer_is_refused() {
        let config = r#"{"tokenizer_class": "BertJapaneseTokenizer"}"#;
        let error = read(&[(TOKENIZER_CONFIG, config)]).err().unwrap();
        assert!(error.to_string().contains("MeCab"), "{error}");
    }
}
