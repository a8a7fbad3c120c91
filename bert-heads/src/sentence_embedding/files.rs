//! The files sentence-transformers writes beside a checkpoint (its `base/model.py`,
//! `base/modules/transformer.py` and `sentence_transformer/modules/pooling.py`).

use std::path::{Component, Path, PathBuf};

use serde_json::Value;

use super::Pooling;
use super::fields::{Fields, as_size, read_json};
use crate::error::{Error, Result};

pub(super) const MODULES: &str = "modules.json";
pub(super) const TRANSFORMER_CONFIG: &str = "sentence_bert_config.json";
const PROMPTS: &str = "config_sentence_transformers.json";

/// The boolean fields of a pooling configuration before sentence-transformers 5.
pub(super) const POOLING_FLAGS: [(&str, &str); 6] = [
    ("pooling_mode_cls_token", "cls"),
    ("pooling_mode_max_tokens", "max"),
    ("pooling_mode_mean_tokens", "mean"),
    ("pooling_mode_mean_sqrt_len_tokens", "mean_sqrt_len_tokens"),
    ("pooling_mode_weightedmean_tokens", "weightedmean"),
    ("pooling_mode_lasttoken", "lasttoken"),
];

/// What the files say, with the defaults of sentence-transformers where they are silent.
pub(super) struct SentenceTransformersFiles {
    /// Where checkpoint and tokenizer lie.
    pub(super) transformer_dir: PathBuf,
    pub(super) pooling: Pooling,
    pub(super) normalize: bool,
    pub(super) max_seq_length: Option<usize>,
    pub(super) do_lower_case: bool,
    /// Put in front of every text.
    pub(super) prompt: String,
    /// Pooling is to leave the tokens of the prompt out.
    excludes_prompt: bool,
    /// Width of the token vectors and the file that states it.
    dimension: Option<(PathBuf, usize)>,
}

impl SentenceTransformersFiles {
    /// Reads the files of `dir`; without `modules.json` it is a plain checkpoint.
    ///
    /// A pooling that is not implemented passes if `pooling_is_chosen` otherwise.
    pub(super) fn read(dir: &Path, pooling_is_chosen: bool) -> Result<Self> {
        let mut files = Self {
            transformer_dir: dir.to_owned(),
            pooling: Pooling::Mean,
            normalize: false,
            max_seq_length: None,
            do_lower_case: false,
            prompt: String::new(),
            excludes_prompt: false,
            dimension: None,
        };
        let path = dir.join(MODULES);
        if !path.is_file() {
            return Ok(files);
        }
        let modules = modules(dir, &path)?;
        let is = |index: usize, kinds: &[&str]| {
            modules
                .get(index)
                .is_some_and(|module| kinds.contains(&module.kind()))
        };
        // Before version 0.4 the first module was named after its architecture.
        if !is(0, &["Transformer", "BERT"]) {
            return Err(unsupported_module(&path, &modules, 0, "Transformer"));
        }
        if !is(1, &["Pooling"]) {
            return Err(unsupported_module(&path, &modules, 1, "Pooling"));
        }
        files.normalize = is(2, &["Normalize"]);
        let known = if files.normalize { 3 } else { 2 };
        if modules.len() > known {
            let expected = "Transformer, Pooling and then at most Normalize";
            return Err(unsupported_module(&path, &modules, known, expected));
        }

        files.transformer_dir = modules[0].dir.clone();
        files.read_transformer()?;
        files.read_pooling(&modules[1].dir.join("config.json"), pooling_is_chosen)?;
        if files.normalize {
            refuse_token_normalization(&modules[2].dir.join("config.json"))?;
        }
        files.read_prompt(&dir.join(PROMPTS))?;
        if !files.prompt.is_empty() && files.excludes_prompt {
            return Err(Error::Unsupported {
                path: modules[1].dir.join("config.json"),
                field: "include_prompt".to_owned(),
                found: "false".to_owned(),
                supported: "pooling always includes the prompt".to_owned(),
            });
        }
        Ok(files)
    }

