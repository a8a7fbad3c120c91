//! Which files of a repository a model needs.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Component, Path};

use serde::Deserialize;

use crate::error::{Error, Result};

pub(super) const CONFIG: &str = "config.json";
pub(super) const SAFETENSORS: &str = "model.safetensors";
pub(super) const SAFETENSORS_INDEX: &str = "model.safetensors.index.json";
pub(super) const PYTORCH: &str = "pytorch_model.bin";
pub(super) const TOKENIZER: &str = "tokenizer.json";
pub(super) const VOCAB: &str = "vocab.txt";
pub(super) const MODULES: &str = "modules.json";

/// Taken along where the repository has them: the tokenizer, and what sentence-transformers
/// writes about pooling.
pub(super) const OPTIONAL: [&str; 9] = [
    TOKENIZER,
    VOCAB,
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    MODULES,
    "1_Pooling/config.json",
    "sentence_bert_config.json",
    "config_sentence_transformers.json",
];

/// A byte-level vocabulary, taken along where the repository has no [`TOKENIZER`].
pub(super) const BYTE_LEVEL: [&str; 2] = ["vocab.json", "merges.txt"];

/// Vocabularies of SentencePiece, which no tokenizer here reads.
const SENTENCE_PIECE: [&str; 3] = ["sentencepiece.bpe.model", "spiece.model", "spm.model"];

/// Files of a repository that a model needs: small ones and weights.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Plan {
    /// Configuration and tokenizer, to be fetched first.
    pub(super) small: Vec<String>,
    /// The weights, or the index that names them.
    pub(super) weights: &'static str,
}

/// Picks the files a model needs from those `listed`; the error says what the repository lacks.
pub(super) fn plan(listed: &BTreeSet<String>) -> Result<Plan, String> {
    if !listed.contains(CONFIG) {
        return Err(format!(
            "the repository has no {CONFIG}: it is not a transformers model"
        ));
    }
    let weights = [SAFETENSORS, SAFETENSORS_INDEX, PYTORCH]
        .into_iter()
        .find(|name| listed.contains(*name))
        .ok_or_else(|| {
            format!(
                "the repository has no weights this program reads ({SAFETENSORS}, {SAFETENSORS_INDEX} or {PYTORCH})"
            )
        })?;
    let is_listed = |name: &&str| listed.contains(*name);
    let byte_level: &[&str] = match listed.contains(TOKENIZER) {
        true => &[],
        false => &BYTE_LEVEL,
    };
    let vocabularies = [TOKENIZER, VOCAB].into_iter().chain(BYTE_LEVEL);
    if vocabularies.filter(is_listed).count() == 0
        && let Some(name) = SENTENCE_PIECE.into_iter().find(is_listed)
    {
        return Err(format!(
            "the repository's only vocabulary is {name}, in a format of SentencePiece that is not read here: save it with \
             transformers, AutoTokenizer.from_pretrained(ID).save_pretrained(DIR), which writes {TOKENIZER}, and give a \
             directory with that and the model's files"
        ));
    }
    let optional = OPTIONAL.into_iter().chain(byte_level.iter().copied());
    let optional = optional.filter(is_listed);
    Ok(Plan {
        small: [CONFIG]
            .into_iter()
            .chain(optional)
            .map(str::to_owned)
            .collect(),
        weights,
    })
}

/// The part of `model.safetensors.index.json` that names files.
#[derive(Deserialize)]
struct Index {
    weight_map: BTreeMap<String, String>,
}

/// The files of sharded weights, each once, as the index at `path` names them.
pub(super) fn shards(path: &Path) -> Result<BTreeSet<String>> {
    let text = std::fs::read_to_string(path).map_err(|error| Error::io("read", path, error))?;
    let malformed = |reason: String| Error::malformed(path, "safetensors index", reason);
    let index: Index = serde_json::from_str(&text).map_err(|error| malformed(error.to_string()))?;
    let shards: BTreeSet<String> = index.weight_map.into_values().collect();
    if shards.is_empty() {
        return Err(malformed("its weight_map is empty".to_owned()));
    }
    // Names become paths: none may lead out of the directory.
    match shards
        .iter()
        .find(|name| name.contains(['/', '\\', ':']) || name.starts_with('.'))
    {
        Some(name) => Err(malformed(format!("`{name}` is not a plain file name"))),
        None => Ok(shards),
    }
}

/// The files of a module of sentence-transformers beside the encoder, such as `2_Dense`.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct ModuleFiles {
    /// Its configuration.
    pub(super) config: String,
    /// Its weights, of which the first that exists is read.
    pub(super) weights: [String; 2],
    /// True if it computes with weights.
    pub(super) needs_weights: bool,
}

/// The part of an entry of `modules.json` that says where files lie.
#[derive(Deserialize)]
struct ModuleEntry {
    path: String,
    #[serde(rename = "type")]
    class: String,
}

