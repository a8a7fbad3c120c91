//! Fields of small JSON files, which may be absent but not of another type.

use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use crate::error::{Error, Result};

/// The object in a small JSON file.
///
/// Errors name the file and the field.
pub(crate) struct Fields {
    pub(crate) path: PathBuf,
    pub(crate) object: Map<String, Value>,
}

impl Fields {
    /// `None` if there is no such file.
    pub(crate) fn read(path: PathBuf) -> Result<Option<Self>> {
        if !path.is_file() {
            return Ok(None);
        }
        match read_json(&path)? {
            Value::Object(object) => Ok(Some(Self { path, object })),
            _ => Err(Error::Core(bert_core::Error::malformed(
                path,
                "JSON settings",
                "it is not an object",
            ))),
        }
    }

    /// The object in a file that must be there.
    pub(crate) fn required(path: PathBuf) -> Result<Self> {
        let missing = |path| {
            let error = std::io::ErrorKind::NotFound.into();
            Error::Core(bert_core::Error::io("read", path, error))
        };
        Self::read(path.clone())?.ok_or_else(|| missing(path))
    }

    /// Refuses a module that reads or writes something else than the vector of a text.
    pub(crate) fn only_sentence_vectors(&self) -> Result<()> {
        for field in ["module_input_name", "module_output_name"] {
            match self.object.get(field) {
                None | Some(Value::Null) => {}
                Some(name) if name == "sentence_embedding" => {}
                Some(other) => {
                    let supported = "only \"sentence_embedding\" is implemented";
                    return Err(self.unsupported(field, other, supported));
                }
            }
        }
        Ok(())
    }

    /// A field that may be absent or null, but not of another type.
    pub(crate) fn get<T>(
        &self,
        name: &str,
        what: &str,
        convert: impl Fn(&Value) -> Option<T>,
    ) -> Result<Option<T>> {
        match self.object.get(name) {
            None | Some(Value::Null) => Ok(None),
            Some(value) => match convert(value) {
                Some(value) => Ok(Some(value)),
                None => Err(self.unsupported(name, value, &format!("it must be {what}"))),
            },
        }
    }

    pub(crate) fn unsupported(&self, field: &str, found: &Value, supported: &str) -> Error {
        Error::Unsupported {
            path: self.path.clone(),
            field: field.to_owned(),
            found: found.to_string(),
            supported: supported.to_owned(),
        }
    }
}

pub(crate) fn read_json(path: &Path) -> Result<Value> {
    let text =
        std::fs::read_to_string(path).map_err(|error| bert_core::Error::io("read", path, error))?;
    let value = serde_json::from_str(&text)
        .map_err(|error| bert_core::Error::malformed(path, "JSON", error))?;
    Ok(value)
}

pub(crate) fn as_size(value: &Value) -> Option<usize> {
    usize::try_from(value.as_u64()?).ok()
}
