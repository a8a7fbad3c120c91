//! The files sentence-transformers writes beside a checkpoint (its `base/model.py`,
//! `base/modules/transformer.py` and `sentence_transformer/modules/pooling.py`).

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::fields::{Fields, as_size};
use super::modules::{modules, unsupported};
use super::steps::StepConfig;
use super::{Pooling, Poolings, SimilarityFunction};
use crate::error::{Error, Result};

pub(crate) const TRANSFORMER_CONFIG: &str = "sentence_bert_config.json";
/// Names of the first module's settings from when each architecture had a class of its own.
const OLDER_TRANSFORMER_CONFIGS: [&str; 3] = [
    "sentence_roberta_config.json",
    "sentence_distilbert_config.json",
    "sentence_camembert_config.json",
];
pub(crate) const LIBRARY_CONFIG: &str = "config_sentence_transformers.json";

/// The boolean fields of a pooling configuration before sentence-transformers 5.4, in the order in
/// which it puts the vectors of several.
pub(super) const POOLING_FLAGS: [(&str, Pooling); 6] = [
    ("pooling_mode_cls_token", Pooling::Cls),
    ("pooling_mode_max_tokens", Pooling::Max),
    ("pooling_mode_mean_tokens", Pooling::Mean),
    ("pooling_mode_mean_sqrt_len_tokens", Pooling::MeanSqrtLen),
    ("pooling_mode_weightedmean_tokens", Pooling::WeightedMean),
    ("pooling_mode_lasttoken", Pooling::LastToken),
];