    /// Checks that the pooling was made for vectors of this width.
    pub(super) fn check_dimension(&self, hidden_size: usize) -> Result<()> {
        match &self.dimension {
            Some((path, dimension)) if *dimension != hidden_size => Err(Error::Unsupported {
                path: path.clone(),
                field: "word_embedding_dimension".to_owned(),
                found: dimension.to_string(),
                supported: format!(
                    "the model's hidden_size is {hidden_size}: the files do not belong together"
                ),
            }),
            _ => Ok(()),
        }
    }

    fn read_transformer(&mut self) -> Result<()> {
        let Some(fields) = Fields::read(self.transformer_dir.join(TRANSFORMER_CONFIG))? else {
            return Ok(());
        };
        self.max_seq_length = fields.get("max_seq_length", "a whole number", as_size)?;
        let flag = fields.get("do_lower_case", "true or false", Value::as_bool)?;
        self.do_lower_case = flag.unwrap_or(false);
        Ok(())
    }

    fn read_pooling(&mut self, path: &Path, is_chosen: bool) -> Result<()> {
        let Some(fields) = Fields::read(path.to_owned())? else {
            return Err(Error::Core(bert_core::Error::io(
                "read",
                path,
                std::io::ErrorKind::NotFound.into(),
            )));
        };
        let size = |name| fields.get(name, "a whole number", as_size);
        let dimension = match size("word_embedding_dimension")? {
            Some(dimension) => Some(dimension),
            None => size("embedding_dimension")?,
        };
        let include_prompt = fields.get("include_prompt", "true or false", Value::as_bool)?;
        self.excludes_prompt = include_prompt == Some(false);
        self.dimension = dimension.map(|dimension| (path.to_owned(), dimension));
        if !is_chosen {
            self.pooling = pooling(&fields)?;
        }
        Ok(())
    }

    fn read_prompt(&mut self, path: &Path) -> Result<()> {
        let Some(fields) = Fields::read(path.to_owned())? else {
            return Ok(());
        };
        let name = fields.get("default_prompt_name", "a string", |v| {
            v.as_str().map(String::from)
        })?;
        let Some(name) = name else { return Ok(()) };
        let prompts = fields.get("prompts", "an object", |v| v.as_object().cloned())?;
        let prompt = prompts
            .as_ref()
            .and_then(|prompts| prompts.get(&name)?.as_str());
        let Some(prompt) = prompt else {
            return Err(fields.unsupported(
                "default_prompt_name",
                &Value::String(name),
                "`prompts` holds no such text",
            ));
        };
        prompt.clone_into(&mut self.prompt);
        Ok(())
    }
}

/// An entry of `modules.json`.
struct Module {
    /// Dotted path of the Python class.
    class: String,
    dir: PathBuf,
}

impl Module {
    /// The class without its package, which has moved between versions.
    fn kind(&self) -> &str {
        self.class.rsplit('.').next().unwrap_or_default()
    }
}

fn modules(dir: &Path, path: &Path) -> Result<Vec<Module>> {
    let malformed =
        |reason: String| Error::Core(bert_core::Error::malformed(path, MODULES, reason));
    let Value::Array(entries) = read_json(path)? else {
        return Err(malformed("it is not a list".to_owned()));
    };
    let entry = |(index, entry): (usize, &Value)| {
        let text = |name: &str| {
            let text = entry.get(name).and_then(Value::as_str);
            text.ok_or_else(|| malformed(format!("[{index}].{name} is not a string")))
        };
        let sub = Path::new(text("path")?);
        if !sub
            .components()
            .all(|part| matches!(part, Component::Normal(_) | Component::CurDir))
        {
            return Err(malformed(format!(
                "[{index}].path leads out of the directory"
            )));
        }
        Ok(Module {
            class: text("type")?.to_owned(),
            dir: dir.join(sub),
        })
    };
    entries.iter().enumerate().map(entry).collect()
}

fn unsupported_module(path: &Path, modules: &[Module], index: usize, expected: &str) -> Error {
    Error::Unsupported {
        path: path.to_owned(),
        field: format!("[{index}].type"),
        found: modules.get(index).map_or("missing".to_owned(), |module| {
            format!("\"{}\"", module.class)
        }),
        supported: format!("only {expected} is implemented there"),
    }
}

