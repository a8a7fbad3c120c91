//! Fixture directories of the families, found by the registry: adding a family needs no list here.

use std::path::{Path, PathBuf};

use bert_core::models::{BERT, FAMILIES, Family};
use serde_json::Value;

/// The directory of all fixtures.
pub(crate) fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../bert-core/fixtures")
        .canonicalize()
        .unwrap()
}

/// A fixture: a checkpoint of one class of a family, with a reference.
pub(crate) struct Fixture {
    /// Its path within the directory of fixtures.
    pub(crate) name: String,
    /// Its family.
    pub(crate) family: &'static Family,
    /// The end of its class: "Model", "ForMaskedLM", …
    pub(crate) class: String,
}

/// The fixtures of all families whose class ends as `class` does.
pub(crate) fn of_class(class: &str) -> Vec<Fixture> {
    let all = FAMILIES.into_iter().flat_map(of_family);
    all.filter(|fixture| fixture.class == class).collect()
}

/// The fixtures of a family; those of BERT lie in directories of their own.
pub(crate) fn of_family(family: &'static Family) -> Vec<Fixture> {
    let mut names = match *family == BERT {
        true => [below("heads"), below("")].concat(),
        false => below(family.model_type),
    };
    if *family == BERT {
        names.retain(|name| name.starts_with("heads/") || name.starts_with("tiny-"));
    }
    names.sort();
    let fixture = |name: String| {
        let config = read_json(&fixtures().join(&name).join("config.json"));
        let class = config["architectures"][0].as_str().unwrap();
        let class = class.strip_prefix(family.class_prefix);
        Fixture {
            class: class.expect("a class of its family").to_owned(),
            family,
            name,
        }
    };
    names.into_iter().map(fixture).collect()
}

/// The directories below one that have a reference.
fn below(directory: &str) -> Vec<String> {
    let Ok(entries) = std::fs::read_dir(fixtures().join(directory)) else {
        return Vec::new();
    };
    let entries = entries.map(|entry| entry.unwrap());
    let entries = entries.filter(|entry| entry.path().join("reference.safetensors").is_file());
    let name = |entry: std::fs::DirEntry| {
        let path = Path::new(directory).join(entry.file_name());
        path.to_str().unwrap().to_owned()
    };
    entries.map(name).collect()
}

/// A JSON file.
pub(crate) fn read_json(path: &Path) -> Value {
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}