/// The modules in directories of their own that the `modules.json` in `snapshot` lists; none where it
/// cannot be read, which the model's reader explains.
pub(super) fn modules(snapshot: &Path) -> Vec<ModuleFiles> {
    let text = std::fs::read_to_string(snapshot.join(MODULES)).unwrap_or_default();
    let entries: Vec<ModuleEntry> = serde_json::from_str(&text).unwrap_or_default();
    // Paths come from a file: none may lead out of the directory.
    let is_inside = |path: &str| {
        let mut parts = Path::new(path).components();
        !path.is_empty()
            && !path.contains(['\\', ':'])
            && parts.all(|part| matches!(part, Component::Normal(_)))
    };
    entries
        .into_iter()
        .filter(|entry| is_inside(&entry.path))
        .map(|ModuleEntry { path, class }| {
            let kind = class.rsplit('.').next().unwrap_or_default();
            let path = path.trim_end_matches('/');
            ModuleFiles {
                config: format!("{path}/config.json"),
                weights: [SAFETENSORS, PYTORCH].map(|name| format!("{path}/{name}")),
                needs_weights: ["Dense", "LayerNorm"].contains(&kind),
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modules_are_looked_for_inside_the_snapshot_alone() {
        let dir = tempfile::tempdir().unwrap();
        assert!(modules(dir.path()).is_empty());
        for text in ["", "{}", r#"[{"path": 3}]"#] {
            std::fs::write(dir.path().join(MODULES), text).unwrap();
            assert!(modules(dir.path()).is_empty(), "{text}");
        }
        let entries = serde_json::json!([
            {"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.models.Transformer"},
            {"path": "../elsewhere", "type": "x.Dense"},
            {"path": "/etc", "type": "x.Dense"},
            {"path": "2_Dense", "type": "sentence_transformers.base.modules.dense.Dense"},
            {"path": "3_Normalize", "type": "sentence_transformers.models.Normalize"},
        ]);
        std::fs::write(dir.path().join(MODULES), entries.to_string()).unwrap();
        let found = modules(dir.path());
        let found: Vec<_> = found
            .iter()
            .map(|m| (&*m.config, m.needs_weights))
            .collect();
        assert_eq!(
            found,
            [
                ("2_Dense/config.json", true),
                ("3_Normalize/config.json", false)
            ]
        );
    }

    fn planned(listed: &[&str]) -> Result<Plan, String> {
        plan(&listed.iter().map(|name| (*name).to_owned()).collect())
    }

    #[test]
    fn safetensors_come_before_an_index_before_pytorch() {
        let all = [
            PYTORCH,
            SAFETENSORS_INDEX,
            SAFETENSORS,
            CONFIG,
            "README.md",
            VOCAB,
        ];
        assert_eq!(planned(&all).unwrap().weights, SAFETENSORS);
        assert_eq!(planned(&all).unwrap().small, [CONFIG, VOCAB]);
        assert_eq!(
            planned(&[PYTORCH, SAFETENSORS_INDEX, CONFIG])
                .unwrap()
                .weights,
            SAFETENSORS_INDEX
        );
        assert_eq!(planned(&[PYTORCH, CONFIG]).unwrap().weights, PYTORCH);
    }

    #[test]
    fn a_byte_level_vocabulary_replaces_tokenizer_json() {
        let [vocab, merges] = BYTE_LEVEL;
        let without = planned(&[SAFETENSORS, CONFIG, vocab, merges]).unwrap();
        assert_eq!(without.small, [CONFIG, vocab, merges]);
        let with = planned(&[SAFETENSORS, CONFIG, vocab, merges, TOKENIZER]).unwrap();
        assert_eq!(with.small, [CONFIG, TOKENIZER]);
    }

    #[test]
    fn a_sentence_piece_file_alone_gives_advice() {
        for name in SENTENCE_PIECE {
            let error = planned(&[SAFETENSORS, CONFIG, name]).unwrap_err();
            assert!(error.contains(name) && error.contains("AutoTokenizer"));
            assert!(planned(&[SAFETENSORS, CONFIG, name, TOKENIZER]).is_ok());
        }
    }

    #[test]
    fn a_repository_without_weights_or_config_says_so() {
        assert!(
            planned(&[CONFIG, "tf_model.h5"])
                .unwrap_err()
                .contains("no weights")
        );
        assert!(
            planned(&[SAFETENSORS])
                .unwrap_err()
                .contains("no config.json")
        );
    }

    #[test]
    fn shard_names_cannot_leave_the_directory() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(SAFETENSORS_INDEX);
        for (text, good) in [
            (
                r#"{"weight_map": {"a": "model-1.safetensors", "b": "model-1.safetensors"}}"#,
                true,
            ),
            (r#"{"weight_map": {"a": "../other"}}"#, false),
            (r#"{"weight_map": {"a": "/etc/passwd"}}"#, false),
            (r#"{"weight_map": {"a": ".."}}"#, false),
            (r#"{"weight_map": {}}"#, false),
            ("{", false),
        ] {
            std::fs::write(&path, text).unwrap();
            assert_eq!(shards(&path).is_ok(), good, "{text}");
        }
    }
}