/// `Normalize` can act on token vectors instead, as late-interaction models use it.
fn refuse_token_normalization(path: &Path) -> Result<()> {
    let Some(fields) = Fields::read(path.to_owned())? else {
        return Ok(());
    };
    for field in ["module_input_name", "module_output_name"] {
        match fields.object.get(field) {
            None | Some(Value::Null) => {}
            Some(name) if name == "sentence_embedding" => {}
            Some(other) => {
                let supported = "only \"sentence_embedding\" is implemented";
                return Err(fields.unsupported(field, other, supported));
            }
        }
    }
    Ok(())
}

/// The one pooling that a file asks for.
fn pooling(fields: &Fields) -> Result<Pooling> {
    const FIELD: &str = "pooling_mode";
    let asked: Vec<&str> = match fields.object.get(FIELD) {
        Some(Value::String(mode)) => vec![mode],
        Some(Value::Array(modes)) => modes.iter().map(|m| m.as_str().unwrap_or("?")).collect(),
        _ => POOLING_FLAGS
            .into_iter()
            .filter(|(flag, _)| fields.object.get(*flag) == Some(&Value::Bool(true)))
            .map(|(_, mode)| mode)
            .collect(),
    };
    match asked.as_slice() {
        [] | ["mean"] => Ok(Pooling::Mean),
        ["cls"] => Ok(Pooling::Cls),
        ["max"] => Ok(Pooling::Max),
        ["mean_sqrt_len_tokens"] => Ok(Pooling::MeanSqrtLen),
        modes => {
            let flag = POOLING_FLAGS
                .into_iter()
                .find(|(flag, mode)| fields.object.contains_key(*flag) && modes.contains(mode));
            let field = match flag {
                Some((flag, _)) if !fields.object.contains_key(FIELD) && modes.len() == 1 => flag,
                _ => FIELD,
            };
            Err(fields.unsupported(
                field,
                &Value::String(modes.join(" + ")),
                "only cls, mean, mean_sqrt_len_tokens or max alone is implemented: choose one explicitly",
            ))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const PACKAGE: &str = "sentence_transformers.models";

    fn dir(files: &[(&str, Value)]) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        for (name, value) in files {
            let path = dir.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, value.to_string()).unwrap();
        }
        dir
    }

    fn module(kind: &str, path: &str) -> Value {
        json!({"idx": 0, "name": "0", "path": path, "type": format!("{PACKAGE}.{kind}")})
    }

    fn modules_json(kinds: &[(&str, &str)]) -> (&'static str, Value) {
        (
            MODULES,
            kinds
                .iter()
                .map(|(kind, path)| module(kind, path))
                .collect(),
        )
    }

    fn message(dir: &tempfile::TempDir) -> String {
        match SentenceTransformersFiles::read(dir.path(), false) {
            Ok(_) => panic!("it was read"),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn a_plain_checkpoint_is_pooled_by_mean() {
        let files = SentenceTransformersFiles::read(dir(&[]).path(), false).unwrap();
        assert_eq!((files.pooling, files.normalize), (Pooling::Mean, false));
        assert_eq!((files.max_seq_length, files.do_lower_case), (None, false));
    }

    #[test]
    fn the_files_set_the_defaults() {
        let dir = dir(&[
            modules_json(&[
                ("Transformer", "0_BERT"),
                ("Pooling", "1_Pooling"),
                ("Normalize", "2"),
            ]),
            (
                "0_BERT/sentence_bert_config.json",
                json!({"max_seq_length": 37, "do_lower_case": true}),
            ),
            (
                "1_Pooling/config.json",
                json!({"word_embedding_dimension": 32, "pooling_mode_cls_token": true, "pooling_mode_mean_tokens": false}),
            ),
            (
                PROMPTS,
                json!({"prompts": {"query": "query: "}, "default_prompt_name": "query"}),
            ),
        ]);
        let files = SentenceTransformersFiles::read(dir.path(), false).unwrap();
        assert_eq!(files.transformer_dir, dir.path().join("0_BERT"));
        assert_eq!((files.pooling, files.normalize), (Pooling::Cls, true));
        assert_eq!(
            (files.max_seq_length, files.do_lower_case),
            (Some(37), true)
        );
        assert_eq!(files.prompt, "query: ");
        files.check_dimension(32).unwrap();
        let error = files.check_dimension(13).unwrap_err().to_string();
        assert!(
            error.contains("1_Pooling") && error.contains("word_embedding_dimension"),
            "{error}"
        );
    }

    #[test]
    fn the_layout_of_version_5_is_read() {
        let mut modules = modules_json(&[("", ""), ("", "1_Pooling")]);
        modules.1[0]["type"] = json!("sentence_transformers.base.modules.transformer.Transformer");
        modules.1[1]["type"] =
            json!("sentence_transformers.sentence_transformer.modules.pooling.Pooling");
        let config =
            json!({"embedding_dimension": 5, "pooling_mode": ["max"], "include_prompt": true});
        let dir = dir(&[modules, ("1_Pooling/config.json", config)]);
        let files = SentenceTransformersFiles::read(dir.path(), false).unwrap();
        assert_eq!((files.pooling, files.normalize), (Pooling::Max, false));
    }

    #[test]
    fn what_is_not_implemented_is_named_with_file_and_field() {
        let transformer = ("Transformer", "");
        let pooling = ("Pooling", "1");
        let mean = ("1/config.json", json!({"pooling_mode_mean_tokens": true}));
        let usual = modules_json(&[transformer, pooling, ("Normalize", "2")]);
        for (files, needles) in [
            (
                vec![
                    modules_json(&[transformer, pooling, ("Dense", "2_Dense")]),
                    mean.clone(),
                ],
                vec![MODULES, "[2].type", "models.Dense"],
            ),
            (
                vec![modules_json(&[transformer]), mean.clone()],
                vec![MODULES, "[1].type", "missing"],
            ),
            (
                vec![modules_json(&[("CLIPModel", "")])],
                vec![MODULES, "[0].type", "CLIPModel"],
            ),
            (
                vec![
                    usual.clone(),
                    ("1/config.json", json!({"pooling_mode_lasttoken": true})),
                ],
                vec!["1/config.json", "`pooling_mode_lasttoken`", "lasttoken"],
            ),
            (
                vec![
                    usual.clone(),
                    ("1/config.json", json!({"pooling_mode": ["cls", "mean"]})),
                ],
                vec!["1/config.json", "`pooling_mode`", "cls + mean"],
            ),
            (
                vec![
                    usual.clone(),
                    mean.clone(),
                    (
                        "2/config.json",
                        json!({"module_input_name": "token_embeddings"}),
                    ),
                ],
                vec!["2/config.json", "module_input_name"],
            ),
            (
                vec![
                    usual.clone(),
                    mean.clone(),
                    (TRANSFORMER_CONFIG, json!({"max_seq_length": "long"})),
                ],
                vec![TRANSFORMER_CONFIG, "max_seq_length", "whole number"],
            ),
            (
                vec![
                    usual.clone(),
                    mean.clone(),
                    (PROMPTS, json!({"default_prompt_name": "query"})),
                ],
                vec![PROMPTS, "default_prompt_name"],
            ),
            (
                vec![
                    usual.clone(),
                    ("1/config.json", json!({"include_prompt": false})),
                    (
                        PROMPTS,
                        json!({"prompts": {"q": "q: "}, "default_prompt_name": "q"}),
                    ),
                ],
                vec!["1/config.json", "include_prompt"],
            ),
            (vec![usual.clone()], vec!["1/config.json"]),
            (
                vec![modules_json(&[("Transformer", "../elsewhere"), pooling])],
                vec![MODULES, "[0].path"],
            ),
            (vec![(MODULES, json!({}))], vec![MODULES, "not a list"]),
            (
                vec![(MODULES, json!([{"type": "x"}]))],
                vec![MODULES, "[0].path"],
            ),
        ] {
            let message = message(&dir(&files));
            for needle in needles {
                assert!(message.contains(needle), "{needle}: {message}");
            }
        }
    }

    #[test]
    fn a_pooling_chosen_otherwise_is_not_looked_up() {
        let dir = dir(&[
            modules_json(&[("Transformer", ""), ("Pooling", "1")]),
            ("1/config.json", json!({"pooling_mode": "lasttoken"})),
        ]);
        assert!(SentenceTransformersFiles::read(dir.path(), true).is_ok());
        assert!(message(&dir).contains("lasttoken"));
    }
}
