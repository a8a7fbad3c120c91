//! The directory that sentence-transformers and `bert embed` load an encoder of texts from.

use std::path::Path;

use bert_core::files::write_atomically;
use serde_json::{Value, json};

use super::Pooling;
use super::files::{MODULES, POOLING_FLAGS, SentenceTransformersFiles, TRANSFORMER_CONFIG};
use crate::error::{Error, Result};

/// What lies beside the weights of an encoder of texts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EmbeddingLayout {
    /// How token vectors become one.
    pub pooling: Pooling,
    /// Whether vectors get length 1.
    pub normalize: bool,
    /// Tokens that texts are cut to, where the files say.
    pub max_length: Option<usize>,
}

impl EmbeddingLayout {
    /// What the files of a model directory say, mean pooling for a plain checkpoint.
    ///
    /// # Errors
    ///
    /// [`Error::Unsupported`] naming file and field for a module or pooling that is not implemented,
    /// and for what training does not carry on: weights in another directory, lower-casing before the
    /// tokenizer, and prompts.
    pub fn read(dir: impl AsRef<Path>) -> Result<Self> {
        let dir = dir.as_ref();
        let files = SentenceTransformersFiles::read(dir, false)?;
        let refuse = |file: &str, field: &str, found: Value| {
            Err(Error::Unsupported {
                path: dir.join(file),
                field: field.to_owned(),
                found: found.to_string(),
                supported: "training does not carry it on: train the encoder without it".to_owned(),
            })
        };
        if files.transformer_dir.components().ne(dir.components()) {
            let place = files.transformer_dir.display().to_string();
            return refuse(MODULES, "[0].path", json!(place));
        }
        if files.do_lower_case {
            return refuse(TRANSFORMER_CONFIG, "do_lower_case", json!(true));
        }
        if !files.prompt.is_empty() {
            let name = "config_sentence_transformers.json";
            return refuse(name, "default_prompt_name", json!(files.prompt));
        }
        Ok(Self {
            pooling: files.pooling,
            normalize: files.normalize,
            max_length: files.max_seq_length,
        })
    }

    /// Writes the files of sentence-transformers for vectors of `hidden_size` numbers into `dir`.
    ///
    /// # Errors
    ///
    /// [`Error::Unsupported`] for [`Pooling::Pooler`], which those files have no word for, and
    /// [`Error::Core`] naming a file that cannot be written.
    pub fn save(&self, dir: impl AsRef<Path>, hidden_size: usize) -> Result<()> {
        let dir = dir.as_ref();
        let mode = match self.pooling {
            Pooling::Cls => "cls",
            Pooling::Mean => "mean",
            Pooling::MeanSqrtLen => "mean_sqrt_len_tokens",
            Pooling::Max => "max",
            Pooling::Pooler => {
                return Err(Error::Unsupported {
                    path: dir.join(POOLING).join("config.json"),
                    field: "pooling_mode".to_owned(),
                    found: "pooler".to_owned(),
                    supported: "sentence-transformers has no such pooling: choose another"
                        .to_owned(),
                });
            }
        };
        let mut pooling = json!({ "word_embedding_dimension": hidden_size });
        for (flag, name) in POOLING_FLAGS {
            pooling[flag] = json!(name == mode);
        }
        let normalize = self.normalize.then_some(("2_Normalize", "Normalize"));
        let kinds = [("", "Transformer"), (POOLING, "Pooling")];
        let modules = kinds.into_iter().chain(normalize).enumerate();
        let modules = modules.map(|(index, (path, kind))| {
            let class = format!("sentence_transformers.models.{kind}");
            json!({"idx": index, "name": index.to_string(), "path": path, "type": class})
        });
        let modules: Value = modules.collect();

        let pooling_dir = dir.join(POOLING);
        std::fs::create_dir_all(&pooling_dir)
            .map_err(|error| bert_core::Error::io("create", &pooling_dir, error))?;
        write(&pooling_dir.join("config.json"), &pooling)?;
        if let Some(length) = self.max_length {
            let config = json!({"max_seq_length": length, "do_lower_case": false});
            write(&dir.join(TRANSFORMER_CONFIG), &config)?;
        }
        // Last: with it the directory is one of sentence-transformers.
        write(&dir.join(MODULES), &modules)
    }
}

const POOLING: &str = "1_Pooling";

fn write(path: &Path, value: &Value) -> Result<()> {
    Ok(write_atomically(path, format!("{value:#}\n").as_bytes())?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        for pooling in Pooling::ALL {
            let layout = EmbeddingLayout {
                pooling,
                normalize: pooling == Pooling::Max,
                max_length: Some(37),
            };
            let dir = tempfile::tempdir().unwrap();
            match layout.save(dir.path(), 12) {
                Ok(()) => assert_eq!(EmbeddingLayout::read(dir.path()).unwrap(), layout),
                Err(error) => {
                    assert_eq!(pooling, Pooling::Pooler);
                    assert!(error.to_string().contains("1_Pooling"), "{error}");
                    assert!(!dir.path().join(MODULES).exists());
                }
            }
        }
        let plain = EmbeddingLayout::read(tempfile::tempdir().unwrap().path()).unwrap();
        assert_eq!((plain.pooling, plain.max_length), (Pooling::Mean, None));
    }

    #[test]
    fn what_training_does_not_carry_on_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let layout = EmbeddingLayout {
            pooling: Pooling::Mean,
            normalize: false,
            max_length: None,
        };
        layout.save(dir.path(), 12).unwrap();
        let path = dir.path().join(TRANSFORMER_CONFIG);
        std::fs::write(&path, r#"{"do_lower_case": true}"#).unwrap();
        let error = EmbeddingLayout::read(dir.path()).unwrap_err().to_string();
        assert!(error.contains("`do_lower_case`"), "{error}");
    }
}