/// Settings in the files of a model, with the defaults of sentence-transformers where they are silent.
pub(super) struct SentenceTransformersFiles {
    /// Directory of checkpoint and tokenizer.
    pub(super) transformer_dir: PathBuf,
    pub(super) pooling: Poolings,
    /// Modules after the pooling, in their order.
    pub(super) steps: Vec<StepConfig>,
    pub(super) max_seq_length: Option<usize>,
    pub(super) do_lower_case: bool,
    /// Put in front of every text.
    pub(super) prompt: String,
    /// Function by which two vectors are compared.
    pub(super) similarity: SimilarityFunction,
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
            pooling: Poolings::default(),
            steps: Vec::new(),
            max_seq_length: None,
            do_lower_case: false,
            prompt: String::new(),
            similarity: SimilarityFunction::default(),
            excludes_prompt: false,
            dimension: None,
        };
        let Some(modules) = modules(dir)? else {
            return Ok(files);
        };
        let library = Fields::read(dir.join(LIBRARY_CONFIG))?;
        if let Some(library) = &library {
            refuse_other_models(library)?;
        }
        let is = |index: usize, kinds: &[&str]| {
            let kind = modules.get(index).and_then(|module| module.kind());
            kind.is_some_and(|kind| kinds.contains(&kind))
        };
        // Before version 0.4 the first module was named after its architecture.
        if !is(0, &["Transformer", "BERT"]) {
            return Err(unsupported(dir, &modules, 0, "Transformer"));
        }
        files.transformer_dir = modules[0].dir().to_owned();
        files.read_transformer()?;
        let lacks_pooling = pooling_is_chosen && modules.len() == 1;
        if !lacks_pooling {
            if !is(1, &["Pooling"]) {
                return Err(unsupported(dir, &modules, 1, "Pooling"));
            }
            files.read_pooling(&modules[1].dir().join("config.json"), pooling_is_chosen)?;
            for index in 2..modules.len() {
                files.steps.extend(StepConfig::read(dir, &modules, index)?);
            }
        }
        let Some(library) = library else {
            return Ok(files);
        };
        files.read_library(&library)?;
        if !files.prompt.is_empty() && files.excludes_prompt {
            return Err(Error::Unsupported {
                path: modules[1].dir().join("config.json"),
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
        let mut names = [TRANSFORMER_CONFIG]
            .into_iter()
            .chain(OLDER_TRANSFORMER_CONFIGS);
        let file = names.find(|name| self.transformer_dir.join(name).is_file());
        let Some(file) = file else { return Ok(()) };
        let Some(fields) = Fields::read(self.transformer_dir.join(file))? else {
            return Ok(());
        };
        self.max_seq_length = fields.get("max_seq_length", "a whole number", as_size)?;
        let flag = fields.get("do_lower_case", "true or false", Value::as_bool)?;
        self.do_lower_case = flag.unwrap_or(false);
        // Since version 5 the module can compute something else than vectors of tokens.
        let task = fields.object.get("transformer_task");
        if let Some(task) = task.filter(|task| !task.is_null() && **task != "feature-extraction") {
            let supported = "only \"feature-extraction\" gives vectors of texts";
            return Err(fields.unsupported("transformer_task", task, supported));
        }
        let output = fields
            .object
            .get("modality_config")
            .and_then(|modalities| modalities.get("text")?.get("method_output_name"));
        match output {
            None | Some(Value::Null) => Ok(()),
            Some(name) if name == "last_hidden_state" => Ok(()),
            Some(other) => {
                let field = "modality_config.text.method_output_name";
                let supported = "only \"last_hidden_state\" is implemented";
                Err(fields.unsupported(field, other, supported))
            }
        }
    }

    fn read_pooling(&mut self, path: &Path, is_chosen: bool) -> Result<()> {
        let fields = Fields::required(path.to_owned())?;
        let size = |name| fields.get(name, "a whole number", as_size);
        let dimension = match size("word_embedding_dimension")? {
            Some(dimension) => Some(dimension),
            None => size("embedding_dimension")?,
        };
        let include_prompt = fields.get("include_prompt", "true or false", Value::as_bool)?;
        self.excludes_prompt = include_prompt == Some(false);
        self.dimension = dimension.map(|dimension| (path.to_owned(), dimension));
        if !is_chosen {
            self.pooling = poolings(&fields)?;
        }
        Ok(())
    }

    fn read_library(&mut self, fields: &Fields) -> Result<()> {
        if let Some(name) = fields
            .object
            .get("similarity_fn_name")
            .filter(|v| !v.is_null())
        {
            let known = name.as_str().and_then(SimilarityFunction::of_name);
            self.similarity = known.ok_or_else(|| {
                let supported = "only cosine, dot, euclidean and manhattan compare two vectors";
                fields.unsupported("similarity_fn_name", name, supported)
            })?;
        }
        let length = fields.get("truncate_dim", "a whole number", as_size)?;
        if let Some(length) = length {
            if length == 0 {
                let supported = "a vector needs a number";
                return Err(fields.unsupported("truncate_dim", &json!(0), supported));
            }
            self.steps.push(StepConfig::Truncate(length));
        }
        self.prompt = default_prompt(fields)?.unwrap_or_default();
        Ok(())
    }
}

/// The text that the files put in front of every input.
pub(crate) fn default_prompt(fields: &Fields) -> Result<Option<String>> {
    let text = |value: &Value| value.as_str().map(String::from);
    let Some(name) = fields.get("default_prompt_name", "a string", text)? else {
        return Ok(None);
    };
    let prompts = fields.get("prompts", "an object", |v| v.as_object().cloned())?;
    match prompts.as_ref().and_then(|prompts| prompts.get(&name)) {
        Some(Value::String(prompt)) => Ok(Some(prompt.clone())),
        // sentence-transformers keeps a place for a prompt that nobody wrote.
        Some(Value::Null) => Ok(None),
        _ => Err(fields.unsupported(
            "default_prompt_name",
            &Value::String(name),
            "`prompts` holds no such text",
        )),
    }
}

/// Refuses a directory that the library saved for something else than vectors of texts.
fn refuse_other_models(fields: &Fields) -> Result<()> {
    match fields.object.get("model_type") {
        None | Some(Value::Null) => Ok(()),
        Some(kind) if kind == "SentenceTransformer" => Ok(()),
        Some(other) => {
            let supported = match other.as_str() {
                Some("CrossEncoder") => {
                    "only \"SentenceTransformer\" gives vectors: for the scores of pairs use `bert predict`"
                }
                _ => "only \"SentenceTransformer\" gives vectors that are implemented",
            };
            Err(fields.unsupported("model_type", other, supported))
        }
    }
}

/// The poolings that a file asks for, in the order of their vectors.
fn poolings(fields: &Fields) -> Result<Poolings> {
    const FIELD: &str = "pooling_mode";
    let known = |mode: &Value| {
        let mut all = Pooling::ALL.into_iter();
        all.find(|pooling| pooling.mode().is_some() && pooling.mode() == mode.as_str())
    };
    let stated = fields.object.get(FIELD);
    let modes: Option<Vec<Pooling>> = match stated {
        None | Some(Value::Null) => {
            let mut modes = Vec::new();
            for (flag, pooling) in POOLING_FLAGS {
                if fields.get(flag, "true or false", Value::as_bool)? == Some(true) {
                    modes.push(pooling);
                }
            }
            match modes.is_empty() {
                true => return Ok(Poolings::default()),
                false => Some(modes),
            }
        }
        Some(Value::Array(modes)) => modes.iter().map(known).collect(),
        Some(mode) => known(mode).map(|pooling| vec![pooling]),
    };
    modes.and_then(Poolings::new).ok_or_else(|| {
        let modes: Vec<&str> = Pooling::ALL.iter().filter_map(|p| p.mode()).collect();
        let supported = format!(
            "only {} are implemented: choose one explicitly",
            modes.join(", ")
        );
        fields.unsupported(FIELD, stated.unwrap_or(&Value::Null), &supported)
    })
}

#[cfg(test)]
mod tests;
