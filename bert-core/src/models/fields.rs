//! Fields of `config.json` that are left among the rest, which is written back as it came.

use serde_json::{Map, Value};

use crate::activation::HiddenAct;
use crate::error::{Error, Result};

/// The value of a key that is not null.
pub(super) fn stated<'a>(fields: &'a Map<String, Value>, key: &str) -> Option<&'a Value> {
    fields.get(key).filter(|value| !value.is_null())
}

/// The value of a key as `convert` takes it, or `absent`; `expected` describes what it must be.
pub(super) fn value_of<T>(
    fields: &Map<String, Value>,
    key: &str,
    absent: T,
    expected: &str,
    convert: impl Fn(&Value) -> Option<T>,
) -> Result<T> {
    match stated(fields, key) {
        None => Ok(absent),
        Some(value) => convert(value).ok_or_else(|| wrong(key, value, expected)),
    }
}

/// A key that is true or false.
pub(super) fn flag(fields: &Map<String, Value>, key: &str, absent: bool) -> Result<bool> {
    value_of(fields, key, absent, "true or false", Value::as_bool)
}

/// A key that is a whole number, negative ones among them.
pub(super) fn integer(fields: &Map<String, Value>, key: &str, absent: i64) -> Result<i64> {
    value_of(fields, key, absent, "a whole number", Value::as_i64)
}

/// A key that names the activation of a head, "tanh" among them.
pub(super) fn activation(
    fields: &Map<String, Value>,
    key: &str,
    absent: HiddenAct,
) -> Result<HiddenAct> {
    value_of(
        fields,
        key,
        absent,
        "a known activation",
        |value| match value.as_str()? {
            "tanh" => Some(HiddenAct::Tanh),
            name => name.parse().ok(),
        },
    )
}

/// The error of a key whose value is not what it must be.
pub(super) fn wrong(key: &str, value: &Value, expected: &str) -> Error {
    Error::config(key, format!("is {value}, but must be {expected}"))
}
