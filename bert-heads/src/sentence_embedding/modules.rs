//! The list of modules that a directory of sentence-transformers consists of (`modules.json`).

use std::path::{Component, Path, PathBuf};

use serde_json::Value;

use super::fields::read_json;
use crate::error::{Error, Result};

pub(crate) const MODULES: &str = "modules.json";

/// Package of the classes of sentence-transformers; others are code of a model's author.
const PACKAGE: &str = "sentence_transformers.";

/// An entry of `modules.json`.
pub(crate) struct Module {
    /// Dotted path of the Python class.
    class: String,
    dir: PathBuf,
}

impl Module {
    /// Dotted path of the Python class.
    pub(crate) fn class(&self) -> &str {
        &self.class
    }

    /// Directory of its files.
    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }

    /// The class without its place in the package, which has moved between versions; `None` for a
    /// class of another package.
    pub(crate) fn kind(&self) -> Option<&str> {
        self.class.strip_prefix(PACKAGE)?.rsplit('.').next()
    }
}

/// The modules of `dir` in their order; `None` without `modules.json`.
///
/// # Errors
///
/// [`Error::Core`] naming the file and the entry that is malformed.
pub(crate) fn modules(dir: &Path) -> Result<Option<Vec<Module>>> {
    let path = dir.join(MODULES);
    if !path.is_file() {
        return Ok(None);
    }
    let malformed =
        |reason: String| Error::Core(bert_core::Error::malformed(&path, MODULES, reason));
    let Value::Array(entries) = read_json(&path)? else {
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
    let modules: Result<_> = entries.iter().enumerate().map(entry).collect();
    modules.map(Some)
}

/// An error about the class of a module, or its absence.
pub(crate) fn unsupported(dir: &Path, modules: &[Module], index: usize, expected: &str) -> Error {
    Error::Unsupported {
        path: dir.join(MODULES),
        field: format!("[{index}].type"),
        found: modules.get(index).map_or("missing".to_owned(), |module| {
            format!("\"{}\"", module.class)
        }),
        supported: format!("only {expected} is implemented there"),
    }
}
