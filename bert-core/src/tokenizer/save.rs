//! A tokenizer back to the files that transformers and [`BertTokenizer::from_dir`] read.

use std::fs;
use std::path::Path;

use serde_json::{Map, Value, json};
use tokenizers::normalizers::NormalizerWrapper;
use tokenizers::{Model, ModelWrapper, PreTokenizerWrapper};

use super::config::TOKENIZER_CONFIG;
use super::load::{TOKENIZER_JSON, VOCAB_TXT};
use super::{BertTokenizer, byte_bpe, failed, unigram};
use crate::files::write_atomically;
use crate::models::{BERT, TokenizerFamily, TokenizerModel, UnigramText};
use crate::{Error, Result};

/// Class of transformers that takes everything from `tokenizer.json`.
const ANY_CLASS: &str = "PreTrainedTokenizerFast";

impl BertTokenizer {
    /// Writes `tokenizer.json`, `tokenizer_config.json` and the files of the vocabulary alone into `dir`, making it if need
    /// be: `vocab.txt` of WordPiece, `vocab.json` and `merges.txt` of byte-level BPE.
    ///
    /// Each file is complete or absent, never half written.
    ///
    /// # Errors
    /// [`Error::Io`] naming the file that cannot be written.
    pub fn save(&self, dir: &Path) -> Result<()> {
        fs::create_dir_all(dir).map_err(|source| Error::io("create", dir, source))?;
        if let ModelWrapper::WordPiece(model) = self.inner.get_model() {
            write_atomically(
                dir.join(VOCAB_TXT),
                vocab_lines(model.get_vocab()).as_bytes(),
            )?;
        }
        let files = byte_bpe::files(&self.inner, self.special_tokens.names());
        for (name, text) in files.into_iter().flatten() {
            write_atomically(dir.join(name), text.as_bytes())?;
        }
        let mut config = serde_json::to_string_pretty(&self.config()).expect("plain JSON values");
        config.push('\n');
        write_atomically(dir.join(TOKENIZER_CONFIG), config.as_bytes())?;
        let json = self
            .inner
            .to_string(true)
            .map_err(|source| failed("cannot serialize the tokenizer", source))?;
        // Last, because it is the file a reader prefers.
        write_atomically(dir.join(TOKENIZER_JSON), json.as_bytes())
    }

    fn config(&self) -> Value {
        let mut config = Map::new();
        let mut set = |key: &str, value: Value| config.insert(key.into(), value);
        let class = |own: &TokenizerFamily| json!(own.classes.first().unwrap_or(&ANY_CLASS));
        let names = &self.special_tokens;
        set("unk_token", json!(names.unk));
        set("sep_token", json!(names.sep));
        set("pad_token", json!(names.pad));
        set("cls_token", json!(names.cls));
        set("mask_token", json!(names.mask));
        if let Some(length) = self.model_max_length {
            set("model_max_length", json!(length));
        }
        let own = &self.family.tokenizer;
        if !own.extra_special_tokens.is_empty() {
            // The class marks all of them where the file names none.
            let added = self.inner.get_added_vocabulary();
            let extra = own.extra_special_tokens.iter();
            let marked = extra.filter(|token| added.is_special_token(token));
            let marked: Vec<_> = marked.collect();
            set("additional_special_tokens", json!(marked));
        }
        let wordpiece = match own.model {
            TokenizerModel::WordPiece => own,
            _ => &BERT.tokenizer,
        };
        let by_settings = match own.model {
            TokenizerModel::Unigram(text) => {
                unigram::settings(&self.inner, text, self.ids.unk).map(|settings| (text, settings))
            }
            _ => None,
        };
        let parts = (self.inner.get_normalizer(), self.inner.get_pre_tokenizer());
        if let (
            Some(NormalizerWrapper::BertNormalizer(normalizer)),
            Some(PreTokenizerWrapper::BertPreTokenizer(_)),
        ) = parts
            && normalizer.clean_text
        {
            set("do_lower_case", json!(normalizer.lowercase));
            set("strip_accents", json!(normalizer.strip_accents));
            set(
                "tokenize_chinese_chars",
                json!(normalizer.handle_chinese_chars),
            );
            set("tokenizer_class", class(wordpiece));
        } else if own.model == TokenizerModel::ByteLevelBpe
            && !own.classes.is_empty()
            && let Some(splitter) = byte_bpe::plain_splitter(&self.inner)
            && self.inner.get_post_processor() == Some(&self.family_frame())
        {
            set("add_prefix_space", json!(splitter.add_prefix_space));
            set("trim_offsets", json!(splitter.trim_offsets));
            set("tokenizer_class", class(own));
        } else if let Some((text, settings)) = by_settings
            && (text == UnigramText::Folded
                || self.inner.get_post_processor() == Some(&self.family_frame()))
        {
            set("tokenizer_class", class(own));
            settings.put_into(text, &mut config);
        } else {
            // The family's class would put its own normalizer and splitter in place of those in tokenizer.json.
            set("tokenizer_class", json!(ANY_CLASS));
        }
        Value::Object(config)
    }
}

/// One token a line at the line of its id; an id without a token leaves an empty line, so that the
/// ids after it stay in place.
fn vocab_lines(vocab: impl IntoIterator<Item = (String, u32)>) -> String {
    let mut tokens: Vec<(String, u32)> = vocab.into_iter().collect();
    tokens.sort_by_key(|(_, id)| *id);
    let mut lines = String::new();
    let mut next = 0;
    for (token, id) in tokens {
        while next < id {
            lines.push('\n');
            next += 1;
        }
        lines.push_str(&token);
        lines.push('\n');
        next += 1;
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tokenizer::{EncodeOptions, TokenizerOptions};

    #[test]
    fn saved_files_read_back_the_same_with_and_without_tokenizer_json() {
        let vocab = "[PAD] [UNK] [CLS] [SEP] a [MASK] The ##s a é".split(' ');
        let options = TokenizerOptions {
            do_lower_case: false,
            strip_accents: Some(false),
            tokenize_chinese_chars: false,
            model_max_length: Some(37),
            ..Default::default()
        };
        let tokenizer = BertTokenizer::from_vocab(vocab.map(String::from), &options).unwrap();
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path().join("new");
        tokenizer.save(&dir).unwrap();
        tokenizer.save(&dir).unwrap();
        assert_eq!(fs::read_dir(&dir).unwrap().count(), 3);

        let check = || {
            let read = BertTokenizer::from_dir(&dir).unwrap();
            assert_eq!(read.vocab_size(), tokenizer.vocab_size());
            assert_eq!(read.model_max_length(), Some(37));
            assert_eq!(read.config(), tokenizer.config());
            let text = "a The Thes é [MASK] 我 the";
            let encode = |t: &BertTokenizer| t.encode(text, &EncodeOptions::default()).unwrap();
            assert_eq!(encode(&read), encode(&tokenizer));
        };
        check();
        fs::remove_file(dir.join(TOKENIZER_JSON)).unwrap();
        check();
    }

    #[test]
    fn a_directory_that_cannot_be_made_is_named() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let tokenizer = crate::tokenizer::tests::tiny(&TokenizerOptions::default());
        let error = tokenizer.save(&file.path().join("sub")).unwrap_err();
        assert!(matches!(error, Error::Io { .. }), "{error}");
    }
}
