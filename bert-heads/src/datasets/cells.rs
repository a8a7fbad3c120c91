//! The values of a row, and what is wrong with those that are not of the kind asked for.

use serde_json::{Map, Value};

use super::fault::{RowFault, shown};

/// The values of a row.
#[derive(Clone, Debug)]
pub(super) enum Cells {
    Fields(Vec<String>),
    Object(Map<String, Value>),
}

/// A column of a particular file.
#[derive(Clone, Debug)]
pub(super) struct Key {
    /// Its name, or its number where there are no names.
    pub(super) name: String,
    /// Its place among the fields, counted from 0; unused for JSON.
    pub(super) index: usize,
}

impl Cells {
    /// A text that is not blank, as it stands in the file.
    pub(super) fn text(&mut self, key: &Key) -> Result<String, RowFault> {
        let text = self.any_text(key)?;
        match text.trim().is_empty() {
            true => Err(blank(key)),
            false => Ok(text),
        }
    }

    /// A text as it stands in the file, blank or not.
    pub(super) fn any_text(&mut self, key: &Key) -> Result<String, RowFault> {
        match self.take(key)? {
            Value::String(text) => Ok(text),
            other => Err(wrong_type(&key.name, "a text", &other)),
        }
    }

    /// A text that is not blank, or a pair of which one side may be.
    pub(super) fn texts(
        &mut self,
        text: &Key,
        pair: Option<&Key>,
    ) -> Result<(String, Option<String>), RowFault> {
        let Some(pair) = pair else {
            return Ok((self.text(text)?, None));
        };
        let (first, second) = (self.any_text(text)?, self.any_text(pair)?);
        match first.trim().is_empty() && second.trim().is_empty() {
            true => Err(blank(text)),
            false => Ok((first, Some(second))),
        }
    }

    /// True if the row has a value, not null, in a column.
    pub(super) fn has(&self, key: &Key) -> bool {
        match self {
            Self::Fields(fields) => fields.get(key.index).is_some(),
            Self::Object(object) => object.get(&key.name).is_some_and(|value| !value.is_null()),
        }
    }

    /// True if the row has a text, blank or not, in a column.
    pub(super) fn has_text(&self, key: &Key) -> bool {
        match self {
            Self::Fields(fields) => fields.get(key.index).is_some(),
            Self::Object(object) => object.get(&key.name).is_some_and(Value::is_string),
        }
    }

    /// A word or number without the spaces around it; not blank.
    pub(super) fn word(&mut self, key: &Key) -> Result<String, RowFault> {
        let value = self.take(key)?;
        let word = word(&value).ok_or_else(|| wrong_type(&key.name, "a word or number", &value))?;
        match word.is_empty() {
            true => Err(blank(key)),
            false => Ok(word),
        }
    }

    /// A finite number.
    pub(super) fn number(&mut self, key: &Key) -> Result<f64, RowFault> {
        let text = self.word(key)?;
        match text.parse() {
            Ok(number) if f64::is_finite(number) => Ok(number),
            _ => Err(RowFault::NotANumber {
                column: key.name.clone(),
                text: shown(&text),
            }),
        }
    }

    /// Words, from a list or, given a separator, from a text; those that are blank are left out of a
    /// text and kept in a list.
    pub(super) fn words(
        &mut self,
        key: &Key,
        separator: Option<char>,
    ) -> Result<Vec<String>, RowFault> {
        let value = self.take(key)?;
        let words = match (&value, separator) {
            (Value::Array(values), _) => values.iter().map(word).collect(),
            (Value::String(text), Some(separator)) => {
                let words = text.split(separator).map(str::trim);
                Some(
                    words
                        .filter(|word| !word.is_empty())
                        .map(str::to_owned)
                        .collect(),
                )
            }
            _ => None,
        };
        words.ok_or_else(|| wrong_type(&key.name, "a list of words", &value))
    }

    /// The words of a list as they stand in the file: some data sets have spaces for words.
    pub(super) fn tokens(&mut self, key: &Key) -> Result<Vec<String>, RowFault> {
        let value = self.take(key)?;
        let token = |value: &Value| match value {
            Value::String(text) => Some(text.clone()),
            other => word(other),
        };
        let tokens = value.as_array();
        let tokens = tokens.and_then(|values| values.iter().map(token).collect());
        tokens.ok_or_else(|| wrong_type(&key.name, "a list of words", &value))
    }

    /// The values of a JSON list.
    pub(super) fn list(&self, key: &Key) -> Option<&[Value]> {
        match self {
            Self::Fields(_) => None,
            Self::Object(object) => Some(object.get(&key.name)?.as_array()?.as_slice()),
        }
    }

    /// Puts another text into a column that the row has.
    pub(super) fn set(&mut self, key: &Key, text: &str) {
        match self {
            Self::Fields(fields) => {
                if let Some(field) = fields.get_mut(key.index) {
                    text.clone_into(field);
                }
            }
            Self::Object(object) => {
                object.insert(key.name.clone(), text.into());
            }
        }
    }

    /// The value as it is, neither absent nor null.
    pub(super) fn take(&mut self, key: &Key) -> Result<Value, RowFault> {
        let value = match self {
            Self::Fields(fields) => fields
                .get_mut(key.index)
                .map(std::mem::take)
                .map(Value::from),
            Self::Object(object) => object.get_mut(&key.name).map(Value::take),
        };
        match value {
            None | Some(Value::Null) => Err(RowFault::MissingColumn {
                column: key.name.clone(),
            }),
            Some(value) => Ok(value),
        }
    }
}

/// A word or number without the spaces around it.
pub(super) fn word(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.trim().to_owned()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(truth) => Some(truth.to_string()),
        _ => None,
    }
}

fn blank(key: &Key) -> RowFault {
    RowFault::Blank {
        column: key.name.clone(),
    }
}

/// A value that is there, but is no such thing.
pub(super) fn wrong_type(column: &str, expected: &'static str, found: &Value) -> RowFault {
    RowFault::WrongType {
        column: column.to_owned(),
        expected,
        found: kind(found).to_owned(),
    }
}

/// JSON type of a value, with its article.
pub(super) fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

/// Names in a message.
pub(super) fn quoted(names: &[String]) -> String {
    let names: Vec<String> = names
        .iter()
        .map(|name| format!("`{}`", shown(name)))
        .collect();
    names.join(", ")
}
