//! Cross-encoders of sentence-transformers: classifiers of pairs whose one output is a score through
//! an activation that their files name (its `cross_encoder/model.py`).

use std::path::Path;

use bert_core::config::BertConfig;
use serde_json::Value;

use super::fields::Fields;
use super::files::{LIBRARY_CONFIG, default_prompt};
use super::modules::{MODULES, Module, unsupported};
use crate::error::{Error, Result};
use crate::labels::marks::{MARK, mark};
use crate::torch_activation::TorchActivation;

/// The activation of the one output that the files name: `config_sentence_transformers.json`, else
/// `config.json`.
pub(crate) fn activation(dir: &Path, config: &BertConfig) -> Result<Option<TorchActivation>> {
    let library = match dir.join(MODULES).is_file() {
        true => Fields::read(dir.join(LIBRARY_CONFIG))?,
        false => None,
    };
    let library = library
        .as_ref()
        .filter(|fields| {
            fields
                .object
                .get("model_type")
                .is_some_and(|v| v == "CrossEncoder")
        })
        .and_then(|fields| {
            Some((
                LIBRARY_CONFIG,
                MARK.1.to_owned(),
                fields.object.get(MARK.1)?,
            ))
        })
        .filter(|(_, _, value)| !value.is_null());
    let named = match library {
        Some(named) => named,
        None => match mark(config) {
            Some((field, value)) => ("config.json", field, value),
            None => return Ok(None),
        },
    };
    let (file, field, value) = named;
    let activation = value.as_str().and_then(TorchActivation::of_class);
    // One that has no value for a number is no activation of scores.
    match activation.filter(|activation| activation.of_number(0.0).is_some()) {
        Some(activation) => Ok(Some(activation)),
        None => Err(Error::Unsupported {
            path: dir.join(file),
            field,
            found: value.to_string(),
            supported: "only Identity, Sigmoid, Tanh, ReLU and SiLU of torch.nn are implemented \
                        for scores: --task regress gives the logit"
                .to_owned(),
        }),
    }
}

/// Refuses a cross-encoder that is more than a classifier of transformers.
pub(crate) fn check(dir: &Path, modules: &[Module]) -> Result<()> {
    let expected = "a Transformer alone";
    if modules.first().and_then(Module::kind) != Some("Transformer") {
        return Err(unsupported(dir, modules, 0, expected));
    }
    if modules.len() > 1 {
        return Err(unsupported(dir, modules, 1, expected));
    }
    if modules[0].dir().components().ne(dir.components()) {
        return Err(Error::Unsupported {
            path: dir.join(MODULES),
            field: "[0].path".to_owned(),
            found: modules[0].dir().display().to_string(),
            supported: "a cross-encoder is read from the directory itself".to_owned(),
        });
    }
    let Some(fields) = Fields::read(dir.join(LIBRARY_CONFIG))? else {
        return Ok(());
    };
    match default_prompt(&fields)? {
        Some(prompt) if !prompt.is_empty() => Err(fields.unsupported(
            "default_prompt_name",
            &Value::String(prompt),
            "no prompt is put in front of pairs",
        )),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::labels::marks::{OLDER_MARK, is_marked, remove_marks};

    fn config(fields: Value) -> BertConfig {
        let mut config = BertConfig::new(37, 12, 2, 3, 29);
        config.extra = fields.as_object().unwrap().clone();
        config
    }

    const TANH: &str = "torch.nn.modules.activation.Tanh";
    const IDENTITY: &str = "torch.nn.modules.linear.Identity";

    #[test]
    fn the_activation_is_named_by_one_of_three_fields() {
        let dir = tempfile::tempdir().unwrap();
        let named = |fields: Value| activation(dir.path(), &config(fields)).unwrap();
        assert_eq!(named(json!({})), None);
        let older = json!({ OLDER_MARK: IDENTITY });
        assert_eq!(named(older), Some(TorchActivation::Identity));
        let both =
            json!({ OLDER_MARK: IDENTITY, "sentence_transformers": {"activation_fn": TANH} });
        assert_eq!(named(both.clone()), Some(TorchActivation::Tanh));
        let empty = json!({ OLDER_MARK: null, "sentence_transformers": {"version": "4.1"} });
        assert_eq!(named(empty.clone()), None);
        assert!(is_marked(&config(both.clone())) && !is_marked(&config(empty)));

        // The library's own file counts before, where there are modules.
        let library = json!({"model_type": "CrossEncoder", "activation_fn": IDENTITY});
        std::fs::write(dir.path().join(LIBRARY_CONFIG), library.to_string()).unwrap();
        assert_eq!(named(both.clone()), Some(TorchActivation::Tanh));
        std::fs::write(dir.path().join(MODULES), "[]").unwrap();
        assert_eq!(named(both.clone()), Some(TorchActivation::Identity));

        let mut config = config(both);
        remove_marks(&mut config);
        assert!(!is_marked(&config));
    }

    #[test]
    fn activations_that_are_not_implemented_are_named() {
        let dir = tempfile::tempdir().unwrap();
        for class in ["torch.nn.modules.activation.GELU", "mine.Sigmoid"] {
            let config = config(json!({"sentence_transformers": {"activation_fn": class}}));
            let error = activation(dir.path(), &config).unwrap_err().to_string();
            for needle in [
                "config.json",
                "`sentence_transformers.activation_fn`",
                class,
            ] {
                assert!(error.contains(needle), "{error}");
            }
        }
    }
}
