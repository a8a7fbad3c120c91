//! The directory that sentence-transformers and `bert embed` load an encoder of texts from.

use std::path::Path;

use bert_core::files::write_atomically;
use bert_core::nn::BertInit;
use serde_json::{Value, json};

use super::files::{LIBRARY_CONFIG, POOLING_FLAGS, SentenceTransformersFiles, TRANSFORMER_CONFIG};
use super::modules::MODULES;
use super::steps::StepConfig;
use super::{Dense, DenseConfig, Pooling, Poolings};
use crate::error::{Error, Result};

/// Modules and settings of a sentence encoder, saved beside its weights.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EmbeddingLayout {
    /// Pooling of token vectors.
    pub pooling: Poolings,
    /// Modules after the pooling.
    pub dense: Vec<DenseConfig>,
    /// True if vectors are normalised to length 1.
    pub normalize: bool,
    /// Tokens that texts are cut to, where the files say.
    pub max_length: Option<usize>,
}

impl EmbeddingLayout {
    /// Reads the files of a model directory; mean pooling for a plain checkpoint.
    ///
    /// # Errors
    ///
    /// [`Error::Unsupported`] naming file and field for a module or pooling that is not implemented,
    /// and for what training does not carry on: weights in another directory, lower-casing before the
    /// tokenizer, prompts, vectors that are cut, and other modules than Dense and a last Normalize.
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
            return refuse(LIBRARY_CONFIG, "default_prompt_name", json!(files.prompt));
        }
        let (mut dense, mut normalize) = (Vec::new(), false);
        for step in files.steps {
            match step {
                StepConfig::Dense(_, config) if !normalize => dense.push(config),
                StepConfig::Normalize if !normalize => normalize = true,
                StepConfig::Truncate(length) => {
                    return refuse(LIBRARY_CONFIG, "truncate_dim", json!(length));
                }
                StepConfig::LayerNorm(..) => return refuse(MODULES, "type", json!("LayerNorm")),
                StepConfig::Dense(..) | StepConfig::Normalize => {
                    return refuse(MODULES, "type", json!("Normalize before other modules"));
                }
            }
        }
        Ok(Self {
            pooling: files.pooling,
            dense,
            normalize,
            max_length: files.max_seq_length,
        })
    }

    /// Writes the files of sentence-transformers for an encoder of `hidden_size` into `dir`; the
    /// directories of Dense modules come with their weights.
    ///
    /// # Errors
    ///
    /// [`Error::Unsupported`] for [`Pooling::Pooler`], which those files have no word for, and
    /// [`Error::Core`] naming a file that cannot be written.
    pub fn save(&self, dir: impl AsRef<Path>, hidden_size: usize) -> Result<()> {
        let dir = dir.as_ref();
        let modes = self.pooling.each().iter().map(|pooling| pooling.mode());
        let Some(modes) = modes.collect::<Option<Vec<&str>>>() else {
            return Err(Error::Unsupported {
                path: dir.join(POOLING).join("config.json"),
                field: "pooling_mode".to_owned(),
                found: Pooling::Pooler.to_string(),
                supported: "sentence-transformers has no such pooling: choose another".to_owned(),
            });
        };
        let mut pooling = json!({ "word_embedding_dimension": hidden_size });
        let flagged = POOLING_FLAGS.into_iter().filter_map(|(_, pooling)| {
            let is_one = self.pooling.each().contains(&pooling);
            is_one.then_some(pooling)
        });
        if flagged.eq(self.pooling.each().iter().copied()) {
            for (flag, pooling_of_flag) in POOLING_FLAGS {
                pooling[flag] = json!(self.pooling.each().contains(&pooling_of_flag));
            }
        } else {
            // Flags have an order of their own.
            pooling["pooling_mode"] = json!(modes);
        }
        let mut kinds = vec![
            (String::new(), "Transformer"),
            (POOLING.to_owned(), "Pooling"),
        ];
        kinds.extend((0..self.dense.len()).map(|index| (dense_dir(index), "Dense")));
        if self.normalize {
            kinds.push((format!("{}_Normalize", kinds.len()), "Normalize"));
        }
        let modules = kinds.into_iter().enumerate().map(|(index, (path, kind))| {
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

/// The directory of the Dense module number `index`, counted from 0, of those that follow the pooling.
pub(super) fn dense_dir(index: usize) -> String {
    format!("{}_Dense", index + 2)
}

/// The Dense modules of a directory, with their weights, on the device of `init`; none of a plain
/// checkpoint.
pub(super) fn load_dense(dir: &Path, init: &BertInit) -> Result<Vec<Dense>> {
    let files = SentenceTransformersFiles::read(dir, false)?;
    let dense = files.steps.iter().filter_map(|step| match step {
        StepConfig::Dense(dir, config) => Some(Dense::load(dir, *config, init)),
        _ => None,
    });
    dense.collect()
}

const POOLING: &str = "1_Pooling";

fn write(path: &Path, value: &Value) -> Result<()> {
    Ok(write_atomically(path, format!("{value:#}\n").as_bytes())?)
}

#[cfg(test)]
mod tests {
    use bert_core::config::BertConfig;
    use bert_core::device::test_devices;

    use super::*;
    use crate::torch_activation::TorchActivation;

    fn layout(pooling: Poolings) -> EmbeddingLayout {
        EmbeddingLayout {
            pooling,
            dense: Vec::new(),
            normalize: false,
            max_length: Some(37),
        }
    }

    #[test]
    fn what_is_written_is_read() {
        let one = Pooling::ALL.map(Poolings::from);
        let several = ["cls+mean", "mean+cls", "max+mean+last-token"];
        let several = several.map(|names| names.parse().unwrap());
        for pooling in one.into_iter().chain(several) {
            let layout = EmbeddingLayout {
                normalize: pooling == Pooling::Max,
                ..layout(pooling)
            };
            let dir = tempfile::tempdir().unwrap();
            match layout.save(dir.path(), 12) {
                Ok(()) => assert_eq!(EmbeddingLayout::read(dir.path()).unwrap(), layout),
                Err(error) => {
                    assert_eq!(layout.pooling, Pooling::Pooler);
                    assert!(error.to_string().contains("1_Pooling"), "{error}");
                    assert!(!dir.path().join(MODULES).exists());
                }
            }
        }
        let plain = EmbeddingLayout::read(tempfile::tempdir().unwrap().path()).unwrap();
        assert!(plain.pooling == Pooling::Mean && plain.max_length.is_none());
    }

    #[test]
    fn dense_modules_stand_before_the_norm() {
        let config = BertConfig::new(37, 12, 2, 3, 29);
        let (_, device) = test_devices().swap_remove(0);
        let init = BertInit::new(&config, 5, &device);
        let sizes = [
            (12, 7, true, TorchActivation::Tanh),
            (7, 5, false, TorchActivation::Identity),
        ];
        let dense: Vec<DenseConfig> = sizes
            .map(
                |(in_features, out_features, bias, activation)| DenseConfig {
                    in_features,
                    out_features,
                    bias,
                    activation,
                },
            )
            .to_vec();
        let layout = EmbeddingLayout {
            dense: dense.clone(),
            normalize: true,
            ..layout(Pooling::Mean.into())
        };
        let dir = tempfile::tempdir().unwrap();
        let weights =
            |module: &Dense| -> Vec<f32> { module.linear.weight.val().try_into_vec_as().unwrap() };
        let made: Vec<Dense> = dense
            .iter()
            .map(|&config| Dense::new(config, &init))
            .collect();
        for (index, module) in made.iter().enumerate() {
            module.save(dir.path().join(dense_dir(index))).unwrap();
        }
        layout.save(dir.path(), 12).unwrap();
        assert_eq!(EmbeddingLayout::read(dir.path()).unwrap(), layout);
        let modules = std::fs::read_to_string(dir.path().join(MODULES)).unwrap();
        assert!(modules.contains("\"3_Dense\"") && modules.contains("\"4_Normalize\""));
        let loaded = load_dense(dir.path(), &init).unwrap();
        assert_eq!(
            loaded.iter().map(weights).collect::<Vec<_>>(),
            made.iter().map(weights).collect::<Vec<_>>()
        );

        // Weights that are not those of the configuration.
        made[0].save(dir.path().join(dense_dir(1))).unwrap();
        let path = dir.path().join("3_Dense/config.json");
        std::fs::write(
            &path,
            json!({"in_features": 7, "out_features": 5}).to_string(),
        )
        .unwrap();
        let error = load_dense(dir.path(), &init).unwrap_err();
        assert!(error.to_string().contains("3_Dense"), "{error}");
    }

    #[test]
    fn what_training_does_not_carry_on_is_named() {
        let dir = tempfile::tempdir().unwrap();
        layout(Pooling::Mean.into()).save(dir.path(), 12).unwrap();
        let path = dir.path().join(TRANSFORMER_CONFIG);
        std::fs::write(&path, r#"{"do_lower_case": true}"#).unwrap();
        let error = EmbeddingLayout::read(dir.path()).unwrap_err().to_string();
        assert!(error.contains("`do_lower_case`"), "{error}");

        std::fs::write(&path, "{}").unwrap();
        let library = dir.path().join(LIBRARY_CONFIG);
        std::fs::write(&library, r#"{"truncate_dim": 8}"#).unwrap();
        let error = EmbeddingLayout::read(dir.path()).unwrap_err().to_string();
        assert!(error.contains("`truncate_dim`"), "{error}");
    }
}
